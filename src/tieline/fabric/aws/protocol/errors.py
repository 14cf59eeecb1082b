"""Errors as AWS clients see them, and the catalogue of those that the wire itself raises."""

from __future__ import annotations

from typing import Literal

Protocol = Literal["ec2", "query", "json"]
SHOWN = 100  # characters of a refused value that are repeated in the message


class AwsError(Exception):
    """A refusal: AWS's code, a message, the HTTP status. Below 500 the caller must change the request."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status

    @property
    def fault(self) -> Literal["Sender", "Receiver"]:
        """Whose fault it is; clients retry what the receiver got wrong."""
        return "Sender" if self.status < 500 else "Receiver"


# What was asked for


def invalid_action(action: str) -> AwsError:
    """The service has no such operation, or it is not served here."""
    return AwsError("InvalidAction", f"The action {action[:SHOWN]} is not valid for this web service.")


def missing_action() -> AwsError:
    return AwsError("MissingAction", "The request must contain the parameter Action; it names the operation.")


def no_such_version(version: str, service: str, served: str) -> AwsError:
    return AwsError(
        "NoSuchVersion",
        f"The requested version ({version[:SHOWN]}) of service {service} does not exist. Set Version={served}.",
    )


def unsupported_operation(message: str) -> AwsError:
    """Known to AWS and refused here: `message` says why and what to do instead."""
    return AwsError("UnsupportedOperation", message)


def dry_run() -> AwsError:
    """What DryRun=true answers after everything has been checked and nothing has been done."""
    return AwsError("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)


def malformed(reason: str) -> AwsError:
    """The body or query string is not a form: `reason` completes the sentence."""
    return AwsError("MalformedQueryString", f"The query string contains a syntax error: {reason}")


def too_large(limit: int) -> AwsError:
    return AwsError("RequestEntityTooLarge", f"The request is longer than {limit} bytes. Split it into several.", 413)


# Parameters: EC2 and the query protocol each have their own codes and sentences


def missing_parameter(protocol: Protocol, name: str) -> AwsError:
    if protocol == "ec2":
        return AwsError("MissingParameter", f"The request must contain the parameter {name}")
    return constraint(f"Value null at '{name}'", "not be null")


def unknown_parameter(name: str) -> AwsError:
    return AwsError("UnknownParameter", f"The parameter {name[:SHOWN]} is not recognized")


def invalid_parameter_value(name: str, value: object, rule: str) -> AwsError:
    """EC2's refusal of a value; `rule` completes "It must"."""
    message = f"Value ({str(value)[:SHOWN]}) for parameter {name} is invalid. It must {rule}."
    return AwsError("InvalidParameterValue", message)


def validation_error(message: str) -> AwsError:
    return AwsError("ValidationError", message)


def constraint(subject: str, rule: str) -> AwsError:
    """The query protocol's refusal of a value; `rule` completes "Member must"."""
    return validation_error(
        f"1 validation error detected: {subject} failed to satisfy constraint: Member must {rule}",
    )


def invalid_value(protocol: Protocol, name: str, value: object, rule: str) -> AwsError:
    """A refused value in the words of its protocol; `rule` completes "must"."""
    if protocol == "ec2":
        return invalid_parameter_value(name, value, rule)
    return constraint(f"Value '{str(value)[:SHOWN]}' at '{name}'", rule)


# Who is asking


def missing_authentication_token() -> AwsError:
    return AwsError(
        "MissingAuthenticationToken",
        "Request is missing Authentication Token. Configure an access key (for example AWS_PROFILE or"
        " AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY) so that the client signs it.",
        403,
    )


def incomplete_signature(reason: str) -> AwsError:
    """The signature is there but not in the form of Signature Version 4: `reason` is a whole sentence."""
    return AwsError("IncompleteSignature", reason)


def unknown_key(service: str) -> AwsError:
    if service == "ec2":
        return auth_failure()
    return AwsError("InvalidClientTokenId", "The security token included in the request is invalid.", 403)


def auth_failure() -> AwsError:
    """EC2's one answer to an unknown key and to a wrong signature."""
    message = "AWS was not able to validate the provided access credentials"
    return AwsError("AuthFailure", message, 401)


def wrong_signature(service: str, reason: str = "") -> AwsError:
    """The key is known and the signature is not its own; `reason` replaces the general sentence."""
    if service == "ec2" and not reason:
        return auth_failure()
    if service == "ec2":
        return AwsError("AuthFailure", reason, 401)
    general = (
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access"
        " Key and signing method. Consult the service documentation for details."
    )
    return AwsError("SignatureDoesNotMatch", reason or general, 403)


def request_expired(service: str, reason: str) -> AwsError:
    """The request was signed at another time than now: `reason` names both."""
    if service == "ec2":
        return AwsError("RequestExpired", f"Request has expired. {reason}")
    return AwsError("SignatureDoesNotMatch", reason, 403)


def expired_token(service: str) -> AwsError:
    """The session's time is over; a new one is needed."""
    if service == "ec2":
        return AwsError("RequestExpired", "Request has expired. The session is over; assume the role again.")
    return AwsError("ExpiredToken", "The security token included in the request is expired", 403)


def internal(protocol: Protocol) -> AwsError:
    """Our fault; the log has the cause under the request's id."""
    code = "InternalError" if protocol == "ec2" else "InternalFailure"
    return AwsError(code, "An internal error has occurred. Retry; the server's log names the cause.", 500)
