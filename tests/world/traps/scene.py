"""The stage of the traps: a deployment, a customer with a real PostgreSQL, and both ways to ask for connections."""

from __future__ import annotations

import asyncio
import subprocess
from typing import Any

from tieline.client.connect.connect import Connected, Connecting, examine
from tieline.client.connect.expose import conceal
from tieline.client.provider.exposure import exposure
from tieline.client.rest import Client
from tieline.cloud.aws.client import Aws, AwsSettings
from tieline.cloud.doctor.hops import Diagnosis, Hop
from tieline.cloud.schemas.answers import AgentView
from tieline.demo.customer import DATABASE, PORT, USER, Customer
from world.running import REGION, Tieline, until

DEPLOYMENT = "demo"


class Scene:
    """One running tieline with the deployment `demo` and the customer's database at `database`."""

    def __init__(self, tieline: Tieline) -> None:
        self.tieline = tieline
        self.client: Client = tieline.client()
        self.provider = Aws(AwsSettings(REGION, tieline.wire, tieline.state / "credentials", "customer"))
        self.customer = Customer(tieline.wire, tieline.state / "credentials", REGION)
        self.client.create_deployment(name=DEPLOYMENT, anonymous=True)
        until(
            lambda: self.client.deployment(DEPLOYMENT), lambda found: found.status == "running" and found.agent.broker
        )
        offer = self.client.offer(DEPLOYMENT)
        self.zones, self.principal = offer.zones, offer.principal
        self.customer.make_network(self.zones)
        self.customer.start_database()
        self.database = f"{self.customer.address}:{PORT}"
        self._until_ready()

    def _agent(self) -> AgentView:
        return self.client.deployment(DEPLOYMENT).agent

    def _until_ready(self) -> None:
        ready = "the database is ready"
        ec2, id = self.customer.ec2, self.customer.instance
        until(lambda: ec2.get_console_output(InstanceId=id).get("Output", ""), lambda text: ready in text, 60)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `tieline` with the state directory."""
        return self.tieline.command(*arguments, "--state", str(self.tieline.state), check=False)

    def connect(self, name: str, *more: str, to: str = "") -> subprocess.CompletedProcess[str]:
        """`tieline connect` in the customer's account."""
        where = ["--vpc", self.customer.vpc, "--profile", "customer", "--to", to or self.database]
        return self.run("connect", "--deployment", DEPLOYMENT, "--name", name, *where, *more)

    def connected(self, name: str, *to: str) -> Connected:
        """What `tieline connect --accept` does, in this process, for it is quicker; it must succeed."""
        wanted = exposure(name, self.customer.vpc, to or (self.database,))
        work = Connecting(self.client, self.provider, DEPLOYMENT, wanted, lambda _: None)
        return asyncio.run(work.run(True, 60))

    def disconnect(self, name: str) -> None:
        """What `tieline disconnect --cascade` does, in this process."""
        self.client.delete_link(DEPLOYMENT, name, cascade=True)
        until(lambda: [link.name for link in self.client.links(DEPLOYMENT)], lambda names: name not in names)
        self.withdraw(name)

    def withdraw(self, name: str) -> None:
        """The provider goes first: what `tieline expose --remove` does, in this process."""
        assert asyncio.run(conceal(self.provider, name)) > 0

    def doctor(self, name: str, witness: bool = True) -> Diagnosis:
        """What `tieline doctor` says, with the provider's account as a witness or without."""
        return asyncio.run(examine(self.client, DEPLOYMENT, name, self.provider if witness else None))

    def resource(self, name: str, link: str, /, **changed: Any) -> dict[str, Any]:
        """A resource behind a link, with what the customer's database takes."""
        known = {"database": DATABASE, "username": USER, "password": self.customer.password}
        return {"name": name, "type": "postgresql", "server": f"link:{link}:{PORT}", **known, **changed}

    def inside(self, *argv: str, stdin: str = "") -> str:
        """Run a command on the customer's machine, in its own root and network."""
        namespace = self.tieline.namespace(self.customer.instance)
        found = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True, check=True).stdout
        enter = ["nsenter", "--target", min(found.split(), key=int), "--all", "--", *argv]
        done = subprocess.run(enter, input=stdin, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def service(self, name: str, subnets: list[str], *principals: str) -> tuple[str, str]:
        """A service as somebody makes it by hand, with a listener on the database's port; its id and name."""
        elb, ec2 = self.customer.elb, self.customer.ec2
        made = elb.create_load_balancer(Name=name, Subnets=subnets, Scheme="internal", Type="network")
        arn = made["LoadBalancers"][0]["LoadBalancerArn"]
        spread: Any = [{"Key": "load_balancing.cross_zone.enabled", "Value": "true"}]
        elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=spread)
        actions: Any = [{"Type": "forward", "TargetGroupArn": self._group(name)}]
        elb.create_listener(LoadBalancerArn=arn, Protocol="TCP", Port=PORT, DefaultActions=actions)
        created = ec2.create_vpc_endpoint_service_configuration(NetworkLoadBalancerArns=[arn], AcceptanceRequired=True)
        service = created["ServiceConfiguration"]
        if principals:
            ec2.modify_vpc_endpoint_service_permissions(
                ServiceId=service["ServiceId"], AddAllowedPrincipals=list(principals)
            )
        return service["ServiceId"], service["ServiceName"]

    def _group(self, name: str) -> str:
        """A target group with the database in it."""
        elb, vpc = self.customer.elb, self.customer.vpc
        made = elb.create_target_group(
            Name=name, Protocol="TCP", Port=PORT, VpcId=vpc, TargetType="ip", HealthCheckIntervalSeconds=5
        )
        arn: str = made["TargetGroups"][0]["TargetGroupArn"]
        elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": self.customer.address}])
        return arn


def hop(found: Diagnosis, name: str) -> Hop:
    """One hop of a diagnosis."""
    return next(each for each in found.hops if each.hop == name)
