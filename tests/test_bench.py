"""What the benchmarks count and compare, against real servers: their figures are quoted, so they have to be right."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from bench import _integration_runs as runs
from bench import _node_red as node_red
from bench import integration
from bench._integration_way import TABLE, Database
from paho.mqtt import publish
from paho.mqtt.enums import CallbackAPIVersion

from servers import Mosquitto


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with Database() as server:
        server.execute(TABLE)
        yield server


def test_rows_that_never_come_are_waited_for_until_none_has_come_for_the_patience(database: Database) -> None:
    database.execute("truncate m")
    began = time.time()
    insert = "insert into m select 'd', 20, n, 't/d' from generate_series(1, 3) n"
    late = threading.Timer(0.4, lambda: database.execute(insert))
    late.start()
    runs.arrived(database, 5, 0.05, patience=3)
    waited = time.time() - began
    late.join()
    assert database.rows() == 3
    assert database.lost(5) == (2, 0)
    assert began + 0.3 < database.last_commit() <= began + waited - 2.9


def test_what_a_client_never_acknowledged_is_what_the_broker_holds_for_it() -> None:
    with Mosquitto() as broker:
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="sink", clean_session=False, manual_ack=True)
        taken = threading.Semaphore(0)
        subscribed = threading.Event()

        def take(_: Any, __: Any, message: mqtt.MQTTMessage) -> None:
            if message.payload != b"keep":
                client.ack(message.mid, message.qos)
            taken.release()

        client.on_message, client.on_subscribe = take, lambda *_: subscribed.set()
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        client.subscribe("t/#", 1)
        assert subscribed.wait(10)
        messages: list[Any] = [("t/d", payload, 1, False) for payload in (b"done", b"keep", b"done", b"keep", b"done")]
        publish.multiple(messages, hostname="127.0.0.1", port=broker.port)
        assert all(taken.acquire(timeout=10) for _ in messages)
        client.disconnect()
        client.loop_stop()
        assert runs.held(broker.port, "sink") == 2


def test_node_red_keeps_its_session_and_has_the_pool_of_its_editor() -> None:
    nodes = {node["type"]: node for node in node_red.flow(1883, "10.0.0.50:5432", "app")}
    broker, pool = nodes["mqtt-broker"], nodes["postgreSQLConfig"]
    assert (broker["cleansession"], broker["clientid"], nodes["mqtt in"]["qos"]) == (False, "node-red", "1")
    assert (pool["host"], pool["port"], pool["max"], pool["connectionTimeout"]) == ("10.0.0.50", "5432", "10", "10000")
    assert all(
        wire in {node["id"] for node in nodes.values()}
        for node in nodes.values()
        for wire in node.get("wires", [[]])[0]
    )


def test_without_npm_a_run_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(node_red, "STAMP", tmp_path / "installed")
    assert node_red.install() == "not installed: node, npm, git"


def test_why_an_installation_failed_is_told_in_the_command_s_own_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(node_red, "PLACE", tmp_path)
    assert node_red.failure(("git", "fetch-nothing")).startswith("git failed: ")
    assert node_red.failure(("git", "--version")) == ""


def a_run(rate: float, lost: int = 0) -> list[dict[str, Any]]:
    shares = {"cpu_us_per_row": 10.0, "broker_share": 0.5, "doubles": 0}
    return [{"rows_per_second": rate, "lost": lost, **shares}]


def test_the_ratio_to_node_red_is_a_figure_where_it_ran() -> None:
    found = {"by hand": a_run(50000), "tieline": a_run(45000), "1,000 rules": a_run(45000), "script": a_run(6000)}
    assert "rows/s ÷ Node-RED's" not in [figure.name for figure in integration.of_runs(found)]
    found["Node-RED"] = a_run(5000, lost=7)
    figures = {figure.name: figure for figure in integration.of_runs(found)}
    assert (figures["rows/s ÷ Node-RED's"].value, figures["rows/s ÷ Node-RED's"].reached) == (9.0, True)
    assert figures["rows that we lost in these runs"].value == 0


@pytest.mark.skipif(not node_red.STAMP.exists(), reason="Node-RED is not there: ./dev bench integration brings it")
def test_node_red_s_flow_makes_the_rows_that_ours_makes(database: Database) -> None:
    command = integration.node_red_command(database)
    ours = [runs.PIPELINE, "PORT", *database.login]
    found = runs.through(command, database, 400, node_red.CLIENT)
    assert (found["lost"], found["doubles"], found["unacknowledged"]) == (0, 0, 0)
    assert found["rows_per_second"] > 0
    rows = database.execute("select * from m order by ts")
    runs.through(ours, database, 400)
    assert database.execute("select * from m order by ts") == rows
