"""EC2: network interfaces that belong to no instance, by which something that exists already joins a subnet."""

from __future__ import annotations

from tieline.fabric.aws.operations.vpc import interfaces
from tieline.fabric.aws.operations.vpc.security_groups import groups_for
from tieline.fabric.aws.operations.vpc.subnets import NOT_FOUND as SUBNET_NOT_FOUND
from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.aws.service.calls import Answer, Call, asked, operation, repeated, tags_of
from tieline.fabric.core.records import NetworkInterface, Subnet

CREATE = "SubnetId PrivateIpAddress Groups Description InterfaceType TagSpecifications ClientToken"


@operation("ec2", "CreateNetworkInterface", CREATE)
def create_network_interface(call: Call) -> Answer:
    """It is `available` until `tieline attach` puts something behind it; its address is taken from the start."""
    earlier = repeated(call, NetworkInterface, asked(call))
    if earlier:
        return _created(call, earlier)
    if call.p.get("InterfaceType", "interface") != "interface":
        raise AwsError("UnsupportedOperation", f"tieline makes plain interfaces, not {call.p['InterfaceType']}.")
    subnet = call.find(Subnet, call.p.get("SubnetId"), *SUBNET_NOT_FOUND)
    made = interfaces.attach(
        call,
        subnet,
        purpose="interface",
        holder="",
        address=call.p.get("PrivateIpAddress"),
        groups=groups_for(call, call.p.get("Groups", []), subnet.vpc),
        description=call.p.get("Description", ""),
        tags=tags_of(call, "network-interface"),
        token=call.p.get("ClientToken", ""),
        request=asked(call),
    )
    return _created(call, made)


def _created(call: Call, made: NetworkInterface) -> Answer:
    answer: Answer = {"NetworkInterface": interfaces.render(call, made)}
    return answer | ({"ClientToken": made.token} if made.token else {})


@operation("ec2", "DeleteNetworkInterface", "NetworkInterfaceId")
def delete_network_interface(call: Call) -> Answer:
    """Whatever is behind it loses its way into the VPC, and nothing else."""
    found = call.find(NetworkInterface, call.p.get("NetworkInterfaceId"), *interfaces.NOT_FOUND)
    if found.holder:
        message = f"The interface {found.id} is in use by {found.holder}: delete that, and it goes too."
        raise AwsError("InvalidNetworkInterface.InUse", message)
    call.world.delete(found)
    return {}
