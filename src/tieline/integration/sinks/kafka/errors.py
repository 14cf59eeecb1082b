"""What Kafka's errors mean: at which hop, and whether the same rows may be tried again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tieline.integration.sinks.base.failures import Came, Rejected, Unavailable
from tieline.integration.sinks.base.kind import driver
from tieline.integration.sinks.base.network import described, unreachable

if TYPE_CHECKING:
    import aiokafka.errors
else:
    aiokafka = driver("aiokafka")


def translated(error: BaseException, server: str, connecting: bool = False) -> Unavailable | Rejected:
    """Any error of the client in the pipeline's terms."""
    if isinstance(error, (Unavailable, Rejected)):
        return error
    known = aiokafka.errors
    cause = described(error)
    of_rows = (
        known.MessageSizeTooLargeError,
        known.RecordListTooLargeError,
        known.InvalidTimestampError,
        known.InvalidTopicError,
    )
    if isinstance(error, of_rows):
        return Rejected(str(error))
    login = (known.AuthenticationFailedError, known.SaslAuthenticationFailed, known.AuthenticationMethodNotSupported)
    # aiokafka looks for the server's proof in what may be an error (RFC 5802, 7: server-final-message)
    if isinstance(error, (*login, known.UnsupportedSaslMechanismError)) or (connecting and isinstance(error, KeyError)):
        hint = "check the mechanism, the user name and the password"
        return Unavailable("login", "the broker does not let this user in", hint, cause)
    if isinstance(error, known.TopicAuthorizationFailedError | known.ClusterAuthorizationFailedError):
        return Unavailable(
            "statement", "this user may not write there", "allow WRITE on the topic to it", cause, came="answer"
        )
    if isinstance(error, known.UnknownTopicOrPartitionError):
        return Unavailable("statement", "the topic is not there any more", "create it again", cause, came="answer")
    return _of_way(error, server, cause, connecting)


def _of_way(error: BaseException, server: str, cause: str, connecting: bool) -> Unavailable:
    known = aiokafka.errors
    inner = error if isinstance(error, OSError) else error.__cause__ or error.__context__
    if isinstance(inner, OSError) and not (connecting and isinstance(inner, ConnectionResetError | BrokenPipeError)):
        return unreachable(inner, server, sent=not connecting)
    if isinstance(error, known.BrokerResponseError):
        came: Came = "away" if error.retriable or connecting else "answer"
        told = f"the cluster does not take it now: {error}"
        return Unavailable("database", told, "it is tried again", cause, came=came)
    if connecting and isinstance(error, known.KafkaConnectionError):
        hint = "check TLS and the authentication mechanism on both sides, and a client certificate"
        return Unavailable("tls", f"{server} ended the connection at its beginning", hint, cause)
    if isinstance(error, known.KafkaTimeoutError | TimeoutError):
        late: Came = "away" if connecting else "silence"
        told = f"{server} did not answer in time"
        return Unavailable("tcp", told, "check the brokers and their addresses", cause, came=late)
    return unreachable(error, server, sent=not connecting)
