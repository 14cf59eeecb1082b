"""The lesser settings: private names, automatic acceptance, tags on parts, security groups of balancers, instances."""

from __future__ import annotations

from typing import Any

import pytest

from fabric.aws.operations.scene import SCRIPT, Scene
from tieline.fabric.aws.operations.elbv2 import balancers, targets
from tieline.fabric.aws.operations.instances import instances

NAME = "db.plant.internal"


@pytest.fixture
def scene() -> Scene:
    return Scene()


def names(scene: Scene, vpc: str) -> dict[str, tuple[str, ...]]:
    return {name.name: name.addresses for name in scene.fabric.plan().vpcs[vpc].names}


def request(scene: Scene, **more: Any) -> dict[str, Any]:
    vpc, subnets = scene.fabric.platform.network()
    base = {"VpcEndpointType": "Interface", "VpcId": vpc, "SubnetIds": subnets}
    return base | {"ServiceName": scene.ids["service_name"]} | more


def test_a_private_name_leads_to_the_endpoint_where_it_is_enabled_and_nowhere_else(scene: Scene) -> None:
    customer, platform, service = scene.fabric.customer, scene.fabric.platform, scene.ids["service"]
    wanted = request(scene, PrivateDnsEnabled=True)
    assert "does not provide a private DNS name" in platform.refused(
        "InvalidParameter", "ec2", "CreateVpcEndpoint", **wanted
    )
    customer.ec2("ModifyVpcEndpointServiceConfiguration", ServiceId=service, PrivateDnsName=NAME)
    shown = platform.ec2("DescribeVpcEndpointServices", ServiceNames=[scene.ids["service_name"]])["ServiceDetails"][0]
    assert (shown["PrivateDnsName"], shown["PrivateDnsNameVerificationState"]) == (NAME, "verified")
    assert "enableDnsHostnames" in platform.refused("InvalidParameter", "ec2", "CreateVpcEndpoint", **wanted)
    platform.ec2("ModifyVpcAttribute", VpcId=wanted["VpcId"], EnableDnsHostnames={"Value": True})
    made = platform.ec2("CreateVpcEndpoint", **wanted)["VpcEndpoint"]
    assert made["PrivateDnsEnabled"]
    assert len(names(scene, wanted["VpcId"])[NAME]) == 2
    assert NAME not in names(scene, scene.ids["vpc"])
    assert "conflicting DNS domain" in platform.refused("InvalidParameter", "ec2", "CreateVpcEndpoint", **wanted)
    customer.refused(
        "ExistingVpcEndpointConnections",
        "ec2",
        "ModifyVpcEndpointServiceConfiguration",
        ServiceId=service,
        RemovePrivateDnsName=True,
    )
    platform.ec2("ModifyVpcEndpoint", VpcEndpointId=made["VpcEndpointId"], PrivateDnsEnabled=False)
    assert NAME not in names(scene, wanted["VpcId"])


@pytest.mark.parametrize(
    "name",
    [
        *("db.example.com", "*.plant.internal", "internal", "-a.test", "a..test", "a;b.test"),
        *("ip-10-0-1-4.ec2.internal", "EC2.internal", "x.y.ec2.Internal", "eu-west-1.compute.internal"),
        *("ip-10-0-1-4.eu-west-1.compute.internal", "compute.internal"),
    ],
)
def test_a_name_that_somebody_may_own_is_not_taken(scene: Scene, name: str) -> None:
    scene.fabric.customer.refused(
        "InvalidParameter",
        "ec2",
        "ModifyVpcEndpointServiceConfiguration",
        ServiceId=scene.ids["service"],
        PrivateDnsName=name,
    )


def test_a_tagged_permission_spares_its_principal_the_acceptance(scene: Scene) -> None:
    tag = [{"Key": "tieline:accept", "Value": "automatic"}]
    first = scene.fabric.platform.ec2("CreateVpcEndpoint", **request(scene))["VpcEndpoint"]
    scene.fabric.customer.ec2("CreateTags", Resources=[scene.ids["permission"]], Tags=tag)
    second = scene.fabric.platform.ec2("CreateVpcEndpoint", **request(scene))["VpcEndpoint"]
    assert (first["State"], second["State"]) == ("pendingAcceptance", "pending")


def test_permissions_rules_and_connections_have_tags_of_their_own(scene: Scene) -> None:
    customer = scene.fabric.customer
    parts = [scene.ids[kind] for kind in ("permission", "rule", "connection")]
    customer.ec2("CreateTags", Resources=parts, Tags=[{"Key": "team", "Value": "red"}])
    found = customer.ec2("DescribeTags", Filters=[{"Name": "key", "Values": ["team"]}])["Tags"]
    assert {tag["ResourceId"]: tag["ResourceType"] for tag in found} == {
        scene.ids["permission"]: "vpc-endpoint-service-permission",
        scene.ids["rule"]: "security-group-rule",
        scene.ids["connection"]: "vpc-endpoint-connection",
    }
    assert customer.ec2("DescribeVpcEndpointConnections")["VpcEndpointConnections"][0]["Tags"]
    seen = scene.fabric.platform.ec2("DescribeVpcEndpoints", VpcEndpointIds=[scene.ids["endpoint"]])["VpcEndpoints"]
    assert seen[0]["Tags"] == []
    customer.ec2("DeleteTags", Resources=parts, Tags=[{"Key": "team"}])
    assert customer.ec2("DescribeTags", Filters=[{"Name": "key", "Values": ["team"]}])["Tags"] == []


def test_a_balancer_keeps_having_security_groups_or_keeps_having_none(scene: Scene) -> None:
    customer, group = scene.fabric.customer, scene.ids["group"]
    arguments = {"LoadBalancerArn": scene.ids["balancer"], "SecurityGroups": [group]}
    customer.refused("InvalidConfigurationRequest", "elbv2", "SetSecurityGroups", **arguments)
    made = customer.elb(
        "CreateLoadBalancer",
        Name="guarded",
        Type="network",
        Scheme="internal",
        Subnets=[scene.ids["subnet"]],
        SecurityGroups=[group],
    )["LoadBalancers"][0]
    assert (made["SecurityGroups"], made["EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic"]) == ([group], "on")
    other = customer.ec2("CreateSecurityGroup", GroupName="b", Description="b", VpcId=scene.ids["vpc"])["GroupId"]
    customer.elb("SetSecurityGroups", LoadBalancerArn=made["LoadBalancerArn"], SecurityGroups=[other])
    interfaces = customer.ec2("DescribeNetworkInterfaces", Filters=[{"Name": "group-id", "Values": [other]}])
    assert "ELB net/guarded/" in interfaces["NetworkInterfaces"][0]["Description"]
    customer.refused("DependencyViolation", "ec2", "DeleteSecurityGroup", GroupId=other)


def test_a_protected_instance_is_not_terminated_and_none_is_stopped(scene: Scene) -> None:
    customer, id = scene.fabric.customer, scene.ids["instance"]
    customer.ec2("ModifyInstanceAttribute", InstanceId=id, DisableApiTermination={"Value": True})
    customer.refused("OperationNotPermitted", "ec2", "TerminateInstances", InstanceIds=[id])
    assert "cannot be stopped" in customer.refused("UnsupportedOperation", "ec2", "StopInstances", InstanceIds=[id])
    status = customer.ec2("DescribeInstanceStatus", InstanceIds=[id])["InstanceStatuses"][0]
    assert status["InstanceStatus"]["Status"] == "ok"
    customer.ec2("ModifyInstanceAttribute", InstanceId=id, DisableApiTermination={"Value": False})
    customer.ec2("TerminateInstances", InstanceIds=[id])


def test_an_interface_has_as_many_groups_as_the_account_is_told(scene: Scene) -> None:
    customer, subnet = scene.fabric.customer, scene.ids["subnet"]
    told = customer.ec2("DescribeAccountAttributes", AttributeNames=["vpc-max-security-groups-per-interface"])
    most = int(told["AccountAttributes"][0]["AttributeValues"][0]["AttributeValue"])
    make = {"Description": "d", "VpcId": scene.ids["vpc"]}
    groups = [customer.ec2("CreateSecurityGroup", GroupName=f"g{n}", **make)["GroupId"] for n in range(most + 1)]
    code, wanted = "SecurityGroupsPerInterfaceLimitExceeded", {"SubnetId": subnet, "Groups": groups}
    customer.refused(code, "ec2", "CreateNetworkInterface", **wanted)
    many = {"Name": "many", "Type": "network", "Scheme": "internal", "Subnets": [subnet], "SecurityGroups": groups}
    customer.refused("InvalidConfigurationRequest", "elbv2", "CreateLoadBalancer", **many)
    made = customer.ec2("CreateNetworkInterface", **wanted | {"Groups": [*groups[:most], groups[0]]})
    assert [group["GroupId"] for group in made["NetworkInterface"]["Groups"]] == groups[:most]


def test_a_token_of_another_request_is_refused_everywhere(scene: Scene) -> None:
    customer, platform = scene.fabric.customer, scene.fabric.platform
    run = {"ImageId": "local", "MinCount": 1, "MaxCount": 2, "SubnetId": scene.ids["subnet"], "UserData": SCRIPT}
    first = customer.ec2("RunInstances", ClientToken="t", **run)
    assert customer.ec2("RunInstances", ClientToken="t", **run)["Instances"] == first["Instances"]
    customer.refused("IdempotentParameterMismatch", "ec2", "RunInstances", ClientToken="t", **run | {"MaxCount": 1})
    wanted = request(scene, ClientToken="t")
    platform.ec2("CreateVpcEndpoint", **wanted)
    fewer = wanted | {"SubnetIds": wanted["SubnetIds"][:1]}
    platform.refused("IdempotentParameterMismatch", "ec2", "CreateVpcEndpoint", **fewer)


def test_quotas_are_kept(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    customer = scene.fabric.customer
    monkeypatch.setattr(balancers, "PER_REGION", 1)
    more = {"Name": "more", "Type": "network", "Scheme": "internal", "Subnets": [scene.ids["subnet"]]}
    customer.refused("TooManyLoadBalancers", "elbv2", "CreateLoadBalancer", **more)
    monkeypatch.setattr(instances, "MOST", 3)
    run = {"ImageId": "local", "MinCount": 1, "MaxCount": 3, "SubnetId": scene.ids["subnet"]}
    customer.refused("InstanceLimitExceeded", "ec2", "RunInstances", **run)
    customer.ec2("RunInstances", **run | {"MaxCount": 2})
    monkeypatch.setattr(targets, "PER_ZONE", 2)
    wanted = [{"Id": f"10.0.1.{n}"} for n in range(11, 14)]
    customer.refused("TooManyTargets", "elbv2", "RegisterTargets", TargetGroupArn=scene.ids["targets"], Targets=wanted)
