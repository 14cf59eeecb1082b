"""What AWS's errors mean: at which hop, and whether the same rows may be tried again."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, Final

from tieline.integration.sinks.base.failures import Came, Rejected, Unavailable
from tieline.integration.sinks.base.kind import driver
from tieline.integration.sinks.base.network import described, retry_after, unreachable
from tieline.integration.sinks.base.reach import Forbidden

if TYPE_CHECKING:
    import botocore.exceptions
else:
    botocore = driver("botocore")

_KEY: Final = ("AWS does not know the access key", "check the access key id, and that it is active")
_SECRET: Final = ("the secret access key is wrong", "check the secret access key")
_EXPIRED: Final = ("the credentials have expired, or clocks differ", "renew the credentials, and check this clock")
#: Codes of the query, JSON and REST protocols for the same things (AWS, common errors; S3, list of error codes).
_LOGIN: Final = {
    "InvalidClientTokenId": _KEY,
    "UnrecognizedClientException": _KEY,
    "InvalidAccessKeyId": _KEY,
    "SignatureDoesNotMatch": _SECRET,
    "InvalidSignatureException": _SECRET,
    "ExpiredToken": _EXPIRED,
    "RequestExpired": _EXPIRED,
    "RequestTimeTooSkewed": _EXPIRED,
}
_DENIED: Final = ("AccessDenied", "UnauthorizedOperation", "AllAccessDisabled", "NotAuthorized")
_MISSING: Final = ("ResourceNotFound", "NoSuchBucket", "QueueDoesNotExist", "NonExistentQueue", "404")
#: Those that speak of the rows themselves.
_OF_ROWS: Final = (
    "ValidationException",
    "SerializationException",
    "ItemCollectionSizeLimitExceeded",
    "InvalidParameterValue",
    "InvalidArgument",
    "InvalidMessageContents",
    "MissingParameter",
    "BatchRequestTooLong",
    "EntityTooLarge",
    "KeyTooLong",
    "RequestEntityTooLarge",
    "413",
)
_BUSY: Final = "AWS takes no more at this rate: raise the capacity; writing goes on by itself"


def translated(error: BaseException, server: str, operation: str, what: str) -> Unavailable | Rejected:
    """Any error of the SDK in the pipeline's terms; `what` is the destination in words."""
    if isinstance(error, (Unavailable, Rejected)):
        return error
    if isinstance(error, botocore.exceptions.ClientError):
        return _answered(error, operation, what)
    if isinstance(error, botocore.exceptions.ParamValidationError):
        return Rejected(" ".join(str(error).split()))
    names = ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "CredentialRetrievalError")
    if type(error).__name__ in names:
        hint = "name an access key and its secret, or give the agent a profile or a role"
        return Unavailable("login", "the agent has no credentials for AWS", hint, described(error))
    if isinstance(error, ValueError) and not isinstance(error, ssl.SSLError):
        return Unavailable("address", f"{server} is no endpoint", "write https://host:port", described(error))
    root = _root(error)
    if isinstance(error, botocore.exceptions.SSLError) and not isinstance(root, ssl.SSLError):
        root = ssl.SSLError(str(error))  # the name was compared by the HTTP library
    return unreachable(root, server, sent=True)


def _answered(error: Any, operation: str, what: str) -> Unavailable | Rejected:
    """What an answer of AWS means. Some gateways put the code into the text only."""
    code = str(error.response["Error"].get("Code", "")).rpartition(".")[2]  # SQS puts its name before some
    text = str(error.response["Error"].get("Message", ""))
    cause = f"{operation}: {code}: {text}"
    for known, (message, hint) in _LOGIN.items():
        if known in code or known in text:
            return Unavailable("login", message, hint, cause)
    if code.startswith(_DENIED) or code == "403":
        hint = f"allow the action {''.join(operation.title().split('_'))} on it in IAM"
        return Unavailable("statement", f"these credentials may not write to {what}", hint, cause, came="answer")
    if any(known in code for known in _MISSING):
        hint = "create it, or correct its name or the region"
        return Unavailable("statement", f"{what} does not exist", hint, cause, came="answer")
    if code == "RejectedRecordsException":  # Timestream: the records that are not named are in
        rejected = error.response.get("RejectedRecords", ())
        return Rejected(text, {record["RecordIndex"]: record.get("Reason", code) for record in rejected})
    if code.startswith(_OF_ROWS):
        return Rejected(f"{code}: {text}")
    told = error.response.get("ResponseMetadata", {})
    status, wait = told.get("HTTPStatusCode", 0), retry_after(told.get("HTTPHeaders", {}).get("retry-after", ""))
    busy = any(word in code for word in ("Throttl", "Exceeded", "SlowDown", "TooManyRequests"))
    hop: Any = "database" if busy or status >= 500 else "statement"
    came: Came = "away" if busy or wait else "answer"
    return Unavailable(hop, f"{what}: {text or code}", _BUSY if busy else "", cause, came=came, retry_after=wait)


def _root(error: BaseException) -> BaseException:
    """The error of the network that the SDK wrapped, itself where there is none."""
    found: BaseException | None = error
    for _ in range(8):
        if found is None:
            break
        if isinstance(found, OSError) and type(found).__module__ in ("builtins", "socket", "ssl", Forbidden.__module__):
            return found
        inner = getattr(found, "kwargs", {}).get("error") or found.__cause__
        first = found.args[0] if found.args and isinstance(found.args[0], BaseException) else None
        found = inner if isinstance(inner, BaseException) else first or found.__context__
    return TimeoutError(str(error)) if "Timeout" in type(error).__name__ else error
