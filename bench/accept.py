"""Accept to first byte: from the provider's accept call to the consumer's first connection that succeeds.

The consumer tries to connect all the while, as an application does that waits for its database. Prints each round and
the median in milliseconds; --json FILE keeps them. Needs root, as the fabric does.
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


def measure(tieline: Tieline, rounds: int) -> list[float]:
    """Milliseconds of each round; every round has an endpoint of its own."""
    customer, platform = tieline.account("customer"), tieline.account("platform")
    vpc, subnets = customer.network()
    server = customer.instance(subnets[0], SERVER)
    balancer, _ = customer.balancer("bench", vpc, subnets, server, PORT)
    service, name = customer.service(balancer, f"arn:aws:iam::{platform.id}:root")
    own, own_subnets = platform.network()
    client = platform.instance(own_subnets[0], IDLE)
    return [one(tieline, customer, platform, service, name, own, own_subnets, client) for _ in range(rounds)]


def one(
    tieline: Tieline,
    customer: Account,
    platform: Account,
    service: str,
    name: str,
    vpc: str,
    subnets: list[str],
    client: str,
    others: int = 0,
) -> float:
    """One request, accepted while the consumer is trying to connect; there are so many other endpoints."""
    endpoint = platform.endpoint(vpc, name, subnets)
    address = platform.addresses(endpoint)[0]
    time.sleep(0.5)  # the endpoint's address is up, and silent
    enter = ["nsenter", f"--net=/run/netns/{tieline.namespace(client)}", "--"]
    command = [*enter, sys.executable, "-c", CLIENT, address, str(PORT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as trying:
        assert trying.stdout is not None
        trying.stdout.readline()
        began = time.monotonic()
        customer.ec2.accept_vpc_endpoint_connections(ServiceId=service, VpcEndpointIds=[endpoint])
        connected = float(trying.stdout.readline())
    platform.ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint])
    until(lambda: count(platform), lambda found: found == others)
    return (connected - began) * 1000


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
            taken = sorted(measure(tieline, options.rounds))
        finally:
            tieline.down()
    median = statistics.median(taken)
    print(f"accept to first byte, {len(taken)} rounds: median {median:.0f} ms ({taken[0]:.0f} to {taken[-1]:.0f})")
    if options.json:
        options.json.write_text(json.dumps({"milliseconds": taken, "median": median}))


if __name__ == "__main__":
    main()
