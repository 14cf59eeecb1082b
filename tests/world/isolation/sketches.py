"""Random worlds as sketches, the same as records made by AWS operations, and what may pass in each by its consents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hypothesis import strategies as st

from fabric.worlds import Account, Fabric
from tieline.fabric.core.topology import Topology

LISTENER, CLOSED = 5432, 6000  # every host serves both ports; balancers listen on the first alone
HOST = "10.0.1.10"
ZONE = "use1-az1"
Consent = Literal["requested", "accepted", "rejected", "deleted", "withdrawn"]
CONSENTS: tuple[Consent, ...] = ("requested", "accepted", "rejected", "deleted", "withdrawn")


@dataclass(frozen=True, slots=True)
class Sketch:
    """How many VPCs, all alike, and the links between them by number: consumer, provider, and how far consent went."""

    vpcs: int
    links: tuple[tuple[int, int, Consent], ...]


def sketches(vpcs: int, links: int) -> st.SearchStrategy[Sketch]:
    """Worlds of up to so many VPCs and links; half of the links are accepted."""
    consent = st.one_of(st.just("accepted"), st.sampled_from(CONSENTS))

    def joined(count: int) -> st.SearchStrategy[Sketch]:
        ends = st.integers(0, count - 1)
        return st.builds(Sketch, st.just(count), st.lists(st.tuples(ends, ends, consent), max_size=links).map(tuple))

    return st.integers(2, vpcs).flatmap(joined)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A sketch as it is planned, and by VPC: its host, and who answers at which address and port."""

    topology: Topology
    hosts: dict[str, str]
    passes: dict[str, dict[tuple[str, int], str]]
    addresses: tuple[str, ...]  # every address that means something somewhere


def draw(sketch: Sketch) -> Drawn:
    """Make the world by operations. Odd VPCs are the platform's, even ones the customer's."""
    fabric = Fabric()
    owners = [(fabric.customer, fabric.platform)[number % 2] for number in range(sketch.vpcs)]
    places = [_vpc(owner, number) for number, owner in enumerate(owners)]
    fabric.settle()
    passes = {vpc: {(HOST, port): vpc for port in (LISTENER, CLOSED)} for vpc, *_ in places}
    for vpc in fabric.plan().vpcs.values():
        passes[vpc.id] |= {(node.address, LISTENER): vpc.id for node in vpc.nodes}
    for consumer, provider, consent in sketch.links:
        address = _link(fabric, owners, places, consumer, provider, consent)
        if consent == "accepted":
            passes[places[consumer][0]][address, LISTENER] = places[provider][0]
    fabric.settle()
    topology = fabric.plan()
    crossings = [crossing for wire in topology.wires.values() for crossing in wire.crossings]
    known = {HOST, "10.0.0.2", "10.0.1.1", *(address for by in passes.values() for address, _ in by)}
    known |= {address for crossing in crossings for address in (crossing.near, crossing.far, crossing.endpoint)}
    known |= {address for vpc in topology.vpcs.values() for address in vpc.addresses}
    hosts = {vpc: host for vpc, _, host, *_ in places}
    return Drawn(topology, hosts, passes, tuple(sorted(known)))


Place = tuple[str, str, str, tuple[str, str]]  # VPC, subnet, host, service (id and name)


def _vpc(owner: Account, number: int) -> Place:
    """A VPC with one host, which is the one target of the VPC's balancer, which is the VPC's service."""
    vpc, (subnet,) = owner.network((ZONE,))
    groups = owner.ec2("DescribeSecurityGroups", Filters=[{"Name": "vpc-id", "Values": [vpc]}])["SecurityGroups"]
    everybody = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    owner.ec2("AuthorizeSecurityGroupIngress", GroupId=groups[0]["GroupId"], IpPermissions=everybody)
    place = {"ImageId": "local", "MinCount": 1, "MaxCount": 1, "SubnetId": subnet, "PrivateIpAddress": HOST}
    host: str = owner.ec2("RunInstances", **place)["Instances"][0]["InstanceId"]
    arn = owner.balancer(vpc, [subnet], name=f"b{number}", port=LISTENER, target=HOST)
    both = (owner.fabric.platform, owner.fabric.customer)
    return vpc, subnet, host, owner.service(arn, *both)


def _link(
    fabric: Fabric, owners: list[Account], places: list[Place], consumer: int, provider: int, consent: Consent
) -> str:
    """Take a link as far as its consent goes; the endpoint's address."""
    (vpc, subnet, *_), asking = places[consumer], owners[consumer]
    (service, name), giving = places[provider][3], owners[provider]
    endpoint = asking.endpoint(vpc, name, [subnet])
    found = asking.ec2("DescribeVpcEndpoints", VpcEndpointIds=[endpoint])["VpcEndpoints"][0]
    interface = asking.ec2("DescribeNetworkInterfaces", NetworkInterfaceIds=found["NetworkInterfaceIds"])
    address: str = interface["NetworkInterfaces"][0]["PrivateIpAddress"]
    if consent in ("accepted", "deleted", "withdrawn"):
        giving.ec2("AcceptVpcEndpointConnections", ServiceId=service, VpcEndpointIds=[endpoint])
    if consent in ("deleted", "withdrawn"):
        fabric.settle()
    if consent in ("rejected", "withdrawn"):
        giving.ec2("RejectVpcEndpointConnections", ServiceId=service, VpcEndpointIds=[endpoint])
    if consent == "deleted":
        asking.ec2("DeleteVpcEndpoints", VpcEndpointIds=[endpoint])
    return address
