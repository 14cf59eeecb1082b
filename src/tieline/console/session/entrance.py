"""Signing in and out: plain forms that need no script, and cookies that no script can read."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from html import escape
from pathlib import Path
from urllib.parse import parse_qs

from botocore.exceptions import BotoCoreError, ClientError
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from tieline.client.rest import ClientError as RestError
from tieline.cloud.model.problems import PlatformError
from tieline.console.session import access_keys, context
from tieline.console.session.credentials import PERSON_COOKIE, PROVIDER_COOKIE, SECONDS, Keys, Person
from tieline.console.session.gate import PREFIX
from tieline.console.session.rest import holder, logged_in, rest
from tieline.console.session.sockets import close

router = APIRouter(include_in_schema=False)
STYLE = Path(__file__).parents[1] / "style.css"
LARGEST_FORM = 10_000  # bytes

PERSON = """<h1>Sign in</h1>
<p>To work with deployments, private links and data integration.</p>
{problem}
<form method="post">
<label>API key<input name="key" type="password" autocomplete="off" required autofocus></label>
<p class="muted">The first key is in the file <code>api-key</code> of the platform's state directory.</p>
<button class="primary">Sign in</button>
</form>
<details><summary>With name and password</summary>
<form method="post">
<label>Name<input name="name" autocomplete="username" required></label>
<label>Password<input name="password" type="password" autocomplete="current-password" required></label>
<button class="primary">Sign in as this user</button>
</form></details>
<p class="muted">You provide a service from your own AWS account?
<a href="{prefix}/sign-in/provider">Sign in with access keys</a></p>"""

PROVIDER = """<h1>Sign in to an AWS account</h1>
<p>To provide a service: target groups, load balancers, endpoint services and who may connect.</p>
{problem}
<form method="post">
<label>Access key ID<input name="access" autocomplete="username" required autofocus></label>
<label>Secret access key<input name="secret" type="password" autocomplete="current-password" required></label>
<p class="muted">They go to {wire} and nowhere else. On one machine the profile <code>customer</code> of the file
<code>credentials</code> in the state directory has a pair.</p>
<button class="primary">Sign in</button>
</form>
<p class="muted">You work with deployments? <a href="{prefix}/sign-in">Sign in with an API key</a></p>"""

FRAME = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Sign in · tieline</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style>
<script>
if (matchMedia('(prefers-color-scheme: dark)').matches) document.documentElement.className = 'body--dark'
</script>
</head><body class="entrance"><main class="card narrow"><p class="brand">tieline</p>{body}</main></body></html>"""


@router.get("/sign-in")
async def ask_person() -> Response:
    """The form for an API key."""
    return _form(PERSON)


@router.post("/sign-in")
async def sign_in(request: Request) -> Response:
    """Let REST itself check the key, or the name and password, and set the cookie."""
    fields = await _fields(request)
    source = request.client.host if request.client else ""
    try:
        person = await _known(fields, source)
    except RestError as error:
        return _form(PERSON, f"{error.message}. {error.hint}", 401)
    except UnicodeEncodeError:
        return _form(PERSON, "this is no API key: it has characters that no key has", 401)
    return _let_in(request, PERSON_COOKIE, person)


@router.get("/sign-in/provider")
async def ask_provider() -> Response:
    """The form for access keys."""
    return _form(PROVIDER)


@router.post("/sign-in/provider")
async def sign_in_provider(request: Request) -> Response:
    """Check the keys with sts:GetCallerIdentity, and set the cookie."""
    fields = await _fields(request)
    keys = Keys(fields.get("access", "").strip(), fields.get("secret", "").strip())
    try:
        await access_keys.check(keys, request.client.host if request.client else "")
    except PlatformError as error:
        return _form(PROVIDER, f"{error.message}. {error.hint}", error.status)
    except (BotoCoreError, ClientError, ValueError) as error:
        return _form(PROVIDER, f"AWS refused these keys: {error}", 401)
    return _let_in(request, PROVIDER_COOKIE, keys)


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """End the sessions of both cookies, close their pages in whatever browser they are, and forget the cookies."""
    sessions = context.current.sessions
    known = sessions.find(request.cookies.get(PERSON_COOKIE), Person, time.time())
    answer = RedirectResponse(f"{PREFIX}/sign-in", 303)
    for cookie in (PERSON_COOKIE, PROVIDER_COOKIE):
        close(sessions.end(request.cookies.get(cookie)))
        answer.delete_cookie(cookie, path=PREFIX)
    if known is not None and known[1].header == "Cookie":
        with suppress(RestError):
            await asyncio.to_thread(_end, known[1])
    return answer


async def _known(fields: dict[str, str], source: str) -> Person:
    """Whoever REST knows by these; raises RestError."""
    if "name" in fields:
        return await logged_in(fields["name"], fields.get("password", ""), source)
    return await holder(Person("Authorization", f"Bearer {fields.get('key', '')}"), source)


def _end(person: Person) -> None:
    with rest(person) as client:
        client.logout()


async def _fields(request: Request) -> dict[str, str]:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_FORM:
            return {}
    return {name: values[0] for name, values in parse_qs(body.decode(errors="replace")).items()}


def _form(body: str, problem: str = "", status: int = 200) -> Response:
    said = f'<p class="problem" role="alert">{escape(problem)}</p>' if problem else ""
    wire = escape(context.current.place.wire or "AWS")
    shown = body.format(problem=said, prefix=PREFIX, wire=wire)
    return HTMLResponse(FRAME.format(style=STYLE.read_text(), body=shown), status)


def _let_in(request: Request, cookie: str, credential: Person | Keys) -> Response:
    wanted = request.query_params.get("next", "/")
    inside = wanted.startswith("/") and not wanted.startswith("//") and "\\" not in wanted
    start = "/provider" if cookie == PROVIDER_COOKIE else "/"
    answer = RedirectResponse(PREFIX + (wanted if inside and wanted != "/" else start), 303)
    close(context.current.sessions.end(request.cookies.get(cookie)))  # who signs in again is somebody else
    begun = context.current.sessions.begin(credential, time.time())
    secure = request.url.scheme == "https"
    answer.set_cookie(cookie, begun, max_age=SECONDS, path=PREFIX, httponly=True, samesite="strict", secure=secure)
    return answer
