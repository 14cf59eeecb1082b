"""A `tieline up` of a test's own: started as a user would, on free ports, with clients for both accounts."""

from __future__ import annotations

import configparser
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import boto3
import httpx
from botocore.config import Config

from servers import free_port
from tieline.client.rest import Client

T = TypeVar("T")
REGION = "us-east-1"


def until(look: Callable[[], T], done: Callable[[T], object] = bool, seconds: float = 60) -> T:
    """Look again until `done`; fails the test with the last look when the time is over.

    The time is a bound for a machine that does much else, and no promise of the product's.
    """
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if done(seen):
            return seen
        assert time.monotonic() < deadline, f"not within {seconds} s: {seen}"
        time.sleep(0.05)


def settled(look: Callable[[], int], pause: float) -> int:
    """A number once it does not change any more from one look to the next."""
    before, now = -1, look()
    while now != before:
        time.sleep(pause)
        before, now = now, look()
    return now


class Tieline:
    """One state directory, and the processes that run on it."""

    def __init__(self, state: Path, prefix: str) -> None:
        self.state, self.prefix = state, prefix
        self.console_port, self.aws_port = free_port(), free_port()
        self._clients: list[Client] = []
        state.mkdir(parents=True)
        (state / "prefix").write_text(prefix)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def wire(self) -> str:
        return f"http://127.0.0.1:{self.aws_port}"

    @property
    def rest(self) -> str:
        return f"http://127.0.0.1:{self.console_port}"

    def command(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `tieline` with arguments to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "tieline", *arguments], capture_output=True, text=True, timeout=180, check=False
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def up(self, *options: str) -> None:
        """Start it, and wait until both sides answer."""
        ports = ["--console-port", str(self.console_port), "--aws-port", str(self.aws_port), "--region", REGION]
        with (self.state / "up.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tieline", "up", "--state", str(self.state), *ports, *options],
                stdout=log,
                stderr=log,
            )
        until(self._answers, seconds=60)

    def _answers(self) -> bool:
        assert self.process is not None and self.process.poll() is None, (self.state / "up.log").read_text()
        try:
            return all(httpx.get(f"{u}/healthz", timeout=1, trust_env=False).is_success for u in (self.wire, self.rest))
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        """SIGKILL `tieline up`; returns when its two parts are gone as well."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        until(lambda: not self._answers_any())

    def _answers_any(self) -> bool:
        for port in (self.aws_port, self.console_port):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return True
        return False

    def down(self) -> None:
        """Remove everything, as a user would."""
        for client in self._clients:
            client.close()
        self.command("down", "--state", str(self.state))
        if self.process is not None:
            self.process.wait()

    def terminate(self) -> None:
        """End `tieline up` in good order; what it made stays."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGTERM)
        self.process.wait()

    def account(self, profile: str) -> Account:
        """The clients of an account."""
        return Account(self, profile)

    def client(self) -> Client:
        """The platform's REST interface."""
        made = Client(self.rest, (self.state / "api-key").read_text().strip())
        self._clients.append(made)
        return made

    def namespace(self, instance: str) -> str:
        return f"{self.prefix}-{instance}"

    def inside(
        self, instance: str, *argv: str, stdin: str = "", seconds: float = 30
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in an instance's network."""
        enter = ["nsenter", f"--net=/run/netns/{self.namespace(instance)}", "--"]
        return subprocess.run(
            [*enter, *argv], input=stdin, capture_output=True, text=True, timeout=seconds, check=False
        )


class Account:
    """boto3 clients on the wire, and what tests build again and again."""

    def __init__(self, tieline: Tieline, profile: str) -> None:
        keys = configparser.ConfigParser()
        keys.read(tieline.state / "credentials")
        self.key, self.secret = keys[profile]["aws_access_key_id"], keys[profile]["aws_secret_access_key"]
        self._endpoint = tieline.wire
        self.ec2, self.elb, self.sts = self.made("ec2"), self.made("elbv2"), self.made("sts")

    def made(self, service: str, **over: str) -> Any:
        """A client; `over` replaces the keys."""
        keys = {"aws_access_key_id": self.key, "aws_secret_access_key": self.secret} | over
        config = Config(retries={"max_attempts": 1})
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self._endpoint,
            region_name=REGION,
            config=config,
            **keys,
        )

    @property
    def id(self) -> str:
        account: str = self.sts.get_caller_identity()["Account"]
        return account

    def network(self, zones: tuple[str, ...] = ("use1-az1", "use1-az2")) -> tuple[str, list[str]]:
        """A VPC 10.0.0.0/16 with a /24 in each zone, whose default group lets in what comes from its own addresses."""
        vpc = self.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        ids = {"Name": "vpc-id", "Values": [vpc]}
        group = self.ec2.describe_security_groups(Filters=[ids])["SecurityGroups"][0]["GroupId"]
        self.ec2.authorize_security_group_ingress(GroupId=group, IpProtocol="-1", CidrIp="10.0.0.0/16")
        subnets = []
        for n, zone in enumerate(zones, 1):
            made = self.ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZoneId=zone)
            subnets.append(made["Subnet"]["SubnetId"])
        return vpc, subnets

    def instance(self, subnet: str, script: str, address: str | None = None) -> str:
        place: dict[str, Any] = {"PrivateIpAddress": address} if address else {}
        made = self.ec2.run_instances(
            ImageId="local", MinCount=1, MaxCount=1, SubnetId=subnet, UserData=script, **place
        )["Instances"][0]["InstanceId"]

        def state() -> str:
            found = self.ec2.describe_instances(InstanceIds=[made])["Reservations"][0]["Instances"][0]
            name: str = found["State"]["Name"]
            return name

        until(state, lambda name: name == "running")
        return str(made)

    def balancer(
        self, name: str, vpc: str, subnets: list[str], instance: str, port: int, **check: Any
    ) -> tuple[str, str]:
        """An internal load balancer in front of an instance; waits until healthy. ARNs: balancer, group."""
        group = self.elb.create_target_group(
            Name=name,
            Protocol="TCP",
            Port=port,
            VpcId=vpc,
            TargetType="instance",
            HealthCheckIntervalSeconds=5,
            **check,
        )["TargetGroups"][0]["TargetGroupArn"]
        self.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": instance}])
        arn = self.elb.create_load_balancer(Name=name, Subnets=subnets, Scheme="internal", Type="network")[
            "LoadBalancers"
        ][0]["LoadBalancerArn"]
        attributes = [{"Key": "load_balancing.cross_zone.enabled", "Value": "true"}]
        self.elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=attributes)
        actions = [{"Type": "forward", "TargetGroupArn": group}]
        self.elb.create_listener(LoadBalancerArn=arn, Protocol="TCP", Port=port, DefaultActions=actions)
        until(lambda: self.health(group), lambda states: states == ["healthy"])
        return arn, group

    def health(self, group: str) -> list[str]:
        found = self.elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        return [each["TargetHealth"]["State"] for each in found]

    def service(self, balancer: str, *principals: str) -> tuple[str, str]:
        made = self.ec2.create_vpc_endpoint_service_configuration(
            NetworkLoadBalancerArns=[balancer], AcceptanceRequired=True
        )["ServiceConfiguration"]
        id = made["ServiceId"]
        self.ec2.modify_vpc_endpoint_service_permissions(ServiceId=id, AddAllowedPrincipals=list(principals))
        return id, made["ServiceName"]

    def endpoint(self, vpc: str, service_name: str, subnets: list[str]) -> str:
        made = self.ec2.create_vpc_endpoint(
            VpcEndpointType="Interface", VpcId=vpc, ServiceName=service_name, SubnetIds=subnets
        )
        id: str = made["VpcEndpoint"]["VpcEndpointId"]
        return id

    def endpoint_state(self, id: str) -> str:
        state: str = self.ec2.describe_vpc_endpoints(VpcEndpointIds=[id])["VpcEndpoints"][0]["State"]
        return state

    def addresses(self, endpoint: str) -> list[str]:
        """An endpoint's addresses, in the order of its subnets."""
        found = self.ec2.describe_vpc_endpoints(VpcEndpointIds=[endpoint])["VpcEndpoints"][0]
        interfaces = self.ec2.describe_network_interfaces(NetworkInterfaceIds=found["NetworkInterfaceIds"])
        by_subnet = {i["SubnetId"]: i["PrivateIpAddress"] for i in interfaces["NetworkInterfaces"]}
        return [by_subnet[subnet] for subnet in found["SubnetIds"]]
