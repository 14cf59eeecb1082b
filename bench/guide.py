"""The guide by hand against `tieline connect`: what a person does and waits for, and the seconds of either.

By hand the steps are counted from the guide, not timed: a person's seconds are not ours to invent; the time of the same
calls made by a program without pauses (`scripted`) is the least that any person can need. `connect` is measured from
the command to the first row of a device's message in the database. Prints medians; --json FILE keeps every run.
Needs root, as the fabric does.
"""

from __future__ import annotations

import argparse
import json
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from tieline.demo.customer import DATABASE, PORT, USER
from tieline.demo.devices import Reading, publish
from world.running import Tieline, until
from world.traps.scene import DEPLOYMENT, Scene

# Counted from the guide: one look-up before the first step, five prerequisites on AWS, five steps to enable. Fields are
# the entries that a person must choose or type; waits are for `healthy`, for the request to arrive, and for `running`.
BY_HAND = {"steps": 11, "fields": 30, "copied values": 5, "waits": 3, "consoles": 2}
CONNECT = {"steps": 1, "fields": 5, "copied values": 1, "waits": 0, "consoles": 0}  # deployment, to, vpc, profile, name
SQL = 'SELECT payload.device as device FROM "bench/#"'
INSERT = "insert into readings(device) values (${device})"


def scripted(scene: Scene, name: str) -> float:
    """Seconds of the guide's calls one after the other, each wait ended the moment it can be."""
    began = time.monotonic()
    _, service = scene.service(name, scene.customer.subnets, scene.principal)
    scene.client.create_link(DEPLOYMENT, name=name, service_name=service, ports=[PORT])
    link = until(lambda: scene.client.link(DEPLOYMENT, name), lambda seen: seen.status == "waiting_acceptance")
    scene.customer.ec2.accept_vpc_endpoint_connections(
        ServiceId=service.rsplit(".", 1)[1], VpcEndpointIds=[link.endpoint]
    )
    until(lambda: scene.client.link_health(DEPLOYMENT, name), lambda health: health.probe.reached)
    return time.monotonic() - began


def connected(scene: Scene, name: str) -> tuple[float, float]:
    """Seconds of `tieline connect`, and from its start to the first row behind the link."""
    began = time.monotonic()
    done = scene.connect(name, "--accept", "--json")
    if done.returncode:
        raise RuntimeError(done.stderr + done.stdout)
    ended = time.monotonic() - began
    scene.client.create_resource(DEPLOYMENT, **scene.resource(name, name))
    action = {"kind": "sql", "resource": name, "sql": INSERT}
    scene.client.create_rule(DEPLOYMENT, name=name, sql=SQL, actions=[action])
    until(lambda: scene.client.rule(DEPLOYMENT, name), lambda rule: rule.status == "running")
    mqtt = scene.client.deployment(DEPLOYMENT).mqtt
    publish(mqtt.host, mqtt.port, [Reading("bench/1", name, 1.0)])
    until(lambda: rows(scene, name), lambda count: count >= 1)
    return ended, time.monotonic() - began


def rows(scene: Scene, device: str) -> int:
    url = f"postgresql://{USER}:{scene.customer.password}@{scene.customer.address}:{PORT}/{DATABASE}"
    return int(scene.inside("psql", "-AtX", url, "-c", f"select count(*) from readings where device = '{device}'"))


def startup() -> float:
    """Seconds of a `tieline` command that does nothing: the interpreter and the imports."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "tieline", "connect", "--help"], capture_output=True, check=True)
    return time.monotonic() - began


def measure(tieline: Tieline, rounds: int) -> dict[str, list[float]]:
    scene = Scene(tieline)
    found: dict[str, list[float]] = {"start-up": [], "scripted guide": [], "connect": [], "connect to first row": []}
    for number in range(rounds):
        name = f"bench{number}"
        found["start-up"].append(startup())
        found["scripted guide"].append(scripted(scene, f"hand{number}"))
        scene.client.delete_link(DEPLOYMENT, f"hand{number}")
        command, row = connected(scene, name)
        found["connect"].append(command)
        found["connect to first row"].append(row)
        scene.disconnect(name)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        tieline = Tieline(Path(directory) / "state", f"tlb-{secrets.token_hex(3)}")
        try:
            tieline.up()
            seconds = measure(tieline, options.rounds)
        finally:
            tieline.down()
    print(f"{'':<16}{'by hand':>10}{'connect':>10}")
    for what, number in BY_HAND.items():
        print(f"{what:<16}{number:>10}{CONNECT[what]:>10}")
    medians = {what: statistics.median(each) for what, each in seconds.items()}
    for what, median in medians.items():
        each = seconds[what]
        print(f"{what}: median {median:.2f} s of {len(each)} ({min(each):.2f} to {max(each):.2f})")
    if options.json:
        report: dict[str, Any] = {"by hand": BY_HAND, "by connect": CONNECT, "seconds": seconds, "median": medians}
        options.json.write_text(json.dumps(report))


if __name__ == "__main__":
    main()
