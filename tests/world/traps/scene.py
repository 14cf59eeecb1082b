"""The stage of the traps: a deployment, a customer with a real PostgreSQL, and the command line as a person types it."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from tieline.cloud.client import Client
from tieline.demo.customer import DATABASE, PORT, USER, Customer
from world.running import REGION, Tieline, until

DEPLOYMENT = "demo"


class Scene:
    """One running tieline with the deployment `demo` and the customer's database at `database`."""

    def __init__(self, tieline: Tieline) -> None:
        self.tieline = tieline
        self.client: Client = tieline.client()
        self.customer = Customer(tieline.wire, tieline.state / "credentials", REGION)
        self.client.create_deployment(name=DEPLOYMENT)
        until(lambda: self.client.deployment(DEPLOYMENT), lambda found: found.status == "running" and found.agent.broker)
        offer = self.client.offer(DEPLOYMENT)
        self.zones, self.principal = offer.zones, offer.principal
        self.customer.make_network(self.zones)
        self.customer.start_database()
        self.database = f"{self.customer.address}:{PORT}"
        self._until_ready()

    def _until_ready(self) -> None:
        ready = "the database is ready"
        ec2, id = self.customer.ec2, self.customer.instance
        until(lambda: ec2.get_console_output(InstanceId=id).get("Output", ""), lambda text: ready in text, 60)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `tieline` with the state directory."""
        return self.tieline.command(*arguments, "--state", str(self.tieline.state), check=False)

    def connect(self, name: str, *more: str, to: str = "") -> subprocess.CompletedProcess[str]:
        """`tieline connect` in the customer's account."""
        where = ["--vpc", self.customer.vpc, "--profile", "customer", "--to", to or self.database]
        return self.run("connect", "--deployment", DEPLOYMENT, "--name", name, *where, *more)

    def connected(self, name: str, *more: str, to: str = "") -> dict[str, Any]:
        """`tieline connect --accept`, which must succeed; its answer."""
        done = self.connect(name, "--accept", "--json", *more, to=to)
        assert done.returncode == 0, done.stdout + done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def disconnect(self, name: str, *more: str) -> None:
        done = self.run("disconnect", "--name", name, "--deployment", DEPLOYMENT, "--profile", "customer", *more)
        assert done.returncode == 0, done.stdout + done.stderr

    def doctor(self, name: str, witness: bool = True) -> dict[str, Any]:
        """`tieline doctor --json`, with the provider's account as a witness or without."""
        who = ["--profile", "customer"] if witness else []
        done = self.run("doctor", name, "--deployment", DEPLOYMENT, "--json", *who)
        found: dict[str, Any] = json.loads(done.stdout)
        assert done.returncode == (1 if found["failing"] else 0), done.stderr
        return found

    def resource(self, name: str, link: str, /, **changed: Any) -> dict[str, Any]:
        """A resource behind a link, with what the customer's database takes."""
        known = {"database": DATABASE, "username": USER, "password": self.customer.password}
        return {"name": name, "type": "postgresql", "server": f"link:{link}:{PORT}", **known, **changed}

    def inside(self, *argv: str, stdin: str = "") -> str:
        """Run a command on the customer's machine, in its own root and network."""
        namespace = self.tieline.namespace(self.customer.instance)
        found = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True, check=True).stdout
        enter = ["nsenter", "--target", min(found.split(), key=int), "--net", "--mount", "--", *argv]
        done = subprocess.run(enter, input=stdin, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


def verdicts(found: dict[str, Any]) -> dict[str, str]:
    """The verdict of every hop."""
    return {hop["hop"]: hop["verdict"] for hop in found["hops"]}


def hop(found: dict[str, Any], name: str) -> dict[str, Any]:
    """One hop of a diagnosis."""
    found_hop: dict[str, Any] = next(each for each in found["hops"] if each["hop"] == name)
    return found_hop
