"""A thousand links over fifty deployments: what a list costs, how soon a change is seen, and how long a restart takes.

Fabric, store and platform are the real ones, each link a real endpoint with its wire. The deployments are in networks
that exist (provider aws), for fifty brokers would be measured with them otherwise. Beside the list stands what a user
would ask instead: AWS's own DescribeVpcEndpoints for the same thousand. Prints medians; --json FILE keeps every round.
Needs root, as the fabric does.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from cloud.places import Account
from platforms import FabricProcess, PlatformProcess
from servers import accepts, free_port, wait_until
from tieline.client.rest import Client
from tieline.cloud.model.records import PrivateLinkView

ZONE = "use1-az1"
AT_ONCE = 4  # requests: enough to keep two cores busy
BUILD_SECONDS = 900
SEEN_SECONDS = 120.0  # a fabric that has just built a thousand wires takes its time once
POLL_SECONDS = 0.01
GOALS = {"list all links": 0.1, "changed link seen": 1.0, "restart": 5.0}  # seconds


class World:
    """One fabric and one platform with so many links, all to one service."""

    def __init__(self, fabric: FabricProcess, platform: PlatformProcess) -> None:
        self.fabric, self.platform, self.client = fabric, platform, platform.client
        self.owner = Account(fabric.url, fabric.credentials, "platform")
        self.provider = Account(fabric.url, fabric.credentials, "customer")

    def build(self, deployments: int, links: int) -> float:
        """Seconds from the first request until every link runs."""
        began = time.monotonic()
        networks = [self.owner.network([ZONE])[0] for _ in range(deployments)]
        for number, vpc in enumerate(networks):
            mqtt = {"host": "127.0.0.1", "port": free_port()}
            self.client.create_deployment(name=f"d{number}", provider="aws", aws={"vpc": vpc}, mqtt=mqtt)
        self.service, self.name = self.provider.service([ZONE], self.client.offer("d0").principal)
        self._consent(required=False)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda number: self._create(f"d{number % deployments}", f"l{number}"), range(links)))
        wait_until(lambda: self._running() == links, f"{links} links", BUILD_SECONDS)
        self._consent(required=True)
        return time.monotonic() - began

    def _create(self, deployment: str, name: str) -> None:
        with Client(self.platform.url, self.platform.key) as client:
            client.create_link(deployment, name=name, service_name=self.name, ports=[5432])

    def _consent(self, required: bool) -> None:
        self.provider.ec2.modify_vpc_endpoint_service_configuration(ServiceId=self.service, AcceptanceRequired=required)

    def _running(self) -> int:
        return sum(link.status == "running" for link in self.client.links())

    def lists(self) -> dict[str, float]:
        """Seconds of each way to ask for many links."""
        return {
            "list all links": timed(lambda: self._get("/private-links")),
            "list a deployment's links": timed(lambda: self._get("/deployments/d0/private-links")),
            "list all deployments": timed(lambda: self._get("/deployments")),
            "AWS: describe all endpoints": timed(lambda: self.owner.ec2.describe_vpc_endpoints()),
        }

    def _get(self, path: str) -> None:
        self.client._http.get(path).raise_for_status()  # what is measured is the answer, not its parsing here

    def change(self, link: PrivateLinkView, accept: bool) -> tuple[float, float]:
        """Seconds from the provider's answer until AWS shows the endpoint so, and until the platform shows the link."""
        began, wanted = time.monotonic(), "available" if accept else "rejected"
        self._consented(link, accept)
        wait_until(lambda: self._state(link) == wanted, f"the endpoint {wanted}", SEEN_SECONDS)
        shown = time.monotonic() - began
        self._until(link, accept)
        return shown, time.monotonic() - began

    def _state(self, link: PrivateLinkView) -> str:
        found = self.owner.ec2.describe_vpc_endpoints(VpcEndpointIds=[link.endpoint])["VpcEndpoints"]
        return found[0]["State"].lower()

    def _consented(self, link: PrivateLinkView, accept: bool) -> None:
        ids = [link.endpoint]
        if accept:
            self.provider.ec2.accept_vpc_endpoint_connections(ServiceId=self.service, VpcEndpointIds=ids)
        else:
            self.provider.ec2.reject_vpc_endpoint_connections(ServiceId=self.service, VpcEndpointIds=ids)

    def _until(self, link: PrivateLinkView, accept: bool) -> None:
        wanted, deadline = "running" if accept else "failed", time.monotonic() + SEEN_SECONDS
        while self.client.link(link.deployment, link.id).status != wanted:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{link.name} is not {wanted} after {SEEN_SECONDS:.0f} s")
            time.sleep(POLL_SECONDS)

    def restart(self, link: PrivateLinkView, links: int) -> tuple[float, float]:
        """Seconds from the start to the whole list, and until a change of the time between is in it."""
        self.platform.kill()
        self._consented(link, accept=False)
        began = time.monotonic()
        self.platform.start()
        wait_until(lambda: accepts(self.platform.port), "the platform")
        if len(self.client.links()) != links:
            raise RuntimeError("links are missing after a restart")
        listed = time.monotonic() - began
        self._until(link, accept=False)
        seen = time.monotonic() - began
        self.change(link, accept=True)
        return listed, seen

    def close(self) -> None:
        self.owner.close()
        self.provider.close()


def timed(ask: Callable[[], object]) -> float:
    began = time.monotonic()
    ask()
    return time.monotonic() - began


def measure(world: World, deployments: int, links: int, rounds: int) -> dict[str, list[float]]:
    """Every figure of every round, in seconds."""
    found: dict[str, list[float]] = {"build all links": [world.build(deployments, links)]}
    subject = world.client.link("d0", "l0")
    for number in range(2 * rounds):
        for name, seconds in world.lists().items():
            found.setdefault(name, []).append(seconds)
        shown, seen = world.change(subject, accept=number % 2 == 1)
        found.setdefault("AWS: changed endpoint shown", []).append(shown)
        found.setdefault("changed link seen", []).append(seen)
    for _ in range(rounds):
        listed, seen = world.restart(subject, links)
        found.setdefault("restart", []).append(listed)
        found.setdefault("restart, and what changed meanwhile seen", []).append(seen)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deployments", type=int, default=50)
    parser.add_argument("--links", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as directory,
        FabricProcess(Path(directory) / "fabric") as fabric,
        PlatformProcess(Path(directory) / "cloud", fabric) as platform,
    ):
        world = World(fabric, platform)
        try:
            found = measure(world, options.deployments, options.links, options.rounds)
        finally:
            world.close()
    print(f"{options.links} links over {options.deployments} deployments")
    print("| | median | spread | goal |\n|---|---|---|---|")
    for name, seconds in found.items():
        goal = f"{GOALS[name] * 1000:,.0f} ms" if name in GOALS else ""
        low, high = min(seconds) * 1000, max(seconds) * 1000
        print(f"| {name} | {statistics.median(seconds) * 1000:,.0f} ms | {low:,.0f} to {high:,.0f} | {goal} |")
    if options.json:
        medians = {name: statistics.median(seconds) for name, seconds in found.items()}
        shown = {"links": options.links, "deployments": options.deployments, "seconds": found, "median": medians}
        options.json.write_text(json.dumps(shown, indent=1))


if __name__ == "__main__":
    main()
