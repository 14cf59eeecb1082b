"""The provider's consent: who asks to be connected to a service, and the yes or no to it."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from tieline.client.provider.observe import find_service
from tieline.cloud.aws.client import Aws, AwsRefused
from tieline.cloud.aws.zones import zone_ids
from tieline.cloud.model.problems import PlatformError

PENDING = "pendingacceptance"
ACCEPTABLE = {PENDING, "rejected"}  # a rejected request can be accepted after all
ACCEPTED = {"pending", "available"}  # what an acceptance leads to
GONE = {"deleting", "deleted", "rejected", "failed", "expired"}


class Connection(BaseModel):
    """One endpoint that asks for a service: `state` in lower case, `owner` is its account."""

    endpoint: str
    owner: str
    state: str

    @property
    def present(self) -> bool:
        """Whether the service cannot be deleted because of it."""
        return self.state not in GONE


async def service_id(aws: Aws, key: str) -> str:
    """The id of a service by id, service name or the name it was exposed under; raises PlatformError."""
    last = key.rsplit(".", 1)[-1]
    if last.startswith("vpce-svc-"):
        return last
    found = await find_service(aws, key, await zone_ids(aws))
    if found is None:
        message = f"this account exposes nothing named {key!r}"
        raise PlatformError(
            404, "NOT_FOUND", message, "give the name of tieline expose, or a service id; check --profile"
        )
    return found.id


async def connections(aws: Aws, service: str) -> list[Connection]:
    """Every endpoint that asked for a service, in order of id."""
    pages = await aws.ec2(
        lambda ec2: list(
            ec2.get_paginator("describe_vpc_endpoint_connections").paginate(
                Filters=[{"Name": "service-id", "Values": [service]}]
            )
        )
    )
    found = [
        Connection(
            endpoint=item["VpcEndpointId"], owner=item["VpcEndpointOwner"], state=item["VpcEndpointState"].lower()
        )
        for page in pages
        for item in page["VpcEndpointConnections"]
    ]
    return sorted(found, key=lambda one: one.endpoint)


def chosen(found: Sequence[Connection], endpoints: Sequence[str], verb: str, fitting: set[str]) -> list[str]:
    """The endpoints that a yes or no is for: those named, or the only one that waits; raises PlatformError."""
    known = {one.endpoint: one for one in found}
    for endpoint in endpoints:
        if endpoint not in known:
            message = f"{endpoint} does not ask for this service"
            raise PlatformError(404, "NOT_FOUND", message, f"those that do: {', '.join(known) or 'none'}")
    if endpoints:
        return [endpoint for endpoint in endpoints if known[endpoint].state in fitting]
    waiting = [one.endpoint for one in found if one.state == PENDING]
    if len(waiting) > 1:
        message = f"{len(waiting)} endpoints wait: {', '.join(f'{e} of {known[e].owner}' for e in waiting)}"
        raise PlatformError(409, "WHICH_ENDPOINT", message, f"say which to {verb} with --endpoint, or --all")
    return waiting


async def accept(aws: Aws, service: str, endpoints: Sequence[str]) -> None:
    """Agree to these connections, again does no harm; raises AwsRefused with the first that AWS does not take."""
    if not endpoints:
        return
    answer = await aws.ec2(
        lambda ec2: ec2.accept_vpc_endpoint_connections(ServiceId=service, VpcEndpointIds=list(endpoints))
    )
    refused = answer.get("Unsuccessful", [])
    accepted = {one.endpoint for one in await connections(aws, service) if one.state in ACCEPTED} if refused else set()
    for item in refused:
        if item.get("ResourceId") not in accepted:
            error = item.get("Error", {})
            raise AwsRefused("AcceptVpcEndpointConnections", error.get("Code", ""), error.get("Message", ""))


async def reject(aws: Aws, service: str, endpoints: Sequence[str]) -> None:
    """Refuse these connections, live ones too; raises AwsRefused with the first that AWS does not take."""
    if endpoints:
        answer = await aws.ec2(
            lambda ec2: ec2.reject_vpc_endpoint_connections(ServiceId=service, VpcEndpointIds=list(endpoints))
        )
        for item in answer.get("Unsuccessful", []):
            error = item.get("Error", {})
            raise AwsRefused("RejectVpcEndpointConnections", error.get("Code", ""), error.get("Message", ""))
