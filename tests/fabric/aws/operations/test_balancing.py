"""Load balancers, listeners, target groups and targets: refusals, idempotency, and what a node does with health."""

from typing import Any

import msgspec
import pytest

from fabric.worlds import Fabric
from tieline.fabric.core import health
from tieline.fabric.core.records import Health, TargetGroup
from tieline.fabric.core.topology import Target


@pytest.fixture
def fabric() -> Fabric:
    return Fabric()


def group_arn(fabric: Fabric) -> str:
    arn: str = fabric.customer.elb("DescribeTargetGroups")["TargetGroups"][0]["TargetGroupArn"]
    return arn


def mark(fabric: Fabric, **states: str) -> None:
    """Set the health of the targets, by the last number of their address."""
    group = fabric.world.get(TargetGroup, group_arn(fabric))
    assert group is not None
    with fabric.world.transaction():
        for target in group.targets:
            state = states.get("t" + target.address.rsplit(".", 1)[1], "initial")
            id = health.key(group.id, target.id, target.port)
            fabric.world.put(Health(id=id, owner=group.owner, group=group.id, state=state, reason="", since=fabric.now))


def used(fabric: Fabric) -> list[list[Target]]:
    """The targets that each node sends flows to."""
    nodes = next(iter(fabric.plan().vpcs.values())).nodes
    return [list(node.listeners[0].targets) for node in nodes]


def three_targets(fabric: Fabric) -> None:
    vpc, subnets = fabric.customer.network()
    fabric.customer.balancer(vpc, subnets)
    targets = [{"Id": "10.0.1.11"}, {"Id": "10.0.2.12"}]
    fabric.customer.elb("RegisterTargets", TargetGroupArn=group_arn(fabric), Targets=targets)


def addresses(found: list[list[Target]]) -> list[list[int]]:
    return [[int(target.address.rsplit(".", 1)[1]) for target in node] for node in found]


def test_each_node_serves_the_healthy_targets_of_its_own_zone(fabric: Fabric) -> None:
    three_targets(fabric)
    mark(fabric, t10="healthy", t11="unhealthy", t12="healthy")
    assert addresses(used(fabric)) == [[10], [12]]


def test_a_zone_without_healthy_targets_refuses_while_another_has_some(fabric: Fabric) -> None:
    three_targets(fabric)
    mark(fabric, t10="healthy", t11="healthy", t12="unhealthy")
    assert addresses(used(fabric)) == [[10, 11], []]


def test_cross_zone_balancing_uses_every_zone(fabric: Fabric) -> None:
    three_targets(fabric)
    arn = fabric.customer.elb("DescribeLoadBalancers")["LoadBalancers"][0]["LoadBalancerArn"]
    attributes = [{"Key": "load_balancing.cross_zone.enabled", "Value": "true"}]
    fabric.customer.elb("ModifyLoadBalancerAttributes", LoadBalancerArn=arn, Attributes=attributes)
    mark(fabric, t10="healthy", t11="unhealthy", t12="healthy")
    assert addresses(used(fabric)) == [[10, 12], [10, 12]]


def test_when_nothing_is_healthy_the_balancer_fails_open(fabric: Fabric) -> None:
    three_targets(fabric)
    mark(fabric, t10="unhealthy", t11="unhealthy", t12="unhealthy")
    assert addresses(used(fabric)) == [[10, 11], [12]]


def test_a_deregistered_target_drains_and_disappears(fabric: Fabric) -> None:
    three_targets(fabric)
    arn = group_arn(fabric)
    mark(fabric, t10="healthy", t11="healthy", t12="healthy")
    fabric.customer.elb("DeregisterTargets", TargetGroupArn=arn, Targets=[{"Id": "10.0.1.10"}])
    assert addresses(used(fabric)) == [[11], [12]]

    def states() -> list[str]:
        found = fabric.customer.elb("DescribeTargetHealth", TargetGroupArn=arn)["TargetHealthDescriptions"]
        return [each["TargetHealth"]["State"] for each in found]

    assert states() == ["draining", "healthy", "healthy"]
    fabric.pass_time(seconds=301)
    assert states() == ["healthy", "healthy"]
    named = fabric.customer.elb("DescribeTargetHealth", TargetGroupArn=arn, Targets=[{"Id": "10.0.1.10"}])
    assert named["TargetHealthDescriptions"][0]["TargetHealth"]["Reason"] == "Target.NotRegistered"


def test_a_group_without_a_listener_is_not_in_use(fabric: Fabric) -> None:
    vpc, _ = fabric.customer.network()
    made = fabric.customer.elb("CreateTargetGroup", Name="g", Protocol="TCP", Port=1, VpcId=vpc, TargetType="ip")
    arn = made["TargetGroups"][0]["TargetGroupArn"]
    fabric.customer.elb("RegisterTargets", TargetGroupArn=arn, Targets=[{"Id": "10.0.1.9"}])
    found = fabric.customer.elb("DescribeTargetHealth", TargetGroupArn=arn)["TargetHealthDescriptions"][0]
    assert found["TargetHealth"]["State"] == "unused"
    assert found["TargetHealth"]["Reason"] == "Target.NotInUse"


def test_creating_the_same_thing_twice_gives_the_first_and_another_is_refused(fabric: Fabric) -> None:
    vpc, subnets = fabric.customer.network()
    first = fabric.customer.balancer(vpc, subnets)
    request: dict[str, Any] = {"Name": "db", "Subnets": subnets, "Scheme": "internal", "Type": "network"}
    again = fabric.customer.elb("CreateLoadBalancer", **request)["LoadBalancers"][0]
    assert again["LoadBalancerArn"] == first
    fabric.customer.refused(
        "DuplicateLoadBalancerName", "elbv2", "CreateLoadBalancer", **(request | {"Subnets": subnets[:1]})
    )
    group = {"Name": "db", "Protocol": "TCP", "VpcId": vpc, "TargetType": "ip"}
    again = fabric.customer.elb("CreateTargetGroup", Port=5432, **group)["TargetGroups"][0]
    assert again["TargetGroupArn"] == group_arn(fabric)
    fabric.customer.refused("DuplicateTargetGroupName", "elbv2", "CreateTargetGroup", Port=5433, **group)


def test_another_listener_on_a_port_is_refused(fabric: Fabric) -> None:
    vpc, subnets = fabric.customer.network()
    arn = fabric.customer.balancer(vpc, subnets)
    actions = [{"Type": "forward", "TargetGroupArn": group_arn(fabric)}]
    request: dict[str, Any] = {"LoadBalancerArn": arn, "Protocol": "TCP", "DefaultActions": actions}
    again = fabric.customer.elb("CreateListener", Port=5432, **request)["Listeners"]
    assert again == fabric.customer.elb("DescribeListeners")["Listeners"], "the same again is the first"
    group = {"Name": "other", "Protocol": "TCP", "Port": 1, "VpcId": vpc, "TargetType": "ip"}
    other = fabric.customer.elb("CreateTargetGroup", **group)["TargetGroups"][0]["TargetGroupArn"]
    second = request | {"DefaultActions": [{"Type": "forward", "TargetGroupArn": other}]}
    message = fabric.customer.refused("DuplicateListener", "elbv2", "CreateListener", Port=5432, **second)
    assert arn in message
    for port in (0, -1, 65536):
        fabric.customer.refused("ValidationError", "elbv2", "CreateListener", Port=port, **request)


@pytest.mark.parametrize(
    "target", [{"Id": "8.8.8.8"}, {"Id": "10.0.9.9"}, {"Id": "nonsense"}, {"Id": "10.0.1.10", "Port": 70000}]
)
def test_a_target_outside_the_vpc_or_off_the_scale_is_refused(fabric: Fabric, target: dict[str, Any]) -> None:
    vpc, subnets = fabric.customer.network()
    fabric.customer.balancer(vpc, subnets)
    fabric.customer.refused(
        "ValidationError", "elbv2", "RegisterTargets", TargetGroupArn=group_arn(fabric), Targets=[target]
    )


@pytest.mark.parametrize("name", ["a;b", "$(id)", "-a", "a-", "", "a" * 33, "a b", "ä", "a\n"])
def test_names_with_shell_characters_are_refused(fabric: Fabric, name: str) -> None:
    vpc, subnets = fabric.customer.network()
    kind = {"Subnets": subnets, "Scheme": "internal", "Type": "network"}
    fabric.customer.refused("ValidationError", "elbv2", "CreateLoadBalancer", Name=name, **kind)
    group = {"Protocol": "TCP", "Port": 1, "VpcId": vpc}
    fabric.customer.refused("ValidationError", "elbv2", "CreateTargetGroup", Name=name, **group)


@pytest.mark.parametrize(
    "check",
    [
        {"HealthCheckIntervalSeconds": 4},
        {"HealthCheckTimeoutSeconds": 121},
        {"HealthyThresholdCount": 1},
        {"HealthCheckPort": "0"},
        {"HealthCheckPort": "70000"},
        {"HealthCheckProtocol": "HTTP", "Matcher": {"HttpCode": "99"}},
        {"HealthCheckPath": "/x"},
        {"HealthCheckProtocol": "HTTP", "HealthCheckPath": "x"},
        {"HealthCheckProtocol": "HTTP", "HealthCheckPath": "/x HTTP/1.0\r\nHost: other"},
    ],
)
def test_health_checks_off_the_scale_are_refused(fabric: Fabric, check: dict[str, Any]) -> None:
    vpc, _ = fabric.customer.network()
    group = {"Name": "g", "Protocol": "TCP", "Port": 1, "VpcId": vpc}
    fabric.customer.refused("ValidationError", "elbv2", "CreateTargetGroup", **group, **check)


def test_subnets_and_vpcs_in_use_are_kept(fabric: Fabric) -> None:
    vpc, subnets = fabric.customer.network()
    arn = fabric.customer.balancer(vpc, subnets)
    fabric.customer.refused("DependencyViolation", "ec2", "DeleteSubnet", SubnetId=subnets[0])
    fabric.customer.refused("DependencyViolation", "ec2", "DeleteVpc", VpcId=vpc)
    fabric.customer.elb("DeleteLoadBalancer", LoadBalancerArn=arn)
    fabric.customer.elb("DeleteTargetGroup", TargetGroupArn=group_arn(fabric))
    for subnet in subnets:
        fabric.customer.ec2("DeleteSubnet", SubnetId=subnet)
    fabric.customer.ec2("DeleteVpc", VpcId=vpc)
    assert not fabric.plan().vpcs


def test_every_balancer_attribute_can_be_given_back_as_it_is(fabric: Fabric) -> None:
    vpc, subnets = fabric.customer.network()
    arn = fabric.customer.balancer(vpc, subnets)
    for noun, key in (("LoadBalancer", arn), ("TargetGroup", group_arn(fabric))):
        parameter = {f"{noun}Arn": key}
        shown = fabric.customer.elb(f"Describe{noun}Attributes", **parameter)["Attributes"]
        after = fabric.customer.elb(f"Modify{noun}Attributes", **parameter, Attributes=shown)["Attributes"]
        assert msgspec.json.encode(after) == msgspec.json.encode(shown)
