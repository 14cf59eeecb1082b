"""Where messages become rows in the benchmark: broker and sink in one VPC, the database in another, linked.

Where there are no namespaces to be had everything is on loopback, and the result says so.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from servers import PostgreSQL
from tieline.fabric.core.topology import Crossing, Host, Listener, Node, Target, Vpc, Wire
from tieline.fabric.kernel.driver import Kernel
from tieline.fabric.kernel.net.namespaces import enter

ENDPOINT, NODE, HOST, RESOLVER = "10.0.0.50", "10.0.0.60", "10.0.0.10", "10.0.0.2"
NEAR, FAR = "169.254.8.0", "169.254.8.1"
TABLE: Final = "create table m(device text, temp float8, ts bigint, topic text)"


class Database(PostgreSQL):
    """The table `m`; commits have times, so that latencies can be read from them."""

    options = ("track_commit_timestamp=on", "listen_addresses=*")
    host = "127.0.0.1"

    def prepare(self) -> None:
        super().prepare()
        with (self.directory / "data" / "pg_hba.conf").open("a") as rules:
            rules.write("host all all 10.0.0.0/16 scram-sha-256\n")

    @property
    def server(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def login(self) -> list[str]:
        """What the sinks are told."""
        return [self.server, self.user, self.password, self.database]

    def rows(self) -> int:
        """How many are committed."""
        return int(self.execute("select count(*) from m")[0][0])

    def last_commit(self) -> float:
        """When the newest row was committed, in seconds since 1970; now where there is none."""
        times = "coalesce(max(pg_xact_commit_timestamp(xmin)), now())"
        return float(self.execute(f"select extract(epoch from {times}) from m")[0][0])

    def freeze(self, number: signal.Signals) -> None:
        """SIGSTOP or SIGCONT to the server and each of its backends, which are in process groups of their own."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        for pid in (self.process.pid, *map(int, children.split())):
            os.kill(pid, number)

    def lost(self, count: int) -> tuple[int, int]:
        """Rows lost and doubled; `ts` is the number of the message."""
        every, distinct = self.execute("select count(*), count(distinct ts) from m")[0]
        return count - distinct, every - distinct


def within(space: str, do: Callable[[], Any]) -> Any:
    """What a function gives in a namespace, which all that it starts is in, too."""
    result: list[Any] = []

    def run() -> None:
        try:
            if space:
                enter(space)
            result.append(do())
        except BaseException as error:
            result.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if isinstance(result[0], BaseException):
        raise result[0]
    return result[0]


@contextmanager
def way(link: bool) -> Iterator[tuple[Database, str]]:
    """The database, and the namespace from which it is reached over a link; "" for this one, on loopback."""
    database = Database()
    if not link or os.geteuid() != 0:
        with database:
            database.execute(TABLE)
            yield database, ""
        return
    prefix = f"tb-{secrets.token_hex(2)}"
    with tempfile.TemporaryDirectory(prefix="tieline-bench-") as place:
        kernel = Kernel(prefix, Path(place) / "state")
        try:
            asyncio.run(_lay(kernel, database.port))
            for host in ("i-c", "i-t"):
                subprocess.run(["ip", "-n", f"{prefix}-{host}", "link", "set", "lo", "up"], check=True)
            database.host = ENDPOINT
            within(f"{prefix}-i-t", database.__enter__)
            within(f"{prefix}-i-c", lambda: database.execute(TABLE))
            yield database, f"{prefix}-i-c"
        finally:
            database.__exit__(None, None, None)
            asyncio.run(kernel.down())


async def _lay(kernel: Kernel, port: int) -> None:
    crossing = Crossing(zone="a", endpoint=ENDPOINT, near=NEAR, far=FAR, node=NODE, ports=(("tcp", port),))
    wire = Wire(id="vpce-1", consumer="vpc-a", provider="vpc-b", crossings=(crossing,))
    listener = Listener(protocol="tcp", port=port, targets=(Target(address=HOST, port=port),))
    node = Node(id="eni-1", address=NODE, listeners=(listener,))
    await kernel.converge_vpc(_vpc("vpc-a", "i-c", (ENDPOINT,)), [wire])
    await kernel.converge_vpc(_vpc("vpc-b", "i-t", (), (node,)), [], [wire])
    await kernel.converge_wire(wire)


def _vpc(id: str, host: str, addresses: tuple[str, ...], nodes: tuple[Node, ...] = ()) -> Vpc:
    hosts = (Host(id=host, address=HOST, prefix_length=24, router="10.0.0.1"),)
    return Vpc(id=id, cidrs=("10.0.0.0/16",), resolver=RESOLVER, hosts=hosts, addresses=addresses, nodes=nodes)
