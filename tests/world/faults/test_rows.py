"""Rows counted one by one, at 5,000 messages a second over a link, while each part of the way dies: none is lost.

Doubles are allowed, and each has one of two reasons: the device published a message again, whose acknowledgement it
missed; or a batch was in the database, and whoever wrote it died before the broker knew. The bounds say as much.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tieline.client.rest import Client
from tieline.cloud.schemas.answers import DeploymentAnswer
from tieline.demo.customer import DATABASE, PORT, USER
from tieline.demo.steps import GUIDE
from tieline.demo.story import LINK, RESOURCE
from tieline.demo.witness import Place, Witnessed
from world.running import REGION, Tieline, settled, until

pytestmark = pytest.mark.world

DEPLOYMENT = "demo"
COUNT, RATE = 40_000, 5_000
WORKERS, BATCH = 2, 1000  # processes of the agent, and rows that each may have in the database and not acknowledged
FLOOD = Path(__file__).with_name("flood.py")
SQL = 'SELECT payload.n as n FROM "flood/#" WHERE payload.temp > 20'


@dataclass
class Way:
    """A deployment, a link and a database, with a rule from one to the other."""

    tieline: Tieline
    story: Witnessed
    client: Client

    def ask(self, sql: str) -> str:
        """Ask the database where it is."""
        customer = self.story.customer
        url = f"postgresql://{USER}:{customer.password}@{customer.address}:{PORT}/{DATABASE}"
        return self.story._inside.run(customer.instance, "psql", "-AtX", url, "-c", sql).strip()

    def processes(self, instance: str, words: str) -> list[int]:
        """The processes of an instance whose command line has these words."""
        shown = subprocess.run(
            ["ip", "netns", "pids", self.tieline.namespace(instance)], capture_output=True, text=True, check=True
        )
        return [pid for pid in map(int, shown.stdout.split()) if words in command_line(pid)]

    def kill(self, instance: str, words: str) -> None:
        """SIGKILL the first process of an instance whose command line has these words."""
        os.kill(min(self.processes(instance, words)), signal.SIGKILL)

    @property
    def own(self) -> str:
        return self.story._instance

    @property
    def theirs(self) -> str:
        return self.story.customer.instance


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory, prefixes: Callable[[], str]) -> Iterator[Way]:
    tieline = Tieline(tmp_path_factory.mktemp("rows") / "state", prefixes())
    closing = contextlib.ExitStack()
    closing.callback(tieline.down)
    with closing:
        tieline.up()
        story = Witnessed(Place(tieline.state, tieline.prefix, tieline.rest, tieline.wire, REGION))
        closing.callback(story.close)
        for step in GUIDE:
            step.run(story)
            if step.title.startswith("New Resource"):
                break
        client = tieline.client()
        client.change(DeploymentAnswer, "deployments", DEPLOYMENT, changes={"workers": WORKERS, "anonymous": True})
        made = Way(tieline, story, client)
        made.ask("create table flow(n int)")
        action = {"resource": RESOURCE, "sql": "insert into flow(n) values (${n})", "batch_size": BATCH}
        client.create_rule(DEPLOYMENT, name="flow", sql=SQL, actions=[action])
        until(lambda: client.deployment(DEPLOYMENT), lambda d: d.agent.applied == d.revision, 60)
        yield made


def counted(way: Way, fault: Callable[[], None], more: int = 0) -> None:
    """Publish, let the fault happen in the middle, and count: `more` doubles may be there beyond those of a batch."""
    way.ask("truncate flow")
    host, _, port = way.story.mqtt.rpartition(":")
    command = [sys.executable, str(FLOOD), host, port, str(COUNT), str(RATE)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as flood:
        try:
            until(lambda: arrived(way), lambda rows: rows > RATE)
            fault()
            again = json.loads(flood.communicate(timeout=120)[0])["again"]
        finally:
            flood.kill()
    until(lambda: arrived(way, "distinct n"), lambda rows: rows == COUNT, 120)
    doubles = settled(lambda: arrived(way), 1) - COUNT  # what comes twice may come later
    sys.stdout.write(f"none of {COUNT} lost, {doubles} doubles, {again} published again\n")
    assert doubles <= again + more


def arrived(way: Way, what: str = "*") -> int:
    """How many rows are in the table; none that can be told while the database recovers."""
    try:
        return int(way.ask(f"select count({what}) from flow"))
    except RuntimeError:
        return -1


def test_a_killed_agent(way: Way) -> None:
    def fault() -> None:
        way.kill(way.own, "tieline agent --platform")

    counted(way, fault, more=2 * WORKERS * BATCH)


def test_a_killed_worker(way: Way) -> None:
    def fault() -> None:
        way.kill(way.own, "tieline.integration.worker")

    counted(way, fault, more=2 * BATCH)


def test_a_killed_broker(way: Way) -> None:
    def fault() -> None:
        way.kill(way.own, "mosquitto -c")

    counted(way, fault, more=2 * WORKERS * BATCH)


def test_a_killed_database(way: Way) -> None:
    """One backend that dies takes all others down with it; the server recovers from its log."""

    def fault() -> None:
        way.kill(way.theirs, "postgres: writer")

    counted(way, fault, more=WORKERS * BATCH)


def test_a_killed_fabric(way: Way) -> None:
    def fault() -> None:
        fabric = [pid for pid in children(way.tieline) if "tieline.fabric" in command_line(pid)]
        os.kill(fabric[0], signal.SIGKILL)

    counted(way, fault)


def children(tieline: Tieline) -> list[int]:
    assert tieline.process is not None
    shown = Path(f"/proc/{tieline.process.pid}/task/{tieline.process.pid}/children").read_text()
    return [int(pid) for pid in shown.split()]


def test_a_link_that_is_cut_and_made_again(way: Way) -> None:
    customer = way.story.customer

    def fault() -> None:
        endpoints = list(customer.connections())
        customer.ec2.reject_vpc_endpoint_connections(ServiceId=customer.service, VpcEndpointIds=endpoints)
        until(lambda: way.client.link(DEPLOYMENT, LINK).status, lambda status: status == "failed")
        time.sleep(2)
        customer.ec2.accept_vpc_endpoint_connections(ServiceId=customer.service, VpcEndpointIds=endpoints)
        until(lambda: way.client.link(DEPLOYMENT, LINK).status, lambda status: status == "running")

    counted(way, fault, more=WORKERS * BATCH)
