"""A drawn world in real namespaces, and a scan of every address and port that mean anything from every host of it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial

from tieline.fabric.core.topology import Topology, Wire
from tieline.fabric.kernel.driver import Kernel
from tieline.fabric.kernel.net import namespaces
from world.isolation.sketches import CLOSED, LISTENER, Drawn

PORTS = (LISTENER, CLOSED)
SECONDS = 1.5  # for those of whom no answer is expected, once all others have given theirs
PATIENCE = 60.0  # seconds for those
Aim = tuple[str, int]
Answers = dict[Aim, str]


async def build(kernel: Kernel, topology: Topology) -> None:
    """Everything that is planned, as the daemon would have it."""
    wires = list(topology.wires.values())
    await asyncio.gather(
        *(
            kernel.converge_vpc(vpc, _of(wires, "consumer", vpc.id), _of(wires, "provider", vpc.id))
            for vpc in topology.vpcs.values()
        )
    )
    await asyncio.gather(*map(kernel.converge_wire, wires))


def _of(wires: Iterable[Wire], side: str, vpc: str) -> list[Wire]:
    return [wire for wire in wires if getattr(wire, side) == vpc]


async def scan(prefix: str, drawn: Drawn) -> dict[str, Answers]:
    """Who answers each VPC's host at which address and port; every host serves both ports with its VPC's id."""
    with ExitStack() as stack:
        for vpc, host in drawn.hosts.items():
            await _serve(stack, f"{prefix}-{host}", vpc)
        looks = [
            _look(f"{prefix}-{host}", drawn.addresses, drawn.passes[vpc].keys()) for vpc, host in drawn.hosts.items()
        ]
        return dict(zip(drawn.hosts, await asyncio.gather(*looks), strict=True))


async def _serve(stack: ExitStack, namespace: str, name: str) -> None:
    for port in PORTS:
        listening = await namespaces.inside(namespace, partial(socket.create_server, ("", port), backlog=512))
        server = await asyncio.start_server(partial(_answer, name), sock=listening)
        stack.callback(server.close)


async def _answer(name: str, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(name.encode())
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def _look(namespace: str, addresses: Iterable[str], expected: Collection[Aim]) -> Answers:
    """All are asked at once; the scan ends a while after those who are expected to have answered."""
    aims = [(address, port) for address in addresses for port in PORTS]
    with _sockets(await namespaces.inside(namespace, partial(_made, len(aims)))) as made:
        asked = {aim: asyncio.create_task(_try(one, aim)) for one, aim in zip(made, aims, strict=True)}
        await asyncio.wait([asked[aim] for aim in expected], timeout=PATIENCE)
        await asyncio.wait(asked.values(), timeout=SECONDS)
        late = [task for task in asked.values() if task.cancel()]
        await asyncio.gather(*late, return_exceptions=True)
        return {aim: name for aim, task in asked.items() if task not in late and (name := task.result())}


def _made(count: int) -> list[socket.socket]:
    return [socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) for _ in range(count)]


@contextmanager
def _sockets(made: list[socket.socket]) -> Iterator[list[socket.socket]]:
    try:
        yield made
    finally:
        for one in made:
            one.close()


async def _try(made: socket.socket, aim: Aim) -> str:
    """Who answers; "" for a refusal."""
    loop = asyncio.get_running_loop()
    with suppress(OSError):
        await loop.sock_connect(made, aim)
        return (await loop.sock_recv(made, 100)).decode()
    return ""
