"""HTTP, also called webhook: each output one request."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Final, Literal
from urllib.parse import quote

import msgspec

from tieline.integration.rules.compile.template import Path, Text, exact_bytes, lookup, text_template
from tieline.integration.rules.values.errors import TemplateError
from tieline.integration.sinks.base.failures import Rejected, Unavailable
from tieline.integration.sinks.base.kind import Action, Kind, Resource, Secret, label
from tieline.integration.sinks.base.network import unreachable
from tieline.integration.sinks.base.outcome import judge
from tieline.integration.sinks.http.client import HttpClient, basic, literal, shown

#: Answers that say "later" (RFC 9110, 15.5 and 15.6; RFC 6585, 4; RFC 8470, 5.2).
LATER: Final = frozenset({408, 425, 429, 502, 503, 504})
TOO_MANY: Final = 429  # of these, the one that never means a body
LOGIN: Final = frozenset({401, 403, 407})
#: Answers that speak of the request's place, whatever is in it.
PLACE: Final = frozenset({404, 405, 410})


class Http(Resource, frozen=True, kw_only=True, tag="http"):
    """A server that takes messages by HTTP."""

    ADDRESS: ClassVar[str] = "url"
    FORM: ClassVar[Literal["server", "servers", "url"]] = "url"

    url: Annotated[str, label("URL")]
    headers: Annotated[dict[str, str], label("Headers")] = msgspec.field(default_factory=dict)
    username: str = ""
    password: Secret = ""
    authorization: Annotated[str, label("Authorization header", kind="password", secret=True)] = ""
    pool_size: Annotated[int, label("Connection pool size")] = 8
    max_inactive: Annotated[float, label("Close an idle connection after (seconds)")] = 10.0
    connect_timeout: Annotated[float, label("Connect timeout (seconds)")] = 15.0

    @property
    def tls(self) -> bool:
        return self.url.lower().startswith("https://")


class HttpRequest(Action, frozen=True, kw_only=True, tag="http"):
    """Sends a request for each output of the rule. Values in the path are escaped."""

    path: Annotated[str, label("Path template")] = ""
    method: Literal["post", "put", "get", "delete"] = "post"
    headers: Annotated[dict[str, str], label("Header templates")] = msgspec.field(
        default_factory=lambda: {"content-type": "application/json"}
    )
    body: Annotated[str, label("Body template", kind="lines")] = "${.}"
    batch_time: Annotated[float, label("Wait for more rows (seconds)")] = 0.0

    def paths(self) -> tuple[Path, ...]:
        templates = (self.path, *self.headers.values(), self.body)
        return tuple(path for template in templates for path in text_template(template).paths)


class HttpSink:
    """The server and its connections."""

    def __init__(self, resource: Http) -> None:
        self.resource = resource
        self.client = HttpClient(resource, resource.url, resource.pool_size, resource.max_inactive)
        self.headers = {**resource.headers, **basic(resource.username, resource.password)}
        if resource.authorization:
            self.headers["authorization"] = resource.authorization

    def writer(self, action: Action) -> HttpWriter:
        if not isinstance(action, HttpRequest):
            raise TemplateError(f"{type(action).__name__} cannot write over HTTP")
        return HttpWriter(self, action)

    async def check(self, actions: Sequence[Action]) -> None:
        for action in actions:
            self.writer(action)
        try:
            status, text = await self.client.request("head", headers=self.headers)
        except ValueError as error:
            raise Unavailable(
                "address", str(error), "write http:// or https://, host, port and path", str(error)
            ) from error
        if status in LOGIN or status in LATER:
            raise judged(status, text, fixed=True)

    async def close(self) -> None:
        await self.client.close()


def judged(status: int, text: str, fixed: bool, wait: float = 0.0) -> Unavailable | Rejected:
    """What an answer other than 2xx means; `fixed` says that the request's place is the same for all rows, `wait` for
    how many seconds the server asks to be left alone. Any of them may be the answer to one body alone, but for those
    that ask for a pause.
    """
    said = shown(status, text)
    if status == TOO_MANY or wait:
        told = f"the server takes nothing now: {said}"
        return Unavailable("database", told, "it is tried again when the server says", said, retry_after=wait)
    if status in LATER or status >= 500:
        told = f"the server takes nothing now: {said}"
        return Unavailable("database", told, "it is tried again; see the server's log", said, came="answer")
    if status in LOGIN:
        hint = "check the user name, the password or the Authorization header"
        return Unavailable("login", f"the server refuses access: {said}", hint, said, came="answer")
    if status in PLACE and fixed:
        told, hint = f"the server has nothing there: {said}", "check the URL, the path and the method"
        return Unavailable("statement", told, hint, said, came="answer")
    if 300 <= status < 400:
        told, hint = f"the server sends us elsewhere: {said}", "write the URL where it leads"
        return Unavailable("statement", told, hint, said, came="answer")
    return Rejected(said)


class HttpWriter:
    """One action's request."""

    def __init__(self, sink: HttpSink, action: HttpRequest) -> None:
        self.sink = sink
        self.method = action.method
        self._path = text_template(action.path)
        self._headers = {name: text_template(value) for name, value in action.headers.items()}
        self._body = text_template(action.body)
        self._room = asyncio.Semaphore(sink.resource.pool_size)

    async def write(self, outputs: Sequence[dict[str, Any]]) -> None:
        """Send a request for each output, as many at a time as there are connections."""
        results = await asyncio.gather(*(self._send(output) for output in outputs), return_exceptions=True)
        judge(results, self._verdict)

    def _verdict(self, error: BaseException) -> Unavailable | Rejected:
        if isinstance(error, Unavailable | Rejected):
            return error
        return (
            Rejected(str(error))
            if isinstance(error, ValueError)
            else unreachable(error, self.sink.client.url, sent=True)
        )

    async def _send(self, output: dict[str, Any]) -> None:
        path = _escaped(self._path, output)
        headers = {**self.sink.headers, **{name: text.render(output) for name, text in self._headers.items()}}
        body = self._body.data(output) if self.method in ("post", "put") else b""
        async with self._room:
            reply = await self.sink.client.reply(self.method, path, body, headers)
        if not 200 <= reply.status < 300:
            raise judged(reply.status, reply.text, fixed=not self._path.paths, wait=reply.retry_after)


def _escaped(template: Text, output: dict[str, Any]) -> str:
    """A path with its values escaped, so that none adds a segment or a parameter."""
    parts = [
        literal(part) if isinstance(part, str) else quote(exact_bytes(lookup(output, part)), safe="")
        for part in template.parts
    ]
    path = "".join(parts)
    return path if not path or path[0] in "/?" else f"/{path}"


KIND: Final = Kind(
    label="HTTP server (webhook)",
    resource=Http,
    actions=(HttpRequest,),
    open=HttpSink,
    test="sends HEAD to the URL: an answer of 401, 403, 407, 408, 425, 429, 502, 503 or 504 fails, any other passes",
    tried="the HTTP server of Python's library",
)
