"""Targets that hang, die and come back: new flows go where somebody answers, and flows of the others are left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from world.faults.fabric import Fabric
from world.faults.linked import PORT, Linked
from world.running import until

pytestmark = pytest.mark.world
# Answers every request with its host's name; the boot script starts it anew when it dies, unless that is forbidden.
NAMED = f"""#!/usr/bin/env python3
import http.server, os, socket, time
class Named(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if os.path.exists("/tmp/slow"):
            time.sleep(float(open("/tmp/slow").read()))
        body = socket.gethostname().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *ignored):
        pass
while True:
    if os.fork() == 0:
        http.server.ThreadingHTTPServer(("", {PORT}), Named).serve_forever()
    os.wait()
    while os.path.exists("/tmp/stay-dead"):
        time.sleep(0.05)
"""
# Prints who answers a request on a connection of its own, twenty times.
WHO = """
import http.client, sys
for _ in range(20):
    try:
        link = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]), timeout=3)
        link.request("GET", "/")
        print(link.getresponse().read().decode())
    except OSError as error:
        print(type(error).__name__)
"""
# One connection: asks again for each line of its input, and prints who answers.
STEADY = """
import http.client, sys
link = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]), timeout=5)
link.connect()
link.auto_open = 0
for _ in sys.stdin:
    link.request("GET", "/")
    print(link.getresponse().read().decode(), flush=True)
"""
CHECK_SECONDS = 5
TURN_SECONDS = 150  # in which all go elsewhere: each of twenty that are aimed at who hangs takes three
CHECK = {"HealthCheckProtocol": "HTTP", "HealthCheckIntervalSeconds": CHECK_SECONDS, "HealthCheckTimeoutSeconds": 2}


class Pair(Linked):
    """Two targets behind one link, by the names that they answer with."""

    def __init__(self, fabric: Fabric) -> None:
        super().__init__(fabric, NAMED)
        found = self.customer.ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [self.provider]}])
        second = self.customer.instance(found["Subnets"][0]["SubnetId"], NAMED)
        thresholds = {"UnhealthyThresholdCount": 2, "HealthyThresholdCount": 2}
        self.customer.elb.modify_target_group(TargetGroupArn=self.group, **CHECK, **thresholds)
        self.customer.elb.register_targets(TargetGroupArn=self.group, Targets=[{"Id": second}])
        self.targets = {self._name(id): id for id in (self.server, second)}
        until(lambda: self.answers() == set(self.targets))

    def _name(self, id: str) -> str:
        found = self.customer.ec2.describe_instances(InstanceIds=[id])["Reservations"][0]["Instances"][0]
        return "ip-" + str(found["PrivateIpAddress"]).replace(".", "-")

    def health(self, name: str) -> str:
        found = self.customer.elb.describe_target_health(TargetGroupArn=self.group)["TargetHealthDescriptions"]
        states = {each["Target"]["Id"]: each["TargetHealth"]["State"] for each in found}
        return str(states[self.targets[name]])

    def answers(self) -> set[str]:
        """What new connections are answered with."""
        done = self.tieline.inside(self.client, sys.executable, "-c", WHO, self.address, str(PORT), seconds=120)
        return set(done.stdout.split())

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to the server in a target, which is the child of the boot script."""
        target = self.targets[name]
        init = self.init(target)
        script = next(pid for pid in self.within(target) if parent(pid) == init)
        os.kill(next(pid for pid in self.within(target) if parent(pid) == script), number)

    def stay_dead(self, name: str) -> Path:
        """A file in a target's root; while it is there, nothing serves after a death."""
        return Path(f"/proc/{self.init(self.targets[name])}/root/tmp/stay-dead")


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.fixture(scope="module")
def pair(fabric: Fabric) -> Iterator[Pair]:
    yield Pair(fabric)


def test_targets_that_hang_die_and_return_move_new_flows_only(pair: Pair) -> None:
    enter = ["nsenter", f"--net=/run/netns/{pair.space(pair.client)}", "--"]
    command = [*enter, sys.executable, "-c", STEADY, pair.address, str(PORT)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as steady:
        kept = asked(steady)
        (other,) = set(pair.targets) - {kept}
        pair.signal(other, signal.SIGSTOP)
        until(lambda: pair.health(other), lambda state: state == "unhealthy")
        until(lambda: pair.answers() == {kept}, seconds=TURN_SECONDS)
        pair.signal(other, signal.SIGCONT)
        until(lambda: pair.health(other), lambda state: state == "healthy")
        until(lambda: pair.answers() == {kept, other})
        pair.stay_dead(other).touch()
        pair.signal(other, signal.SIGKILL)
        until(lambda: pair.health(other), lambda state: state == "unhealthy")
        until(lambda: pair.answers() == {kept})
        pair.stay_dead(other).unlink()
        until(lambda: pair.health(other), lambda state: state == "healthy")
        pair.signal(other, signal.SIGKILL)  # and is back before two checks have failed
        until(lambda: pair.answers() == {kept, other})
        assert pair.health(other) == "healthy"
        assert asked(steady) == kept
        assert steady.stdin is not None
        steady.stdin.close()


def asked(steady: subprocess.Popen[str]) -> str:
    """Who answers on the connection that is open all the while."""
    assert steady.stdin is not None and steady.stdout is not None
    steady.stdin.write("?\n")
    steady.stdin.flush()
    return steady.stdout.readline().strip()


def test_a_target_that_answers_slowly_serves_until_its_checks_time_out(pair: Pair) -> None:
    until(lambda: pair.answers() == set(pair.targets))
    slow, other = sorted(pair.targets)
    file = Path(f"/proc/{pair.init(pair.targets[slow])}/root/tmp/slow")
    file.write_text("0.4")
    time.sleep(3 * CHECK_SECONDS)  # more checks than it takes to fail
    assert pair.health(slow) == "healthy"
    until(lambda: pair.answers() == {slow, other})
    file.write_text("4")
    until(lambda: pair.health(slow), lambda state: state == "unhealthy")
    until(lambda: pair.answers() == {other}, seconds=TURN_SECONDS)
    file.unlink()
    until(lambda: pair.health(slow), lambda state: state == "healthy")
    until(lambda: pair.answers() == {slow, other})
