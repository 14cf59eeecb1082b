"""The same steps with a witness: whoever is root on the machine looks into both networks from inside."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tieline.client.rest import Client, ClientError
from tieline.cloud.model.records import LinkStatus
from tieline.demo import devices
from tieline.demo.customer import Customer
from tieline.demo.inside import Inside
from tieline.demo.journal import Journal
from tieline.demo.steps import Step
from tieline.demo.story import LINK, MESSAGES, RESOURCE, RULE, Failed, Story, until
from tieline.demo.user_data import DATABASE, PORT, USER


@dataclass(frozen=True)
class Place:
    """Where the demo happens: the state directory of `tieline up`, and its two ports."""

    state: Path
    prefix: str
    rest: str
    wire: str
    region: str
    mqtt_port: int | None = None


class Witnessed(Story):
    """The steps, each checked from inside the namespaces too; and the guide's deletion."""

    def __init__(self, place: Place) -> None:
        client = Client(place.rest, (place.state / "api-key").read_text().strip())
        journal = Journal()
        customer = Customer(place.wire, place.state / "credentials", place.region, journal.mark, journal.password)
        super().__init__(client, customer, journal, mqtt_port=place.mqtt_port)
        self._inside = Inside(place.prefix)

    def wait_running(self) -> str:
        self._link = self._until_link(LinkStatus.RUNNING)
        here = self._inside.run(self._instance, "getent", "ahostsv4", self._link.address).split()[0]
        try:
            self._inside.run(self.customer.instance, "getent", "ahostsv4", self._link.address)
        except RuntimeError:
            return f"{self._link.address} is {here}"
        raise Failed("hop name: the link's name resolves in the customer's VPC, too")

    def publish_and_count(self) -> str:
        wanted = {reading.device for reading in devices.expected(self._publish())}
        until(self._devices, lambda found: found >= wanted, lambda found: f"hop rows: {len(found)} of {len(wanted)}")
        if self._devices() != wanted:
            raise Failed("hop rule: rows arrived that the rule should have kept out")
        rows = int(self._query("select count(*) from readings"))
        return f"{rows} rows of {len(wanted)} matching messages, {MESSAGES - len(wanted)} kept out"

    def _devices(self) -> set[str]:
        return set(self._query("select distinct device from readings").split())

    def _query(self, sql: str) -> str:
        """Ask the database inside the customer's VPC, as its owner would."""
        customer = self.customer
        url = f"postgresql://{USER}:{customer.password}@{customer.address}:{PORT}/{DATABASE}"
        return self._inside.run(customer.instance, "psql", "-AtX", url, "-c", sql).strip()

    def scan_from_deployment(self) -> str:
        endpoint = self._endpoint_addresses()
        ports = [*range(1, 1025), 1883, 2181, 3306, PORT, 6379, 8008, 8080, 9092]
        answered = self._inside.scan(self._instance, endpoint, ports)
        wires = [f"169.254.1.{n}" for n in range(16)]
        answered |= self._inside.scan(self._instance, [*wires, self.customer.address], [22, PORT, 8008])
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
        own = set(self._inside.run(self.customer.instance, "hostname", "-I").split())
        others = [address for address in targets if address not in own]
        nodes = set(self._node_addresses())
        answered = {a for a, _ in self._inside.scan(self.customer.instance, others, [22, 1883, 8080])} - nodes
        if answered:
            raise Failed(f"hop privacy: {sorted(answered)} answered the customer")
        return f"{len(others)} addresses, broker's and wire's among them: none answers"

    def _node_addresses(self) -> list[str]:
        found = self.customer.ec2.describe_network_interfaces(
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
            self._client.delete_link(self.deployment, LINK)
        except ClientError as error:
            if error.status == 409:
                return f"409: {error.message}"
            raise
        raise Failed("hop link: it was deleted under the resource that uses it")

    def delete_in_order(self) -> str:
        self._client.delete_rule(self.deployment, RULE)
        self._client.delete_resource(self.deployment, RESOURCE)
        self._client.delete_link(self.deployment, LINK)
        self._until_gone()
        return self.customer.withdraw()

    def _until_gone(self) -> None:
        until(
            lambda: self._client.links(self.deployment),
            lambda links: not links,
            lambda links: f"hop link: {links[0].status}",
        )

    def provider_first(self) -> str:
        self.customer.publish(self.principal)
        self._client.create_link(self.deployment, name=LINK, service_name=self.customer.service_name, ports=[PORT])
        self._until_link(LinkStatus.WAITING_ACCEPTANCE)
        self.customer.accept()
        self._until_link(LinkStatus.RUNNING)
        self.customer.withdraw()
        link = self._until_link(LinkStatus.FAILED)
        self._client.delete_link(self.deployment, LINK)
        self._until_gone()
        return f"failed ({link.reason}): {link.hint}; deleted"


PRIVACY: tuple[Step[Witnessed], ...] = (
    Step(
        "Privacy: the deployment reaches the listener and nothing else",
        "Every port of the endpoint, the wires and the database's own address are tried from the deployment.",
        lambda story: story.scan_from_deployment(),
    ),
    Step(
        "Privacy: the customer cannot connect back",
        "The broker's addresses, the endpoint's and the wires' are tried from the customer's instance.",
        lambda story: story.scan_from_customer(),
    ),
    Step(
        "Privacy: this machine has no way into either VPC",
        "A host that could reach a VPC would be a way around consent.",
        lambda story: story.look_at_machine(),
    ),
)
#: The guide's deletion, in the right order and in the wrong one.
FAREWELL: tuple[Step[Witnessed], ...] = (
    Step(
        "Delete the link: refused while a resource uses it",
        "Nobody's rows lose their way by accident.",
        lambda story: story.delete_refused(),
    ),
    Step(
        "Delete rule, resource, link: in this order it works",
        "What uses something goes first.",
        lambda story: story.delete_in_order(),
    ),
    Step(
        "The provider goes first: the link says so, and can be deleted",
        "Either side may end it alone.",
        lambda story: story.provider_first(),
    ),
)
