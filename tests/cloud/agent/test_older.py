"""An agent that is older than its platform runs what it knows, loses nothing that it ran, and names the rest."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from websockets.asyncio.server import ServerConnection, serve

from cloud.agent.test_again import wanted
from servers import Mosquitto
from tieline.agent.channel import Channel
from tieline.agent.compat import heard
from tieline.agent.latest_config import Newest
from tieline.agent.protocol import Answered, Configure, Probed, Report, decode_for_platform, encode
from tieline.agent.worker import Worker
from tieline.integration.config.shapes import Config, PostgreSQL, Republish, Rule

SECONDS = 60
SAY = Republish(id="say", topic="out")


@pytest.fixture(scope="module")
def mosquitto() -> Iterator[Mosquitto]:
    with Mosquitto() as server:
        yield server


def rule(id: str, topic: str = "a") -> Rule:
    return Rule(id=id, sql=f'SELECT * FROM "{topic}"', actions=(SAY,))


def newer(message: Configure) -> dict[str, Any]:
    """The message as a newer platform sends it: with a rule, a resource and fields that nobody here knows."""
    frame: dict[str, Any] = json.loads(encode(message))
    config = frame["config"]
    config["weeks"] = 3
    config["rules"] = [*config.get("rules", []), {**msgspec.to_builtins(rule("new")), "actions": [{"kind": "burn"}]}]
    config["resources"] = [*config.get("resources", []), {"type": "oracle", "id": "o", "server": "a:1"}]
    return frame


def test_what_is_known_runs_and_the_rest_is_named() -> None:
    known = Config(
        version=7, rules=(rule("r"),), resources=(PostgreSQL(id="p", server="a:1", database="", username=""),)
    )
    message = Configure(config=known, broker=None, workers=3)
    found = heard(json.dumps(newer(message)), None)
    assert isinstance(found, Configure)
    assert (found.config, found.workers) == (known, 3)
    assert found.left_out.fields == ("weeks",)
    assert {*found.left_out.rules, *found.left_out.resources} == {"new", "o"}
    assert "'burn'" in found.left_out.rules["new"] and found.left_out.rules["new"].endswith("it does not run")


def test_a_rule_that_got_a_field_from_the_future_stays_as_it_was() -> None:
    before = Configure(config=Config(version=1, rules=(rule("r"), rule("s"))), broker=None)
    frame = json.loads(encode(Configure(config=Config(version=2, rules=(rule("r", "b"), rule("s", "b"))), broker=None)))
    frame["config"]["rules"][0]["twice"] = True
    found = heard(json.dumps(frame), before)
    assert isinstance(found, Configure)
    assert (found.config.version, found.config.rules) == (2, (rule("r"), rule("s", "b")))
    assert "`twice`" in found.left_out.rules["r"] and found.left_out.rules["r"].endswith("it stays as it was")


@pytest.mark.parametrize("frame", ["{}", "[]", '{"type": "configure"}', '{"type": "configure", "config": 5}', "{"])
def test_what_is_no_message_is_none(frame: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        heard(frame, None)


async def test_the_line_stays_and_tells_what_is_not_run(mosquitto: Mosquitto, tmp_path: Path) -> None:
    message, answers = wanted(mosquitto, 5, 1), []
    reported: asyncio.Queue[Report] = asyncio.Queue()
    lines = 0

    async def platform(line: ServerConnection) -> None:
        nonlocal lines
        lines += 1
        await line.send(json.dumps(newer(message)))
        await line.send(json.dumps({"type": "probe", "id": "1", "resource": {"type": "oracle"}, "timeout": 1}))
        await line.send(json.dumps({"type": "sing", "id": "2"}))
        async for frame in line:
            told = decode_for_platform(frame)
            reported.put_nowait(told) if isinstance(told, Report) else answers.append(told)

    worker = Worker(tmp_path, lambda: None)
    newest = Newest(worker)
    async with serve(platform, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        running = asyncio.create_task(
            Channel(f"http://127.0.0.1:{port}", "token", worker.id, asyncio.Event()).run(worker, newest)
        )
        async with asyncio.timeout(SECONDS):
            while (report := await reported.get()).applied != 5 or report.status.rules["r"].status != "running":
                continue
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    await newest.close()
    await worker.close()
    assert "1 rule, 1 resource, weeks; bring the agent up to date" in report.error
    assert (report.status.rules["new"].status, report.status.resources["o"].status) == ("failed", "disconnected")
    assert lines == 1
    probed, sung = answers
    assert isinstance(probed, Probed) and (probed.id, probed.hop) == ("1", "agent")
    assert isinstance(sung, Answered) and sung.id == "2" and "older than its platform" in sung.error
