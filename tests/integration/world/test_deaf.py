"""A rule that does not hear its messages says so: the broker refuses its subscription, or is not there."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import pytest

from integration.world import flow
from servers import Mosquitto
from tieline.agent.brokers.access import ANONYMOUS, document
from tieline.agent.brokers.control import command
from tieline.agent.brokers.mosquitto_conf import security
from tieline.agent.brokers.settings import AGENT, Listener, Settings
from tieline.integration.config import shapes as config
from tieline.integration.mqtt import session
from tieline.integration.mqtt.subscriptions import AGAIN
from tieline.integration.worker.pipeline import Pipeline

pytestmark = pytest.mark.world

ALLOWED = dict.fromkeys(("publishClientSend", "publishClientReceive", "unsubscribe"), True)
ACLS = [
    {"acltype": "subscribePattern", "topic": topic, "priority": priority, "allow": allow}
    for topic, priority, allow in (("secret/#", 1, False), ("#", 0, True))
]
SECURED: dict[str, Any] = {
    "defaultACLAccess": ALLOWED,
    "groups": [{"groupname": "all", "roles": [{"rolename": "most"}]}],
    "roles": [{"rolename": "most", "acls": ACLS}],
    "anonymousGroup": "all",
}


#: Who is not the agent subscribes to nothing, until the default is changed: of which no client is told.
CLOSED: dict[str, Any] = document(Settings(mqtt=Listener(host="", port=0)), "own", os.urandom) | {
    "defaultACLAccess": ALLOWED | {"subscribe": False},
    "groups": [{"groupname": ANONYMOUS, "roles": []}],
}
OPENING = {"command": "setDefaultACLAccess", "acls": [{"acltype": "subscribe", "allow": True}]}


class Strict(Mosquitto):
    """A broker that refuses subscriptions, at first those below `secret/`."""

    def __init__(self, security: dict[str, Any] = SECURED) -> None:
        super().__init__()
        self.security = security

    def prepare(self) -> None:
        file = self.write("security.json", json.dumps(self.security))
        self.extra = (f"plugin {security()}", f"plugin_opt_config_file {file}")
        super().prepare()


def republish(id: str, topic: str) -> config.Rule:
    return config.Rule(
        id=id, sql=f'SELECT * FROM "{topic}"', actions=(config.Republish(id="say", topic="out", payload="x"),)
    )


def said(pipeline: Pipeline, rule: str) -> tuple[str, str]:
    found = pipeline.status()["rules"][rule]
    return found["status"], found.get("reason", "")


async def test_a_rule_whose_subscription_is_refused_has_failed_until_it_reads_something_else() -> None:
    with Strict() as server:
        rules = (republish("open", "open/#"), republish("secret", "secret/#"))
        async with flow.running(flow.broker(server), config.Config(version=1, rules=rules)) as pipeline:
            assert said(pipeline, "secret") == ("failed", f"the broker refused the subscription to secret/#; {AGAIN}")
            assert said(pipeline, "open") == ("running", "")
            await pipeline.apply(config.Config(version=2, rules=(rules[0], republish("secret", "told/#"))))
            await pipeline.ready()
            assert said(pipeline, "secret") == said(pipeline, "open") == ("running", "")
            (session,) = {station.lane.session for station in pipeline._stations.values()}
            assert not session.subscriptions.refused and not session.reason


async def test_a_subscription_that_was_refused_is_asked_for_again_until_it_is_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "FIRST_REQUEST", 0.05)
    what = config.Config(version=1, rules=(republish("secret", "secret/#"),))
    with Strict(CLOSED) as server:
        async with flow.running(flow.broker(server), what) as pipeline:
            (there,) = {station.lane.session for station in pipeline._stations.values()}
            connection = there._writer
            assert said(pipeline, "secret") == ("failed", f"the broker refused the subscription to secret/#; {AGAIN}")
            await asyncio.to_thread(command, "127.0.0.1", server.port, AGENT, "own", [OPENING])
            await flow.eventually(lambda: said(pipeline, "secret") == ("running", ""), "it is allowed")
            assert there._writer is connection and not there.reason
            await asyncio.to_thread(flow.publish, server, [("secret/1", "x")])
            await flow.eventually(lambda: pipeline.metrics()["rules"]["secret"]["matched"] == 1, "the message")


async def test_a_rule_waits_for_a_broker_that_is_gone() -> None:
    with Mosquitto() as server:
        rules = (republish("r", "r/#"), config.Rule(id="s", sql='SELECT * FROM "s"', enable=False))
        async with flow.running(flow.broker(server), config.Config(version=1, rules=rules)) as pipeline:
            assert said(pipeline, "r") == ("running", "")
            server.kill()
            await flow.eventually(lambda: said(pipeline, "r")[0] == "waiting", "the broker's end")
            await flow.eventually(lambda: "Connect" in said(pipeline, "r")[1], "the reason")
            assert said(pipeline, "s") == ("stopped", "")
            server.start()
            await flow.eventually(lambda: said(pipeline, "r") == ("running", ""), "the broker's return")
