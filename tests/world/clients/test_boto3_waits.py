"""boto3's waiters and paginators: each that exists for a served operation ends, and pages give what one call gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

from tieline.fabric.aws import catalogue
from world.running import Account, Tieline, until

pytestmark = pytest.mark.world
WEB = "#!/bin/sh\nmkdir /srv/w && cd /srv/w && exec python3 -m http.server 8080\n"
QUICK = {"Delay": 1, "MaxAttempts": 90}
NEVER = {  # what cannot come true here
    "instance_stopped",  # an instance's root is an instance store: it cannot be stopped
    "network_interface_available",  # every interface here belongs to something
}
LOADER = botocore.session.get_session().get_component("data_loader")


def waiters() -> list[tuple[str, str]]:
    """Service and name of every waiter whose operation is served."""
    return [
        (service, xform_name(name))
        for service in ("ec2", "elbv2")
        for name, waiter in LOADER.load_service_model(service, "waiters-2")["waiters"].items()
        if (service, waiter["operation"]) in catalogue.served()
    ]


def paginators() -> list[tuple[str, str]]:
    return [
        (service, xform_name(name))
        for service in ("ec2", "elbv2")
        for name in LOADER.load_service_model(service, "paginators-1")["pagination"]
        if (service, name) in catalogue.served()
    ]


class Things:
    """What waiters wait for, and more than one page of what can be listed."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.vpc, self.subnets = account.network()
        self.instance = account.instance(self.subnets[0], WEB)
        self.balancer, self.group = account.balancer("web", self.vpc, self.subnets, self.instance, 8080)
        listeners = account.elb.describe_listeners(LoadBalancerArn=self.balancer)["Listeners"]
        self.listener = listeners[0]["ListenerArn"]
        self.service, self.name = account.service(self.balancer, f"arn:aws:iam::{account.id}:root")
        self.endpoints = [account.endpoint(self.vpc, self.name, self.subnets) for _ in range(6)]
        more = [f"arn:aws:iam::{number:012}:root" for number in range(1, 7)]
        account.ec2.modify_vpc_endpoint_service_permissions(ServiceId=self.service, AddAllowedPrincipals=more)
        for number in range(6):
            vpc = account.ec2.create_vpc(CidrBlock=f"10.{number + 1}.0.0/16")["Vpc"]["VpcId"]
            account.ec2.create_tags(Resources=[vpc], Tags=[{"Key": "n", "Value": str(number)}])
            account.ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.{number + 1}.1.0/24")
        until(self._state, lambda state: state == "active")  # and nothing changes by itself between two listings

    def _state(self) -> str:
        found = self.account.elb.describe_load_balancers(LoadBalancerArns=[self.balancer])["LoadBalancers"]
        return str(found[0]["State"]["Code"])

    def waited_for(self, waiter: str) -> dict[str, Any]:
        if waiter.startswith(("instance_", "system_")):
            return {"InstanceIds": [self.instance]}
        named: dict[str, dict[str, Any]] = {
            "image_exists": {"ImageIds": ["local"]},
            "image_available": {"ImageIds": ["local"]},
            "security_group_exists": {"Filters": [{"Name": "vpc-id", "Values": [self.vpc]}]},
            "subnet_available": {"SubnetIds": self.subnets},
            "vpc_available": {"VpcIds": [self.vpc]},
            "vpc_exists": {"VpcIds": [self.vpc]},
            "target_in_service": {"TargetGroupArn": self.group},
            "target_deregistered": {"TargetGroupArn": self.group, "Targets": [{"Id": self.instance, "Port": 9}]},
            "load_balancer_exists": {"LoadBalancerArns": [self.balancer]},
            "load_balancer_available": {"LoadBalancerArns": [self.balancer]},
            "load_balancers_deleted": {"Names": ["gone"]},
        }
        return named[waiter]

    def prepare(self, waiter: str) -> None:
        """Bring about, where it takes a call, what is then waited for."""
        if waiter == "instance_terminated":
            self.account.ec2.terminate_instances(InstanceIds=[self.instance])


@pytest.fixture(scope="module")
def things(tieline: Tieline) -> Iterator[Things]:
    yield Things(tieline.account("customer"))


def client(things: Things, service: str) -> Any:
    return things.account.ec2 if service == "ec2" else things.account.elb


LAST = "instance_terminated"  # spoils the others
EACH_WAITER = sorted((each for each in waiters() if each[1] not in NEVER), key=lambda each: each[1] == LAST)


@pytest.mark.parametrize(("service", "operation"), paginators())
def test_pages_together_are_the_whole_list(things: Things, service: str, operation: str) -> None:
    paginator = client(things, service).get_paginator(operation)
    arguments: dict[str, Any] = {
        "describe_vpc_endpoint_service_permissions": {"ServiceId": things.service},
        "describe_listeners": {"LoadBalancerArn": things.balancer},
        "describe_rules": {"ListenerArn": things.listener},
    }.get(operation, {})
    size = {"PageSize": 5 if service == "ec2" else 1}
    pages = list(paginator.paginate(**arguments, PaginationConfig=size))
    for key in paginator.result_keys:
        pieces = [item for page in pages for item in key.search(page) or []]
        everything = [item for page in paginator.paginate(**arguments) for item in key.search(page) or []]
        assert pieces == everything
        if len(everything) > size["PageSize"]:
            assert len(pages) > 1, "one page holds more than was asked for"


@pytest.mark.parametrize(("service", "waiter"), EACH_WAITER)
def test_a_waiter_ends(things: Things, service: str, waiter: str) -> None:
    things.prepare(waiter)
    client(things, service).get_waiter(waiter).wait(**things.waited_for(waiter), WaiterConfig=QUICK)
