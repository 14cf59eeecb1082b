"""What RabbitMQ's errors mean: at which hop, and whether the same rows may be tried again."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from tieline.integration.sinks.base.failures import Rejected, Unavailable
from tieline.integration.sinks.base.kind import driver
from tieline.integration.sinks.base.network import described, hung_up, unreachable

if TYPE_CHECKING:
    import aiormq.exceptions
else:
    aiormq = driver("aiormq")


def translated(
    error: BaseException, server: str, named_by_rows: bool = False, connecting: bool = False
) -> Unavailable | Rejected:
    """Any error of the client in the pipeline's terms. A way that the rows name may be wrong for a row alone."""
    if isinstance(error, (Unavailable, Rejected)):
        return error
    known = aiormq.exceptions
    cause = described(error)
    if isinstance(error, known.PublishError):
        returned: Any = error.frame  # Basic.Return
        if named_by_rows:
            return Rejected(f"no queue takes it: {returned.reply_text} {returned.routing_key!r}")
        hint = "bind a queue to the exchange for this routing key"
        return Unavailable(
            "statement", f"no queue takes the routing key {returned.routing_key!r}", hint, cause, came="answer"
        )
    if isinstance(error, known.DeliveryError):
        hint = "look at the queue's limits; writing goes on by itself"
        return Unavailable("database", "the broker does not take the message now", hint, cause)
    if isinstance(error, known.ChannelPreconditionFailed):
        return Rejected(str(error))
    if isinstance(error, known.ChannelNotFoundEntity):
        return Unavailable("statement", str(error.args[0]), "create it, or correct its name", cause, came="answer")
    if isinstance(error, known.ChannelAccessRefused):
        return Unavailable(
            "statement", str(error.args[0]), "grant the user the right to write there", cause, came="answer"
        )
    return _of_way(error, server, cause, connecting)


def _of_way(error: BaseException, server: str, cause: str, connecting: bool) -> Unavailable:
    known = aiormq.exceptions
    if isinstance(error, known.ProbableAuthenticationError | known.AuthenticationError):
        return Unavailable("login", "the broker does not let this user in", "check user name and password", cause)
    if connecting and isinstance(error, known.InvalidFrameError | known.ConnectionClosed):
        hint = "create the virtual host, correct its name, or give the user rights to it"
        return Unavailable("database", "the virtual host does not open", hint, cause)
    if "SSL" in cause or isinstance(error, ssl.SSLError):
        hint = "check TLS in the resource and the server, the port, and the certificates of both"
        return Unavailable("tls", f"{server} did not agree on TLS: {error}", hint, cause)
    inner = error.__cause__
    if connecting and isinstance(inner or error, known.IncompatibleProtocolError | ConnectionResetError):
        return hung_up(server, cause)
    return unreachable(inner if isinstance(inner, OSError) else error, server, sent=not connecting)
