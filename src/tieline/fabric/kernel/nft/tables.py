"""A VPC's nft table in the kernel: changed by what differs from what was loaded last, and loaded whole after damage.

The kernel numbers the generations of a namespace's tables: while the number is the one that our last transaction made,
the table is as that transaction left it, and nobody needs to list it.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tieline.fabric.core.topology import Value, Vpc, Wire
from tieline.fabric.kernel.net import namespaces
from tieline.fabric.kernel.net.watch import MESSAGE, NETFILTER
from tieline.fabric.kernel.nft import rules, transactions
from tieline.fabric.kernel.system import commands, runtime
from tieline.fabric.kernel.system.names import Footprint

# linux/netfilter/nfnetlink.h and nf_tables.h
TABLES = 10
GET_GENERATION, NEW_GENERATION = TABLES << 8 | 16, TABLES << 8 | 15
REQUEST = 1
GENERATION = struct.Struct(">8xI")  # after the family and the attribute's head
SECONDS = 5.0  # the kernel answers in 20 µs


class Loaded(Value, frozen=True, kw_only=True):
    """What our last transaction left, in which namespace and generation."""

    inode: int
    generation: int
    text: str


async def converge(footprint: Footprint, vpc: Vpc, outgoing: Sequence[Wire], incoming: Sequence[Wire]) -> bool:
    """Have the kernel's table as it should be for these wires; True if it was written."""
    namespace, record = footprint.namespace(vpc.id), footprint.table(vpc.id)
    wanted = rules.table(vpc, outgoing, incoming)
    inode, generation = await namespaces.inside(namespace, _state)
    loaded = _loaded(record, inode, generation)
    if loaded == wanted:
        return False
    change = transactions.change(loaded, wanted) if loaded else None
    if change is None:
        listing = await _listing(namespace)
        change = "" if await _says(listing, wanted) else transactions.replacement(listing, wanted)
    record.unlink(missing_ok=True)  # whatever happens now, the kernel is not known to have it
    if change:
        await commands.write(*commands.entering(namespace, "nft", "-f", "-"), stdin=change)
    _, after = await namespaces.inside(namespace, _state)
    if after == generation + bool(change):  # nobody else was at work
        runtime.make(footprint, record.parent)
        record.write_bytes(msgspec.json.encode(Loaded(inode=inode, generation=after, text=wanted)))
    return bool(change)


def _loaded(record: Path, inode: int, generation: int) -> str | None:
    """The text of the table, where this generation of this namespace's is known."""
    try:
        found = msgspec.json.decode(record.read_bytes(), type=Loaded)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
    return found.text if (found.inode, found.generation) == (inode, generation) else None


def _state() -> tuple[int, int]:
    """By a thread inside: which namespace this is, and the number of its tables' generation."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETFILTER) as asked:
        asked.settimeout(SECONDS)
        asked.send(MESSAGE.pack(MESSAGE.size + 4, GET_GENERATION, REQUEST, 0, 0) + bytes(4))
        answer = asked.recv(4096)
    kind = MESSAGE.unpack_from(answer)[1]
    assert kind == NEW_GENERATION, f"the kernel answered a question for its tables' generation with {kind:#x}"
    return Path("/proc/thread-self/ns/net").stat().st_ino, GENERATION.unpack_from(answer, MESSAGE.size)[0]


async def _listing(namespace: str) -> str:
    """The table as the kernel has it, without what it counted; empty where there is none (nft ends with status 1)."""
    return await commands.read(
        *commands.entering(namespace, "nft", "-s", "list", "table", *rules.TABLE.split()), accept=(0, 1)
    )


async def _says(listing: str, wanted: str) -> bool:
    """Whether the kernel lists what it does where the wanted text was just loaded, in a namespace of its own."""
    if not listing:
        return False
    program = f"nft -f - && nft -s list table {rules.TABLE}"
    fresh = await commands.read("unshare", "--net", "sh", "-c", program, stdin=wanted)
    return _words(fresh) == _words(listing)


def _words(listing: str) -> list[str]:
    """The kernel gives elements in any order."""
    return sorted(listing.replace(",", " ").split())
