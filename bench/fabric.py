"""The AWS wire with its operations, side by side with moto's server: CPU for each call, calls a second, growth.

python bench/fabric.py [--rounds 5] [--seconds 1.5] [--json FILE]

Both servers get the same signed bytes from the same four client processes, plain sockets that cost next to nothing, in
turns; tieline verifies the signatures, moto does not. CPU is user and system time of the server's process. tieline's
records are on disk, committed before each answer; no kernel objects are made. Medians, and the least and the most.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from servers import free_port

HERE = Path(__file__).resolve().parent
CLIENTS = 4
MOTO = "moto_server"  # its version is in requirements/test.txt
REGION, SERVER = "us-east-1", "fabric_server.py"
CPU_CLOCK = 2  # of another process, by its id: clock_getcpuclockid(3)
EC2, ELB = "ec2", "elasticloadbalancing"
VERSIONS = {EC2: "2016-11-15", ELB: "2015-12-01"}
PER_VPC = 50  # endpoints, AWS's quota
STORED = (50, 5000)  # endpoints, where one of them is asked for
Call = tuple[str, dict[str, str]]  # signing name and form
Figures = dict[str, float]


class Server:
    """A running server and a customer's things on it."""

    def __init__(self, name: str, command: list[str], key: str, secret: str, port: int) -> None:
        self.name, self.key, self.secret, self.port = name, key, secret, port
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        keys: dict[str, Any] = {"aws_access_key_id": key, "aws_secret_access_key": secret, "region_name": REGION}
        keys |= {"endpoint_url": f"http://127.0.0.1:{port}", "config": Config(retries={"max_attempts": 1})}
        self.ec2, self.elb = boto3.client("ec2", **keys), boto3.client("elbv2", **keys)
        self._wait()

    def _wait(self) -> None:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise SystemExit(f"{self.name} did not start")

    def cpu(self) -> float:
        """User and system time so far, in seconds."""
        return time.clock_gettime(~self._process.pid << 3 | CPU_CLOCK)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def publish(self) -> None:
        """A network, a target group with a target, a balancer and a service that asks for no acceptance."""
        vpc, subnet = self.network()
        made = self.elb.create_target_group(Name="db", Protocol="TCP", Port=5432, VpcId=vpc, TargetType="ip")
        self.group = made["TargetGroups"][0]["TargetGroupArn"]
        self.elb.register_targets(TargetGroupArn=self.group, Targets=[{"Id": "10.0.1.10", "Port": 5432}])
        arguments: Any = {"Name": "db", "Type": "network", "Scheme": "internal", "Subnets": [subnet]}
        arn = self.elb.create_load_balancer(**arguments)["LoadBalancers"][0]["LoadBalancerArn"]
        forward: Any = [{"Type": "forward", "TargetGroupArn": self.group}]
        self.elb.create_listener(LoadBalancerArn=arn, Protocol="TCP", Port=5432, DefaultActions=forward)
        service = self.ec2.create_vpc_endpoint_service_configuration(
            NetworkLoadBalancerArns=[arn], AcceptanceRequired=False
        )
        self.service = service["ServiceConfiguration"]["ServiceName"]

    def network(self) -> tuple[str, str]:
        vpc = self.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        zone = self.ec2.describe_availability_zones()["AvailabilityZones"][0]["ZoneName"]
        made = self.ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24", AvailabilityZone=zone)
        return vpc, made["Subnet"]["SubnetId"]

    def creates(self, number: int) -> list[Call]:
        """Requests for that many endpoints, as many in each VPC as it may have."""
        calls: list[Call] = []
        for start in range(0, number, PER_VPC):
            vpc, subnet = self.network()
            form = {"Action": "CreateVpcEndpoint", "VpcEndpointType": "Interface", "VpcId": vpc}
            form |= {"ServiceName": self.service, "SubnetId.1": subnet, "PrivateDnsEnabled": "false"}
            calls += [(EC2, form)] * min(PER_VPC, number - start)
        return calls

    def endpoints(self) -> list[str]:
        return [each["VpcEndpointId"] for each in self.ec2.describe_vpc_endpoints()["VpcEndpoints"]]

    def raw(self, service: str, form: dict[str, str]) -> bytes:
        """A signed request as it goes over the wire."""
        host = f"127.0.0.1:{self.port}"
        body = "&".join(f"{k}={v.replace(':', '%3A').replace('/', '%2F')}" for k, v in form.items())
        body += f"&Version={VERSIONS[service]}"
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        request = AWSRequest("POST", f"http://{host}/", headers, body.encode())
        SigV4Auth(Credentials(self.key, self.secret), service, REGION).add_auth(request)
        lines = ["POST / HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in request.headers.items())]
        return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body]).encode()

    def measure(self, calls: list[Call], seconds: float) -> Figures:
        """Milliseconds of CPU for each call, and calls a second, from four clients; a list of several is sent once."""
        for call in calls[:1] * 20 if len(calls) == 1 else []:
            send(self.port, [self.raw(*call)], 0)
        wires = [self.raw(*call) for call in calls]
        shares = [wires[n::CLIENTS] for n in range(CLIENTS)] if len(wires) > 1 else [wires] * CLIENTS
        repeat = seconds if len(wires) == 1 else 0.0
        before, began = self.cpu(), time.monotonic()
        with multiprocessing.get_context("fork").Pool(CLIENTS) as pool:
            done = sum(pool.starmap(send, [(self.port, share, repeat) for share in shares]))
        return {"cpu_ms": (self.cpu() - before) * 1000 / done, "calls_per_s": done / (time.monotonic() - began)}


def send(port: int, requests: list[bytes], seconds: float) -> int:
    """Send the requests again and again for `seconds`, or once; how many were answered.

    One connection is kept for as long as the server keeps it, as botocore's pool does.
    """
    done, deadline = 0, time.monotonic() + seconds
    connection: socket.socket | None = None
    while True:
        for request in requests:
            connection = connection or socket.create_connection(("127.0.0.1", port), timeout=60)
            connection.sendall(request)
            if not _read(connection):
                connection.close()
                connection = None
            done += 1
        if time.monotonic() >= deadline:
            return done


def _read(connection: socket.socket) -> bool:
    """Read one answer whole; whether the server keeps the connection."""
    with connection.makefile("rb") as answer:
        status, length, kept = answer.readline(), 0, True
        if b" 200 " not in status:
            raise RuntimeError(f"{status!r} {answer.read(2000)!r}")
        while (line := answer.readline()) not in (b"\r\n", b""):
            name, _, value = line.lower().partition(b":")
            length = int(value) if name == b"content-length" else length
            kept = kept and not (name == b"connection" and b"close" in value)
        answer.read(length)
    return kept and status.startswith(b"HTTP/1.1")


def interleaved(servers: list[Server], rounds: int, work: Callable[[Server, int], Figures]) -> list[list[Figures]]:
    """What `work` finds on each of the servers, round by round and server by server."""
    taken = [[work(server, number) for server in servers] for number in range(rounds)]
    return [list(of_one) for of_one in zip(*taken, strict=True)]


def compared(servers: list[Server], rounds: int, seconds: float) -> dict[str, list[list[Figures]]]:
    """All figures of the servers, on the same things."""
    listing: list[Call] = [(EC2, {"Action": "DescribeVpcEndpoints"})]
    for server in servers:
        server.publish()
    found = {"DescribeVpcEndpoints, 0 of them": interleaved(servers, rounds, lambda s, _: s.measure(listing, seconds))}
    creates = {server.name: server.creates(200) for server in servers}
    found["CreateVpcEndpoint"] = interleaved(servers, rounds, lambda s, n: s.measure(creates[s.name][n::rounds], 0))
    for server in servers:
        until_available(server, 200)
    found["DescribeVpcEndpoints, 200 of them"] = interleaved(servers, rounds, lambda s, _: s.measure(listing, seconds))

    def health(server: Server, _: int) -> Figures:
        return server.measure([(ELB, {"Action": "DescribeTargetHealth", "TargetGroupArn": server.group})], seconds)

    found["DescribeTargetHealth"] = interleaved(servers, rounds, health)
    return found


def until_available(server: Server, number: int) -> None:
    """Wait until the server has so many endpoints, and says of each that it is available."""
    for _ in range(100):
        states = [each["State"] for each in server.ec2.describe_vpc_endpoints()["VpcEndpoints"]]
        if states == ["available"] * number:
            return
        time.sleep(0.1)
    raise SystemExit(f"{server.name} has {len(states)} endpoints in the states {set(states)}")


def growth(servers: list[Server], rounds: int, seconds: float) -> list[list[Figures]]:
    """A call that names one id, with 50 endpoints in the one server's store and with 5,000 in the other's."""
    named = {}
    for server, total in zip(servers, STORED, strict=True):
        server.publish()
        server.measure(server.creates(total), 0)
        named[server.port] = {"Action": "DescribeVpcEndpoints", "VpcEndpointId.1": server.endpoints()[-1]}
    return interleaved(servers, rounds, lambda s, _: s.measure([(EC2, named[s.port])], seconds))


@contextmanager
def tieline() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="tieline-bench-") as place:
        port = free_port()
        command = [sys.executable, str(HERE / SERVER), place, str(port)]
        key, secret = "AKIABENCHBENCHBENCH2", "a-secret-of-the-bench"
        server = Server("tieline", [*command, key, secret], key, secret, port)
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def moto() -> Iterator[Server]:
    port = free_port()
    command = [str(Path(sys.executable).with_name(MOTO)), "--port", str(port)]
    server = Server(f"moto {version('moto')}", command, "testing", "testing", port)
    try:
        yield server
    finally:
        server.stop()


def median(figures: list[Figures], which: str) -> float:
    return statistics.median(one[which] for one in figures)


def spread(figures: list[Figures]) -> str:
    """Milliseconds of CPU: the median, the least and the most."""
    taken = sorted(one["cpu_ms"] for one in figures)
    return f"{median(figures, 'cpu_ms'):.2f} ({taken[0]:.2f}–{taken[-1]:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured")
    parser.add_argument("--seconds", type=float, default=1.5, help="length of each measurement")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    with tieline() as ours, moto() as theirs:
        rows = compared([ours, theirs], options.rounds, options.seconds)
        print(
            f"{'':34}{ours.name:>31}{theirs.name:>31}\n{'':34}"
            + f"{'CPU ms a call':>21}{'calls/s':>10}" * 2
            + "      CPU"
        )
    for name, both in rows.items():
        cells = "".join(f"{spread(each):>21}{median(each, 'calls_per_s'):10.0f}" for each in both)
        print(f"{name:34}{cells}   1/{median(both[1], 'cpu_ms') / median(both[0], 'cpu_ms'):.1f}")
    with tieline() as small, tieline() as large:
        few, many = growth([small, large], options.rounds, options.seconds)
    ratio = median(many, "cpu_ms") / median(few, "cpu_ms")
    print(
        f"one endpoint by its id, of {STORED[0]}: {spread(few)} ms; of {STORED[1]:,}: {spread(many)} ms; {ratio:.2f} ×"
    )
    if options.json:
        figures = {"tieline and moto": rows, "one id, of 50 and of 5,000": [few, many]}
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
