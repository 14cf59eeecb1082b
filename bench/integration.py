"""How fast messages become rows: our pipeline beside the same work by hand, in turns on the same servers.

python bench/integration.py [--count 400000] [--rounds 3] [--prototype FILE] [--json FILE]

Broker, publisher, database and sink share the machine. Rows per second are counted from the publisher's start to the
last committed row; CPU is user and system time of the sink's process alone, without its start.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests")]

from bench.integration_pipeline import RULE  # noqa: E402

from servers import Mosquitto, PostgreSQL  # noqa: E402
from tieline.integration.message import Message  # noqa: E402
from tieline.integration.rules.compile import compile_rule  # noqa: E402
from tieline.integration.topics import Index  # noqa: E402

PAYLOAD = b'{"id": "dev42", "temp": 21.5, "ts": 1700000000042}'
TICKS = os.sysconf("SC_CLK_TCK")
MANY_RULES = 1000
BUFFER = 500  # messages that one read from the broker brings, about
TABLE = "create table m(device text, temp float8, ts bigint, topic text)"


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def evaluation(rules: int, count: int = 300_000) -> float:
    """Messages per second through one core: made, looked up among the rules, decoded, filtered and selected."""
    others = [(f"other/{n}/#", compile_rule(RULE)) for n in range(1, rules)]
    index = Index([("t/#", compile_rule(RULE)), *others])
    began = time.process_time()
    for start in range(0, count, BUFFER):
        messages = [Message(f"t/dev{n % 100}", PAYLOAD, 1, 1700000000000) for n in range(start, start + BUFFER)]
        matching = {index.lookup(message.topic) for message in messages}
        for rule in matching.pop():
            assert len(rule.apply(messages, [], False)) == BUFFER
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


def latency(rate: int, seconds: int) -> dict[str, float]:
    """Milliseconds from publishing to the commit of the row, by PostgreSQL's own commit times."""
    database = PostgreSQL()
    database.options = ("track_commit_timestamp=on",)
    with database, Mosquitto() as broker:
        database.execute(TABLE)
        login = [database.server, database.user, database.password, database.database]
        sink = started([str(HERE / "integration_pipeline.py"), str(broker.port), *login])
        count = rate * seconds
        command = [str(HERE / "integration_publisher.py"), str(broker.port), str(count), str(rate)]
        publisher = started(command, subprocess.PIPE)
        try:
            publisher.communicate("go\n", timeout=seconds + 60)
            while committed(database) < count:
                time.sleep(0.1)
            age = "extract(epoch from pg_xact_commit_timestamp(xmin)) * 1000 - ts / 1000.0"
            shares = "array[0.5, 0.95, 0.99, 1]"
            query = f"select percentile_cont({shares}) within group (order by ({age})::float8) from m"
            found = database.execute(query)[0][0]
        finally:
            for process in (sink, publisher):
                process.kill()
                process.wait()
    return dict(zip(("p50", "p95", "p99", "max"), found, strict=True))


def outage(count: int, seconds: float) -> dict[str, float]:
    """A burst while the database does not move for a while: rows lost and doubled, and the sink's largest memory."""
    with PostgreSQL() as database, Mosquitto() as broker:
        database.execute(TABLE)
        login = [database.server, database.user, database.password, database.database]
        sink = started([str(HERE / "integration_pipeline.py"), str(broker.port), *login])
        publisher = started([str(HERE / "integration_publisher.py"), str(broker.port), str(count)], subprocess.PIPE)
        assert publisher.stdin is not None
        try:
            publisher.stdin.write("go\n")
            publisher.stdin.flush()
            time.sleep(1)
            database.signal(signal.SIGSTOP)
            time.sleep(seconds)
            database.signal(signal.SIGCONT)
            publisher.wait()
            deadline = time.monotonic() + 600
            while int(database.execute("select count(distinct ts) from m")[0][0]) < count:
                if time.monotonic() > deadline:
                    break
                time.sleep(1)
            found = database.execute("select count(*), count(distinct ts) from m")[0]
            memory = int(Path(f"/proc/{sink.pid}/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
        finally:
            database.signal(signal.SIGCONT)
            for process in (sink, publisher):
                process.kill()
                process.wait()
    return {"lost": count - found[1], "doubles": found[0] - found[1], "memory_mb": memory}


def committed(database: PostgreSQL) -> int:
    return int(database.execute("select count(*) from m")[0][0])


def middle(runs: list[dict[str, Any]], key: str) -> float:
    return float(statistics.median(run[key] for run in runs))


def compare(count: int, rounds: int, prototype: str | None) -> dict[str, list[dict[str, Any]]]:
    """Every contender once in each round."""
    runs: dict[str, list[dict[str, Any]]] = {}
    with PostgreSQL() as database:
        database.execute(TABLE)
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
    parser.add_argument("--outage", type=int, default=0, help="messages of a burst with a database that pauses 30 s")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result: dict[str, Any] = {}
    for rules in (1, MANY_RULES):
        rate = statistics.median(evaluation(rules) for _ in range(5))
        result[f"evaluation, {rules} rules"] = rate
        print(f"rule evaluation on one core, {rules} rules: {rate:,.0f} messages/s")
    result["latency"] = latency(1000, 10)
    print("publish to commit at 1,000/s:", ", ".join(f"{k} {v:.1f} ms" for k, v in result["latency"].items()))
    if options.outage:
        result["outage"] = outage(options.outage, 30)
        print(f"{options.outage:,} messages, database paused 30 s:", result["outage"])
    runs = result["runs"] = compare(options.count, options.rounds, options.prototype)
    print(f"{'sink':24}{'rows/s':>10}{'CPU µs/row':>12}{'lost':>6}{'doubles':>9}   ({options.count} rows, medians)")
    for name, those in runs.items():
        lost, doubles = sum(run["lost"] for run in those), sum(run["doubles"] for run in those)
        rows, cpu = middle(those, "rows_per_second"), middle(those, "cpu_us_per_row")
        print(f"{name:24}{rows:>10,.0f}{cpu:>12.1f}{lost:>6}{doubles:>9}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
