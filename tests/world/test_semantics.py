"""What AWS promises of a data plane, asked for by its API and tried with bytes: names, zones, datagrams, groups."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tieline.demo.inside import Inside
from world.running import Account, Tieline, until

pytestmark = pytest.mark.world
PORT, ANNOUNCED, PRIVATE = 7000, 7001, "echo.plant.internal"
IDLE = "#!/bin/sh\nexec sleep infinity\n"
SERVER = f"""#!/bin/sh
exec python3 -c '
import socketserver, threading
class Stream(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"tcp " + self.rfile.readline())
class Datagram(socketserver.BaseRequestHandler):
    def handle(self):
        self.request[1].sendto(b"udp " + self.request[0], self.client_address)
class Header(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(self.request.recv(4096).hex().encode())
for kind, port, handler in (("UDP", {PORT}, Datagram), ("TCP", {ANNOUNCED}, Header)):
    server = getattr(socketserver, "Threading" + kind + "Server")(("", port), handler)
    threading.Thread(target=server.serve_forever).start()
socketserver.ThreadingTCPServer(("", {PORT}), Stream).serve_forever()'
"""
CLIENT = """
import json, socket, sys
kind, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
try:
    if kind == "names":
        answer = sorted({entry[4][0] for entry in socket.getaddrinfo(host, port, socket.AF_INET)})
    else:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM) as one:
            one.settimeout(3)
            one.connect((host, port))
            one.sendall(b"hello\\n")
            answer = one.recv(4096).decode().strip()
except OSError as error:
    answer = type(error).__name__
print(json.dumps(answer))
"""


class Scene:
    """A customer's echo server behind a balancer in two zones, published; two deployments with the same addresses."""

    def __init__(self, tieline: Tieline) -> None:
        self.tieline = tieline
        self.customer, self.platform = tieline.account("customer"), tieline.account("platform")
        self.vpc, self.subnets = self.customer.network()
        self.server = self.customer.instance(self.subnets[0], SERVER)
        self.balancer = self._balancer()
        self.group = self._listener("echo", PORT, "TCP_UDP")
        self.announced = self._listener("header", ANNOUNCED, "TCP")
        self.service, self.name = self.customer.service(self.balancer, f"arn:aws:iam::{self.platform.id}:root")
        self.customer.ec2.modify_vpc_endpoint_service_configuration(ServiceId=self.service, PrivateDnsName=PRIVATE)
        self.networks = [self.platform.network() for _ in range(2)]
        self.clients = [self.platform.instance(subnets[0], IDLE) for _, subnets in self.networks]
        for vpc, _ in self.networks:
            self.platform.ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
        for group in (self.group, self.announced):
            until(partial(self.customer.health, group), lambda states: states == ["healthy"])

    def _balancer(self) -> str:
        arguments: Any = {"Name": "echo", "Type": "network", "Scheme": "internal", "Subnets": self.subnets}
        arn: str = self.customer.elb.create_load_balancer(**arguments)["LoadBalancers"][0]["LoadBalancerArn"]
        return arn

    def _listener(self, name: str, port: int, protocol: str) -> str:
        arguments: Any = {"Name": name, "Protocol": protocol, "Port": port, "VpcId": self.vpc, "TargetType": "instance"}
        made = self.customer.elb.create_target_group(**arguments, HealthCheckIntervalSeconds=5)["TargetGroups"]
        arn: str = made[0]["TargetGroupArn"]
        self.customer.elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": self.server}])
        forward: Any = [{"Type": "forward", "TargetGroupArn": arn}]
        self.customer.elb.create_listener(
            LoadBalancerArn=self.balancer, Protocol=protocol, Port=port, DefaultActions=forward
        )
        return arn

    def linked(self, network: int, **more: Any) -> dict[str, Any]:
        """An accepted endpoint in both zones of a deployment's network, as it is described."""
        vpc, subnets = self.networks[network]
        made = self.platform.ec2.create_vpc_endpoint(
            VpcEndpointType="Interface", VpcId=vpc, ServiceName=self.name, SubnetIds=subnets, **more
        )["VpcEndpoint"]
        id = made["VpcEndpointId"]
        self.customer.ec2.accept_vpc_endpoint_connections(ServiceId=self.service, VpcEndpointIds=[id])
        until(lambda: self.platform.endpoint_state(id), lambda state: state == "available")
        return dict(made)

    def ask(self, network: int, kind: str, host: str, port: int = PORT) -> Any:
        """What a client in a deployment's network gets: an answer, addresses, or the name of an exception."""
        inside = Inside(self.tieline.prefix)
        return json.loads(inside.run(self.clients[network], "python3", "-c", CLIENT, kind, host, str(port)))

    def cross_zone(self, on: bool) -> None:
        wanted = [{"Key": "load_balancing.cross_zone.enabled", "Value": str(on).lower()}]
        self.customer.elb.modify_load_balancer_attributes(LoadBalancerArn=self.balancer, Attributes=wanted)


@pytest.fixture(scope="module")
def scene(tieline: Tieline) -> Iterator[Scene]:
    yield Scene(tieline)


@pytest.fixture
def endpoint(scene: Scene) -> dict[str, Any]:
    return scene.linked(0)


@pytest.fixture(autouse=True)
def without_endpoints(scene: Scene) -> Iterator[None]:
    """Every test ends as it began, also one that fails."""
    yield
    if made := endpoints(scene.platform):
        scene.platform.ec2.delete_vpc_endpoints(VpcEndpointIds=made)
    until(lambda: endpoints(scene.platform), lambda left: not left)


def endpoints(account: Account) -> list[str]:
    return [each["VpcEndpointId"] for each in account.ec2.describe_vpc_endpoints()["VpcEndpoints"]]


def test_streams_and_datagrams_by_every_name(scene: Scene, endpoint: dict[str, Any]) -> None:
    scene.cross_zone(True)
    addresses = scene.platform.addresses(endpoint["VpcEndpointId"])
    regional, *zonal = [entry["DnsName"] for entry in endpoint["DnsEntries"]]
    until(lambda: scene.ask(0, "names", regional), lambda found: found == sorted(addresses))
    assert [scene.ask(0, "names", name) for name in zonal] == [[address] for address in addresses]
    for host in (regional, *zonal, *addresses):
        until(partial(scene.ask, 0, "tcp", host), lambda answer: answer == "tcp hello")
        assert scene.ask(0, "udp", host) == "udp hello"
    assert scene.ask(1, "names", regional) == "gaierror", "another VPC does not know the name"
    assert scene.ask(0, "tcp", addresses[0], PORT + 9) == "TimeoutError", "no listener, no answer"


def test_a_zone_without_targets_refuses_and_is_not_in_the_name(scene: Scene, endpoint: dict[str, Any]) -> None:
    scene.cross_zone(False)
    first, second = scene.platform.addresses(endpoint["VpcEndpointId"])
    regional = endpoint["DnsEntries"][0]["DnsName"]
    until(lambda: scene.ask(0, "names", regional), lambda found: found == [first])
    assert scene.ask(0, "tcp", first) == "tcp hello"
    until(lambda: scene.ask(0, "tcp", second), lambda answer: answer == "ConnectionRefusedError")
    shown = scene.platform.ec2.describe_vpc_endpoints(VpcEndpointIds=[endpoint["VpcEndpointId"]])["VpcEndpoints"][0]
    assert shown["LastError"]["Code"] == "NoTargetInZone"
    scene.cross_zone(True)
    until(lambda: scene.ask(0, "tcp", second), lambda answer: answer == "tcp hello")


def test_several_endpoints_of_one_service_in_one_vpc_and_in_another(scene: Scene) -> None:
    scene.cross_zone(True)
    made = [scene.linked(0), scene.linked(0), scene.linked(1)]
    ids = [each["VpcEndpointId"] for each in made]
    where = [(0, scene.platform.addresses(ids[0])), (0, scene.platform.addresses(ids[1]))]
    where.append((1, scene.platform.addresses(ids[2])))
    for network, addresses in where:
        for address in addresses:
            until(partial(scene.ask, network, "tcp", address), lambda answer: answer == "tcp hello")
    scene.customer.ec2.reject_vpc_endpoint_connections(ServiceId=scene.service, VpcEndpointIds=[ids[1]])
    until(lambda: scene.ask(0, "tcp", where[1][1][0]), lambda answer: answer != "tcp hello")
    assert scene.ask(0, "tcp", where[0][1][0]) == scene.ask(1, "tcp", where[2][1][0]) == "tcp hello"


def test_a_private_name_leads_to_the_endpoint_while_it_is_enabled(scene: Scene) -> None:
    scene.cross_zone(True)
    id = scene.linked(0, PrivateDnsEnabled=True)["VpcEndpointId"]
    until(lambda: scene.ask(0, "tcp", PRIVATE), lambda answer: answer == "tcp hello")
    assert scene.ask(1, "names", PRIVATE) == "gaierror"
    scene.platform.ec2.modify_vpc_endpoint(VpcEndpointId=id, PrivateDnsEnabled=False)
    until(lambda: scene.ask(0, "names", PRIVATE), lambda answer: answer == "gaierror")


def test_an_endpoints_security_group_decides_who_enters(scene: Scene) -> None:
    vpc, _ = scene.networks[0]
    closed = scene.platform.ec2.create_security_group(GroupName="closed", Description="nobody", VpcId=vpc)["GroupId"]
    made = scene.linked(0, SecurityGroupIds=[closed])
    address = scene.platform.addresses(made["VpcEndpointId"])[0]
    assert scene.ask(0, "tcp", address) == "TimeoutError"
    scene.platform.ec2.authorize_security_group_ingress(
        GroupId=closed, IpProtocol="tcp", FromPort=PORT, ToPort=PORT, CidrIp="10.0.0.0/16"
    )
    until(lambda: scene.ask(0, "tcp", address), lambda answer: answer == "tcp hello")
    assert scene.ask(0, "udp", address) == "TimeoutError"


def test_targets_are_told_the_client_and_the_endpoint_where_their_group_says_so(
    scene: Scene, endpoint: dict[str, Any]
) -> None:
    scene.cross_zone(True)
    address, id = scene.platform.addresses(endpoint["VpcEndpointId"])[0], endpoint["VpcEndpointId"]
    until(lambda: scene.ask(0, "tcp", address, ANNOUNCED), lambda answer: answer == b"hello\n".hex())
    wanted = [{"Key": "proxy_protocol_v2.enabled", "Value": "true"}]
    scene.customer.elb.modify_target_group_attributes(TargetGroupArn=scene.announced, Attributes=wanted)
    sent = until(lambda: scene.ask(0, "tcp", address, ANNOUNCED), lambda answer: answer.startswith("0d0a0d0a000d0a51"))
    assert id.encode().hex() in sent and _octets(address) in sent


def _octets(address: str) -> str:
    return bytes(map(int, address.split("."))).hex()


def test_when_nothing_is_healthy_connections_go_to_all_targets(scene: Scene, endpoint: dict[str, Any]) -> None:
    scene.cross_zone(True)
    address = scene.platform.addresses(endpoint["VpcEndpointId"])[0]
    scene.customer.elb.modify_target_group(TargetGroupArn=scene.group, HealthCheckPort="9")
    until(lambda: scene.customer.health(scene.group), lambda states: states == ["unhealthy"])
    # what is open as the kernel follows is reset, by the group's own attribute
    until(lambda: scene.ask(0, "tcp", address), lambda answer: answer == "tcp hello")
    scene.customer.elb.modify_target_group(TargetGroupArn=scene.group, HealthCheckPort="traffic-port")
    until(lambda: scene.customer.health(scene.group), lambda states: states == ["healthy"], seconds=60)


def test_an_instance_that_ends_amid_changes_of_its_network_leaves_nothing(scene: Scene) -> None:
    doomed = [scene.customer.instance(scene.subnets[0], IDLE) for _ in range(6)]
    for number, instance in enumerate(doomed):
        scene.customer.ec2.terminate_instances(InstanceIds=[instance])
        for step in range(4):  # each changes the rules of the network, and has it converged
            scene.customer.ec2.create_security_group(GroupName=f"g{number}{step}", Description="d", VpcId=scene.vpc)
            scene.cross_zone(step % 2 == 0)
    left = [Path("/run/netns") / scene.tieline.namespace(instance) for instance in doomed]
    until(lambda: [path.name for path in left if path.exists()], lambda found: not found)
