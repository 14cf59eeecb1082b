"""Watching the kernel for what happens to our objects, so that damage is seen when it is done and idling is free."""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tieline.fabric.kernel.net import namespaces, passages
from tieline.fabric.kernel.system import names, processes
from tieline.fabric.kernel.system.names import Footprint

# linux/rtnetlink.h, linux/netfilter/nfnetlink.h, sys/inotify.h
ROUTE_GROUPS = 1 << 0 | 1 << 4 | 1 << 6  # links, IPv4 addresses, IPv4 routes
NETFILTER, NFTABLES_GROUP = 12, 1 << 6
LINK, ADDRESS, ROUTE = (16, 17), (20, 21), (24, 25)
IFLA_IFNAME = IFA_LABEL = 3
RTPROT_KERNEL = 2
IN_DELETE, IN_NONBLOCK, IN_CLOEXEC = 0x200, 0o4000, 0o2000000
MESSAGE = struct.Struct("=IHHII")
EVENT = struct.Struct("=iIII")
ATTRIBUTE = struct.Struct("=HH")
BODY = {LINK: 16, ADDRESS: 8}  # bytes before the attributes
BUFFER = 1 << 16
GATHER = 0.2  # seconds in which what starts at the same time is found by one look at the processes
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Change:
    """Something happened to one of our objects; whether it was damage, the next converge finds out.

    `kind` and `id` name a VPC, an instance or a passage; `link` is the interface concerned, "" for another matter.
    """

    kind: str
    id: str
    link: str = ""


@dataclass(slots=True)
class _Space:
    """The sockets that hear from one namespace: links, addresses and routes; and its tables."""

    inode: int
    sockets: list[socket.socket] = field(default_factory=list)


class Watch:
    """Reports changes from outside and our own alike. Used from one event loop; `attend` after every converge."""

    def __init__(self, footprint: Footprint, report: Callable[[Change], None]) -> None:
        self._footprint, self._report = footprint, report
        self._loop = asyncio.get_running_loop()
        self._spaces: dict[str, _Space] = {}
        self._expected: set[tuple[str, str]] = set()  # kind and id of everything that has a process
        self._handles: dict[tuple[str, str], int] = {}  # the pidfd of each
        self._search: asyncio.Task[None] | None = None
        self._directory = _inotify(names.NAMESPACES)
        self._loop.add_reader(self._directory, self._names_changed)

    async def listen(self, kind: str, id: str) -> bool:
        """Hear of a VPC's or an instance's network from now on; True where that begins with this call."""
        path = names.path(self._footprint.namespace(id))
        inode, present = _inode(path), self._spaces.get(id)
        if kind not in ("vpc", "instance") or inode is None or (present and present.inode == inode):
            return False
        self._close(id)
        space = self._spaces[id] = _Space(inode)
        try:
            opened = await namespaces.inside(path.name, partial(_sockets, kind == "vpc"))
        except BaseException:
            self._close(id)  # or it would count as heard
            raise
        if self._spaces.get(id) is space:
            space.sockets = opened
            for one in opened:
                self._loop.add_reader(one, self._heard, id, one)
        else:  # it went, or was made anew, meanwhile
            for one in opened:
                one.close()
        return True

    async def attend(self, kind: str, id: str) -> None:
        """Watch what was just converged, its process too; what is watched already costs nothing."""
        if await self.listen(kind, id):
            self._changed(id)  # what happened before there was a socket to hear it
        if kind in ("vpc", "instance", "passage") and (kind, id) not in self._handles:
            self._expected.add((kind, id))
            self._search = self._search or asyncio.create_task(self._find_processes(), name="find processes")

    def forget(self, kind: str, id: str) -> None:
        """Stop watching what is to be removed: from here on its end is nobody's damage."""
        self._expected.discard((kind, id))
        self._release((kind, id))
        if kind != "passage":
            self._close(id)

    def close(self) -> None:
        """Stop watching everything."""
        if self._search:
            self._search.cancel()
        for id in list(self._spaces):
            self._close(id)
        for key in list(self._handles):
            self._release(key)
        self._loop.remove_reader(self._directory)
        os.close(self._directory)

    def _heard(self, id: str, source: socket.socket) -> None:
        links = {""}
        with suppress(OSError):  # ENOBUFS: so much happened that some of it was not told
            data = source.recv(BUFFER)
            links = {""} if source.proto == NETFILTER else set(changed_links(data))
        for link in links:
            self._changed(id, link)

    def _changed(self, id: str, link: str = "") -> None:
        self._report(Change("vpc" if names.is_vpc(id) else "instance", id, link))

    def _names_changed(self) -> None:
        data = os.read(self._directory, BUFFER)
        for name in deleted_names(data):
            if (id := self._footprint.id_of(name)) in self._spaces:
                self._close(id)  # its sockets would keep the namespace alive
                self._changed(id)

    def _close(self, id: str) -> None:
        space = self._spaces.pop(id, None)
        for one in space.sockets if space else ():
            self._loop.remove_reader(one)
            one.close()

    async def _find_processes(self) -> None:
        await asyncio.sleep(GATHER)
        self._search = None
        found = await asyncio.to_thread(_processes, self._footprint)
        for key in self._expected - self._handles.keys():
            process = found.get(key)
            with suppress(ProcessLookupError):
                if process is not None:
                    handle = self._handles[key] = os.pidfd_open(process)
                    self._loop.add_reader(handle, self._ended, key)
                    continue
            self._ended(key)

    def _ended(self, key: tuple[str, str]) -> None:
        self._expected.discard(key)
        self._release(key)
        self._report(Change(*key))

    def _release(self, key: tuple[str, str]) -> None:
        if (handle := self._handles.pop(key, None)) is not None:
            self._loop.remove_reader(handle)
            os.close(handle)


def changed_links(data: bytes) -> Iterator[str]:
    """The interface that each message of rtnetlink is about; "" for a route that is not the kernel's own. Pure."""
    at = 0
    while at + MESSAGE.size <= len(data):
        length, kind, *_ = MESSAGE.unpack_from(data, at)
        body = data[at + MESSAGE.size : at + length]
        if kind in ROUTE and body[5] != RTPROT_KERNEL:
            yield ""
        for kinds, size in BODY.items():
            if kind in kinds:
                yield _name(body[size:])
        at += max((length + 3) & ~3, MESSAGE.size)


def deleted_names(data: bytes) -> Iterator[str]:
    """The file names in inotify's events, of which only deletions were asked for. Pure."""
    at = 0
    while at + EVENT.size <= len(data):
        *_, length = EVENT.unpack_from(data, at)
        at += EVENT.size + length
        yield data[at - length : at].rstrip(b"\0").decode(errors="replace")


def _name(attributes: bytes) -> str:
    at = 0
    while at + ATTRIBUTE.size <= len(attributes):
        length, kind = ATTRIBUTE.unpack_from(attributes, at)
        if kind == IFLA_IFNAME:
            return attributes[at + ATTRIBUTE.size : at + length].rstrip(b"\0").decode(errors="replace")
        at += max((length + 3) & ~3, ATTRIBUTE.size)
    return ""


def _sockets(with_tables: bool) -> list[socket.socket]:
    """Opened by a thread that is inside the namespace."""
    wanted = [(socket.NETLINK_ROUTE, ROUTE_GROUPS)]
    wanted += [(NETFILTER, NFTABLES_GROUP)] if with_tables else []
    opened = []
    for protocol, groups in wanted:
        made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol)
        opened.append(made)
        made.bind((0, groups))
    return opened


def _processes(footprint: Footprint) -> dict[tuple[str, str], int]:
    """The process of each VPC's resolver, of each instance and of each passage, found in one look at them all."""
    spaces = {inode: id for id, inode in _inodes(footprint)}
    found: dict[tuple[str, str], int] = {}
    youngest_first = sorted(processes.found(lambda _: True), key=lambda one: one.began, reverse=True)
    for process in youngest_first:  # a resolver's own children are younger than it
        if owner := processes.servant(process.pid, partial(passages.owner, footprint)):
            found["passage", owner.passage.id] = process.pid
        elif id := spaces.get(_inode(processes.PROC / str(process.pid) / "ns/net") or 0):
            if not names.is_vpc(id) and processes.is_init(process.pid):
                found["instance", id] = process.pid
            elif processes.command(process.pid)[:1] == ["dnsmasq"]:
                found["vpc", id] = process.pid
    return found


def _inodes(footprint: Footprint) -> Iterator[tuple[str, int]]:
    for path in names.NAMESPACES.iterdir() if names.NAMESPACES.is_dir() else ():
        id, inode = footprint.id_of(path.name), _inode(path)
        if id and inode is not None:
            yield id, inode


def _inode(path: Path) -> int | None:
    with suppress(OSError):
        return path.stat().st_ino
    return None


def _inotify(directory: Path) -> int:
    directory.mkdir(exist_ok=True)
    handle: int = _libc.inotify_init1(IN_NONBLOCK | IN_CLOEXEC)
    if handle < 0 or _libc.inotify_add_watch(handle, bytes(directory), IN_DELETE) < 0:
        raise OSError(ctypes.get_errno(), f"cannot watch {directory}")
    return handle
