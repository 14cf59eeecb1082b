"""A broker of one's own in a VPC that exists: the agent joins there, and rows cross a link to a stranger's database."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator

import pytest

from tieline.client.connect.connect import Connecting
from tieline.client.provider.exposure import exposure
from tieline.demo.customer import DATABASE, PORT, USER
from world.running import Account, Tieline, until
from world.traps.scene import Scene

pytestmark = [pytest.mark.world, pytest.mark.timeout(240)]

NAME, HOST, MQTT = "own", "10.0.2.50", 1883
ROWS = 20
# Somebody's machine: a broker that was there before, and beside it the agent.
MACHINE = f"""#!/bin/sh
printf 'listener {MQTT} {HOST}\\nallow_anonymous true\\nuser root\\n' > /tmp/broker.conf
mosquitto -c /tmp/broker.conf &
export TIELINE_JOIN='{{token}}'
exec {sys.executable} -m tieline agent --state /tmp/agent
"""
PUBLISH = f"""
import paho.mqtt.client as mqtt
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
client.connect("{HOST}", {MQTT})
client.loop_start()
for n in range({ROWS}):
    client.publish("machines/7", '{{"device": "own-%d"}}' % n, qos=1).wait_for_publish(10)
client.disconnect()
"""


@pytest.fixture(scope="module")
def scene(tieline: Tieline) -> Iterator[Scene]:
    made = Scene(tieline)
    yield made
    made.client.close()
    made.provider.close()
    made.customer.ec2.close()
    made.customer.elb.close()


def machine(owner: Account, subnet: str, platform_port: int, token: str) -> str:
    """An instance that reaches the platform on its own loopback, as deployments of the fabric do."""
    tags = [{"Key": "tieline:egress", "Value": f"8080->127.0.0.1:{platform_port}"}]
    place = {"SubnetId": subnet, "PrivateIpAddress": HOST, "UserData": MACHINE.format(token=token)}
    made = owner.ec2.run_instances(
        ImageId="local",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
        **place,
    )
    id: str = made["Instances"][0]["InstanceId"]
    return id


def test_rows_cross_a_link_from_a_network_that_was_there(tieline: Tieline, scene: Scene) -> None:
    client, owner = scene.client, tieline.account("platform")
    vpc, subnets = owner.network()
    made = client.create_deployment(
        name=NAME, provider="aws", aws={"vpc": vpc, "subnets": subnets}, broker={"host": HOST, "port": MQTT}
    )
    instance = machine(owner, subnets[1], tieline.console_port, made.join_token)
    until(lambda: client.deployment(NAME), lambda found: found.status == "running", 60)
    wanted = exposure("orders", scene.customer.vpc, (scene.database,))
    done = asyncio.run(Connecting(client, scene.provider, NAME, wanted).run(True, 60))
    assert done.health is not None
    assert done.health.probe.reached
    client.create_resource(NAME, **scene.resource("db", "orders"))
    action = {"kind": "sql", "resource": "db", "sql": "insert into readings(device) values (${device})"}
    client.create_rule(NAME, name="all", sql='SELECT payload.device as device FROM "machines/#"', actions=[action])
    until(lambda: client.rule(NAME, "all"), lambda rule: rule.status == "running")
    sent = tieline.inside(instance, sys.executable, "-c", PUBLISH)
    assert sent.returncode == 0, sent.stderr
    until(lambda: rows(scene), lambda count: count >= ROWS)
    told = until(lambda: client.rule(NAME, "all").metrics, lambda seen: seen.get("passed", 0) >= ROWS)
    assert told["failed"] == 0
    client.delete_deployment(NAME, cascade=True)
    until(lambda: [one.name for one in client.deployments()], lambda names: NAME not in names)
    assert owner.ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"]


def rows(scene: Scene) -> int:
    url = f"postgresql://{USER}:{scene.customer.password}@{scene.customer.address}:{PORT}/{DATABASE}"
    return int(
        scene.inside("psql", "-AtX", url, "-c", "select count(distinct device) from readings where device like 'own-%'")
    )
