"""How fast messages become rows: our pipeline beside the same work by hand, in turns on the same servers.

python bench/integration.py [--count 400000] [--rounds 3] [--prototype FILE] [--json FILE]

Broker, publisher, database and sink share the machine. Rows per second are counted from the publisher's start to the
last committed row; CPU is user and system time of the sink's process alone, without its start.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

from integration_pipeline import RULE  # noqa: E402
from servers import Mosquitto, PostgreSQL  # noqa: E402
from tieline.integration.message import Message  # noqa: E402
from tieline.integration.rules.compile import compile_rule  # noqa: E402
from tieline.integration.topics import Index  # noqa: E402

PAYLOAD = b'{"id": "dev42", "temp": 21.5, "ts": 1700000000042}'
TICKS = os.sysconf("SC_CLK_TCK")
MANY_RULES = 1000


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def evaluation(rules: int, count: int = 300_000) -> float:
    """Messages per second through one core: made, looked up among the rules, decoded, filtered and selected."""
    first = compile_rule(RULE)
    others = [(f"other/{n}/#", compile_rule(RULE)) for n in range(1, rules)]
    index = Index([("t/#", first), *others])
    began = time.process_time()
    for n in range(count):
        message = Message(f"t/dev{n % 100}", PAYLOAD, 1, 1700000000000)
        for rule in index.lookup(message.topic):
            rule.apply(message)
    return count / (time.process_time() - began)


def started(command: list[str], stdin: int | None = None) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, stdin=stdin, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line == "ready\n", line
    return process


def through(command: list[str], broker: Mosquitto, database: PostgreSQL, count: int, wait: float = 0) -> dict[str, Any]:
    """One sink from the start of the publisher to the last row."""
    database.execute("truncate m")
    if wait:  # a program that does not say when it is ready
        sink = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True)
        time.sleep(wait)
    else:
        sink = started(command)
    publisher = started([str(HERE / "integration_publisher.py"), str(broker.port), str(count)], subprocess.PIPE)
    assert publisher.stdin is not None
    cpu, began = cpu_seconds(sink.pid), time.perf_counter()
    publisher.stdin.write("go\n")
    publisher.stdin.flush()
    try:
        assert publisher.stdout is not None
        publisher.stdout.readline()  # it is done; counting rows before that would only slow everything down
        used = cpu_seconds(sink.pid) if sink.poll() is None else 0.0
        while committed(database) < count and time.perf_counter() - began < 300:
            used = cpu_seconds(sink.pid) if sink.poll() is None else used
            time.sleep(0.01)
        seconds = time.perf_counter() - began
        found = database.execute("select count(*), count(distinct ts) from m")[0]
    finally:
        for process in (sink, publisher):
            process.kill()
            process.communicate()
    return {
        "rows_per_second": count / seconds,
        "cpu_us_per_row": (used - cpu) / count * 1e6,
        "lost": count - found[1],
        "doubles": found[0] - found[1],
    }


def committed(database: PostgreSQL) -> int:
    return int(database.execute("select count(*) from m")[0][0])


def middle(runs: list[dict[str, Any]], key: str) -> float:
    return statistics.median(run[key] for run in runs)


def compare(count: int, rounds: int, prototype: str | None) -> dict[str, list[dict[str, Any]]]:
    """Every contender once in each round."""
    runs: dict[str, list[dict[str, Any]]] = {}
    with PostgreSQL() as database:
        database.execute("create table m(device text, temp float8, ts bigint, topic text)")
        login = [database.server, database.user, database.password, database.database]
        contenders = {
            "by hand": [str(HERE / "integration_by_hand.py"), "PORT", database.dsn, str(count)],
            "tieline": [str(HERE / "integration_pipeline.py"), "PORT", *login],
            f"tieline, {MANY_RULES} rules": [str(HERE / "integration_pipeline.py"), "PORT", *login, str(MANY_RULES)],
        }
        if prototype:
            contenders["prototype"] = [prototype, "127.0.0.1:PORT", database.dsn, str(count)]
        for _ in range(rounds):
            for name, command in contenders.items():
                with Mosquitto() as broker:  # a new one each time: sessions of the last run would go on queueing
                    filled = [part.replace("PORT", str(broker.port)) for part in command]
                    wait = 1.5 if name == "prototype" else 0.0
                    runs.setdefault(name, []).append(through(filled, broker, database, count, wait))
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--prototype", help="another program to compare with: FILE HOST:PORT DSN COUNT")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    alone, many = ([evaluation(rules) for _ in range(3)] for rules in (1, MANY_RULES))
    print(
        f"rule evaluation, one core: {statistics.median(alone):,.0f} messages/s; "
        f"among {MANY_RULES} rules: {statistics.median(many):,.0f}"
    )
    runs = compare(options.count, options.rounds, options.prototype)
    print(f"{'sink':24}{'rows/s':>10}{'CPU µs/row':>12}{'lost':>6}{'doubles':>9}   ({options.count} rows, medians)")
    for name, those in runs.items():
        lost, doubles = sum(run["lost"] for run in those), sum(run["doubles"] for run in those)
        print(
            f"{name:24}{middle(those, 'rows_per_second'):>10,.0f}{middle(those, 'cpu_us_per_row'):>12.1f}"
            f"{lost:>6}{doubles:>9}"
        )
    if options.json:
        options.json.write_text(json.dumps({"evaluation": alone, "evaluation_1000": many, "runs": runs}, indent=2))


if __name__ == "__main__":
    main()
