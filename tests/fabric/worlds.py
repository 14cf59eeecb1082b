"""A fabric without a kernel for tests of operations and planning: the real world, store and dispatcher."""

from __future__ import annotations

import itertools
import random
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.aws.service.endpoint import Request
from tieline.fabric.core.ids import Ids
from tieline.fabric.core.planning import plan
from tieline.fabric.core.records import AccessKey
from tieline.fabric.core.records import Account as AccountRecord
from tieline.fabric.core.topology import Topology
from tieline.fabric.daemon import accounts, lifecycle
from tieline.fabric.daemon.dispatch import dispatcher, key_lookup
from tieline.fabric.daemon.service import open_world
from tieline.store import SQLiteStore, Store

REGION = "us-east-1"
START = datetime(2026, 1, 1, tzinfo=UTC)


class Account:
    """Calls operations as one account: `customer("ec2", "CreateVpc", CidrBlock="10.0.0.0/16")`."""

    def __init__(self, fabric: Fabric, key: AccessKey) -> None:
        self.fabric, self.id = fabric, key.owner
        credential = key_lookup(fabric.world)(key.id)
        assert credential is not None
        self.credential = credential

    def __call__(self, service: str, operation: str, **parameters: Any) -> Mapping[str, Any]:
        request = Request(
            service=service,  # type: ignore[arg-type]
            operation=operation,
            parameters=parameters,
            caller=self.credential,
            region=REGION,
            request_id="r",
        )
        return self.fabric.dispatch(request)

    def ec2(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        return self("ec2", operation, **parameters)

    def elb(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        return self("elbv2", operation, **parameters)

    def network(
        self, zones: tuple[str, ...] = ("use1-az1", "use1-az2"), cidr: str = "10.0.0.0/16"
    ) -> tuple[str, list[str]]:
        """A VPC with a /24 subnet in each zone."""
        vpc = self.ec2("CreateVpc", CidrBlock=cidr)["Vpc"]["VpcId"]
        base = cidr.rsplit(".", 2)[0]
        subnets = [
            self.ec2("CreateSubnet", VpcId=vpc, CidrBlock=f"{base}.{n}.0/24", AvailabilityZoneId=zone)["Subnet"][
                "SubnetId"
            ]
            for n, zone in enumerate(zones, 1)
        ]
        return vpc, subnets

    def balancer(
        self, vpc: str, subnets: list[str], name: str = "db", port: int = 5432, target: str = "10.0.1.10"
    ) -> str:
        """An internal load balancer with one listener, whose group has one address target; its ARN."""
        group = self.elb("CreateTargetGroup", Name=name, Protocol="TCP", Port=port, VpcId=vpc, TargetType="ip")
        group_arn = group["TargetGroups"][0]["TargetGroupArn"]
        self.elb("RegisterTargets", TargetGroupArn=group_arn, Targets=[{"Id": target}])
        made = self.elb("CreateLoadBalancer", Name=name, Subnets=subnets, Scheme="internal", Type="network")
        arn: str = made["LoadBalancers"][0]["LoadBalancerArn"]
        actions = [{"Type": "forward", "TargetGroupArn": group_arn}]
        self.elb("CreateListener", LoadBalancerArn=arn, Protocol="TCP", Port=port, DefaultActions=actions)
        return arn

    def service(self, balancer: str, *allowed: Account, acceptance: bool = True) -> tuple[str, str]:
        """An endpoint service with allowed accounts; its id and its name."""
        made = self.ec2(
            "CreateVpcEndpointServiceConfiguration", NetworkLoadBalancerArns=[balancer], AcceptanceRequired=acceptance
        )["ServiceConfiguration"]
        arns = [f"arn:aws:iam::{other.id}:root" for other in allowed]
        self.ec2("ModifyVpcEndpointServicePermissions", ServiceId=made["ServiceId"], AddAllowedPrincipals=arns)
        return made["ServiceId"], made["ServiceName"]

    def endpoint(self, vpc: str, service_name: str, subnets: list[str]) -> str:
        made = self.ec2(
            "CreateVpcEndpoint", VpcEndpointType="Interface", VpcId=vpc, ServiceName=service_name, SubnetIds=subnets
        )
        id: str = made["VpcEndpoint"]["VpcEndpointId"]
        return id

    def endpoint_state(self, id: str) -> str:
        state: str = self.ec2("DescribeVpcEndpoints", VpcEndpointIds=[id])["VpcEndpoints"][0]["State"]
        return state

    def refused(self, code: str, service: str, operation: str, **parameters: Any) -> str:
        """Assert that a call is refused with a code and changes nothing; the message."""
        before = self.fabric.dump()
        with pytest.raises(AwsError) as refusal:
            self(service, operation, **parameters)
        assert refusal.value.code == code, refusal.value
        assert self.fabric.dump() == before
        return refusal.value.message


class Fabric:
    """Two accounts and no kernel: `settle()` lets records move on as if everything had been built."""

    def __init__(self, seed: int = 1, store: Store | None = None) -> None:
        self.store = store or SQLiteStore(":memory:")
        self.world = open_world(self.store)
        self.now = START
        ids = Ids(random.Random(seed))
        self.dispatch = dispatcher(self.world, REGION, ids, lambda: self.now, lambda _: "")
        accounts.ensure_first(self.world, REGION, ids)
        if len(self.world.all(AccountRecord)) == len(accounts.FIRST):
            accounts.create(self.world, "other", REGION, ids)
        keys = {key.arn.rsplit("/", 1)[1]: key for key in self.world.all(AccessKey)}
        self.platform, self.customer, self.other = (Account(self, keys[name]) for name in (*accounts.FIRST, "other"))
        self._counter = itertools.count()

    def plan(self) -> Topology:
        return plan.plan(self.world, REGION)

    def settle(self, trouble: str = "") -> None:
        """Let the kernel have caught up with everything that is wanted; with `trouble`, with all but the wires."""
        for _ in range(3):
            progress = Progress(lifecycle.wanted(self.plan()).keys(), trouble)
            with self.world.transaction():
                lifecycle.advance(self.world, progress, self.now)

    def pass_time(self, **delta: float) -> None:
        self.now += timedelta(**delta)
        with self.world.transaction():
            lifecycle.expire(self.world, self.now)

    def dump(self) -> list[tuple[str, str, bytes]]:
        """Everything that is stored, to assert that nothing changed."""
        return [(d.kind, d.id, d.body) for d in self.store.load()]


class Progress:
    """A kernel that has built what is wanted, but no wire where it is in trouble."""

    def __init__(self, wanted: Collection[lifecycle.Key], trouble: str) -> None:
        self._wanted, self._trouble = wanted, trouble

    def built(self, key: lifecycle.Key) -> bool:
        return key in self._wanted and not self.trouble(key)

    def gone(self, key: lifecycle.Key) -> bool:
        return key not in self._wanted

    def trouble(self, key: lifecycle.Key) -> str:
        return self._trouble if key[0] == "wire" else ""
