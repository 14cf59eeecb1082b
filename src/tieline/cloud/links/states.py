"""The link's state machine: AWS's endpoint states to ours, and for every reason the words that help.

Rules: everything that decides a link's status or reason lives in this file. A status other than `running` and
`creating` carries a reason, a reason carries a hint, and a hint is a command or a click that helps.
"""

from __future__ import annotations

from collections.abc import Mapping

from tieline.cloud.aws.client import AwsRefused, AwsUnreachable
from tieline.cloud.model.problems import PlatformError
from tieline.cloud.model.records import LinkStatus, Reason

# The wire says lower camel case, botocore's model capitals (aws.md, 0.4): compared in lower case.
ENDPOINT_STATES: Mapping[str, tuple[LinkStatus, Reason | None]] = {
    "pendingacceptance": (LinkStatus.WAITING_ACCEPTANCE, Reason.NOT_ACCEPTED),
    "pending": (LinkStatus.CREATING, None),
    "available": (LinkStatus.RUNNING, None),
    "partial": (LinkStatus.RUNNING, None),
    "rejected": (LinkStatus.FAILED, Reason.REJECTED),
    "expired": (LinkStatus.FAILED, Reason.EXPIRED),
    "failed": (LinkStatus.FAILED, Reason.ENDPOINT_FAILED),
    "deleting": (LinkStatus.FAILED, Reason.ENDPOINT_REMOVED),
    "deleted": (LinkStatus.FAILED, Reason.ENDPOINT_REMOVED),
}
GONE = {"deleted"}
LEAVING = {"deleting", "deleted"}

REFUSALS: Mapping[str, Reason] = {
    "InvalidServiceName": Reason.NOT_ALLOWED,
    "VpcEndpointLimitExceeded": Reason.QUOTA,
    "AuthFailure": Reason.CREDENTIALS,
    "InvalidClientTokenId": Reason.CREDENTIALS,
    "SignatureDoesNotMatch": Reason.CREDENTIALS,
    "RequestExpired": Reason.CREDENTIALS,
    "UnauthorizedOperation": Reason.CREDENTIALS,
    "AccessDenied": Reason.CREDENTIALS,
}
PASSING = {Reason.CREDENTIALS, Reason.AWS_UNREACHABLE}  # the operator mends these: the link waits and tries again

AGAIN = "then reconnect this link (tieline link reconnect)"
HINTS: Mapping[Reason, str] = {
    Reason.NOT_ACCEPTED: "the provider accepts the connection: aws ec2 accept-vpc-endpoint-connections "
    "--service-id {service} --vpc-endpoint-ids {endpoint}",
    Reason.NOT_ALLOWED: "check the service name and its region; the provider allows {principal}: aws ec2 "
    "modify-vpc-endpoint-service-permissions --service-id {service} --add-allowed-principals {principal}",
    Reason.ZONE_MISMATCH: "the provider adds one of the deployment's zones to the service's load balancer; " + AGAIN,
    Reason.REJECTED: "ask the provider; to admit it again: aws ec2 accept-vpc-endpoint-connections "
    "--service-id {service} --vpc-endpoint-ids {endpoint}; otherwise delete this link",
    Reason.EXPIRED: f"nobody accepted in time: {AGAIN.removeprefix('then ')}, and have it accepted",
    Reason.SERVICE_REMOVED: "the provider removed the service, or no longer allows {principal}: delete this link, "
    "or reconnect it to the provider's new service name (tieline link reconnect --service)",
    Reason.LOAD_BALANCER_REMOVED: "the provider gives the service a network load balancer in the deployment's zones; "
    + AGAIN,
    Reason.ENDPOINT_REMOVED: "somebody deleted endpoint {endpoint} outside the platform: "
    + AGAIN.removeprefix("then "),
    Reason.ENDPOINT_FAILED: "AWS could not build the endpoint, see cause: " + AGAIN.removeprefix("then "),
    Reason.QUOTA: "the account's limit of endpoints is reached: delete unused links, or ask AWS for more; " + AGAIN,
    Reason.CREDENTIALS: "the platform's AWS credentials were refused: its operator checks --credentials, --profile "
    "and the clock, and the role's rights and trust policy (docs/aws.md); the platform tries again by itself",
    Reason.AWS_UNREACHABLE: "AWS does not answer: the platform's operator checks --aws-endpoint; the platform tries "
    "again by itself",
    Reason.AWS_REFUSED: "AWS refused, see cause; " + AGAIN,
}


def refusal(code: str, message: str) -> Reason:
    """The reason behind AWS's error answer."""
    if code == "InvalidParameter" and "availability zone" in message.lower():
        return Reason.ZONE_MISMATCH
    return REFUSALS.get(code, Reason.AWS_REFUSED)


def hint(reason: Reason, *, service_name: str, endpoint: str, principal: str) -> str:
    """What helps, with the names filled in."""
    return HINTS[reason].format(
        service=service_id(service_name), endpoint=endpoint or "<endpoint id>", principal=principal
    )


def aws_problem(error: AwsUnreachable | AwsRefused) -> PlatformError:
    """The answer to a request that AWS did not let us carry out."""
    if isinstance(error, AwsUnreachable):
        return PlatformError(503, "AWS_UNREACHABLE", f"AWS does not answer: {error}", "try again in a while")
    reason = refusal(error.code, error.message)
    help = hint(reason, service_name="", endpoint="", principal="the platform")
    return PlatformError(502, reason.upper(), f"AWS refused: {error}", help)


def service_id(service_name: str) -> str:
    """`vpce-svc-…` of `com.amazonaws.vpce.<region>.vpce-svc-…`."""
    return service_name.rsplit(".", 1)[-1]


def service_region(service_name: str) -> str:
    """The region of a service name; "" where it has none."""
    parts = service_name.split(".")
    return parts[3] if len(parts) == 5 else ""
