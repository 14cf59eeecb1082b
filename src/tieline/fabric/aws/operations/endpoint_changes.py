"""EC2, the consumer's side: changing and deleting interface endpoints."""

from __future__ import annotations

import msgspec

from tieline.fabric import states
from tieline.fabric.aws.operations.calls import Answer, Call, operation
from tieline.fabric.aws.operations.endpoints import NOT_FOUND, check_zones, doors, policy
from tieline.fabric.aws.operations.security_groups import groups_for
from tieline.fabric.aws.operations.services import by_name, unsuccessful_item
from tieline.fabric.aws.operations.subnets import NOT_FOUND as SUBNET_NOT_FOUND
from tieline.fabric.records import Endpoint, NetworkInterface, Subnet

MODIFY = """VpcEndpointId PolicyDocument ResetPolicy AddSecurityGroupIds RemoveSecurityGroupIds
AddSubnetIds RemoveSubnetIds IpAddressType DnsOptions PrivateDnsEnabled"""


@operation("ec2", "ModifyVpcEndpoint", MODIFY)
def modify_endpoint(call: Call) -> Answer:
    endpoint = call.find(Endpoint, call.p["VpcEndpointId"], *NOT_FOUND)
    if call.p.get("PolicyDocument"):
        endpoint = msgspec.structs.replace(endpoint, policy=policy(call.p["PolicyDocument"]))
    if call.p.get("ResetPolicy"):
        endpoint = msgspec.structs.replace(endpoint, policy="")
    endpoint = _change_groups(call, endpoint)
    if call.p.get("AddSubnetIds") or call.p.get("RemoveSubnetIds"):
        endpoint = _change_subnets(call, endpoint)
    call.world.put(endpoint)
    return {"Return": True}


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
    """A modified endpoint passes through `pending` again while its wire is rebuilt."""
    service = by_name(call, endpoint.service_name)
    removed = set(call.p.get("RemoveSubnetIds", []))
    kept = [door for door in endpoint.doors if door.subnet not in removed]
    added = [call.find(Subnet, id, *SUBNET_NOT_FOUND) for id in call.p.get("AddSubnetIds", [])]
    present = [subnet for door in kept if (subnet := call.world.get(Subnet, door.subnet))]
    check_zones(call, service, endpoint.vpc, [*present, *added])
    for door in endpoint.doors:
        if door.subnet in removed and (gone := call.world.get(NetworkInterface, door.interface)):
            call.world.delete(gone)
    new = doors(call, endpoint.id, service, endpoint.vpc, endpoint.provider_vpc, added, endpoint.groups)
    state = endpoint.state
    if state in states.CONSENTED:
        state = states.after(state, "modify")
    return msgspec.structs.replace(endpoint, doors=(*kept, *new), state=state, changed=call.now)


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
