"""The benchmark's measurements: a sink between a broker and a database, from the publisher's start to the last row."""

from __future__ import annotations

import logging
import os
import queue
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from bench._integration_way import Database
from bench.integration_pipeline import RULE
from paho.mqtt import publish
from paho.mqtt.enums import CallbackAPIVersion

from servers import Mosquitto
from tieline.integration.messages.message import Message
from tieline.integration.messages.topics import Index
from tieline.integration.rules.compile.compile import compile_rule

HERE = Path(__file__).resolve().parent
PIPELINE, PUBLISHER = str(HERE / "integration_pipeline.py"), str(HERE / "integration_publisher.py")
PAYLOAD = b'{"id": "dev42", "temp": 21.5, "ts": 1700000000042}'
TICKS = os.sysconf("SC_CLK_TCK")
BUFFER = 500  # messages that one read from the broker brings, about
PATIENCE = 60.0  # seconds without a new row until what is not in counts as lost


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def middle(runs: list[dict[str, Any]], key: str) -> float:
    """The median of a figure over several runs."""
    return float(statistics.median(run[key] for run in runs))


def most_memory(pid: int) -> float:
    """The largest resident memory of a process so far, in MB."""
    return int(Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def started(command: Sequence[str], stdin: int | None = None) -> subprocess.Popen[str]:
    """A Python program that says when it is ready."""
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, stdin=stdin, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line == "ready\n", line
    return process


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


class Running:
    """A broker, a sink and a publisher that waits for its start; leaving the block ends them."""

    def __init__(self, command: Sequence[str], *publish: object) -> None:
        self._command, self._publish = command, publish
        self.broker = Mosquitto()  # a new one each time: sessions of the last run would go on queueing

    def __enter__(self) -> Running:
        self.broker.__enter__()
        port = str(self.broker.port)
        self.sink = started([part.replace("PORT", port) for part in self._command])
        self.publisher = started([PUBLISHER, port, *map(str, self._publish)], subprocess.PIPE)
        return self

    def go(self) -> None:
        """Start publishing."""
        assert self.publisher.stdin is not None
        self.publisher.stdin.write("go\n")
        self.publisher.stdin.flush()

    def __exit__(self, *_: object) -> None:
        for process in (self.sink, self.publisher):
            process.kill()
            process.communicate()
        self.broker.__exit__(None, None, None)


def arrived(database: Database, count: int, pause: float, patience: float = PATIENCE) -> None:
    """Wait until so many rows are there, or none came for the patience."""
    there, until = -1, 0.0
    while (rows := database.rows()) < count and (rows > there or time.monotonic() < until):
        if rows > there:
            there, until = rows, time.monotonic() + patience
        time.sleep(pause)


def held(port: int, client_id: str) -> int:
    """Messages that the broker keeps for a client that is gone: those that it has not acknowledged."""
    logging.getLogger("paho").setLevel(logging.CRITICAL)  # which calls the end of its own connection an error
    publish.single("t/end", qos=1, hostname="127.0.0.1", port=port)
    topics: queue.SimpleQueue[str] = queue.SimpleQueue()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=False)
    client.on_message = lambda _, __, message: topics.put(message.topic)
    client.connect("127.0.0.1", port)
    client.loop_start()
    found = 0
    while topics.get(timeout=PATIENCE) != "t/end":
        found += 1
    client.loop_stop()
    return found


def through(command: Sequence[str], database: Database, count: int, client_id: str = "") -> dict[str, Any]:
    """One sink from the start of the publisher to the last row; of a client id, also what it never acknowledged."""
    database.execute("truncate m")
    with Running(command, count) as run:
        assert run.broker.process is not None
        both = (run.sink.pid, run.broker.process.pid)
        before, began = [cpu_seconds(pid) for pid in both], time.time()
        run.go()
        assert run.publisher.stdout is not None
        run.publisher.stdout.readline()  # it is done; counting rows before that would only slow everything down
        arrived(database, count, 0.5)  # and counting them often, those that are not
        sink, broker = (cpu_seconds(pid) - used for pid, used in zip(both, before, strict=True))
        seconds = database.last_commit() - began
        run.sink.kill()
        run.sink.wait()
        waiting = held(run.broker.port, client_id) if client_id else 0
    lost, doubles = database.lost(count)
    return {
        "rows_per_second": (count - lost) / seconds,
        "cpu_us_per_row": sink / max(count - lost, 1) * 1e6,
        "broker_share": broker / seconds,
        "lost": lost,
        "doubles": doubles,
        "unacknowledged": waiting,
    }


def latency(database: Database, rate: int, seconds: int) -> dict[str, float]:
    """Milliseconds from publishing to the commit of the row, by PostgreSQL's own commit times."""
    database.execute("truncate m")
    count = rate * seconds
    with Running([PIPELINE, "PORT", *database.login], count, rate) as run:
        run.go()
        assert run.publisher.stdout is not None
        run.publisher.stdout.readline()
        arrived(database, count, 0.1)
        age = "extract(epoch from pg_xact_commit_timestamp(xmin)) * 1000 - ts / 1000.0"
        shares = "array[0.5, 0.95, 0.99, 1]"
        query = f"select percentile_cont({shares}) within group (order by ({age})::float8) from m"
        found = database.execute(query)[0][0]
    return dict(zip(("p50", "p95", "p99", "max"), found, strict=True))


def outage(database: Database, count: int, seconds: float, buffer: str) -> dict[str, float]:
    """A burst while the database does not move, for a while or until everything is published and waits (0 seconds)."""
    database.execute("truncate m")
    with Running([PIPELINE, "PORT", *database.login, "1", buffer], count) as run:
        try:
            run.go()
            time.sleep(1)
            database.freeze(signal.SIGSTOP)
            time.sleep(seconds)
            if not seconds:
                run.publisher.wait()
                time.sleep(5)
            database.freeze(signal.SIGCONT)
            run.publisher.wait()
            arrived(database, count, 1)
            memory, broker = most_memory(run.sink.pid), run.broker.process
            assert broker is not None
            of_broker = most_memory(broker.pid)
        finally:
            database.freeze(signal.SIGCONT)
    lost, doubles = database.lost(count)
    return {"lost": lost, "doubles": doubles, "memory_mb": memory, "broker_memory_mb": of_broker}
