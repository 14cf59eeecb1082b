"""Looks at AWS: endpoints and the services behind them, as the values that the plan reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tieline.cloud.aws.client import Aws, AwsRefused
from tieline.cloud.aws.zones import translated, zone_ids
from tieline.cloud.links.plan import Endpoint, Observed, Service
from tieline.cloud.links.states import ENDPOINT_STATES, LEAVING
from tieline.cloud.model.records import LinkStatus, PrivateLink, Subnet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_ec2.type_defs import FilterTypeDef, VpcEndpointTypeDef

LINK_TAG = "tieline:link"


async def observe(aws: Aws, link: PrivateLink, subnets: Sequence[Subnet]) -> Observed:
    """What AWS shows of a link, and of its service where the plan needs it; raises AwsError where it does not tell."""
    found = await find_endpoint(aws, link, {subnet.id: subnet.zone for subnet in subnets})
    return Observed(found, await find_service(aws, link.service_name) if _asks_for_service(link, found) else None)


def _asks_for_service(link: PrivateLink, found: Endpoint | None) -> bool:
    """Whether an endpoint is to be made, or has failed: then the service tells whether it can be, or why."""
    if link.status is LinkStatus.DELETING:
        return False
    if found is None:
        return not link.endpoint
    return found.state not in ENDPOINT_STATES or ENDPOINT_STATES[found.state][0] is LinkStatus.FAILED


async def find_service(aws: Aws, name: str) -> Service | None:
    """A service by name; None where there is none, or it does not allow us: AWS does not tell these apart."""
    try:
        answer = await aws.ec2(lambda ec2: ec2.describe_vpc_endpoint_services(ServiceNames=[name]))
    except AwsRefused as error:
        if error.code == "InvalidServiceName":
            return None
        raise
    details = [detail for detail in answer["ServiceDetails"] if detail.get("ServiceName") == name]
    if not details:
        return None
    return Service(translated(details[0].get("AvailabilityZones", []), await zone_ids(aws)))


async def find_endpoint(aws: Aws, link: PrivateLink, zones: dict[str, str]) -> Endpoint | None:
    """The link's endpoint: by its id, or by its tag where no id is written down; `zones` by subnet id.

    By its tag a link may also find what it had before it was reconnected: that is on its way out, and not taken.
    """
    by_tag: list[FilterTypeDef] = [{"Name": f"tag:{LINK_TAG}", "Values": [link.id]}]
    try:
        if link.endpoint:
            answer = await aws.ec2(lambda ec2: ec2.describe_vpc_endpoints(VpcEndpointIds=[link.endpoint]))
        else:
            answer = await aws.ec2(lambda ec2: ec2.describe_vpc_endpoints(Filters=by_tag))
    except AwsRefused as error:
        if error.code == "InvalidVpcEndpointId.NotFound":
            return None
        raise
    found = [_endpoint(item, zones) for item in answer["VpcEndpoints"]]
    if not link.endpoint:
        found = [endpoint for endpoint in found if endpoint.state not in LEAVING]
    return found[0] if found else None


async def endpoint_states(aws: Aws, among: Sequence[str] = ()) -> dict[str, str]:
    """The state of every endpoint of the account by id, in lower case; or of those that are `among` these states.

    One question however many links there are.
    """
    chosen: list[FilterTypeDef] = [{"Name": "vpc-endpoint-state", "Values": list(among)}] if among else []
    pages = await aws.ec2(lambda ec2: list(ec2.get_paginator("describe_vpc_endpoints").paginate(Filters=chosen)))
    return {item["VpcEndpointId"]: item["State"].lower() for page in pages for item in page["VpcEndpoints"]}


def _endpoint(item: VpcEndpointTypeDef, zones: dict[str, str]) -> Endpoint:
    error = item.get("LastError", {})
    return Endpoint(
        id=item["VpcEndpointId"],
        state=item["State"].lower(),
        names=tuple(entry["DnsName"] for entry in item.get("DnsEntries", []) if "DnsName" in entry),
        zones=tuple(sorted(zones[subnet] for subnet in item.get("SubnetIds", []) if subnet in zones)),
        error=": ".join(filter(None, (error.get("Code", ""), error.get("Message", "")))),
    )
