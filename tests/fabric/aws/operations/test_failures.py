"""What cannot be built, what expires, and what a consumer is told of a link that carries nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from fabric.worlds import Fabric
from tieline.fabric.core import health
from tieline.fabric.core.consent import DEFAULT_LIFETIME, LIFETIME
from tieline.fabric.core.records import Health, TargetGroup
from tieline.fabric.daemon.lifecycle import PATIENCE

TROUBLE = "ip link add: no such device"


class Asked:
    """A platform's endpoint at a customer's service in one zone, accepted unless told otherwise."""

    def __init__(self, *, accept: bool = True) -> None:
        self.fabric = Fabric()
        self.customer, self.platform = self.fabric.customer, self.fabric.platform
        self.vpc, self.subnets = self.customer.network()
        self.balancer = self.customer.balancer(self.vpc, self.subnets)
        self.service, name = self.customer.service(self.balancer, self.platform)
        own, subnets = self.platform.network()
        self.endpoint = self.platform.endpoint(own, name, subnets[:1])
        if accept:
            self.decide("Accept")

    def decide(self, verb: str) -> list[str]:
        """Accept or reject; the codes of what was refused."""
        arguments = {"ServiceId": self.service, "VpcEndpointIds": [self.endpoint]}
        answer = self.customer.ec2(f"{verb}VpcEndpointConnections", **arguments)
        return [item["Error"]["Code"] for item in answer["Unsuccessful"]]

    @property
    def state(self) -> str:
        return self.platform.endpoint_state(self.endpoint)

    @property
    def last_error(self) -> dict[str, Any]:
        found = self.platform.ec2("DescribeVpcEndpoints", VpcEndpointIds=[self.endpoint])["VpcEndpoints"][0]
        error: dict[str, Any] = found.get("LastError", {})
        return error

    def wait(self, time: timedelta) -> None:
        self.fabric.pass_time(seconds=time.total_seconds() + 1)

    def health(self, state: str) -> None:
        group = self.fabric.world.all(TargetGroup)[0]
        with self.fabric.world.transaction():
            for target in group.targets:
                id = health.key(group.id, target.id, target.port)
                self.fabric.world.put(
                    Health(id=id, owner=group.owner, group=group.id, state=state, since=self.fabric.now)
                )


def test_a_wire_that_cannot_be_laid_fails_the_endpoint_with_the_reason_and_is_tried_on() -> None:
    asked = Asked()
    asked.fabric.settle(TROUBLE)
    assert asked.state == "pending" and asked.last_error == {}, "a first failure is no end"
    asked.wait(PATIENCE)
    asked.fabric.settle(TROUBLE)
    assert asked.state == "failed" and asked.last_error == {"Code": "Failed", "Message": TROUBLE}
    asked.health("healthy")
    asked.fabric.settle()
    assert asked.state == "available" and asked.last_error == {}


def test_a_failed_connection_can_be_rejected_and_does_not_keep_its_service() -> None:
    for rejected in (True, False):
        asked = Asked()
        asked.wait(PATIENCE)
        asked.fabric.settle(TROUBLE)
        assert asked.fabric.plan().wires
        if rejected:
            assert asked.decide("Reject") == [] and asked.state == "rejected"
        else:
            deleted = asked.customer.ec2("DeleteVpcEndpointServiceConfigurations", ServiceIds=[asked.service])
            assert deleted["Unsuccessful"] == []
        assert not asked.fabric.plan().wires
        asked.fabric.settle()
        assert asked.state == ("rejected" if rejected else "failed")
        asked.platform.ec2("DeleteVpcEndpoints", VpcEndpointIds=[asked.endpoint])
        asked.fabric.settle()
        asked.platform.refused(
            "InvalidVpcEndpointId.NotFound", "ec2", "DescribeVpcEndpoints", VpcEndpointIds=[asked.endpoint]
        )


def test_a_request_that_nobody_decides_about_expires_and_can_only_be_deleted() -> None:
    asked = Asked(accept=False)
    asked.fabric.pass_time(seconds=DEFAULT_LIFETIME.total_seconds() - 1)
    assert asked.state == "pendingAcceptance"
    asked.fabric.pass_time(seconds=2)
    assert asked.state == "expired"
    assert asked.decide("Accept") == ["InvalidState"] and asked.decide("Reject") == ["InvalidState"]
    deleted = asked.customer.ec2("DeleteVpcEndpointServiceConfigurations", ServiceIds=[asked.service])
    assert deleted["Unsuccessful"] == []


def test_a_provider_can_say_how_long_requests_wait() -> None:
    asked = Asked(accept=False)
    tag = {"Resources": [asked.service], "Tags": [{"Key": LIFETIME, "Value": "soon"}]}
    assert "seconds" in asked.customer.refused("InvalidParameterValue", "ec2", "CreateTags", **tag)
    asked.customer.ec2("CreateTags", **tag | {"Tags": [{"Key": LIFETIME, "Value": "5"}]})
    asked.fabric.pass_time(seconds=4)
    assert asked.state == "pendingAcceptance"
    asked.fabric.pass_time(seconds=2)
    assert asked.state == "expired"


def test_a_change_of_its_network_makes_an_endpoint_pending_until_it_is_built() -> None:
    asked = Asked()
    asked.fabric.settle()
    assert asked.state == "available"
    asked.platform.ec2("ModifyVpcEndpoint", VpcEndpointId=asked.endpoint, ResetPolicy=True)
    assert asked.state == "available"
    shown = asked.platform.ec2("DescribeVpcEndpoints", VpcEndpointIds=[asked.endpoint])["VpcEndpoints"][0]
    made = asked.platform.ec2("CreateSecurityGroup", GroupName="g", Description="d", VpcId=shown["VpcId"])
    asked.platform.ec2("ModifyVpcEndpoint", VpcEndpointId=asked.endpoint, AddSecurityGroupIds=[made["GroupId"]])
    assert asked.state == "pending" and asked.fabric.plan().wires
    asked.fabric.settle()
    assert asked.state == "available"


def test_a_consumer_is_told_why_nothing_passes() -> None:
    asked = Asked()
    asked.fabric.settle()
    assert asked.last_error["Code"] == "NoHealthyTarget"
    asked.health("healthy")
    assert asked.last_error == {}
    asked.health("unhealthy")
    told = asked.last_error
    assert told["Code"] == "NoHealthyTarget" and "Port 5432 in use1-az1" in told["Message"]
    group = asked.fabric.world.all(TargetGroup)[0].id
    second = [{"Id": "10.0.2.10"}]
    asked.customer.elb("RegisterTargets", TargetGroupArn=group, Targets=second)
    asked.health("healthy")
    asked.customer.elb("DeregisterTargets", TargetGroupArn=group, Targets=[{"Id": "10.0.1.10"}])
    assert asked.last_error["Code"] == "NoTargetInZone"
    asked.customer.elb("DeregisterTargets", TargetGroupArn=group, Targets=second)
    assert asked.last_error["Code"] == "NoTarget"
    listener = asked.customer.elb("DescribeListeners")["Listeners"][0]["ListenerArn"]
    asked.customer.elb("DeleteListener", ListenerArn=listener)
    assert asked.last_error["Code"] == "NoListener"


def test_what_a_consumer_is_told_names_nothing_of_the_providers() -> None:
    asked = Asked()
    asked.fabric.settle()
    asked.health("unhealthy")
    message = asked.last_error["Message"]
    assert not any(private in message for private in ("10.0.", "arn:", "vpc-", asked.customer.id))


@pytest.mark.parametrize(
    ("operation", "parameters", "code"),
    [
        ("DescribeVpcEndpoints", {"VpcEndpointIds": ["vpce-1"]}, "InvalidVpcEndpointId.Malformed"),
        ("DescribeVpcEndpoints", {"VpcEndpointIds": ["vpce-0123456789abcdef0"]}, "InvalidVpcEndpointId.NotFound"),
        ("ModifyVpcEndpoint", {"VpcEndpointId": "vpce-svc-0123456789abcdef0"}, "InvalidVpcEndpointId.Malformed"),
        (
            "DescribeVpcEndpointServiceConfigurations",
            {"ServiceIds": ["orders"]},
            "InvalidVpcEndpointServiceIdId.Malformed",
        ),
        (
            "DescribeVpcEndpointServiceConfigurations",
            {"ServiceIds": ["vpce-svc-0123456789abcdef0"]},
            "InvalidVpcEndpointServiceId.NotFound",
        ),
        ("DescribeInstances", {"InstanceIds": ["i-xyz"]}, "InvalidInstanceID.Malformed"),
    ],
)
def test_what_is_no_id_and_what_is_nobodys_are_told_apart(
    operation: str, parameters: dict[str, Any], code: str
) -> None:
    Fabric().customer.refused(code, "ec2", operation, **parameters)


def test_the_balancers_of_a_service_share_a_vpc() -> None:
    asked = Asked()
    _, subnets = asked.customer.network()
    other = asked.customer.elb("CreateLoadBalancer", Name="far", Subnets=subnets, Scheme="internal", Type="network")
    arns = [other["LoadBalancers"][0]["LoadBalancerArn"]]
    message = asked.customer.refused(
        "UnsupportedOperation",
        "ec2",
        "ModifyVpcEndpointServiceConfiguration",
        ServiceId=asked.service,
        AddNetworkLoadBalancerArns=arns,
    )
    assert "one VPC" in message


@pytest.mark.parametrize("count", [1, 2])
def test_the_address_of_a_node_is_no_target(count: int) -> None:
    asked = Asked()
    group = asked.fabric.world.all(TargetGroup)[0].id
    balancer = asked.customer.elb("DescribeLoadBalancers")["LoadBalancers"][0]
    node = balancer["AvailabilityZones"][0]["LoadBalancerAddresses"][0]["PrivateIPv4Address"]
    asked.customer.elb("RegisterTargets", TargetGroupArn=group, Targets=[{"Id": node}] * count)
    shown = asked.customer.elb("DescribeTargetHealth", TargetGroupArn=group, Targets=[{"Id": node}])
    found = shown["TargetHealthDescriptions"][0]["TargetHealth"]
    assert (found["State"], found["Reason"]) == ("unused", "Target.IpUnusable")
    nodes = asked.fabric.plan().vpcs[asked.vpc].nodes
    assert not any(target.address == node for one in nodes for port in one.listeners for target in port.targets)
