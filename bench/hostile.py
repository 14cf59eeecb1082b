"""Hostile payloads through a running deployment, with good ones between: which good rows are lost, or come late.

python bench/hostile.py [--seconds 600] [--rate 500] [--seed 1] [--json FILE]

A platform, its agent with its own broker, and PostgreSQL run on loopback. Rules read fields, whole payloads, elements
of arrays, and write into columns of several types; some payloads are made for each of them to fail. Every fifth message
is good: its row carries the time at which it was published, and the table the time at which it came. Memory is that of
the agent and all its processes, looked at every second.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests")]

from bench._integration_runs import cpu_seconds  # noqa: E402

from platforms import AgentProcess, PlatformProcess  # noqa: E402
from servers import PostgreSQL, family, free_port, wait_until  # noqa: E402

GOOD: Final = 5  # every so many messages is a good one
LATE: Final = 5.0  # seconds
MEMORY: Final = 512 << 20
ELEMENTS: Final = (*[1] * 18, 25, 165)  # pairs of a good row and a bad one that a message has
TABLES: Final = """
create table good(n bigint, sent float8, came timestamptz default clock_timestamp());
create table typed(a int, b real, c timestamptz, d jsonb, e numeric(5,2) check (e < 100));
create table whole(p text)
"""
RULES: Final = (
    ('SELECT payload.n as n, payload.sent as sent FROM "f/#" WHERE payload.good', "insert into good(n, sent) values"
     " (${n}, ${sent})"),
    ('SELECT payload.a as a, payload.b as b, payload.c as c, payload.d as d, payload.e as e FROM "f/#"',
     "insert into typed(a, b, c, d, e) values (${a}, ${b}, ${c}, ${d}, ${e})"),
    ('SELECT payload as p FROM "f/#" WHERE not is_null(payload.keep)', "insert into whole(p) values (${p})"),
    ('FOREACH payload.list as one DO one.x as x FROM "f/#"', "insert into typed(a) values (${x})"),
)  # fmt: skip


def hostile(chosen: random.Random) -> bytes:
    """One payload that something on its way was not made for."""
    number, size = chosen.randrange(1 << 30), chosen.choice((10, 1000, 100_000))
    makers: tuple[Callable[[], bytes], ...] = (
        lambda: b'{"keep":1,"d":' + b'{"a":' * 1010 + b"1" + b"}" * 1010 + b"}",
        lambda: b'{"list":' + b"[" * chosen.choice((300, 1000, 3000)) + b"]" * 3000,
        lambda: b'{"a":%d,"e":1%s}' % (number, b"0" * chosen.choice((20, 400, 5000))),
        lambda: b'{"a":1,"b":1e39,"e":NaN}',
        lambda: b'{"keep":"\\ud800","d":"\\u0000"}',
        lambda: chosen.randbytes(chosen.randrange(1, 2000)),
        lambda: json.dumps({"list": [{"x": 7}, {"x": "no"}] * chosen.choice(ELEMENTS), "pad": "x" * size}).encode(),
        lambda: json.dumps({"a": "'); drop table good; --", "c": "0000-00-00", "e": 5000}).encode(),
        lambda: json.dumps({"a": number % 100, "b": 0.5, "c": None, "d": {"k" * 300: [1, {}]}, "e": 99.999}).encode(),
        lambda: json.dumps({"keep": 1, "a": True, "pad": "\\" * size}).encode(),
        lambda: json.dumps({str(n): n for n in range(1000)}).encode(),
        lambda: b"",
    )
    return chosen.choice(makers)()


def memory(pid: int) -> int:
    """Bytes in memory of a process and all below it."""
    total = 0
    for one in family(pid):
        try:
            status = Path(f"/proc/{one}/status").read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmRSS"))
    return total


def deployed(platform: PlatformProcess, database: PostgreSQL) -> str:
    """A deployment with the rules; the token of its agent."""
    client, mqtt = platform.client, {"host": "127.0.0.1", "port": free_port()}
    made = client.create_deployment(name="plant", provider="external", mqtt=mqtt, anonymous=True)
    known = {"database": database.database, "username": database.user, "password": database.password}
    client.create_resource("plant", name="db", type="postgresql", server=database.server, **known)
    for number, (sql, insert) in enumerate(RULES):
        client.create_rule("plant", name=f"r{number}", sql=sql, actions=[{"resource": "db", "sql": insert}])
    return made.join_token


def ready(platform: PlatformProcess) -> bool:
    """Whether the agent runs what it was told."""
    found = platform.client.deployment("plant")
    return found.status == "running" and found.agent.applied == found.revision


@contextmanager
def device(port: int) -> Iterator[Callable[[str, bytes], None]]:
    """A device that publishes at QoS 1; at the end the broker has every message."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5, client_id="fuzz")
    client.max_inflight_messages_set(1000)
    client.connect("127.0.0.1", port)
    client.on_disconnect = lambda *told: print("the broker hung up:", told[3])
    client.loop_start()
    sent: deque[mqtt.MQTTMessageInfo] = deque(maxlen=2000)
    try:
        yield lambda topic, payload: sent.append(client.publish(topic, payload, 1))
        for info in sent:
            info.wait_for_publish(60)
    finally:
        client.disconnect()
        client.loop_stop()


def published(port: int, options: argparse.Namespace, agent: int) -> tuple[int, int]:
    """Publish for the time; how many good ones, and the largest memory of the agent."""
    chosen, good, most = random.Random(options.seed), 0, 0
    began = looked = time.monotonic()
    with device(port) as publish:
        for number in range(int(options.seconds * options.rate)):
            if number % GOOD == 0:
                payload = json.dumps({"good": True, "n": good, "sent": time.time()}).encode()
                good += 1
            else:
                payload = hostile(chosen)
            publish(f"f/{number % 7}", payload)
            ahead = began + number / options.rate - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
            if time.monotonic() - looked > 1:
                looked, most = time.monotonic(), max(most, memory(agent))
    return good, most


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """One run."""
    with (
        tempfile.TemporaryDirectory() as place,
        PostgreSQL() as database,
        PlatformProcess(Path(place) / "cloud") as platform,
    ):
        database.execute(TABLES)
        token = deployed(platform, database)
        with AgentProcess(platform.url, token, Path(place) / "agent") as agent:
            wait_until(lambda: ready(platform), "the agent")
            pid = agent.process.pid  # type: ignore[union-attr]
            port = platform.client.deployment("plant").mqtt.port
            good, most = published(port, options, pid)
            count = "select count(distinct n) from good"
            try:
                wait_until(lambda: database.execute(count)[0][0] == good, "every good row", 60)
            except TimeoutError as error:
                print(error)
            came = "extract(epoch from came) - sent"
            late = f"select count(*) filter (where {came} > {LATE}), coalesce(max({came}), 0) from good"
            rows, (behind, longest) = database.execute(count)[0][0], database.execute(late)[0]
            found = {"good": good, "lost": good - rows, "late": behind, "longest": float(longest)}
            letters = platform.client.deployment("plant").agent.dead_letters
            return found | {"memory": max(most, memory(pid)), "letters": letters, "cpu": cpu_seconds(pid)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--rate", type=float, default=500.0, help="messages a second")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = measured(options)
    for name, value, goal, met in (
        ("good rows that are lost", found["lost"], "0", not found["lost"]),
        (f"good rows more than {LATE:g} s late", found["late"], "0", not found["late"]),
        ("longest way of a good row, s", round(found["longest"], 2), "", True),
        ("largest memory of the agent, MiB", found["memory"] >> 20, "< 512", found["memory"] < MEMORY),
        ("good rows", found["good"], "", True),
        ("dead letters at the end", found["letters"], "", True),
    ):
        print(f"{name:40}{value:>12}   {goal:8}{'✓' if met else '✗'}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
