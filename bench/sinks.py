"""How fast messages get into MySQL and Redis: our pipeline beside a plain Python script, in turns on the same servers.

python bench/sinks.py [--count 200000] [--rounds 3] [--json FILE]

Broker, publisher, database and sink share the machine. Rows per second are counted from the publisher's start to the
last row; CPU is user and system time of the sink's process alone, without its start. The script is what a user
would write: paho-mqtt, whose callback puts messages into a queue, and batches of up to 1,000 rows into PyMySQL
(`executemany`) or redis-py (a pipeline, hiredis). It acknowledges when it takes a message, and its crash loses rows;
ours does when they are in.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests")]

from bench._integration_runs import cpu_seconds, middle, started  # noqa: E402

from databases import MariaDB, Redis  # noqa: E402
from servers import Mosquitto  # noqa: E402

PATIENCE = 600.0  # seconds until what is not in counts as lost


class Target(Protocol):
    """A database that is written to."""

    port: int

    def clear(self) -> None:
        """Forget every row."""

    def rows(self) -> int:
        """How many there are."""
        ...


class Table(MariaDB):
    """A table of MariaDB; each message is a row, whose number is unique."""

    def clear(self) -> None:
        self.execute("drop table if exists m")
        self.execute("create table m(ts bigint primary key, device varchar(50), temp double, topic varchar(100))")

    def rows(self) -> int:
        return int(self.execute("select count(*) from m")[0][0])


class Hashes(Redis):
    """Hashes of Redis; each message is a key."""

    def clear(self) -> None:
        self.execute("FLUSHALL")

    def rows(self) -> int:
        return int(self.execute("DBSIZE"))


def through(command: list[str], broker: Mosquitto, target: Target, count: int) -> dict[str, float]:
    """One sink from the start of the publisher to the last row."""
    target.clear()
    sink = started(command)
    publisher = started([str(HERE / "integration_publisher.py"), str(broker.port), str(count)], subprocess.PIPE)
    assert publisher.stdin is not None
    assert publisher.stdout is not None
    cpu, began = cpu_seconds(sink.pid), time.perf_counter()
    publisher.stdin.write("go\n")
    publisher.stdin.flush()
    try:
        publisher.stdout.readline()  # it is done; counting rows before that would only slow everything down
        while target.rows() < count and time.perf_counter() - began < PATIENCE:
            time.sleep(0.02)
        seconds = time.perf_counter() - began
        used, found = cpu_seconds(sink.pid) - cpu, target.rows()
    finally:
        for process in (sink, publisher):
            process.kill()
            process.communicate()
    return {"rows_per_second": found / seconds, "cpu_us_per_row": used / count * 1e6, "lost": count - found}


def compare(kind: str, target: Target, count: int, rounds: int) -> dict[str, list[dict[str, Any]]]:
    """Both contenders once in each round."""
    runs: dict[str, list[dict[str, Any]]] = {}
    for _ in range(rounds):
        for name, program in (("script", "sinks_script.py"), ("tieline", "sinks_pipeline.py")):
            with Mosquitto() as broker:  # a new one each time: sessions of the last run would go on queueing
                command = [str(HERE / program), kind, str(broker.port), str(target.port)]
                runs.setdefault(name, []).append(through(command, broker, target, count))
    return runs


def tell(kind: str, runs: dict[str, list[dict[str, Any]]]) -> None:
    """A line for each contender."""
    script = middle(runs["script"], "rows_per_second")
    for name, those in runs.items():
        rates = [run["rows_per_second"] for run in those]
        rows, cpu = middle(those, "rows_per_second"), middle(those, "cpu_us_per_row")
        lost, spread = sum(run["lost"] for run in those), f"{min(rates):>10,.0f}{max(rates):>10,.0f}"
        print(f"{kind:10}{name:10}{rows:>10,.0f}{rows / script:>8.1f}{spread}{cpu:>12.1f}{lost:>6.0f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result: dict[str, Any] = {}
    print(f"{'':10}{'sink':10}{'rows/s':>10}{'ratio':>8}{'from':>10}{'to':>10}{'CPU µs/row':>12}{'lost':>6}")
    makers: dict[str, Callable[[], Any]] = {"mysql": Table, "redis": Hashes}
    for kind, make in makers.items():
        with make() as target:
            runs = result[kind] = compare(kind, target, options.count, options.rounds)
        tell(kind, runs)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
