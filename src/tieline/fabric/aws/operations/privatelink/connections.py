"""EC2, the provider's side of an endpoint: its connection, which the provider accepts or rejects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tieline.fabric.aws.operations.privatelink.endpoints import NOT_FOUND, dns_entries
from tieline.fabric.aws.operations.privatelink.services import NOT_FOUND as SERVICE_NOT_FOUND
from tieline.fabric.aws.operations.privatelink.services import unsuccessful_item
from tieline.fabric.aws.service.calls import Answer, Call, listing, operation, tag_list
from tieline.fabric.core import states
from tieline.fabric.core.records import Endpoint, EndpointService


def connection_id(endpoint: Endpoint) -> str:
    """The id of the provider's side."""
    return "vpce-con-" + endpoint.id.removeprefix("vpce-")


def _render(call: Call, endpoint: Endpoint) -> dict[str, Any]:
    balancers = list(dict.fromkeys(door.balancer for door in endpoint.doors))
    return {
        "ServiceId": endpoint.service,
        "VpcEndpointId": endpoint.id,
        "VpcEndpointOwner": endpoint.owner,
        "VpcEndpointState": endpoint.state,
        "VpcEndpointRegion": call.region,
        "CreationTimestamp": endpoint.created,
        "DnsEntries": dns_entries(call, endpoint),
        "NetworkLoadBalancerArns": balancers,
        "GatewayLoadBalancerArns": [],
        "IpAddressType": "ipv4",
        "VpcEndpointConnectionId": connection_id(endpoint),
        "Tags": tag_list(endpoint.connection_tags),
    }


FIELDS: dict[str, Callable[[Endpoint], Any]] = {
    "service-id": lambda e: e.service,
    "vpc-endpoint-id": lambda e: e.id,
    "vpc-endpoint-owner": lambda e: e.owner,
    "vpc-endpoint-state": lambda e: [e.state, e.state[0].upper() + e.state[1:]],  # either case, as AWS documents both
    "ip-address-type": lambda _: "ipv4",
}


@operation("ec2", "DescribeVpcEndpointConnections", "Filters MaxResults NextToken")
def describe_connections(call: Call) -> Answer:
    mine = [e for s in call.mine(EndpointService) for e in call.world.where(Endpoint, "service", s.id)]
    fields = FIELDS | {"vpc-endpoint-region": lambda _: call.region}
    return listing(call, mine, fields, "VpcEndpointConnections", lambda e: _render(call, e))


def _decide(call: Call, event: states.Event) -> Answer:
    """Accept or reject each named endpoint of the service; those that cannot be are items of a successful answer."""
    service = call.find(EndpointService, call.p["ServiceId"], *SERVICE_NOT_FOUND)
    unsuccessful = []
    for id in call.p["VpcEndpointIds"]:
        endpoint = call.world.get(Endpoint, id)
        if endpoint is None or endpoint.service != service.id:
            unsuccessful.append(unsuccessful_item(id, NOT_FOUND[0], NOT_FOUND[1].format(id=id)))
            continue
        if event == "accept" and any(door.balancer not in service.balancers for door in endpoint.doors):
            message = f"The load balancer that '{id}' was asked for has left the service: its owner has to ask again."
            unsuccessful.append(unsuccessful_item(id, "InvalidState", message))
            continue
        try:
            state = states.after(endpoint.state, event)
        except states.NotPossible as refusal:
            message = f"The Vpc Endpoint '{id}' is in state {refusal.state}, in which it cannot be {event}ed."
            unsuccessful.append(unsuccessful_item(id, "InvalidState", message))
            continue
        call.world.put(msgspec.structs.replace(endpoint, state=state, changed=call.now, error=""))
    return {"Unsuccessful": unsuccessful}


@operation("ec2", "AcceptVpcEndpointConnections", "ServiceId VpcEndpointIds")
def accept_connections(call: Call) -> Answer:
    return _decide(call, "accept")


@operation("ec2", "RejectVpcEndpointConnections", "ServiceId VpcEndpointIds")
def reject_connections(call: Call) -> Answer:
    return _decide(call, "reject")
