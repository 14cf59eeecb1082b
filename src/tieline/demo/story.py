"""The guide as a list of steps: the customer's by boto3, the platform's by REST, each with the result it must have.

Each step may be asked for again: it finds what is there and makes what is missing.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from tieline.client.rest import Client, ClientError
from tieline.cloud.model.records import DeploymentStatus, LinkStatus, PrivateLinkView
from tieline.cloud.schemas.answers import DeploymentAnswer
from tieline.demo import devices
from tieline.demo.customer import Customer
from tieline.demo.journal import Journal
from tieline.demo.user_data import DATABASE, PORT, USER

T = TypeVar("T")

LINK, RESOURCE, RULE, DEVICES = "orders", "plant-db", "hot", "demo-devices"
SQL = 'SELECT payload.device as device, payload.temp as temp, timestamp FROM "sensors/#" WHERE payload.temp > 20'
INSERT = "insert into readings(device, temp, ts) values (${device}, ${temp}, ${timestamp})"
MESSAGES = 1000
DESCRIPTION = "The demo world"


class Failed(Exception):
    """A step whose result is not what it must be; the message names the hop."""


class Story:
    """What the steps do, through REST and the AWS API alone. Each returns a line that says what it found, or raises.

    `save` is called when the journal has changed: whoever may be cut short keeps it.
    """

    def __init__(
        self,
        client: Client,
        customer: Customer,
        journal: Journal,
        save: Callable[[], object] = lambda: None,
        mqtt_port: int | None = None,
    ) -> None:
        self.journal = journal
        self.mqtt = ""
        self.customer, self.zones, self.principal = customer, list[str](), ""
        self._client, self._save, self._mqtt_port = client, save, mqtt_port
        self._instance = ""
        self._link: PrivateLinkView | None = None

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    @property
    def deployment(self) -> str:
        """The deployment's id, or its name before it is made."""
        return self.journal.deployment or self.journal.name

    # The steps of the platform's side

    def make_deployment(self) -> str:
        """The deployment, with an MQTT user for the demo's devices."""
        there = self._client.deployments()
        if self.journal.deployment not in {one.id for one in there}:
            self._create_deployment(there)
        if DEVICES not in {user.name for user in self._client.mqtt_users(self.deployment)}:
            self._client.create_mqtt_user(self.deployment, name=DEVICES, password=self.journal.device_password)
        made = until(
            lambda: self._client.deployment(self.deployment),
            lambda d: d.status is DeploymentStatus.RUNNING and d.agent.connected and d.agent.broker,
            lambda d: f"hop deployment: {d.status} {d.reason or ''} {d.hint} {d.agent.error}",
        )
        self._instance, self.mqtt = made.instance, str(made.mqtt)
        return f"{made.name}: {made.vpc} {made.cidr}, MQTT at {made.mqtt}"

    def _create_deployment(self, there: Sequence[DeploymentAnswer]) -> None:
        """Under the first free name. The description has the mark, which tells the one that was made before a crash."""
        description = f"{DESCRIPTION} {self.journal.mark}"
        made = next((one for one in there if one.description == description), None)
        port = {"mqtt": {"host": "127.0.0.1", "port": self._mqtt_port}} if self._mqtt_port else {}
        taken = {one.name for one in there}
        if made is None:
            name = next(name for n in itertools.count(2) for name in ("demo", f"demo-{n}") if name not in taken)
            made = self._client.create_deployment(name=name, description=description, **port)
        self.journal.name, self.journal.deployment = made.name, made.id
        self._save()

    def look_at_offer(self) -> str:
        """The first page of +PrivateLink."""
        offer = self._client.offer(self.deployment)
        self.zones, self.principal = offer.zones, offer.principal
        return f"{', '.join(offer.zones)}; {offer.principal}"

    def create_link(self) -> str:
        """The link; one that the customer accepted already stays as it is."""
        found = self._found_link()
        if found is None:
            wanted = {"name": LINK, "service_name": self.customer.service_name, "ports": [PORT]}
            self._client.create_link(self.deployment, **wanted)
        elif found.status is LinkStatus.RUNNING:
            return f"{found.status}; {found.endpoint}"
        elif found.status is LinkStatus.FAILED:
            self._client.reconnect_link(self.deployment, LINK, service_name=self.customer.service_name)
        link = self._until_link(LinkStatus.WAITING_ACCEPTANCE, LinkStatus.RUNNING)
        return f"{link.status}; {link.endpoint}"

    def _found_link(self) -> PrivateLinkView | None:
        return next((link for link in self._client.links(self.deployment) if link.name == LINK), None)

    def _until_link(self, *wanted: LinkStatus) -> PrivateLinkView:
        return until(
            lambda: self._client.link(self.deployment, LINK),
            lambda link: link.status in wanted,
            lambda link: f"hop link: {link.status} {link.reason or ''} {link.hint} {link.cause}",
        )

    def probe_too_early(self) -> str:
        """The Test of a resource behind a link that nobody has agreed to."""
        if self._client.link(self.deployment, LINK).status is LinkStatus.RUNNING:
            return "the customer has agreed already, so that this was not tried again"
        with _failing_at("link", "the Test passed although nobody has agreed to the link") as found:
            self._client.probe_resource(self.deployment, **self._resource())
        return f"TEST_FAILED, hop link: {found[0].message}"

    def _resource(self, **other: str) -> dict[str, object]:
        known: dict[str, object] = {
            "name": RESOURCE,
            "type": "postgresql",
            "server": f"link:{LINK}:{PORT}",
            "database": DATABASE,
            "username": USER,
            "password": self.customer.password,
        }
        return known | other

    def wait_running(self) -> str:
        """The link's name, which only the deployment's VPC knows."""
        self._link = self._until_link(LinkStatus.RUNNING)
        return f"{self._link.address}"

    def make_resource(self) -> str:
        """The resource, after its Test."""
        self._client.probe_resource(self.deployment, **self._resource())
        with _failing_at("login", "the Test passed with a wrong password") as found:
            self._client.probe_resource(self.deployment, **self._resource(password="wrong"))
        if RESOURCE not in {resource.name for resource in self._client.resources(self.deployment)}:
            self._client.create_resource(self.deployment, **self._resource())
        return f"204; with a wrong password: hop login, {found[0].extra.get('cause') or found[0].message}"

    def make_rule(self) -> str:
        """The rule, as soon as the agent runs it."""
        if RULE not in {rule.name for rule in self._client.rules(self.deployment)}:
            action = {"kind": "sql", "resource": RESOURCE, "sql": INSERT}
            self._client.create_rule(self.deployment, name=RULE, sql=SQL, actions=[action])
        wanted = self._client.deployment(self.deployment).revision
        until(
            lambda: self._client.deployment(self.deployment),
            lambda d: d.agent.applied >= wanted,
            lambda d: f"hop agent: it runs configuration {d.agent.applied} of {wanted}: {d.agent.error}",
        )
        return SQL

    def publish_and_count(self) -> str:
        """Messages, and the rows that the database's owner counts: at least one for each message that matches."""
        sent = self._publish()
        wanted = len({reading.device for reading in devices.expected(sent)})
        before = self._counted
        rows, found = until(
            self.customer.rows,
            lambda now: now[0] >= before + wanted and now[1] >= wanted,
            lambda now: f"hop rows: {now[0] - before} of {wanted}",
        )
        if found != wanted:
            raise Failed("hop rule: rows arrived that the rule should have kept out")
        return f"{rows - before} rows of {wanted} matching messages, {MESSAGES - wanted} kept out"

    def _publish(self) -> list[devices.Reading]:
        self._counted = self.customer.rows()[0]
        sent = devices.readings(MESSAGES)
        host, _, port = self.mqtt.rpartition(":")
        devices.publish(host, int(port), sent, DEVICES, self.journal.device_password)
        return sent

    # Privacy, as far as either side can see it through its own API

    def try_other_ports(self) -> str:
        """The agent tries what is not the listener: other ports of the endpoint, and the database's own address."""
        assert self._link is not None, "the link is running"
        ports = (22, 80, 8008)
        doors = [*(f"{self._link.address}:{port}" for port in ports), f"{self.customer.address}:{PORT}"]
        with ThreadPoolExecutor(len(doors)) as pool:
            met = [door for door, found in zip(doors, pool.map(self._reaches, doors), strict=True) if found]
        if met:
            raise Failed(f"hop privacy: {', '.join(met)} answered the deployment, and only the listener may")
        return f"ports {', '.join(map(str, ports))} of the link and {doors[-1]}: none answers"

    def _reaches(self, server: str) -> bool:
        """Whether the deployment's agent can open a connection there."""
        try:
            self._client.probe_resource(self.deployment, **self._resource(server=server))
        except ClientError as error:
            if error.extra.get("hop") in ("name", "address", "tcp"):
                return False
            if error.code != "TEST_FAILED":
                raise
        return True

    def scan_from_customer(self) -> str:
        """An instance of the customer's tries the deployment's addresses, and asks for the link's name."""
        assert self._link is not None, "the link is running"
        addresses = [f"10.0.{net}.{host}" for net in range(1, len(self.zones) + 1) for host in range(1, 255)]
        addresses += [f"169.254.1.{host}" for host in range(16)]
        own = self.customer.own_addresses()
        foreign = [address for address in addresses if address not in own]
        answered = self.customer.scan(foreign, [22, 1883], self._link.address)
        if answered:
            raise Failed(f"hop privacy: {', '.join(answered)} answered the customer")
        return f"{len(foreign)} addresses, broker's and wires' among them: none answers; the link's name is unknown"

    # The end

    def remove(self) -> str:
        """Delete what the steps made, and nothing else. Raises ClientError where other people's things depend on it."""
        if self.journal.deployment:
            self._remove_deployment()
        return self.customer.remove()

    def _remove_deployment(self) -> None:
        key, client = self.journal.deployment, self._client
        for delete in (
            lambda: client.delete_rule(key, RULE),
            lambda: client.delete_resource(key, RESOURCE),
            lambda: client.delete_link(key, LINK),
        ):
            _unless_gone(delete)
        until(
            lambda: [link for link in _all_links(client, key) if link.name == LINK],
            lambda links: not links,
            lambda links: f"hop link: {links[0].status} {links[0].hint}",
        )
        _unless_gone(lambda: client.delete_deployment(key))
        until(
            lambda: [one for one in client.deployments() if one.id == key],
            lambda left: not left,
            lambda left: f"hop deployment: {left[0].status} {left[0].hint}",
        )


def _all_links(client: Client, deployment: str) -> list[PrivateLinkView]:
    try:
        return client.links(deployment)
    except ClientError as error:
        if error.status == 404:
            return []
        raise


def _unless_gone(delete: Callable[[], object]) -> None:
    try:
        delete()
    except ClientError as error:
        if error.status != 404:
            raise


@contextmanager
def _failing_at(hop: str, otherwise: str) -> Iterator[list[ClientError]]:
    """A Test that must fail at this hop; the error is put into the list."""
    found: list[ClientError] = []
    try:
        yield found
    except ClientError as error:
        if error.extra.get("hop") != hop:
            raise
        found.append(error)
    if not found:
        raise Failed(f"hop {hop}: {otherwise}")


def until(look: Callable[[], T], done: Callable[[T], bool], complain: Callable[[T], str], seconds: float = 60) -> T:
    """Look again until `done`; raises Failed with the complaint about the last look when the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if done(seen):
            return seen
        if time.monotonic() > deadline:
            raise Failed(complain(seen))
        time.sleep(0.05)
