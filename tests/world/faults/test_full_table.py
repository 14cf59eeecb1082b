"""A VPC whose table of flows is full refuses new flows and says so in a figure of its own; open ones go on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from world.faults.fabric import Fabric
from world.faults.linked import PORT, Linked
from world.faults.test_load import ECHO
from world.running import until

pytestmark = pytest.mark.world
LIMIT = Path("/proc/sys/net/netfilter/nf_conntrack_max")  # the machine's, and of each namespace's own table
ELSEWHERE = "198.18.0.1"  # for benchmarks (RFC 2544): nobody's address here
STEADY = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 5) as link:
    for line in sys.stdin:
        link.sendall(line.encode())
        print(link.recv(100).decode(), end="", flush=True)
"""
TRY = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 2) as link:
    link.sendall(b"hello")
    print(link.recv(100).decode())
"""


@pytest.fixture(scope="module")
def linked(fabric: Fabric) -> Iterator[Linked]:
    yield Linked(fabric, ECHO)


def test_a_full_table_refuses_new_flows_and_keeps_old_ones(linked: Linked, tmp_path: Path) -> None:
    with subprocess.Popen(
        [*inside(linked.space(linked.client)), sys.executable, "-c", STEADY, linked.address, str(PORT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as steady:
        assert said(steady, "before") == "before"
        fill(linked, tmp_path)
        assert said(steady, "while it is full") == "while it is full"
        assert "hello" not in attempt(linked)
        until(lambda: refused(linked))
        subprocess.run([*vpc(linked), "conntrack", "-D", "-d", ELSEWHERE], capture_output=True, check=True)
        until(lambda: "hello" in attempt(linked))
        assert said(steady, "afterwards") == "afterwards"
        assert steady.stdin is not None
        steady.stdin.close()


def inside(namespace: str) -> list[str]:
    return ["nsenter", f"--net=/run/netns/{namespace}", "--"]


def vpc(linked: Linked) -> list[str]:
    return inside(linked.space(linked.consumer))


def fill(linked: Linked, place: Path) -> None:
    """Make the consumer's table full of flows that the kernel does not drop to make room."""
    file = place / "flows"
    with file.open("w") as flows:
        for number in range(int(LIMIT.read_text()) + 1):
            source = f"10.{200 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"
            state = "-t 600 -u SEEN_REPLY,ASSURED"
            flows.write(f"-I -s {source} -d {ELSEWHERE} -p udp --sport 1 --dport 2 {state}\n")
    done = subprocess.run([*vpc(linked), "conntrack", "-R", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode != 0, "the last one finds no room"


def attempt(linked: Linked) -> str:
    return linked.tieline.inside(linked.client, sys.executable, "-c", TRY, linked.address, str(PORT)).stdout


def said(steady: subprocess.Popen[str], line: str) -> str:
    """What comes back on the connection that is open all the while."""
    assert steady.stdin is not None and steady.stdout is not None
    steady.stdin.write(f"{line}\n")
    steady.stdin.flush()
    return steady.stdout.readline().strip()


def refused(linked: Linked) -> float:
    """How many flows found the table full, as the link's owner is told."""
    cloudwatch: Any = linked.platform.made("cloudwatch")
    dimensions = [{"Name": "VPC Endpoint Id", "Value": linked.endpoint}]
    metric = {"Namespace": "tieline/PrivateLink", "MetricName": "RefusedFlowTableFull", "Dimensions": dimensions}
    query = {"Id": "full", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}
    now = datetime.now(UTC)
    answer = cloudwatch.get_metric_data(
        MetricDataQueries=[query], StartTime=now - timedelta(minutes=9), EndTime=now + timedelta(minutes=1)
    )
    return float(sum(answer["MetricDataResults"][0]["Values"]))
