"""The customer's half of the guide: its own credentials, boto3, and the AWS wire only."""

from __future__ import annotations

import configparser
import secrets
import time
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

DATABASE, USER = "plant", "writer"
PORT, HEALTH_PORT = 5432, 8008

# A real PostgreSQL. The health port says what a balancer wants to know, as Patroni's does: 200 while the database
# takes connections, 503 while it does not.
BOOT = r"""#!/bin/sh
set -eu
bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
home=/var/lib/tieline-demo
mkdir -p $home && chown postgres $home && cd $home
as="setpriv --reuid=postgres --regid=postgres --clear-groups"
printf '%s' '{password}' > password && chown postgres password
$as $bin/initdb -D data -U postgres --pwfile=password --auth=scram-sha-256 --no-sync >/dev/null
rm password
echo 'host {database} {user} 10.0.0.0/16 scram-sha-256' >> data/pg_hba.conf
$as $bin/postgres -D data -c listen_addresses='*' -c port={port} -c unix_socket_directories=$home &
export PGHOST=$home PGPORT={port} PGUSER=postgres PGPASSWORD='{password}'
until $bin/pg_isready -q; do sleep 0.1; done
$bin/psql -qc "create role {user} login password '{password}'" -c 'create database {database} owner {user}'
$bin/psql -q -d {database} -c 'create table readings(device text, temp float8, ts bigint)' \
    -c 'alter table readings owner to {user}'
echo 'the database is ready'
exec python3 -c '
import http.server, subprocess, sys
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        ready = subprocess.run([sys.argv[1], "-q"]).returncode == 0
        self.send_response(200 if ready else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer(("", {health}), Health).serve_forever()
' $bin/pg_isready
"""


class Customer:
    """Somebody with a database in a VPC that nothing leads to."""

    def __init__(self, endpoint: str, credentials: Path, region: str) -> None:
        session = _session(credentials, "customer", region)
        settings = Config(retries={"max_attempts": 2}, connect_timeout=5, read_timeout=20)
        self.ec2 = session.client("ec2", endpoint_url=endpoint, config=settings)
        self.elb = session.client("elbv2", endpoint_url=endpoint, config=settings)
        self.password = secrets.token_urlsafe(12)
        self.address = "10.0.1.10"
        self.vpc = self.instance = self.group = self.balancer = self.service = self.service_name = ""
        self.subnets: list[str] = []

    def make_network(self, zones: list[str]) -> str:
        """A VPC with the same addresses as the deployment's, and a subnet in each of its zones."""
        self.vpc = self.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        for n, zone in enumerate(zones, 1):
            made = self.ec2.create_subnet(VpcId=self.vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZoneId=zone)
            self.subnets.append(made["Subnet"]["SubnetId"])
        return f"{self.vpc} 10.0.0.0/16 in {', '.join(zones)}"

    def start_database(self) -> str:
        """An instance whose user data is a PostgreSQL."""
        script = BOOT
        values = {"password": self.password, "database": DATABASE, "user": USER, "port": PORT, "health": HEALTH_PORT}
        for name, value in values.items():
            script = script.replace("{" + name + "}", str(value))
        place: Any = {"SubnetId": self.subnets[0], "PrivateIpAddress": self.address}
        place["SecurityGroupIds"] = [self._group()]
        made = self.ec2.run_instances(ImageId="local", MinCount=1, MaxCount=1, UserData=script, **place)
        self.instance = made["Instances"][0]["InstanceId"]
        return f"{self.instance} at {self.address}, PostgreSQL by its user data, open to the VPC's own addresses"

    def _group(self) -> str:
        """A security group for the database: it meets the balancer's nodes, whose addresses are the VPC's."""
        group = self.ec2.create_security_group(GroupName="database", Description="PostgreSQL", VpcId=self.vpc)[
            "GroupId"
        ]
        for port in (PORT, HEALTH_PORT):
            self.ec2.authorize_security_group_ingress(
                GroupId=group, IpProtocol="tcp", FromPort=port, ToPort=port, CidrIp="10.0.0.0/16"
            )
        return group

    def balance(self) -> str:
        """Target group with an override health port, registered target, internal NLB, listener."""
        made = self.elb.create_target_group(
            Name="demo-db",
            Protocol="TCP",
            Port=PORT,
            VpcId=self.vpc,
            TargetType="instance",
            HealthCheckProtocol="HTTP",
            HealthCheckPort=str(HEALTH_PORT),
            HealthCheckIntervalSeconds=5,
            UnhealthyThresholdCount=3,
        )
        self.group = made["TargetGroups"][0]["TargetGroupArn"]
        self.elb.register_targets(TargetGroupArn=self.group, Targets=[{"Id": self.instance}])
        made_lb = self.elb.create_load_balancer(
            Name="demo-nlb", Subnets=self.subnets, Scheme="internal", Type="network"
        )
        self.balancer = made_lb["LoadBalancers"][0]["LoadBalancerArn"]
        attributes: Any = [{"Key": "load_balancing.cross_zone.enabled", "Value": "true"}]
        self.elb.modify_load_balancer_attributes(LoadBalancerArn=self.balancer, Attributes=attributes)
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
                console = self.ec2.get_console_output(InstanceId=self.instance).get("Output", "")
                said = health.get("Description", health.get("State"))
                raise RuntimeError(f"hop target: {said}; the instance's console ends with: {console[-500:]}")
            time.sleep(0.1)

    def publish(self, principal: str) -> str:
        """An endpoint service with acceptance required, and the deployment among its principals."""
        made = self.ec2.create_vpc_endpoint_service_configuration(
            NetworkLoadBalancerArns=[self.balancer], AcceptanceRequired=True
        )["ServiceConfiguration"]
        self.service, self.service_name = made["ServiceId"], made["ServiceName"]
        self.ec2.modify_vpc_endpoint_service_permissions(ServiceId=self.service, AddAllowedPrincipals=[principal])
        return f"{self.service_name} allows {principal}"

    def connections(self) -> dict[str, str]:
        """The endpoints that ask for the service, with their states."""
        filters: Any = [{"Name": "service-id", "Values": [self.service]}]
        found = self.ec2.describe_vpc_endpoint_connections(Filters=filters)["VpcEndpointConnections"]
        return {each["VpcEndpointId"]: each["VpcEndpointState"] for each in found}

    def accept(self) -> str:
        """Accept every request that waits."""
        waiting = [id for id, state in self.connections().items() if state == "pendingAcceptance"]
        self.ec2.accept_vpc_endpoint_connections(ServiceId=self.service, VpcEndpointIds=waiting)
        return f"accepted {', '.join(waiting)}"

    def withdraw(self) -> str:
        """Reject what is connected and delete the service, as a provider does that goes first."""
        ids = list(self.connections())
        if ids:
            self.ec2.reject_vpc_endpoint_connections(ServiceId=self.service, VpcEndpointIds=ids)
        refused = self.ec2.delete_vpc_endpoint_service_configurations(ServiceIds=[self.service])["Unsuccessful"]
        if refused:
            raise RuntimeError(f"hop service: {refused[0]['Error']['Message']}")
        return f"{self.service} is deleted"


def _session(credentials: Path, profile: str, region: str) -> boto3.Session:
    """A session with one profile of a credentials file, whatever the environment says."""
    found = configparser.ConfigParser()
    found.read(credentials)
    keys = found[profile]
    return boto3.Session(keys["aws_access_key_id"], keys["aws_secret_access_key"], region_name=region)
