"""The guide as a list of steps: the customer's by boto3, the platform's by REST, each with the result it must have."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tieline.cloud.client import Client, ClientError
from tieline.cloud.records import DeploymentStatus, LinkStatus, PrivateLinkView
from tieline.demo import devices
from tieline.demo.customer import DATABASE, PORT, USER, Customer
from tieline.demo.inside import Inside

T = TypeVar("T")

DEPLOYMENT, LINK, RESOURCE, RULE = "demo", "orders", "plant-db", "hot"
SQL = 'SELECT payload.device as device, payload.temp as temp, timestamp FROM "sensors/#" WHERE payload.temp > 20'
INSERT = "insert into readings(device, temp, ts) values (${device}, ${temp}, ${timestamp})"
MESSAGES = 1000
COUNT = "select count(*), count(distinct device) from readings where temp > 20"


class Failed(Exception):
    """A step whose result is not what it must be; the message names the hop."""


@dataclass(frozen=True)
class Place:
    """Where the demo happens: the state directory of `tieline up`, and its two ports."""

    state: Path
    prefix: str
    rest: str
    wire: str
    region: str
    mqtt_port: int | None = None


class Story:
    """The steps in order. Each returns one line that says what it found, or raises."""

    def __init__(self, place: Place) -> None:
        self._client = Client(place.rest, (place.state / "api-key").read_text().strip())
        self._customer = Customer(place.wire, place.state / "credentials", place.region)
        self._inside = Inside(place.prefix)
        self._mqtt_port = place.mqtt_port
        self._zones: list[str] = []
        self._principal = self._instance = self._server = self.mqtt = ""
        self._link: PrivateLinkView | None = None
        self._sent: list[devices.Reading] = []

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def steps(self) -> list[tuple[str, Callable[[], str]]]:
        """Every step with its title."""
        return [
            ("Deployment: VPC, subnets in two zones, broker and agent", self.make_deployment),
            ("+PrivateLink: zone ids and the ARN to allow", self.look_at_offer),
            ("Customer: a VPC with the same addresses", lambda: self._customer.make_network(self._zones)),
            ("Customer: an instance that runs PostgreSQL", self._customer.start_database),
            ("Customer: target group, load balancer, listener", self._customer.balance),
            ("Customer: a probe from the balancer has succeeded", self._customer.wait_healthy),
            ("Customer: endpoint service, allowed principal", lambda: self._customer.publish(self._principal)),
            ("Create PrivateLink: waits for the customer's consent", self.create_link),
            ("Test before consent: fails at the hop `link`", self.probe_too_early),
            ("Customer: Accept Endpoint Connection Request", self._customer.accept),
            ("PrivateLink is running, its name resolves here only", self.wait_running),
            ("New Resource: Test passes", self.make_resource),
            ("Rule: SQL and a PostgreSQL action", self.make_rule),
            (f"{MESSAGES:,} messages at QoS 1: the right rows are committed", self.publish_and_count),
            ("Privacy: the deployment reaches the listener and nothing else", self.scan_from_deployment),
            ("Privacy: the customer cannot connect back", self.scan_from_customer),
            ("Privacy: this machine has no way into either VPC", self.look_at_machine),
        ]

    def farewell(self) -> list[tuple[str, Callable[[], str]]]:
        """The steps of the guide's deletion, in the right order and in the wrong one."""
        return [
            ("Delete the link: refused while a resource uses it", self.delete_refused),
            ("Delete rule, resource, link: in this order it works", self.delete_in_order),
            ("The provider goes first: the link says so, and can be deleted", self.provider_first),
        ]

    def make_deployment(self) -> str:
        wanted = {"host": "127.0.0.1", "port": self._mqtt_port} if self._mqtt_port else None
        self._client.create_deployment(name=DEPLOYMENT, mqtt=wanted)
        made = _until(
            lambda: self._client.deployment(DEPLOYMENT),
            lambda d: d.status is DeploymentStatus.RUNNING and d.agent.connected and d.agent.broker,
            lambda d: f"hop deployment: {d.status} {d.reason or ''} {d.hint} {d.agent.error}",
        )
        self._instance, self.mqtt = made.instance, str(made.mqtt)
        return f"{made.vpc} {made.cidr}, MQTT at {made.mqtt}"

    def look_at_offer(self) -> str:
        offer = self._client.offer(DEPLOYMENT)
        self._zones, self._principal = offer.zones, offer.principal
        return f"{', '.join(offer.zones)}; {offer.principal}"

    def create_link(self) -> str:
        self._client.create_link(DEPLOYMENT, name=LINK, service_name=self._customer.service_name, ports=[PORT])
        link = self._until_link(LinkStatus.WAITING_ACCEPTANCE)
        return f"{link.status}; {link.endpoint}"

    def _until_link(self, status: LinkStatus) -> PrivateLinkView:
        return _until(
            lambda: self._client.link(DEPLOYMENT, LINK),
            lambda link: link.status is status,
            lambda link: f"hop link: {link.status} {link.reason or ''} {link.hint} {link.cause}",
        )

    def probe_too_early(self) -> str:
        try:
            self._client.probe_resource(DEPLOYMENT, **self._resource())
        except ClientError as error:
            if error.extra.get("hop") == "link":
                return f"TEST_FAILED, hop link: {error.message}"
            raise
        raise Failed("hop link: the Test passed although nobody has agreed to the link")

    def _resource(self, password: str | None = None) -> dict[str, object]:
        return {
            "name": RESOURCE,
            "type": "postgresql",
            "server": f"link:{LINK}:{PORT}",
            "database": DATABASE,
            "username": USER,
            "password": password or self._customer.password,
        }

    def wait_running(self) -> str:
        self._link = self._until_link(LinkStatus.RUNNING)
        here = self._inside.run(self._instance, "getent", "ahostsv4", self._link.address).split()[0]
        try:
            self._inside.run(self._customer.instance, "getent", "ahostsv4", self._link.address)
        except RuntimeError:
            return f"{self._link.address} is {here}"
        raise Failed("hop name: the link's name resolves in the customer's VPC, too")

    def make_resource(self) -> str:
        self._client.probe_resource(DEPLOYMENT, **self._resource())
        try:
            self._client.probe_resource(DEPLOYMENT, **self._resource("wrong"))
        except ClientError as error:
            if error.extra.get("hop") != "login":
                raise
            self._client.create_resource(DEPLOYMENT, **self._resource())
            return f"204; with a wrong password: hop login, {error.extra.get('cause') or error.message}"
        raise Failed("hop login: the Test passed with a wrong password")

    def make_rule(self) -> str:
        action = {"kind": "sql", "resource": RESOURCE, "sql": INSERT}
        self._client.create_rule(DEPLOYMENT, name=RULE, sql=SQL, actions=[action])
        wanted = self._client.deployment(DEPLOYMENT).revision
        _until(
            lambda: self._client.deployment(DEPLOYMENT),
            lambda d: d.agent.applied >= wanted,
            lambda d: f"hop agent: it runs configuration {d.agent.applied} of {wanted}: {d.agent.error}",
        )
        return SQL

    def publish_and_count(self) -> str:
        self._sent = devices.readings(MESSAGES)
        wanted = {reading.device for reading in devices.expected(self._sent)}
        host, _, port = self.mqtt.rpartition(":")
        devices.publish(host, int(port), self._sent)
        _until(self._devices, lambda found: found >= wanted, lambda found: f"hop rows: {len(found)} of {len(wanted)}")
        if self._devices() != wanted:
            raise Failed("hop rule: rows arrived that the rule should have kept out")
        rows = int(self._query("select count(*) from readings"))
        return f"{rows} rows of {len(wanted)} matching messages, {MESSAGES - len(wanted)} kept out"

    def _devices(self) -> set[str]:
        return set(self._query("select distinct device from readings").split())

    def _query(self, sql: str) -> str:
        """Ask the database inside the customer's VPC, as its owner would."""
        customer = self._customer
        url = f"postgresql://{USER}:{customer.password}@{customer.address}:{PORT}/{DATABASE}"
        return self._inside.run(customer.instance, "psql", "-AtX", url, "-c", sql).strip()

    def scan_from_deployment(self) -> str:
        endpoint = self._endpoint_addresses()
        ports = [*range(1, 1025), 1883, 2181, 3306, PORT, 6379, 8008, 8080, 9092]
        answered = self._inside.scan(self._instance, endpoint, ports)
        wires = [f"169.254.1.{n}" for n in range(16)]
        answered |= self._inside.scan(self._instance, [*wires, self._customer.address], [22, PORT, 8008])
        answered |= self._inside.scan(self._instance, endpoint, [PORT], seconds=10)  # amid many, it may be late
        wanted = {(address, PORT) for address in endpoint}
        if answered != wanted:
            raise Failed(f"hop privacy: {sorted(answered)} answered, and only {sorted(wanted)} may")
        return f"{len(ports)} ports of {len(endpoint)} addresses: only {PORT} answers"

    def _endpoint_addresses(self) -> list[str]:
        assert self._link is not None, "the link is running"
        found = self._inside.run(self._instance, "getent", "ahostsv4", self._link.address)
        return sorted({line.split()[0] for line in found.splitlines()})

    def scan_from_customer(self) -> str:
        broker = self._inside.run(self._instance, "hostname", "-I").split()
        targets = [*broker, *self._endpoint_addresses(), *(f"169.254.1.{n}" for n in range(16))]
        own = set(self._inside.run(self._customer.instance, "hostname", "-I").split())
        others = [address for address in targets if address not in own]
        nodes = set(self._node_addresses())
        answered = {a for a, _ in self._inside.scan(self._customer.instance, others, [22, 1883, 8080])} - nodes
        if answered:
            raise Failed(f"hop privacy: {sorted(answered)} answered the customer")
        return f"{len(others)} addresses, broker's and wire's among them: none answers"

    def _node_addresses(self) -> list[str]:
        found = self._customer.ec2.describe_network_interfaces(
            Filters=[{"Name": "attachment.instance-owner-id", "Values": ["amazon-elb"]}]
        )
        return [interface["PrivateIpAddress"] for interface in found["NetworkInterfaces"]]

    def look_at_machine(self) -> str:
        links = self._inside.links_of_machine()
        if links:
            raise Failed(f"hop privacy: this machine's {', '.join(links)} lead into a VPC")
        return "no interface of this machine leads into a VPC; the broker is met on loopback only"

    def delete_refused(self) -> str:
        try:
            self._client.delete_link(DEPLOYMENT, LINK)
        except ClientError as error:
            if error.status == 409:
                return f"409: {error.message}"
            raise
        raise Failed("hop link: it was deleted under the resource that uses it")

    def delete_in_order(self) -> str:
        self._client.delete_rule(DEPLOYMENT, RULE)
        self._client.delete_resource(DEPLOYMENT, RESOURCE)
        self._client.delete_link(DEPLOYMENT, LINK)
        self._until_gone()
        return self._customer.withdraw()

    def _until_gone(self) -> None:
        _until(
            lambda: self._client.links(DEPLOYMENT),
            lambda links: not links,
            lambda links: f"hop link: {links[0].status}",
        )

    def provider_first(self) -> str:
        self._customer.publish(self._principal)
        self._client.create_link(DEPLOYMENT, name=LINK, service_name=self._customer.service_name, ports=[PORT])
        self._until_link(LinkStatus.WAITING_ACCEPTANCE)
        self._customer.accept()
        self._until_link(LinkStatus.RUNNING)
        self._customer.withdraw()
        link = self._until_link(LinkStatus.FAILED)
        self._client.delete_link(DEPLOYMENT, LINK)
        self._until_gone()
        return f"failed ({link.reason}): {link.hint}; deleted"


def _until(look: Callable[[], T], done: Callable[[T], bool], complain: Callable[[T], str], seconds: float = 60) -> T:
    """Look again until `done`; raises Failed with the complaint about the last look when the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if done(seen):
            return seen
        if time.monotonic() > deadline:
            raise Failed(complain(seen))
        time.sleep(0.05)
