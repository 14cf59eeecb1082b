"""A server that exists already, in a network of its own, is a target without being moved."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from conftest import new_prefix
from world.running import Account, Tieline, until

pytestmark = [pytest.mark.world, pytest.mark.timeout(240)]
PORT = 5432
HEADERS = 40  # bytes of IPv4 and TCP without options
SMALL = 1300  # bytes: the MTU of a NIC, as that of a tunnel, which the server behind it does not know of
SERVER = f"""
import socket, socketserver
class Answer(socketserver.BaseRequestHandler):
    def handle(self):
        segment = self.request.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
        self.request.sendall(f"I was here before {{self.client_address[0]}} {{segment}}".encode())
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
Server(("", {PORT}), Answer).serve_forever()
"""
CLIENT = """
import socket, sys
made = socket.create_connection((sys.argv[1], {port}), 5)
print(made.recv(99).decode(), made.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG))
"""


def run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)


@contextmanager
def elsewhere(*setup: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    """A network namespace that is none of tieline's, with a server in it: its name and the server's process id."""
    name = new_prefix() + "x"
    run("ip", "netns", "add", name)
    inode = Path("/run/netns", name).stat().st_ino
    try:
        for line in setup:
            run("ip", *(word.replace("{name}", name) for word in line))
        run("ip", "-n", name, "link", "set", "lo", "up")
        program = ("ip", "netns", "exec", name, sys.executable, "-c", SERVER)
        with subprocess.Popen(program) as process:
            try:
                until(lambda: Path(f"/proc/{process.pid}/ns/net").stat().st_ino == inode)
                yield name, process.pid
                assert process.poll() is None, "whatever tieline did, the server must not notice"
            finally:
                process.kill()
    finally:
        run("ip", "netns", "delete", name)


class Scene:
    """A customer's network, and a platform's client behind an endpoint of whatever the customer balances."""

    def __init__(self, tieline: Tieline) -> None:
        self.tieline = tieline
        self.customer, self.platform = tieline.account("customer"), tieline.account("platform")
        self.vpc, self.subnets = self.customer.network()
        self.own, self.own_subnets = self.platform.network()
        self.client = self.platform.instance(self.own_subnets[0], "#!/bin/sh\nexec sleep 600\n")

    def attach(self, subnet: str, address: str, *what: str) -> str:
        state = ("--state", str(self.tieline.state))
        done = self.tieline.command("attach", *state, "--subnet", subnet, "--address", address, *what, "--json")
        found: dict[str, str] = json.loads(done.stdout)
        assert found["address"] == address
        return found["id"]

    def link(self, name: str, address: str) -> tuple[str, str]:
        """An endpoint whose service balances to an address: the group, and the endpoint's first address."""
        arn, group = balance(self.customer, name, self.vpc, self.subnets, address)
        service, service_name = self.customer.service(arn, f"arn:aws:iam::{self.platform.id}:root")
        endpoint = self.platform.endpoint(self.own, service_name, self.own_subnets)
        self.customer.ec2.accept_vpc_endpoint_connections(ServiceId=service, VpcEndpointIds=[endpoint])
        until(lambda: self.platform.endpoint_state(endpoint), lambda state: state == "available")
        return group, self.platform.addresses(endpoint)[0]

    def ask(self, address: str) -> str:
        return self.tieline.inside(
            self.client, sys.executable, "-c", CLIENT.replace("{port}", str(PORT)), address
        ).stdout


def balance(customer: Account, name: str, vpc: str, subnets: list[str], address: str) -> tuple[str, str]:
    settings: dict[str, Any] = {"Protocol": "TCP", "Port": PORT, "VpcId": vpc, "TargetType": "ip"}
    made = customer.elb.create_target_group(Name=name, HealthCheckIntervalSeconds=5, **settings)
    group: str = made["TargetGroups"][0]["TargetGroupArn"]
    customer.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": address}])
    load = customer.elb.create_load_balancer(Name=name, Subnets=subnets, Scheme="internal", Type="network")
    arn: str = load["LoadBalancers"][0]["LoadBalancerArn"]
    cross = [{"Key": "load_balancing.cross_zone.enabled", "Value": "true"}]
    customer.elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=cross)
    actions = [{"Type": "forward", "TargetGroupArn": group}]
    customer.elb.create_listener(LoadBalancerArn=arn, Protocol="TCP", Port=PORT, DefaultActions=actions)
    until(lambda: customer.health(group), lambda states: states == ["healthy"], seconds=60)
    return arn, group


def test_a_process_in_a_namespace_of_its_own_serves_through_a_link(tieline: Tieline) -> None:
    scene = Scene(tieline)
    # a container's network: an eth0 and a default route that are none of our business
    own = (
        ("-n", "{name}", "link", "add", "eth0", "type", "veth", "peer", "name", "other"),
        ("-n", "{name}", "address", "add", "172.17.0.9/16", "dev", "eth0"),
        ("-n", "{name}", "link", "set", "eth0", "up"),
        ("-n", "{name}", "route", "add", "default", "via", "172.17.0.1"),
    )
    with elsewhere(*own) as (name, pid):
        before = links(name)
        interface = scene.attach(scene.subnets[0], "10.0.1.99", "--pid", str(pid))
        group, address = scene.link("process", "10.0.1.99")
        assert scene.ask(address).startswith("I was here before 10.0.")
        assert len(links(name)) == len(before) + 1
        tieline.command("detach", "--state", str(tieline.state), interface)
        until(lambda: links(name), lambda now: now == before)
        until(lambda: scene.customer.health(group), lambda states: states == ["unhealthy"], seconds=60)
        assert not list(Path("/run/netns").glob(f"{tieline.prefix}-eni-*"))


def test_an_address_behind_a_nic_serves_through_a_link(tieline: Tieline) -> None:
    scene = Scene(tieline)
    nic = new_prefix()
    lan = (
        ("link", "add", nic, "type", "veth", "peer", "name", "eth0", "netns", "{name}"),
        ("link", "set", nic, "up", "mtu", str(SMALL)),
        ("-n", "{name}", "address", "add", "10.0.2.77/16", "dev", "eth0"),
        ("-n", "{name}", "link", "set", "eth0", "up"),
    )
    with elsewhere(*lan):
        interface = scene.attach(scene.subnets[1], "10.0.2.77", "--nic", nic)
        _, address = scene.link("nic", "10.0.2.77")
        said = scene.ask(address)
        assert said.startswith("I was here before 10.0.")
        assert all(int(segment) <= SMALL - HEADERS for segment in said.split()[-2:]), said
        tieline.command("detach", "--state", str(tieline.state), interface)
        until(lambda: scene.ask(address), lambda said: said == "")


def test_a_host_that_cannot_be_linked_holds_nobody_else_up(tieline: Tieline) -> None:
    scene = Scene(tieline)
    with elsewhere() as (name, pid):
        interface = scene.attach(scene.subnets[0], "10.0.1.99", "--pid", str(pid))
        _, address = scene.link("before", "10.0.1.99")
        (link,) = set(links(name)) - {"lo"}
        run("ip", "-n", name, "link", "del", link)
        run(
            "ip", "-n", name, "link", "property", "add", "dev", "lo", "altname", link
        )  # its owner takes the link's name
        log = tieline.state / "fabric.log"
        until(log.read_text, lambda text: f"failed, next try in 0.4 s: {interface}" in text)
        script = f"#!/bin/sh\nexec python3 -c '{SERVER}'\n"
        scene.customer.instance(scene.subnets[1], script, "10.0.2.10")
        _, other = scene.link("after", "10.0.2.10")
        assert scene.ask(other).startswith("I was here before 10.0.")
        assert not scene.ask(address)
        run("ip", "-n", name, "link", "property", "del", "dev", "lo", "altname", link)
        until(lambda: scene.ask(address), lambda said: said.startswith("I was here before 10.0."))


def test_down_leaves_what_was_attached_alone(mortal: Tieline) -> None:
    mortal.up()
    customer = mortal.account("customer")
    _, subnets = customer.network()
    with elsewhere() as (name, pid):
        state = ("--state", str(mortal.state))
        mortal.command("attach", *state, "--subnet", subnets[0], "--pid", str(pid))
        until(lambda: links(name), lambda now: len(now) == 2)
        mortal.down()
        assert links(name) == ["lo"]


def test_what_is_not_there_is_refused_and_leaves_no_interface(tieline: Tieline) -> None:
    customer = tieline.account("customer")
    vpc, subnets = customer.network()
    for what in (("--pid", "99999999"), ("--nic", "no-such-nic"), ()):
        done = tieline.command("attach", "--state", str(tieline.state), "--subnet", subnets[0], *what, check=False)
        assert done.returncode != 0 and "Traceback" not in done.stderr
    found = customer.ec2.describe_network_interfaces(Filters=[{"Name": "vpc-id", "Values": [vpc]}])
    assert found["NetworkInterfaces"] == []


def links(namespace: str) -> list[str]:
    listed = subprocess.run(["ip", "-n", namespace, "-j", "link"], check=True, capture_output=True, text=True).stdout
    return sorted(one["ifname"] for one in json.loads(listed))


def test_the_machines_own_network_is_attached_only_where_that_is_said(tieline: Tieline) -> None:
    """In a network that stands for the machine's, with a route to other hosts of the very same addresses."""
    customer = tieline.account("customer")
    vpc, subnets = customer.network()
    with subprocess.Popen(["sleep", "600"]) as own:
        command = ("attach", "--state", str(tieline.state), "--subnet", subnets[0], "--pid", str(own.pid))
        done = tieline.command(*command, check=False)
        assert done.returncode != 0 and "own network" in done.stderr and "--host-network" in done.stderr
        found = customer.ec2.describe_network_interfaces(Filters=[{"Name": "vpc-id", "Values": [vpc]}])
        assert found["NetworkInterfaces"] == []
        done = tieline.command(*command[:-2], "--nic", "lo", "--host-network", check=False)
        assert done.returncode != 0 and "--pid" in done.stderr
        own.kill()


def test_the_machines_own_network_keeps_its_routes(tieline: Tieline) -> None:
    customer = tieline.account("customer")
    _, subnets = customer.network()
    before = routes()
    with subprocess.Popen(["sleep", "600"]) as own:
        command = ("attach", "--state", str(tieline.state), "--subnet", subnets[0], "--pid", str(own.pid))
        made = json.loads(tieline.command(*command, "--host-network", "--address", "10.0.1.77", "--json").stdout)
        try:
            until(lambda: "10.0.1.77" in json.dumps(addresses()))
            until(lambda: "10.0.1.77" in rules())
            assert routes() == before, "no destination of the machine's goes another way"
            assert [a["prefixlen"] for one in addresses() for a in one["addr_info"] if a["local"] == "10.0.1.77"] == [
                32
            ]
            script = "#!/bin/sh\nexec sleep 600\n"
            inside = customer.instance(subnets[0], script)
            answer = (
                "import socket; s = socket.create_server(('10.0.1.77', 0)); print(s.getsockname()[1], flush=True); "
            )
            answer += "c, _ = s.accept(); c.sendall(b'from the machine')"
            with subprocess.Popen([sys.executable, "-c", answer], stdout=subprocess.PIPE, text=True) as server:
                assert server.stdout is not None
                port = server.stdout.readline().strip()
                ask = f"import socket; print(socket.create_connection(('10.0.1.77', {port}), 20).recv(99).decode())"
                assert "from the machine" in tieline.inside(inside, sys.executable, "-c", ask).stdout
        finally:
            tieline.command("detach", "--state", str(tieline.state), made["id"])
            own.kill()
    assert routes() == before and "10.0.1.77" not in rules() and "10.0.1.77" not in json.dumps(addresses())


def routes() -> str:
    return subprocess.run(["ip", "route"], check=True, capture_output=True, text=True).stdout


def rules() -> str:
    return subprocess.run(["ip", "rule"], check=True, capture_output=True, text=True).stdout


def addresses() -> list[dict[str, Any]]:
    shown = subprocess.run(["ip", "-j", "address"], check=True, capture_output=True, text=True).stdout
    found: list[dict[str, Any]] = json.loads(shown)
    return found
