"""Live flows: finding them in conntrack, forgetting them, and making both of their ends notice at once."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from random import randrange

from tieline.fabric.kernel.net import namespaces
from tieline.fabric.kernel.system import commands

# A peer answers an out-of-window segment at most once in 500 ms (net.ipv4.tcp_invalid_ratelimit), and a keepalive is
# one: who has just answered another is reached by the last nudge.
NUDGES = (0.0, 0.02, 0.08, 0.45)  # seconds before each
ENDED = {"TIME_WAIT", "CLOSE"}
NO_FLOW = 1  # conntrack's status where it found nothing to delete
HALF = 1 << 31  # two sequence numbers this far apart: at least one is outside of any window
ACK = 0x10
TCP_HEADER = struct.Struct("!HHLLBBHHH")
IP_HEADER = struct.Struct("!BBHHHBBH4s4s")
_FIELD = re.compile(r"\b(src|dst|sport|dport)=(\S+)")


Segment = tuple[bytes, str]  # a packet, and the address that it goes to


@dataclass(frozen=True, slots=True)
class Flow:
    """A TCP flow as its namespace translates it: who asked whom, and who answered as whom."""

    source: tuple[str, int]
    aimed_at: tuple[str, int]
    answered_by: tuple[str, int]
    answered_to: tuple[str, int]


async def forget(namespace: str, *selection: str) -> list[Flow]:
    """Delete the flows that conntrack's own options select (`--orig-dst 10.0.0.5`); what lived of TCP among them."""
    argv = commands.entering(namespace, "conntrack", "-D", *selection)
    return parse(await commands.write(*argv, accept=(0, NO_FLOW)))


def parse(listing: str) -> list[Flow]:
    """The live TCP flows of conntrack's listing. Pure."""
    flows = []
    for line in listing.splitlines():
        if not line.startswith("tcp ") or ENDED & set(line.split()[:4]):
            continue
        found = [value for _, value in _FIELD.findall(line)]
        if len(found) == 8:
            ends = [(found[i], int(found[i + 2])) for i in (0, 4)], [(found[i + 1], int(found[i + 3])) for i in (0, 4)]
            (source, answered_by), (aimed_at, answered_to) = ends
            flows.append(Flow(source, aimed_at, answered_by, answered_to))
    return flows


async def carried(namespace: str, node: str) -> set[tuple[str, str, int]]:
    """Protocol, address and port of every target that a balancer's node has flows to."""
    listing = await commands.read(*commands.entering(namespace, "conntrack", "-L", "--reply-dst", node))
    found = ((line.split(" ", 1)[0], [value for _, value in _FIELD.findall(line)]) for line in listing.splitlines())
    return {(protocol, ends[4], int(ends[6])) for protocol, ends in found if len(ends) == 8}


async def aimed_at(namespace: str) -> Counter[str]:
    """How many flows are open, by `address . protocol . port` that they were aimed at."""
    listing = await commands.read(*commands.entering(namespace, "conntrack", "-L"))
    return await asyncio.to_thread(count_open, listing)


def count_open(listing: str) -> Counter[str]:
    """The flows of conntrack's listing that are open: established for TCP, not yet timed out for UDP. Pure."""
    found: Counter[str] = Counter()
    for line in listing.splitlines():
        if line.startswith("udp ") or (line.startswith("tcp ") and " ESTABLISHED " in line):
            first = dict(reversed(_FIELD.findall(line)))  # the reply's fields come last, and are overwritten
            found[f"{first['dst']} . {line[:3]} . {first['dport']}"] += 1
    return found


async def sever(namespace: str, node: str, target: tuple[str, int], protocol: str) -> int:
    """Forget and reset the flows that a node has carried to a target; how many of TCP there were."""
    address, port = target
    selection = ("-p", protocol, "--reply-src", address, "--reply-port-src", str(port), "--reply-dst", node)
    found = await forget(namespace, *selection)
    await reset(namespace, [segment for flow in found for segment in (*to_client(flow), *to_server(flow))])
    return len(found)


async def reset(namespace: str, segments: Sequence[Segment]) -> None:
    """Have the peers of forgotten flows, to whom these nudges go, reset them now and not at their next packet.

    Each peer gets an acknowledgement that fits no window, which TCP answers with one of its own (RFC 5961, 5). That
    meets no flow in our namespace, whose kernel answers with a reset of exactly the number that the peer accepts.
    """
    for pause in NUDGES if segments else ():
        await asyncio.sleep(pause)
        await namespaces.inside(namespace, partial(_send, segments))


def to_client(flow: Flow) -> list[Segment]:
    """Nudges as if from where the client thinks its server is. Pure but for the numbers."""
    return _nudges(flow.aimed_at, flow.source)


def to_server(flow: Flow) -> list[Segment]:
    """Nudges as if from where the server thinks its client is. Pure but for the numbers."""
    return _nudges(flow.answered_to, flow.answered_by)


def packet(source: tuple[str, int], target: tuple[str, int], sequence: int) -> bytes:
    """A bare TCP acknowledgement with its IP header, whose length and checksum the kernel fills in. Pure."""
    addresses = socket.inet_aton(source[0]), socket.inet_aton(target[0])
    fields = (source[1], target[1], sequence, sequence, TCP_HEADER.size // 4 << 4, ACK, 0)
    pseudo = struct.pack("!4s4sBBH", *addresses, 0, socket.IPPROTO_TCP, TCP_HEADER.size)
    checksum = _checksum(pseudo + TCP_HEADER.pack(*fields, 0, 0))
    ip = IP_HEADER.pack(0x45, 0, 0, 0, 0, 64, socket.IPPROTO_TCP, 0, *addresses)
    return ip + TCP_HEADER.pack(*fields, checksum, 0)


def _nudges(source: tuple[str, int], target: tuple[str, int]) -> list[Segment]:
    number = randrange(1 << 32)
    return [(packet(source, target, one), target[0]) for one in (number, (number + HALF) % (1 << 32))]


def _checksum(data: bytes) -> int:
    """The Internet checksum of an even number of bytes (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _send(segments: Iterable[Segment]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        for segment, target in segments:
            try:
                raw.sendto(segment, (target, 0))
            except OSError:
                continue  # a peer that is gone needs no reset; the others do
