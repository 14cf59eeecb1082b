"""What a link carries and refuses, as CloudWatch tells both accounts: bytes that were sent are counted, once."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tieline.cloud.aws.client import Aws, AwsSettings
from tieline.cloud.links.figures import figures as link_figures
from world.faults.fabric import Fabric
from world.faults.linked import PORT, Linked
from world.running import REGION, Account, until

pytestmark = pytest.mark.world
SENT, FLOWS, CLOSED = 3_000_000, 7, 9999
# Takes what is sent to its end, answers with its length, and resets a connection that begins with "R".
SERVE = f"""#!/usr/bin/env python3
import contextlib, socket, struct
with socket.create_server(("", {PORT}), backlog=64) as server:
    while True:
        with contextlib.suppress(OSError), server.accept()[0] as one:
            total, first = 0, b""
            while data := one.recv(65536):
                first, total = first or data[:1], total + len(data)
                if first == b"R":
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    break
            else:
                one.sendall(b"%d" % total)
"""
SEND = """
import socket, sys
address, port, flows, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
for _ in range(flows):
    with socket.create_connection((address, port), 5) as one:
        one.sendall(bytes(size))
        one.shutdown(socket.SHUT_WR)
        assert one.recv(100) == b"%d" % size
with socket.create_connection((address, port), 5) as one:
    one.sendall(b"R")
    try:
        assert one.recv(100) == b"", "it is reset"
    except ConnectionResetError:
        pass
try:
    socket.create_connection((address, int(sys.argv[5])), 1)
except OSError:
    print("sent")
"""


@pytest.fixture(scope="module")
def linked(fabric: Fabric) -> Iterator[Linked]:
    made = Linked(fabric, SERVE)
    until(made.resolves)
    yield made


def send(linked: Linked) -> None:
    """Every flow once: those that carry, the one that is reset, and the one that nobody listens for."""
    arguments = (linked.address, PORT, FLOWS, SENT // FLOWS, CLOSED)
    done = linked.tieline.inside(linked.client, sys.executable, "-c", SEND, *map(str, arguments))
    assert done.stdout == "sent\n", done.stderr


def figures(account: Account, namespace: str, **dimensions: str) -> dict[str, float]:
    """The sum over the last minutes of every metric with exactly these dimensions; underscores are spaces."""
    cloudwatch: Any = account.made("cloudwatch")
    pairs = [{"Name": name.replace("_", " "), "Value": value} for name, value in dimensions.items()]
    listed = cloudwatch.list_metrics(Namespace=namespace, Dimensions=pairs)["Metrics"]
    listed = [one for one in listed if namespace.startswith("AWS/") or len(one["Dimensions"]) == len(pairs)]
    queries = [
        {"Id": f"m{number}", "MetricStat": {"Metric": one, "Period": 60, "Stat": "Sum"}}
        for number, one in enumerate(listed)
    ]
    now = datetime.now(UTC)
    found = cloudwatch.get_metric_data(
        MetricDataQueries=queries, StartTime=now - timedelta(minutes=10), EndTime=now + timedelta(minutes=1)
    )["MetricDataResults"]
    return {one["Label"]: sum(one["Values"]) for one in found}


def test_what_crosses_is_counted_by_direction_and_port_and_told_to_both_accounts(linked: Linked) -> None:
    send(linked)
    own = {"VPC_Endpoint_Id": linked.endpoint}
    seen = until(
        lambda: figures(linked.platform, "tieline/PrivateLink", **own), lambda one: one.get("RefusedWithoutListener")
    )
    assert seen["NewConnections"] == FLOWS + 1
    assert SENT <= seen["BytesSent"] < 1.1 * SENT
    assert 0 < seen["BytesReceived"] < 0.1 * SENT
    assert seen["PacketsSent"] > FLOWS and seen["PacketsReceived"] > FLOWS
    assert seen["RstPacketsReceived"] >= 1
    assert seen["RefusedBySecurityGroup"] == seen["RefusedWithoutTarget"] == 0
    port = figures(linked.platform, "tieline/PrivateLink", **own, Port=f"tcp:{PORT}")
    assert port["BytesSent"] == seen["BytesSent"]
    consumer = figures(linked.platform, "AWS/PrivateLinkEndpoints", **own)
    assert consumer["BytesProcessed"] == seen["BytesSent"] + seen["BytesReceived"]
    assert consumer["PacketsDropped"] == seen["RefusedWithoutListener"]
    provider = figures(linked.customer, "AWS/PrivateLinkServices", Service_Id=linked.service)
    assert provider["NewConnections"] == FLOWS + 1 and provider["EndpointsCount"] == 1
    settings = AwsSettings(REGION, linked.tieline.wire, linked.tieline.state / "credentials", "platform")
    for asked in ("", linked.endpoint):  # the platform's way: for its page of metrics, and for `tieline link show`
        shown = asyncio.run(link_figures(Aws(settings), asked))[linked.endpoint]
        assert shown.totals["BytesSent"] == seen["BytesSent"]
    assert shown.ports[f"tcp:{PORT}"]["BytesSent"] == seen["BytesSent"]
    assert figures(linked.customer, "AWS/PrivateLinkEndpoints", **own) == {}  # it is not the provider's
    assert figures(linked.customer, "AWS/NetworkELB")["HealthyHostCount"] == 1


def test_totals_survive_a_change_of_the_table_and_a_restart_counts_nothing_twice(linked: Linked) -> None:
    namespace = {"VPC_Endpoint_Id": linked.endpoint}
    second = linked.join()  # loads both tables anew
    before = until(lambda: figures(linked.platform, "tieline/PrivateLink", **namespace))
    send(linked)
    grown = until(
        lambda: figures(linked.platform, "tieline/PrivateLink", **namespace),
        lambda one: one["NewConnections"] >= before["NewConnections"] + FLOWS + 1,
    )
    assert grown["NewConnections"] == before["NewConnections"] + FLOWS + 1
    assert grown["BytesSent"] < before["BytesSent"] + 1.1 * SENT
    linked.platform.ec2.delete_vpc_endpoints(VpcEndpointIds=[second])
    linked.tieline.end(signal.SIGTERM)
    linked.tieline.up()
    until(lambda: figures(linked.platform, "tieline/PrivateLink", **namespace, Port=f"tcp:{PORT}"))  # it has read once
    send(linked)
    again = until(
        lambda: figures(linked.platform, "tieline/PrivateLink", **namespace),
        lambda one: one["NewConnections"] >= FLOWS + 1,
    )
    assert again["NewConnections"] == FLOWS + 1
    assert SENT <= again["BytesSent"] < 1.1 * SENT  # and nothing of what was counted before


def test_an_expression_and_an_odd_period_are_refused(linked: Linked) -> None:
    cloudwatch: Any = linked.platform.made("cloudwatch")
    now = datetime.now(UTC)
    times = {"StartTime": now - timedelta(minutes=5), "EndTime": now}
    stat = {"Metric": {"Namespace": "AWS/PrivateLinkEndpoints", "MetricName": "BytesProcessed"}, "Period": 7}
    for query in ({"Id": "e", "Expression": "1"}, {"Id": "p", "MetricStat": {**stat, "Stat": "Sum"}}):
        with pytest.raises(ClientError) as caught:
            cloudwatch.get_metric_data(MetricDataQueries=[query], **times)
        assert caught.value.response["Error"]["Code"] == "ValidationError"
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
