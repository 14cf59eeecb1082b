"""Instances: processes in their own root, pid, mount and network namespaces, which outlive the daemon."""

from __future__ import annotations

import base64
import sys
import time
from pathlib import Path

import msgspec

from tieline.base import trees
from tieline.fabric.core.topology import Instance
from tieline.fabric.kernel.instance import calls, control_groups, starts, users
from tieline.fabric.kernel.net import namespaces
from tieline.fabric.kernel.system import commands, names, processes
from tieline.fabric.kernel.system.names import Footprint

BOOT = Path(__file__).with_name("boot.py")
CONSOLE_BYTES = 64 * 1024  # the end of the console that GetConsoleOutput gives (EC2 API reference)


async def converge(footprint: Footprint, instance: Instance, resolver: str) -> bool:
    """Have the instance running; True if it was started, and then its boot script runs. Its root outlives a restart.

    Raises Resting for one that ended soon after its last starts, until its next is due.
    """
    changed = await users.ensure(footprint, instance.id)
    if is_running(footprint, instance.id):
        return changed
    place = footprint.instances / instance.id
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    starts.begin(place, time.time())
    groups = [str(one) for one in control_groups.make(footprint, instance.id, instance.size)]
    wanted = specification(footprint, instance, resolver) | {"groups": groups}
    trees.write(place / "specification.json", msgspec.json.encode(wanted), lasting=False)  # secrets are in user data
    # isolated, without site packages, without bytecode: process 1 reads nothing but this one file
    await commands.write(sys.executable, "-I", "-S", "-B", str(BOOT), str(place / "specification.json"))
    return True


def specification(footprint: Footprint, instance: Instance, resolver: str) -> dict[str, object]:
    """What boot.py needs to know; every path is the machine's."""
    place = footprint.instances / instance.id
    return {
        "namespace": str(names.path(footprint.namespace(instance.id))),
        "place": str(place),
        "console": str(place / "console.log"),
        "hidden": [str(footprint.state.resolve())],
        # tieline itself with its Python, for boot scripts that start its agent
        "kept": sorted({sys.base_prefix, sys.prefix, str(Path(__file__).parents[4])}),
        "hostname": instance.hostname,
        "address": instance.host.address,
        "resolver": resolver,
        "user_data": instance.user_data,
        "filter": base64.b64encode(calls.program()).decode(),
    }


async def stop(footprint: Footprint, id: str) -> None:
    """End the instance's whole process tree and remove its namespace, its root and its console."""
    await namespaces.remove(footprint.namespace(id))
    users.forget(footprint, id)
    await control_groups.remove(footprint, id)
    await commands.remove_tree(footprint.instances / id)


def is_running(footprint: Footprint, id: str) -> bool:
    """Whether its process 1 is there."""
    within = processes.within(names.path(footprint.namespace(id)))
    return bool(processes.found(lambda pid: within(pid) and processes.is_init(pid)))


def console(footprint: Footprint, id: str) -> str:
    """The last part of what the instance has written; empty where it has not started."""
    file = footprint.instances / id / "console.log"
    if not file.exists():
        return ""
    with file.open("rb") as log:
        log.seek(max(0, file.stat().st_size - CONSOLE_BYTES))
        return log.read().decode(errors="replace")


def listed(footprint: Footprint) -> set[str]:
    """The instances that have a root, whether or not they run."""
    return {entry.name for entry in footprint.instances.iterdir()} if footprint.instances.is_dir() else set()
