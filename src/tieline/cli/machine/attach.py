"""`tieline attach`, and its end: what exists already joins a subnet, so that it is a target without moving."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from tieline.cli.home import Home
from tieline.cli.output import out, print_json
from tieline.cli.provider import Profile, account, run
from tieline.client.rest import ClientError
from tieline.cloud.aws.client import Aws
from tieline.fabric.core.attachments import TAG
from tieline.fabric.kernel.driver import Kernel
from tieline.fabric.kernel.net.attachments import MachinesNetwork
from tieline.fabric.kernel.system.commands import KernelError

State = Annotated[Path, typer.Option("--state", envvar="TIELINE_STATE", help="State directory of tieline up.")]
Subnet = Annotated[str, typer.Option("--subnet", help="The subnet to join, by its id.")]
Address = Annotated[str, typer.Option("--address", help="The address in it; the next free one if not given.")]
Groups = Annotated[list[str] | None, typer.Option("--group", help="A security group; repeatable. None: the default.")]
Process = Annotated[int, typer.Option("--pid", help="A process in the network namespace to attach, as a container's.")]
Nic = Annotated[str, typer.Option("--nic", help="The NIC behind which the address is.")]
Vlan = Annotated[int, typer.Option("--vlan", help="The VLAN on that NIC.", min=0, max=4094)]
HostNetwork = Annotated[
    bool, typer.Option("--host-network", help="That --pid may name a process in this machine's own network.")
]
Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
Interface = Annotated[str, typer.Argument(help="The network interface that attach made, eni-…")]


@dataclass(frozen=True, slots=True)
class _What:
    """What is to be attached: a process's network, or what lies behind a NIC or a VLAN."""

    pid: int
    nic: str
    vlan: int
    host_network: bool


def attach(
    state: State,
    subnet: Subnet,
    address: Address = "",
    group: Groups = None,
    pid: Process = 0,
    nic: Nic = "",
    vlan: Vlan = 0,
    host_network: HostNetwork = False,
    profile: Profile = "customer",
    as_json: Json = False,
) -> None:
    """Put a process's network namespace, a NIC or a VLAN into a subnet. Needs root, on the machine of tieline up."""
    if bool(pid) == bool(nic):
        raise ClientError("WHAT", "say what to attach, and one thing only", "give --pid N, or --nic NAME [--vlan ID]")
    if host_network and not pid:
        raise ClientError(
            "WHAT", "--host-network says what --pid may name", "give --pid N, or leave --host-network out"
        )
    what = _What(pid, nic, vlan, host_network)
    made = run(_attach(_kernel(state), account(profile, None, "", "", state), subnet, address, group, what))
    if as_json:
        print_json(made)
    else:
        out.print(f"{made['id']} has {made['address']} in {subnet}: register this address in a target group of type ip")


def _kernel(state: Path) -> Kernel:
    home = Home(state)
    if not home.prefix:
        raise ClientError("NO_STATE", f"tieline up never ran on {state}", "check --state")
    return Kernel(home.prefix, home.path)


async def _attach(
    kernel: Kernel, aws: Aws, subnet: str, address: str, groups: list[str] | None, what: _What
) -> dict[str, str]:
    asked: dict[str, Any] = {"SubnetId": subnet, "Description": f"tieline attach {what.pid or what.nic}"}
    asked |= {"PrivateIpAddress": address} if address else {}
    asked |= {"Groups": groups} if groups else {}
    found = (await aws.ec2(lambda ec2: ec2.create_network_interface(**asked)))["NetworkInterface"]
    id = found["NetworkInterfaceId"]
    value = f"process {what.pid}" if what.pid else f"link {what.nic}" + (f" vlan {what.vlan}" if what.vlan else "")
    tag = partial(_tag, aws, id, value)
    try:
        if what.pid:
            await kernel.attach_process(id, what.pid, machines=what.host_network)
            await tag()  # from here on the fabric looks for it
        else:
            await tag()  # first, or the fabric would take the link for a leftover
            await kernel.attach_link(id, found["VpcId"], what.nic, what.vlan or None)
    except MachinesNetwork as error:
        await aws.ec2(lambda ec2: ec2.delete_network_interface(NetworkInterfaceId=id))
        hint = "run the server in a network of its own, or say --host-network where this is meant"
        raise ClientError("HOST_NETWORK", str(error), hint) from error
    except KernelError as error:
        await aws.ec2(lambda ec2: ec2.delete_network_interface(NetworkInterfaceId=id))
        hint = "root is needed, a process or NIC of this machine, and a tieline up that runs on it"
        raise ClientError("NOT_ATTACHED", f"the kernel refused: {error}", hint) from error
    return {"id": id, "address": found["PrivateIpAddress"]}


async def _tag(aws: Aws, id: str, value: str) -> None:
    await aws.ec2(lambda ec2: ec2.create_tags(Resources=[id], Tags=[{"Key": TAG, "Value": value}]))


def detach(state: State, interface: Interface, profile: Profile = "customer") -> None:
    """Take it out again. Whatever was attached goes on as it was, without its way into the VPC."""
    run(_detach(_kernel(state), account(profile, None, "", "", state), interface))
    out.print(f"{interface} is gone")


async def _detach(kernel: Kernel, aws: Aws, interface: str) -> None:
    await aws.ec2(lambda ec2: ec2.delete_network_interface(NetworkInterfaceId=interface))
    await asyncio.shield(kernel.detach(interface))
