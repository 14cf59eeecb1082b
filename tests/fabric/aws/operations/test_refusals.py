"""What could never be carried out is refused when it is asked for, with words that help, and changes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from fabric.aws.operations.scene import Scene

ANYWHERE = [{"CidrIp": "0.0.0.0/0"}]


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.mark.parametrize("block", ["0.0.0.0/16", "127.0.0.0/16", "169.254.0.0/16", "224.0.0.0/16", "239.255.0.0/24"])
def test_a_network_of_addresses_that_no_host_can_have(scene: Scene, block: str) -> None:
    message = scene.fabric.customer.refused("InvalidVpc.Range", "ec2", "CreateVpc", CidrBlock=block)
    assert block in message
    scene.fabric.customer.ec2("CreateVpc", CidrBlock="8.8.0.0/16")


@pytest.mark.parametrize(("type", "code"), [(999, 0), (3, 256), (-7, -1), (-1, 3)])
@pytest.mark.parametrize("way", ["Ingress", "Egress"])
def test_an_icmp_message_that_does_not_exist(scene: Scene, way: str, type: int, code: int) -> None:
    rule = {"IpProtocol": "icmp", "FromPort": type, "ToPort": code, "IpRanges": ANYWHERE}
    authorize = {"GroupId": scene.ids["group"], "IpPermissions": [rule]}
    message = scene.fabric.customer.refused("InvalidParameterValue", "ec2", f"AuthorizeSecurityGroup{way}", **authorize)
    assert f"type {type}, code {code}" in message


@pytest.mark.parametrize(("type", "code"), [(-1, -1), (8, -1), (3, 4), (255, 255)])
def test_an_icmp_message_that_exists_is_let_in(scene: Scene, type: int, code: int) -> None:
    rule = {"IpProtocol": "icmp", "FromPort": type, "ToPort": code, "IpRanges": ANYWHERE}
    authorize = {"GroupId": scene.ids["group"], "IpPermissions": [rule]}
    scene.fabric.customer.ec2("AuthorizeSecurityGroupIngress", **authorize)


@pytest.mark.parametrize(
    "request_",
    [{}, {"IpPermissions": [{"IpProtocol": "tcp", "FromPort": 9, "ToPort": 9}]}, {"IpProtocol": "tcp", "FromPort": 9}],
)
def test_a_rule_without_a_source(scene: Scene, request_: dict[str, Any]) -> None:
    for verb in ("Authorize", "Revoke"):
        operation = f"{verb}SecurityGroupIngress"
        scene.fabric.customer.refused("MissingParameter", "ec2", operation, GroupId=scene.ids["group"], **request_)


def test_one_rule_twice_in_a_request(scene: Scene) -> None:
    rule = {"IpProtocol": "tcp", "FromPort": 9, "ToPort": 9, "IpRanges": ANYWHERE * 2}
    authorize = {"GroupId": scene.ids["group"], "IpPermissions": [rule]}
    scene.fabric.customer.refused("InvalidParameterValue", "ec2", "AuthorizeSecurityGroupIngress", **authorize)


def test_an_endpoint_in_a_zone_that_the_balancer_has_left(scene: Scene) -> None:
    """Nobody was connected there, so that the balancer could leave; the service names the zone until it is modified."""
    customer, platform = scene.fabric.customer, scene.fabric.platform
    platform.ec2("DeleteVpcEndpoints", VpcEndpointIds=[scene.ids["endpoint"]])
    scene.fabric.settle()
    customer.elb("SetSubnets", LoadBalancerArn=scene.ids["balancer"], Subnets=[scene.ids["subnet"]])
    vpc, subnets = platform.network()
    wanted = {"VpcEndpointType": "Interface", "VpcId": vpc, "ServiceName": scene.ids["service_name"]}
    message = platform.refused("InvalidParameter", "ec2", "CreateVpcEndpoint", SubnetIds=subnets, **wanted)
    assert message.endswith("The subnet is in use1-az2; the service is in use1-az1.")
    platform.ec2("CreateVpcEndpoint", SubnetIds=subnets[:1], **wanted)


def test_a_listener_of_another_protocol_than_its_group(scene: Scene) -> None:
    changed = {"ListenerArn": scene.ids["listener"], "Protocol": "UDP"}
    message = scene.fabric.customer.refused("IncompatibleProtocols", "elbv2", "ModifyListener", **changed)
    assert "UDP listener" in message and "protocol TCP" in message


def test_a_target_where_the_network_is_gone(scene: Scene) -> None:
    customer = scene.fabric.customer
    vpc = customer.ec2("CreateVpc", CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    wanted = {"Name": "lone", "Protocol": "TCP", "Port": 9, "VpcId": vpc, "TargetType": "ip"}
    group = customer.elb("CreateTargetGroup", **wanted)["TargetGroups"][0]["TargetGroupArn"]
    customer.ec2("DeleteVpc", VpcId=vpc)
    targets = {"TargetGroupArn": group, "Targets": [{"Id": "10.7.0.9"}]}
    assert vpc in customer.refused("InvalidTarget", "elbv2", "RegisterTargets", **targets)
    customer.elb("DeleteTargetGroup", TargetGroupArn=group)


def test_another_address_where_a_balancer_has_one(scene: Scene) -> None:
    customer, subnet = scene.fabric.customer, scene.ids["subnet"]
    shown = customer.elb("DescribeLoadBalancers")["LoadBalancers"][0]["AvailabilityZones"]
    present = next(zone for zone in shown if zone["SubnetId"] == subnet)["LoadBalancerAddresses"][0]
    other = {"SubnetId": scene.ids["subnet2"]}
    moved = [{"SubnetId": subnet, "PrivateIPv4Address": "10.0.1.99"}, other]
    kept = [{"SubnetId": subnet, "PrivateIPv4Address": present["PrivateIPv4Address"]}, other]
    change = {"LoadBalancerArn": scene.ids["balancer"]}
    customer.refused("InvalidConfigurationRequest", "elbv2", "SetSubnets", SubnetMappings=moved, **change)
    customer.elb("SetSubnets", SubnetMappings=kept, **change)


def test_more_tags_than_a_resource_can_have(scene: Scene) -> None:
    customer, balancer = scene.fabric.customer, {"ResourceArns": [scene.ids["balancer"]]}
    tags = [{"Key": f"k{n}", "Value": "v"} for n in range(51)]
    customer.elb("AddTags", Tags=tags[:50], **balancer)
    customer.refused("TooManyTags", "elbv2", "AddTags", Tags=tags[50:], **balancer)


def test_accepting_what_was_asked_of_a_balancer_that_has_left(scene: Scene) -> None:
    customer, endpoint = scene.fabric.customer, scene.ids["endpoint"]
    service = {"ServiceId": scene.ids["service"]}
    other = customer.balancer(scene.ids["vpc"], [scene.ids["subnet"], scene.ids["subnet2"]], "other")
    customer.ec2("RejectVpcEndpointConnections", VpcEndpointIds=[endpoint], **service)
    change = {"AddNetworkLoadBalancerArns": [other], "RemoveNetworkLoadBalancerArns": [scene.ids["balancer"]]}
    customer.ec2("ModifyVpcEndpointServiceConfiguration", **service, **change)
    refused = customer.ec2("AcceptVpcEndpointConnections", VpcEndpointIds=[endpoint], **service)["Unsuccessful"]
    assert refused[0]["Error"]["Code"] == "InvalidState" and "ask again" in refused[0]["Error"]["Message"]
    assert scene.fabric.platform.endpoint_state(endpoint) == "rejected"


@pytest.mark.parametrize(
    ("operation", "parameter", "kind", "code"),
    [
        ("DescribeNetworkAcls", "NetworkAclIds", "acl", "InvalidNetworkAclID.NotFound"),
        ("DescribeRouteTables", "RouteTableIds", "routes", "InvalidRouteTableID.NotFound"),
        ("DescribePrefixLists", "PrefixListIds", "", "InvalidPrefixListID.NotFound"),
        ("DescribeSecurityGroups", "GroupNames", "", "InvalidGroup.NotFound"),
    ],
)
def test_what_is_named_and_not_there(scene: Scene, operation: str, parameter: str, kind: str, code: str) -> None:
    customer, known = scene.fabric.customer, [scene.ids[kind]] if kind else []
    assert customer.ec2(operation, **{parameter: known})
    assert "nobodys" in customer.refused(code, "ec2", operation, **{parameter: [*known, "nobodys"]})
    if known:
        scene.fabric.other.refused(code, "ec2", operation, **{parameter: known})


def test_a_rule_is_found_by_the_name_that_it_has(scene: Scene) -> None:
    customer = scene.fabric.customer
    shown = customer.elb("DescribeRules", ListenerArn=scene.ids["listener"])["Rules"]
    arn = shown[0]["RuleArn"]
    assert customer.elb("DescribeRules", RuleArns=[arn])["Rules"] == shown
    customer.refused("RuleNotFound", "elbv2", "DescribeRules", RuleArns=[arn, arn + "x"])
    scene.fabric.other.refused("RuleNotFound", "elbv2", "DescribeRules", RuleArns=[arn])
    customer.refused("ValidationError", "elbv2", "DescribeRules")
