"""A rule that does not hear its messages says so: the broker refuses its subscription, or is not there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from integration.world import flow
from servers import Mosquitto
from tieline.cloud.brokers.mosquitto import _security
from tieline.integration import config
from tieline.integration.pipeline import Pipeline

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


class Strict(Mosquitto):
    """A broker that refuses subscriptions below `secret/`."""

    def prepare(self) -> None:
        file = self.write("security.json", json.dumps(SECURED))
        self.extra = (f"plugin {_security()}", f"plugin_opt_config_file {file}")
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
            assert said(pipeline, "secret") == ("failed", "the broker refused the subscription to secret/#")
            assert said(pipeline, "open") == ("running", "")
            await pipeline.apply(config.Config(version=2, rules=(rules[0], republish("secret", "told/#"))))
            await pipeline.ready()
            assert said(pipeline, "secret") == said(pipeline, "open") == ("running", "")
            (session,) = {station.lane.session for station in pipeline._stations.values()}
            assert not session.subscriptions.refused and not session.reason


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
