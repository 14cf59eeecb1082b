"""What went wrong with a request, in words that say whose fault it is, whether to try again, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

URL_HINT = "for example http://127.0.0.1:8080, or https://tieline.example.com:8443"
#: What the words of TLS and of the resolver mean to a person.
UNREACHABLE = (
    ("CERTIFICATE_VERIFY_FAILED", "set SSL_CERT_FILE to its authority: tls-authority.pem of its state directory"),
    ("WRONG_VERSION_NUMBER", "no TLS is spoken there: try http:// instead of https://"),
    ("Name or service not known", "check the host's name in --url"),
    ("name resolution", "the resolver does not answer: try again, or give an address in --url"),
)


class ClientError(Exception):
    """A request that did not succeed: `status` is HTTP's, 0 where there was no answer; `extra` are further fields."""

    def __init__(
        self, code: str, message: str, hint: str = "", status: int = 0, extra: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.hint, self.status = code, message, hint, status
        self.extra = dict(extra or {})


def check(url: str, api_key: str) -> None:
    """Raises ClientError for what no request can be made with."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ClientError("INVALID_URL", f"{url!r} is no URL: {error}", URL_HINT) from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ClientError("INVALID_URL", f"{url!r} is no URL of a platform", URL_HINT)
    if not (api_key.isascii() and api_key.isprintable()):
        message = "this is no API key: it has characters that no key has"
        raise ClientError("INVALID_KEY", message, "copy it again; it begins with tlk_")


def unreachable(error: httpx.HTTPError) -> str:
    """What helps where no answer came."""
    said = str(error)
    for words, hint in UNREACHABLE:
        if words in said:
            return hint
    if isinstance(error, (httpx.ReadTimeout, httpx.RemoteProtocolError, httpx.ReadError)):
        return "look whether it was done, then try again: the answer was lost, not necessarily the request"
    return "is it running? start it with tieline up, or check --url"


def refused(answer: httpx.Response) -> ClientError:
    """The error that an answer other than 2xx tells."""
    try:
        body = answer.json()
        code, message, hint = body.pop("code"), body.pop("message"), body.pop("hint", "")
    except (ValueError, KeyError, AttributeError, TypeError):
        message = f"HTTP {answer.status_code}, and not in the platform's words"
        return ClientError("NOT_TIELINE", message, "is this the URL of a tieline platform?", answer.status_code)
    return ClientError(code, message, hint, answer.status_code, body)
