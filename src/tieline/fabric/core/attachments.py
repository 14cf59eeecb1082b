"""What exists already and joins a subnet behind a network interface of its own (`tieline attach`).

Pure. The tag `tieline:attachment` says that root has put something of this machine behind an interface: `process N`,
the network namespace of a process, or `link NAME`, the network that a NIC or a VLAN leads to. The tag alone opens
nothing: without what root did, there is nothing behind the interface.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import Literal

from tieline.fabric.core import addresses
from tieline.fabric.core.records import NetworkInterface, Subnet, Vpc
from tieline.fabric.core.topology import Host
from tieline.fabric.core.world import World

TAG = "tieline:attachment"
KINDS: dict[str, Literal["process", "link"]] = {"process": "process", "link": "link"}


def hosts(world: World, vpc: Vpc) -> Iterator[Host]:
    """The attached hosts of a VPC."""
    for interface in world.where(NetworkInterface, "vpc", vpc.id):
        kind = KINDS.get(interface.tags.get(TAG, "").partition(" ")[0])
        subnet = world.get(Subnet, interface.subnet)
        if interface.holder or interface.purpose != "interface" or kind is None or subnet is None:
            continue
        yield Host(
            id=interface.id,
            address=interface.address,
            prefix_length=IPv4Network(subnet.cidr).prefixlen,
            router=addresses.router(subnet.cidr),
            kind=kind,
            networks=(vpc.cidr,),
        )
