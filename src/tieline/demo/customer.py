"""The customer's half of the guide: its own credentials, boto3, and the AWS API only.

Every step looks first for what it made before, by a tag or by a name that holds the same mark. So a step that was cut
short, or that is asked for twice, goes on where it was; and `remove` takes away what has the mark and nothing else.
"""

from __future__ import annotations

import configparser
import json
import secrets
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from tieline.demo.user_data import (
    DATABASE,
    HEALTH_PORT,
    PORT,
    ROWS,
    SCANNED,
    USER,
    database,
    scanner,
)

__all__ = ["DATABASE", "HEALTH_PORT", "PORT", "USER", "Customer"]

TAG = "tieline-demo"
ADDRESS = "10.0.1.10"
GROUP, DATABASE_ROLE, SCANNER_ROLE = "database", "database", "scanner"
STANDING = ["pending", "running", "stopping", "stopped"]  # an instance's states before its end


class Customer:
    """Somebody with a database in a VPC that nothing leads to. `mark` tells this one's things from everybody else's."""

    def __init__(self, endpoint: str, credentials: Path, region: str, mark: str = "", password: str = "") -> None:
        session = _session(credentials, "customer", region)
        settings = Config(retries={"max_attempts": 2}, connect_timeout=5, read_timeout=20)
        self.ec2 = session.client("ec2", endpoint_url=endpoint, config=settings)
        self.elb = session.client("elbv2", endpoint_url=endpoint, config=settings)
        self.mark = mark or secrets.token_hex(4)
        self.password = password or secrets.token_urlsafe(12)
        self.address = ADDRESS
        self.vpc = self.instance = self.group = self.balancer = self.service = self.service_name = ""
        self.subnets: list[str] = []

    # The steps

    def make_network(self, zones: list[str]) -> str:
        """A VPC with the same addresses as the deployment's, and a subnet in each of its zones."""
        found = self.ec2.describe_vpcs(Filters=self._marked())["Vpcs"]
        made = found[0] if found else self.ec2.create_vpc(CidrBlock="10.0.0.0/16", **self._tagged("vpc"))["Vpc"]
        self.vpc = made["VpcId"]
        there = {subnet["AvailabilityZoneId"]: subnet["SubnetId"] for subnet in self._own_subnets()}
        for n, zone in enumerate(zones, 1):
            if zone not in there:
                subnet = self.ec2.create_subnet(
                    VpcId=self.vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZoneId=zone, **self._tagged("subnet")
                )
                there[zone] = subnet["Subnet"]["SubnetId"]
        self.subnets = [there[zone] for zone in zones]
        return f"{self.vpc} 10.0.0.0/16 in {', '.join(zones)}"

    def start_database(self) -> str:
        """An instance whose user data is a PostgreSQL."""
        found = self._instances(DATABASE_ROLE)
        self.instance = found[0] if found else self._run(DATABASE_ROLE, database(self.password), self.address)
        return f"{self.instance} at {self.address}, PostgreSQL by its user data, open to the VPC's own addresses"

    def balance(self) -> str:
        """Target group with an override health port, registered target, internal NLB, listener."""
        self.group = self._target_group()
        self.elb.register_targets(TargetGroupArn=self.group, Targets=[{"Id": self.instance}])
        self.balancer = self._load_balancer()
        attributes: Any = [{"Key": "load_balancing.cross_zone.enabled", "Value": "true"}]
        self.elb.modify_load_balancer_attributes(LoadBalancerArn=self.balancer, Attributes=attributes)
        if not self.elb.describe_listeners(LoadBalancerArn=self.balancer)["Listeners"]:
            actions: Any = [{"Type": "forward", "TargetGroupArn": self.group}]
            self.elb.create_listener(LoadBalancerArn=self.balancer, Protocol="TCP", Port=PORT, DefaultActions=actions)
        return f"target group TCP {PORT} (health on {HEALTH_PORT}), internal NLB, listener {PORT}"

    def wait_healthy(self, seconds: float = 60) -> str:
        """Wait until a probe from the balancer's address has succeeded."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.elb.describe_target_health(TargetGroupArn=self.group)["TargetHealthDescriptions"]
            health = found[0]["TargetHealth"]
            if health["State"] == "healthy":
                return "the target is healthy"
            if time.monotonic() > deadline:
                said = health.get("Description", health.get("State"))
                raise RuntimeError(f"hop target: {said}; the instance's console ends with: {self._console()[-500:]}")
            time.sleep(0.1)

    def publish(self, principal: str) -> str:
        """An endpoint service with acceptance required, and the deployment among its principals."""
        found = self._services()
        if found:
            made = found[0]
        else:
            made = self.ec2.create_vpc_endpoint_service_configuration(
                NetworkLoadBalancerArns=[self.balancer], AcceptanceRequired=True, **self._tagged("vpc-endpoint-service")
            )["ServiceConfiguration"]
        self.service, self.service_name = made["ServiceId"], made["ServiceName"]
        self.ec2.modify_vpc_endpoint_service_permissions(ServiceId=self.service, AddAllowedPrincipals=[principal])
        return f"{self.service_name} allows {principal}"

    def connections(self) -> dict[str, str]:
        """The endpoints that ask for the service, with their states."""
        return self._connections(self.service)

    def accept(self) -> str:
        """Accept every request that waits."""
        waiting = [id for id, state in self.connections().items() if state in ("pendingAcceptance", "rejected")]
        if not waiting:
            return "accepted already"
        self.ec2.accept_vpc_endpoint_connections(ServiceId=self.service, VpcEndpointIds=waiting)
        return f"accepted {', '.join(waiting)}"

    def rows(self) -> tuple[int, int]:
        """How many rows the table has, and how many devices are in them, as the database's console told last."""
        told = [line for line in self._console().splitlines() if line.startswith(ROWS)]
        rows, devices = told[-1].removeprefix(ROWS).split() if told else (0, 0)
        return int(rows), int(devices)

    def own_addresses(self) -> set[str]:
        """The addresses of the customer's own VPC: the database's, the balancer's nodes'."""
        inside: Any = [{"Name": "vpc-id", "Values": [self.vpc]}]
        found = self.ec2.describe_network_interfaces(Filters=inside)["NetworkInterfaces"]
        return {interface["PrivateIpAddress"] for interface in found}

    def scan(self, addresses: list[str], ports: list[int], name: str, seconds: float = 60) -> list[str]:
        """What answers an instance in the customer's VPC that tries these addresses and ports and looks a name up."""
        id = self._run(SCANNER_ROLE, scanner(addresses, ports, name))
        deadline = time.monotonic() + seconds
        try:
            while True:
                console = self._console(id)
                told = [line for line in console.splitlines() if line.startswith(SCANNED)]
                if told:
                    found: list[str] = json.loads(told[-1].removeprefix(SCANNED))
                    return found
                if time.monotonic() > deadline:
                    raise RuntimeError(f"hop instance: the scan does not end; its console: {console[-500:]}")
                time.sleep(0.1)
        finally:
            self.ec2.terminate_instances(InstanceIds=[id])

    def withdraw(self) -> str:
        """Reject what is connected and delete the service, as a provider does that goes first."""
        self._delete_service(self.service)
        return f"{self.service} is deleted"

    # The end

    def remove(self) -> str:
        """Delete everything that has the mark, in the order that AWS asks for; nothing else is touched."""
        for service in self._services():
            self._delete_service(service["ServiceId"])
        balancer = self._named(self.elb.describe_load_balancers, "LoadBalancers", self._nlb)
        if balancer:
            self.elb.delete_load_balancer(LoadBalancerArn=balancer["LoadBalancerArn"])
        group = self._named(self.elb.describe_target_groups, "TargetGroups", self._tg)
        if group:
            _insist(partial(self.elb.delete_target_group, TargetGroupArn=group["TargetGroupArn"]))
        instances = self._instances()
        if instances:
            self.ec2.terminate_instances(InstanceIds=instances)
        for vpc in self.ec2.describe_vpcs(Filters=self._marked())["Vpcs"]:
            self._remove_network(vpc["VpcId"])
        return "service, balancer, target group, instances, security group, subnets and VPC are deleted"

    def _remove_network(self, vpc: str) -> None:
        self.vpc = vpc
        for group in self.ec2.describe_security_groups(Filters=self._marked())["SecurityGroups"]:
            _insist(partial(self.ec2.delete_security_group, GroupId=group["GroupId"]))
        for subnet in self._own_subnets():
            _insist(partial(self.ec2.delete_subnet, SubnetId=subnet["SubnetId"]))
        _insist(partial(self.ec2.delete_vpc, VpcId=vpc))

    # What is there

    @property
    def _tg(self) -> str:
        return f"demo-{self.mark}-db"

    @property
    def _nlb(self) -> str:
        return f"demo-{self.mark}-nlb"

    def _marked(self, role: str = "") -> Any:
        filters = [{"Name": f"tag:{TAG}", "Values": [self.mark]}]
        return [*filters, {"Name": "tag:role", "Values": [role]}] if role else filters

    def _tagged(self, kind: str, role: str = "") -> Any:
        tags = [{"Key": TAG, "Value": self.mark}, *([{"Key": "role", "Value": role}] if role else [])]
        return {"TagSpecifications": [{"ResourceType": kind, "Tags": tags}]}

    def _own_subnets(self) -> Any:
        mine = [{"Name": "vpc-id", "Values": [self.vpc]}, *self._marked()]
        return self.ec2.describe_subnets(Filters=mine)["Subnets"]

    def _instances(self, role: str = "") -> list[str]:
        standing = [*self._marked(role), {"Name": "instance-state-name", "Values": STANDING}]
        found = self.ec2.describe_instances(Filters=standing)["Reservations"]
        return [instance["InstanceId"] for reservation in found for instance in reservation["Instances"]]

    def _run(self, role: str, script: str, address: str = "") -> str:
        place: Any = {"SubnetId": self.subnets[0], "SecurityGroupIds": [self._security_group()]}
        if address:
            place["PrivateIpAddress"] = address
        tags = self._tagged("instance", role)
        made = self.ec2.run_instances(ImageId="local", MinCount=1, MaxCount=1, UserData=script, **place, **tags)
        return str(made["Instances"][0]["InstanceId"])

    def _security_group(self) -> str:
        """The database's: it lets in the balancer's nodes, whose addresses are the VPC's."""
        found = self.ec2.describe_security_groups(Filters=self._marked())["SecurityGroups"]
        if found:
            group: Any = found[0]
        else:
            group = self.ec2.create_security_group(
                GroupName=GROUP, Description="PostgreSQL", VpcId=self.vpc, **self._tagged("security-group")
            )
        open = {rule["FromPort"] for rule in found[0]["IpPermissions"]} if found else set()
        for port in {PORT, HEALTH_PORT} - open:
            self.ec2.authorize_security_group_ingress(
                GroupId=group["GroupId"], IpProtocol="tcp", FromPort=port, ToPort=port, CidrIp="10.0.0.0/16"
            )
        return str(group["GroupId"])

    def _target_group(self) -> str:
        found = self._named(self.elb.describe_target_groups, "TargetGroups", self._tg)
        if not found:
            found = self.elb.create_target_group(
                Name=self._tg,
                Protocol="TCP",
                Port=PORT,
                VpcId=self.vpc,
                TargetType="instance",
                HealthCheckProtocol="HTTP",
                HealthCheckPort=str(HEALTH_PORT),
                HealthCheckIntervalSeconds=5,
                HealthCheckTimeoutSeconds=4,
                UnhealthyThresholdCount=3,
            )["TargetGroups"][0]
        return str(found["TargetGroupArn"])

    def _load_balancer(self) -> str:
        found = self._named(self.elb.describe_load_balancers, "LoadBalancers", self._nlb)
        if not found:
            found = self.elb.create_load_balancer(
                Name=self._nlb, Subnets=self.subnets, Scheme="internal", Type="network"
            )["LoadBalancers"][0]
        return str(found["LoadBalancerArn"])

    def _named(self, describe: Callable[..., Any], key: str, name: str) -> Any:
        try:
            return describe(Names=[name])[key][0]
        except ClientError as error:
            if error.response["Error"]["Code"].endswith("NotFound"):
                return None
            raise

    def _services(self) -> Any:
        found = self.ec2.describe_vpc_endpoint_service_configurations(Filters=self._marked())["ServiceConfigurations"]
        return [service for service in found if service["ServiceState"] in ("Pending", "Available")]

    def _connections(self, service: str) -> dict[str, str]:
        filters: Any = [{"Name": "service-id", "Values": [service]}]
        found = self.ec2.describe_vpc_endpoint_connections(Filters=filters)["VpcEndpointConnections"]
        return {each["VpcEndpointId"]: each["VpcEndpointState"] for each in found}

    def _delete_service(self, service: str) -> None:
        ids = list(self._connections(service))
        if ids:
            self.ec2.reject_vpc_endpoint_connections(ServiceId=service, VpcEndpointIds=ids)
        refused = self.ec2.delete_vpc_endpoint_service_configurations(ServiceIds=[service])["Unsuccessful"]
        if refused:
            raise RuntimeError(f"hop service: {refused[0]['Error']['Message']}")

    def _console(self, instance: str = "") -> str:
        return str(self.ec2.get_console_output(InstanceId=instance or self.instance).get("Output", ""))


def _insist(delete: Callable[[], object], seconds: float = 30) -> None:
    """Delete something as soon as nothing that is being deleted uses it any more."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            delete()
            return
        except ClientError as error:
            used = error.response["Error"]["Code"] in ("DependencyViolation", "ResourceInUse")
            if not used or time.monotonic() > deadline:
                raise
        time.sleep(0.1)


def _session(credentials: Path, profile: str, region: str) -> boto3.Session:
    """A session with one profile of a credentials file, whatever the environment says."""
    found = configparser.ConfigParser()
    found.read(credentials)
    keys = found[profile]
    return boto3.Session(keys["aws_access_key_id"], keys["aws_secret_access_key"], region_name=region)
