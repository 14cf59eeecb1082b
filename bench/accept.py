"""Consent given and withdrawn: from the accept call to the first connection, and from the reject call to its reset.

The consumer tries to connect all the while, as an application does that waits for its database, and then holds a
connection open. Prints medians in milliseconds; --json FILE keeps every round. Needs root, as the fabric does.
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from world.running import Account, Tieline, until

PORT = 9000
SERVER = f"#!/bin/sh\ncd /srv\nexec python3 -m http.server {PORT}\n"
IDLE = "#!/bin/sh\nexec sleep 3600\n"
# Connects again and again, each try at most 20 ms, and prints the clock at the first success.
CLIENT = """
import socket, sys, time
print("trying", flush=True)
while True:
    try:
        socket.create_connection((sys.argv[1], int(sys.argv[2])), 0.02).close()
        break
    except OSError:
        time.sleep(0.002)
print(time.monotonic())
"""
# Opens a connection, and prints the clock when it is reset.
HOLD = """
import socket, sys, time
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 5) as flow:
    print("open", flush=True)
    try:
        flow.recv(1)
    except ConnectionResetError:
        print(time.monotonic())
"""


@dataclass
class Consumer:
    """Who asks for a service, from a client's network; `others` are endpoints that it has besides."""

    tieline: Tieline
    customer: Account
    platform: Account
    service: str
    name: str
    vpc: str
    subnets: list[str]
    client: str
    others: int = 0

    @contextmanager
    def asking(self) -> Iterator[str]:
        """An endpoint of its own, whose address is up and silent."""
        endpoint = self.platform.endpoint(self.vpc, self.name, self.subnets)
        time.sleep(0.5)
        yield endpoint
        self.platform.ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint])
        until(lambda: count(self.platform), lambda found: found == self.others)

    def accepted(self, endpoint: str) -> float:
        """Milliseconds from the accept call to the first connection."""
        return self._timed(CLIENT, endpoint, self.customer.ec2.accept_vpc_endpoint_connections)

    def rejected(self, endpoint: str) -> float:
        """Milliseconds from the reject call to the reset of a connection that is open."""
        return self._timed(HOLD, endpoint, self.customer.ec2.reject_vpc_endpoint_connections)

    def _timed(self, program: str, endpoint: str, call: Callable[..., object]) -> float:
        enter = ["nsenter", f"--net=/run/netns/{self.tieline.namespace(self.client)}", "--"]
        command = [*enter, sys.executable, "-c", program, self.platform.addresses(endpoint)[0], str(PORT)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
            assert client.stdout is not None
            client.stdout.readline()  # it is ready
            began = time.monotonic()
            call(ServiceId=self.service, VpcEndpointIds=[endpoint])
            return (float(client.stdout.readline()) - began) * 1000


def measure(tieline: Tieline, rounds: int) -> Iterator[tuple[float, float]]:
    """Each round, accepted and rejected."""
    customer, platform = tieline.account("customer"), tieline.account("platform")
    vpc, subnets = customer.network()
    server = customer.instance(subnets[0], SERVER)
    balancer, _ = customer.balancer("bench", vpc, subnets, server, PORT)
    service, name = customer.service(balancer, f"arn:aws:iam::{platform.id}:root")
    own, own_subnets = platform.network()
    client = platform.instance(own_subnets[0], IDLE)
    consumer = Consumer(tieline, customer, platform, service, name, own, own_subnets, client)
    for _ in range(rounds):
        with consumer.asking() as endpoint:
            yield consumer.accepted(endpoint), consumer.rejected(endpoint)


def count(account: Account) -> int:
    """How many endpoints the account has."""
    pages = account.ec2.get_paginator("describe_vpc_endpoints").paginate()
    return sum(len(page["VpcEndpoints"]) for page in pages)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        tieline = Tieline(Path(directory) / "state", f"tlb-{secrets.token_hex(3)}")
        try:
            tieline.up()
            taken = list(measure(tieline, options.rounds))
        finally:
            tieline.down()
    kept = {}
    for title, values in zip(("accept to first byte", "reject to reset"), zip(*taken, strict=True), strict=True):
        median = statistics.median(values)
        print(f"{title}, {len(values)} rounds: median {median:.0f} ms ({min(values):.0f} to {max(values):.0f})")
        kept[title] = {"milliseconds": values, "median": median}
    if options.json:
        options.json.write_text(json.dumps(kept))


if __name__ == "__main__":
    main()
