"""Named network namespaces: making, entering, listing and removing them, and the settings they are born with."""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from tieline.fabric.kernel.net.plan import Space, parse
from tieline.fabric.kernel.system import commands, names, processes

T = TypeVar("T")
CLONE_NEWNET = 0x40000000  # linux/sched.h
GROUPS, MOST_GROUP = Path("/proc/self/gid_map"), (1 << 31) - 1  # the latter is the kernel's bound
OWN = Path("/proc/self/ns/net")  # on the filesystem that all namespaces are on
PROC_SYS = Path("/proc/sys")
THREADS = 32  # that are inside some namespace at a time; each of them is there for microseconds as a rule
_libc = ctypes.CDLL(None, use_errno=True)
_threads = ThreadPoolExecutor(THREADS, "inside")


def _everybody() -> str:
    """All groups that there are here, as ping_group_range takes them (icmp(7))."""
    ends = (int(first) + int(count) - 1 for first, _, count in map(str.split, GROUPS.read_text().splitlines()))
    return f"0 {min(max(ends), MOST_GROUP)}"


HOST_SETTINGS = {
    "net.ipv4.ping_group_range": _everybody(),  # who is not root pings as well, without capabilities of a file
    "net.ipv6.conf.all.disable_ipv6": "1",
    "net.ipv6.conf.default.disable_ipv6": "1",
}
# A consumer must not forget a flow before the listener does, whose idle timeout is 6000 s at most (aws.md, section 3).
VPC_SETTINGS = {
    **HOST_SETTINGS,
    "net.ipv4.ip_forward": "1",
    "net.ipv4.conf.all.proxy_arp": "1",  # a host takes its whole subnet to be on its link
    "net.ipv4.conf.all.rp_filter": "1",  # strict: nobody sends from an address that is not behind his link
    "net.ipv4.conf.all.accept_redirects": "0",
    "net.ipv4.conf.all.send_redirects": "0",
    "net.ipv4.conf.default.send_redirects": "0",
    "net.netfilter.nf_conntrack_tcp_loose": "0",  # a forgotten flow is not adopted in mid-stream but reset
    "net.netfilter.nf_conntrack_tcp_be_liberal": "1",  # windows are the ends' business; a nudge (flows.py) fits none
    "net.netfilter.nf_conntrack_tcp_timeout_established": "6060",
    "net.netfilter.nf_conntrack_tcp_timeout_time_wait": "60",  # as long as the ends' own (TCP_TIMEWAIT_LEN), not twice
    "net.netfilter.nf_conntrack_udp_timeout": "180",
    "net.netfilter.nf_conntrack_udp_timeout_stream": "180",
}


async def listed(footprint: names.Footprint) -> list[str]:
    """The ids of our namespaces."""
    entries = names.NAMESPACES.iterdir() if names.NAMESPACES.is_dir() else ()
    return sorted(id for entry in entries if (id := footprint.id_of(entry.name)))


def exists(namespace: str) -> bool:
    """Whether the name stands for a namespace, rather than for nothing or for an empty file."""
    path = names.path(namespace)
    return path.exists() and path.stat().st_dev == OWN.stat().st_dev


def is_machines(namespace: str) -> bool:
    """Whether the name stands for the network that this process itself is in."""
    own, named = OWN.stat(), names.path(namespace).stat()
    return (own.st_dev, own.st_ino) == (named.st_dev, named.st_ino)


async def ensure(
    namespace: str, settings: Mapping[str, str], make: Callable[[], Awaitable[None]] | None = None
) -> bool:
    """Make the namespace where it is missing, as `make` does, and give it its settings; True if anything changed."""
    made = not exists(namespace)
    if made and names.path(namespace).exists():  # a name that outlived its namespace, as after a reboot
        await commands.write("ip", "netns", "delete", namespace)
    if made:
        names.NAMESPACES.mkdir(exist_ok=True)
        names.NAMESPACES.chmod(0o755)  # everybody's list, as `ip` makes it where our umask is not in its way
        await (make() if make else commands.write("ip", "netns", "add", namespace))
    wrong = await inside(namespace, partial(_wrong_settings, settings))
    if wrong:
        assignments = [f"{name}={value}" for name, value in wrong.items()]
        await commands.write(*commands.entering(namespace, "sysctl", "-qw", *assignments))
    return made or bool(wrong)


async def remove(namespace: str) -> bool:
    """End every process in the namespace and delete it with its links; False where there was neither."""
    path = names.path(namespace)
    ended = await processes.end(processes.found(processes.within(path)))
    if exists(namespace):
        await _unlink(namespace)
    if path.exists():
        await commands.write("ip", "netns", "delete", namespace)
        return True
    return ended


async def space(namespace: str) -> Space:
    """Its links, addresses and routes."""
    return parse(await commands.read("ip", "-n", namespace, "-j", "-batch", "-", stdin="address\nroute\n"))


async def link(namespace: str, name: str) -> Space:
    """One link with its routes, or nothing. Among a thousand others it takes a fifth of the time of `space`."""
    asked = f"address show dev {name}\nroute show dev {name}\n"
    answer = await commands.read("ip", "-n", namespace, "-j", "-batch", "-", stdin=asked, accept=(0, 1))
    return parse(answer, name) if answer.count("\n") == 2 else Space({})  # it may go while it is looked at


async def remove_link(namespace: str, name: str) -> None:
    """Remove a link and its other end; one that goes by that end meanwhile has gone. Raises KernelError."""
    try:
        await commands.write("ip", "-n", namespace, "link", "del", name)
    except commands.KernelError:
        if name in (await space(namespace)).links:
            raise


async def inside(namespace: str, work: Callable[[], T]) -> T:
    """The result of `work`, run by a thread that is inside the namespace meanwhile.

    To start a thread for each took half of a probe's processor time; one that stayed there would keep the namespace.
    """
    return await asyncio.get_running_loop().run_in_executor(_threads, _enter_and, namespace, work)


def enter(namespace: str) -> None:
    """Move the calling thread into a namespace, for good; raises OSError."""
    _enter(names.path(namespace))


async def _unlink(namespace: str) -> None:
    """The kernel would remove the links some time after the namespace, and not while anybody holds that open."""
    lines = [f"link del {name}" for name in (await space(namespace)).links if name != "lo"]
    if lines:  # a pair may go by its other end meanwhile: -force goes on, and ends with status 1
        argv = ("ip", "-force", "-n", namespace, "-batch", "-")
        await commands.write(*argv, stdin="\n".join(lines) + "\n", accept=(0, 1))


def _enter_and(namespace: str, work: Callable[[], T]) -> T:
    enter(namespace)
    try:
        return work()
    finally:
        _enter(OWN)


def _enter(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(handle, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter the network namespace {path.name}")
    finally:
        os.close(handle)


def _wrong_settings(settings: Mapping[str, str]) -> dict[str, str]:
    """Read as the calling thread's namespace has them; a setting that this kernel lacks cannot be wrong."""
    paths = {name: PROC_SYS / name.replace(".", "/") for name in settings}
    return {name: settings[name] for name, path in paths.items() if path.exists() and _value(path) != settings[name]}


def _value(path: Path) -> str:
    return " ".join(path.read_text().split())
