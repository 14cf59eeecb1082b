"""EC2, the consumer's side: changing and deleting interface endpoints."""

from __future__ import annotations

import msgspec

from tieline.fabric.aws.operations.privatelink.endpoint_requests import (
    check_addressing,
    check_zones,
    policy,
    private_dns,
)
from tieline.fabric.aws.operations.privatelink.endpoints import NOT_FOUND, doors
from tieline.fabric.aws.operations.privatelink.services import unsuccessful_item
from tieline.fabric.aws.operations.vpc.security_groups import groups_for
from tieline.fabric.aws.operations.vpc.subnets import NOT_FOUND as SUBNET_NOT_FOUND
from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.aws.service.calls import Answer, Call, operation
from tieline.fabric.core import states
from tieline.fabric.core.records import Endpoint, EndpointService, NetworkInterface, Subnet, Vpc

MODIFY = """VpcEndpointId PolicyDocument ResetPolicy AddSecurityGroupIds RemoveSecurityGroupIds
AddSubnetIds RemoveSubnetIds IpAddressType DnsOptions PrivateDnsEnabled"""


@operation("ec2", "ModifyVpcEndpoint", MODIFY)
def modify_endpoint(call: Call) -> Answer:
    """What changes its network sends an endpoint that was agreed to through `pending` again (AWS)."""
    before = endpoint = call.find(Endpoint, call.p["VpcEndpointId"], *NOT_FOUND)
    check_addressing(call)
    if endpoint.state == states.DELETING:
        raise AwsError("InvalidParameter", f"The Vpc Endpoint '{endpoint.id}' is being deleted.")
    if call.p.get("PolicyDocument"):
        endpoint = msgspec.structs.replace(endpoint, policy=policy(call.p["PolicyDocument"]))
    if call.p.get("ResetPolicy"):
        endpoint = msgspec.structs.replace(endpoint, policy="")
    endpoint = _change_groups(call, endpoint)
    if call.p.get("AddSubnetIds") or call.p.get("RemoveSubnetIds"):
        endpoint = _change_subnets(call, endpoint)
    if "PrivateDnsEnabled" in call.p:
        endpoint = _change_names(call, endpoint)
    if endpoint.state in states.CONSENTED and _network(endpoint) != _network(before):
        endpoint = msgspec.structs.replace(endpoint, state=states.after(endpoint.state, "modify"), changed=call.now)
    call.world.put(endpoint)
    return {"Return": True}


def _network(endpoint: Endpoint) -> tuple[object, ...]:
    return endpoint.doors, endpoint.groups, endpoint.private_dns


def _change_names(call: Call, endpoint: Endpoint) -> Endpoint:
    if not call.p["PrivateDnsEnabled"]:
        return msgspec.structs.replace(endpoint, private_dns=False)
    vpc = call.world.get(Vpc, endpoint.vpc)
    assert vpc is not None, "a VPC outlives its endpoints"
    enabled = private_dns(call, service_of(call, endpoint), vpc, endpoint.id)
    return msgspec.structs.replace(endpoint, private_dns=enabled)


def service_of(call: Call, endpoint: Endpoint) -> EndpointService:
    """The endpoint's service; raises where its provider has deleted it."""
    service = call.world.get(EndpointService, endpoint.service)
    if service is None:
        raise AwsError("InvalidServiceName", f"The Vpc Endpoint Service '{endpoint.service_name}' does not exist")
    return service


def _change_groups(call: Call, endpoint: Endpoint) -> Endpoint:
    removed = call.p.get("RemoveSecurityGroupIds", [])
    ids = [id for id in endpoint.groups if id not in removed]
    ids += [id for id in call.p.get("AddSecurityGroupIds", []) if id not in ids]
    if tuple(ids) == endpoint.groups:
        return endpoint
    groups = groups_for(call, ids, endpoint.vpc)
    for door in endpoint.doors:
        interface = call.world.get(NetworkInterface, door.interface)
        if interface:
            call.world.put(msgspec.structs.replace(interface, groups=groups))
    return msgspec.structs.replace(endpoint, groups=groups)


def _change_subnets(call: Call, endpoint: Endpoint) -> Endpoint:
    service = service_of(call, endpoint)  # a principal that was withdrawn keeps what it has
    removed = set(call.p.get("RemoveSubnetIds", []))
    kept = [door for door in endpoint.doors if door.subnet not in removed]
    added = [call.find(Subnet, id, *SUBNET_NOT_FOUND) for id in call.p.get("AddSubnetIds", [])]
    present = [subnet for door in kept if (subnet := call.world.get(Subnet, door.subnet))]
    check_zones(call, service, endpoint.vpc, [*present, *added])
    for door in endpoint.doors:
        if door.subnet in removed and (gone := call.world.get(NetworkInterface, door.interface)):
            call.world.delete(gone)
    new = doors(call, endpoint.id, service, endpoint.vpc, endpoint.provider_vpc, added, endpoint.groups)
    return msgspec.structs.replace(endpoint, doors=(*kept, *new))


@operation("ec2", "DeleteVpcEndpoints", "VpcEndpointIds")
def delete_endpoints(call: Call) -> Answer:
    """In every state; an id that is unknown is an item of a successful answer (AWS)."""
    unsuccessful = []
    for id in call.p["VpcEndpointIds"]:
        endpoint = call.world.get(Endpoint, id)
        if endpoint is None or endpoint.owner != call.caller.account:
            message = NOT_FOUND[1].format(id=id)
            unsuccessful.append(unsuccessful_item(id, "InvalidVpcEndpoint.NotFound", message))
        elif endpoint.state != states.DELETING:
            state = states.after(endpoint.state, "delete")
            call.world.put(msgspec.structs.replace(endpoint, state=state, changed=call.now))
    return {"Unsuccessful": unsuccessful}
