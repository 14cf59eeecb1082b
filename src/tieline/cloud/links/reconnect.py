"""A failed link once more: the old endpoint goes, and the same link asks again, with the same name and dependants."""

from __future__ import annotations

import time

from pydantic import BaseModel, ConfigDict, Field

from tieline.cloud.aws.client import Aws, AwsRefused, AwsUnreachable
from tieline.cloud.links import states
from tieline.cloud.links.service import NewLink, check_form, check_service
from tieline.cloud.model.history import remembered, timestamp
from tieline.cloud.model.problems import PlatformError
from tieline.cloud.model.records import Deployment, LinkStatus, PrivateLink, Resource
from tieline.cloud.resources.dependants import resources_using
from tieline.cloud.store.repository import Repository

RECONNECT = "reconnect asked for"


class Reconnect(BaseModel):
    """What is different now; what is left out stays as it was."""

    model_config = ConfigDict(extra="forbid")

    service_name: str | None = Field(default=None, max_length=200, description="the provider's new service")
    ports: tuple[int, ...] | None = Field(default=None, max_length=50)


async def reconnect_link(
    records: Repository, aws: Aws, deployment: Deployment, link: PrivateLink, wanted: Reconnect, who: str
) -> PrivateLink:
    """Start a failed link again; raises PlatformError with nothing changed where the service still refuses."""
    if link.status is not LinkStatus.FAILED:
        message = f"private link {link.name!r} is {link.status}: only a failed link is reconnected"
        raise PlatformError(409, "NOT_FAILED", message, "nothing is to be done; tieline doctor tells how it is")
    ports = link.ports if wanted.ports is None else wanted.ports
    again = NewLink(name=link.name, service_name=wanted.service_name or link.service_name, ports=ports)
    check_form(deployment, again, aws.settings.region)
    try:
        await check_service(aws, deployment, again.service_name)
        if link.endpoint:
            await delete_endpoint(aws, link.endpoint)
    except (AwsUnreachable, AwsRefused) as error:
        raise states.aws_problem(error) from error
    if again.service_name != link.service_name:
        _keep_secrets(records, link)
    at = timestamp(time.time())
    present = records.update(PrivateLink, link.id, lambda now: restarted(now, again, at, who))
    return present or link


def _keep_secrets(records: Repository, link: PrivateLink) -> None:
    """Note which service the secrets of the link's resources were given for: another one is not told them."""
    given = {link.id: link.service_name}
    for resource in resources_using(link, records.all(Resource)):
        records.update(
            Resource, resource.id, lambda one: one.model_copy(update={"given_for": {**given, **one.given_for}})
        )


def restarted(link: PrivateLink, again: NewLink, at: str, who: str) -> PrivateLink:
    """The record as if it had just been created; one that is being deleted stays so."""
    if link.status is not LinkStatus.FAILED:
        return link
    fresh = {"endpoint": "", "endpoint_state": "", "address": "", "addresses": (), "zones": (), "sent": 0.0}
    said = {"status": LinkStatus.CREATING, "reason": None, "hint": "", "cause": ""}
    asked = {"service_name": again.service_name, "ports": again.ports, "restarted": at}
    return remembered(link.model_copy(update={**fresh, **said, **asked}), at, who, RECONNECT)


def client_token(link: PrivateLink) -> str:
    """The same for every attempt to create one endpoint, and another one after each reconnection."""
    return f"{link.id}-{link.restarted}" if link.restarted else link.id


async def delete_endpoint(aws: Aws, endpoint: str) -> None:
    """Delete an endpoint; one that is gone is no error. Raises AwsError."""
    answer = await aws.ec2(lambda ec2: ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint]))
    for item in answer.get("Unsuccessful", []):  # answered with HTTP 200
        error = item.get("Error", {})
        if not error.get("Code", "").endswith("NotFound"):
            raise AwsRefused("DeleteVpcEndpoints", error.get("Code", ""), error.get("Message", ""))
