"""A service's load balancers and zones: which ones an endpoint uses, which changes reach it, and which are refused."""

from __future__ import annotations

from typing import Any

import pytest

from fabric.worlds import Fabric
from tieline.fabric.core.records import Endpoint

FIRST, SECOND = "use1-az1", "use1-az2"


class Scene:
    """A customer with a load balancer in each of two zones, of which a service has the first."""

    def __init__(self) -> None:
        self.fabric = Fabric()
        self.customer, self.platform = self.fabric.customer, self.fabric.platform
        self.vpc, self.subnets = self.customer.network((FIRST, SECOND))
        self.one = self.customer.balancer(self.vpc, self.subnets[:1], "one")
        self.two = self.customer.balancer(self.vpc, self.subnets[1:], "two", target="10.0.2.10")
        self.service, self.name = self.customer.service(self.one, self.platform, acceptance=False)
        self.there, self.their_subnets = self.platform.network((FIRST, SECOND))

    def modify(self, **changes: Any) -> None:
        self.customer.ec2("ModifyVpcEndpointServiceConfiguration", ServiceId=self.service, **changes)

    @property
    def zones(self) -> list[str]:
        found = self.platform.ec2("DescribeVpcEndpointServices", ServiceNames=[self.name])["ServiceDetails"][0]
        ids: list[str] = found["AvailabilityZoneIds"]
        return ids


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_each_zone_of_an_endpoint_is_carried_by_a_balancer_that_is_there(scene: Scene) -> None:
    scene.modify(AddNetworkLoadBalancerArns=[scene.two])
    assert scene.zones == [FIRST, SECOND]
    id = scene.platform.endpoint(scene.there, scene.name, scene.their_subnets)
    endpoint = scene.fabric.world.get(Endpoint, id)
    assert endpoint is not None
    assert {door.zone: door.balancer for door in endpoint.doors} == {FIRST: scene.one, SECOND: scene.two}
    crossings = scene.fabric.plan().wires[id].crossings
    assert [crossing.ports for crossing in crossings] == [(("tcp", 5432),)] * 2
    assert len({crossing.node for crossing in crossings}) == 2


def test_a_balancer_is_not_taken_from_under_an_endpoint(scene: Scene) -> None:
    scene.modify(AddNetworkLoadBalancerArns=[scene.two])
    id = scene.platform.endpoint(scene.there, scene.name, scene.their_subnets[1:])
    removal = {"ServiceId": scene.service, "RemoveNetworkLoadBalancerArns": [scene.one]}
    code = "ExistingVpcEndpointConnections"
    scene.customer.refused(code, "ec2", "ModifyVpcEndpointServiceConfiguration", **removal)
    scene.customer.ec2("RejectVpcEndpointConnections", ServiceId=scene.service, VpcEndpointIds=[id])
    scene.customer.ec2("ModifyVpcEndpointServiceConfiguration", **removal)
    assert scene.zones == [SECOND]
    both = {"ServiceId": scene.service, "RemoveNetworkLoadBalancerArns": [scene.two]}
    scene.customer.refused("InvalidParameter", "ec2", "ModifyVpcEndpointServiceConfiguration", **both)


def test_a_zone_that_a_balancer_gains_reaches_its_service_only_when_that_is_modified(scene: Scene) -> None:
    scene.customer.elb("SetSubnets", LoadBalancerArn=scene.one, Subnets=scene.subnets)
    assert scene.zones == [FIRST]
    scene.platform.refused(
        "InvalidParameter",
        "ec2",
        "CreateVpcEndpoint",
        VpcEndpointType="Interface",
        VpcId=scene.there,
        ServiceName=scene.name,
        SubnetIds=scene.their_subnets,
    )
    scene.modify()
    assert scene.zones == [FIRST, SECOND]
    scene.platform.endpoint(scene.there, scene.name, scene.their_subnets)


def test_a_zone_that_carries_an_endpoint_cannot_be_left(scene: Scene) -> None:
    scene.platform.endpoint(scene.there, scene.name, scene.their_subnets[:1])
    moved = {"LoadBalancerArn": scene.one, "Subnets": scene.subnets[1:]}
    scene.customer.refused("InvalidConfigurationRequest", "elbv2", "SetSubnets", **moved)


def test_a_balancer_belongs_to_one_service(scene: Scene) -> None:
    scene.customer.refused(
        "InvalidParameter", "ec2", "CreateVpcEndpointServiceConfiguration", NetworkLoadBalancerArns=[scene.one]
    )
    scene.customer.service(scene.two)
    taken = {"ServiceId": scene.service, "AddNetworkLoadBalancerArns": [scene.two]}
    scene.customer.refused("InvalidParameter", "ec2", "ModifyVpcEndpointServiceConfiguration", **taken)


def test_turning_acceptance_off_leaves_those_who_wait_waiting(scene: Scene) -> None:
    scene.modify(AcceptanceRequired=True)
    waiting = scene.platform.endpoint(scene.there, scene.name, scene.their_subnets[:1])
    scene.modify(AcceptanceRequired=False)
    later = scene.platform.endpoint(scene.there, scene.name, scene.their_subnets[:1])
    states = [scene.platform.endpoint_state(id) for id in (waiting, later)]
    assert states == ["pendingAcceptance", "pending"]


@pytest.mark.parametrize("kind", ["user", "role", "root", "*"])
def test_every_kind_of_principal_admits_whom_it_names(scene: Scene, kind: str) -> None:
    arns = {
        "user": scene.platform.credential.arn,
        "role": f"arn:aws:iam::{scene.platform.id}:role/tieline-admin",
        "root": f"arn:aws:iam::{scene.platform.id}:root",
        "*": "*",
    }
    service, name = scene.customer.service(scene.two)
    change = "ModifyVpcEndpointServicePermissions"
    added = scene.customer.ec2(change, ServiceId=service, AddAllowedPrincipals=[arns[kind]])["AddedPrincipals"][0]
    assert added["PrincipalType"] == {"user": "User", "role": "Role", "root": "Account", "*": "All"}[kind]
    assert added["ServicePermissionId"].startswith("vpce-svc-perm-")
    request: dict[str, Any] = {"VpcEndpointType": "Interface", "VpcId": scene.there, "ServiceName": name}
    request["SubnetIds"] = scene.their_subnets[1:]
    if kind == "role":  # the user is not the role
        scene.platform.refused("InvalidServiceName", "ec2", "CreateVpcEndpoint", **request)
    else:
        scene.platform.ec2("CreateVpcEndpoint", **request)
    seen = scene.fabric.other.ec2("DescribeVpcEndpointServices")["ServiceNames"]
    assert (name in seen) == (kind == "*"), "nobody else learns that the service exists"
