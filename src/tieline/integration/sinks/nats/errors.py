"""What NATS's errors mean: at which hop, and whether the same rows may be tried again."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

from tieline.integration.sinks.base.failures import Came, Rejected, Unavailable
from tieline.integration.sinks.base.kind import driver
from tieline.integration.sinks.base.network import described, unreachable

if TYPE_CHECKING:
    import nats.errors
    import nats.js.errors
else:
    nats = driver("nats")

TOO_LARGE: Final = 10054  # "message size exceeds maximum allowed" of a stream (nats-server, errors.json)


def translated(
    error: BaseException, servers: str, subject: str = "", named_by_rows: bool = False, connecting: bool = False
) -> Unavailable | Rejected:
    """Any error of the client in the pipeline's terms. A subject that the rows name may be refused for a row
    alone; `connecting` is set while TLS and the login are being agreed on.
    """
    if isinstance(error, (Unavailable, Rejected)):
        return error
    cause = described(error)
    of_row = (nats.errors.MaxPayloadError, nats.errors.BadSubjectError, nats.errors.BadHeaderError)
    if isinstance(error, of_row) or getattr(error, "err_code", None) == TOO_LARGE:
        return Rejected(str(error))
    if isinstance(error, nats.js.errors.NoStreamResponseError):
        if named_by_rows:
            return Rejected(f"no stream takes the subject: {error}")
        hint = "create a stream with this subject, correct the subject, or turn JetStream off"
        return Unavailable("statement", f"no stream takes the subject {subject}", hint, cause, came="answer")
    if isinstance(error, nats.js.errors.APIError):
        hint = "look at the stream's limits; writing goes on by itself"
        told = f"the stream for {subject} takes no more: {error.description}"
        return Unavailable("statement", told, hint, cause, came="answer")
    if connecting and isinstance(error, ConnectionError | nats.errors.UnexpectedEOF):
        hint = "give the resource a client certificate, if the server wants one"
        return Unavailable("tls", f"{servers} ended the connection after TLS", hint, cause)
    return _of_way(error, servers, cause, not connecting)


def _of_way(error: BaseException, servers: str, cause: str, sent: bool) -> Unavailable:
    text = str(error).lower()
    if "permissions violation" in text:
        return Unavailable(
            "statement", "this user may not publish there", "allow the subject to the user", cause, came="answer"
        )
    if "authorization" in text or "authentication" in text or "user auth" in text:
        return Unavailable(
            "login", "the server does not let this user in", "check user name, password and token", cause
        )
    if "secure connection" in text or "tls" in text or isinstance(error, ssl.SSLError):
        hint = "check TLS in the resource and the server, and the certificates of both"
        return Unavailable("tls", f"{servers} did not agree on TLS: {error}", hint, cause)
    if isinstance(error, nats.errors.TimeoutError):
        late: Came = "silence" if sent else "away"
        told = f"{servers} did not answer in time"
        return Unavailable("tcp", told, "check the server and its streams", cause, came=late)
    return unreachable(error, servers, sent=sent)
