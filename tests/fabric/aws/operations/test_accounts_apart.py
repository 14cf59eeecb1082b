"""Every operation that takes an id, called with another account's: it reads nothing and changes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fabric.aws.operations.scene import SERVED, Scene, model
from tieline.fabric.aws.protocol.errors import AwsError

Parameters = dict[str, Any]
FORWARD = [{"Type": "forward", "TargetGroupArn": "{targets}"}]
RULE = [{"IpProtocol": "tcp", "FromPort": 3, "ToPort": 4, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
TAGS = [{"Key": "k", "Value": "v"}]
PLACE = {"ImageId": "local", "MinCount": 1, "MaxCount": 1}
CHECKED = {"TargetGroupArn": "{targets}"}

# The values name what the customer has; a stranger sends them.
FOREIGN: dict[str, list[Parameters]] = {
    "AcceptVpcEndpointConnections": [{"ServiceId": "{service}", "VpcEndpointIds": ["{endpoint}"]}],
    "RejectVpcEndpointConnections": [{"ServiceId": "{service}", "VpcEndpointIds": ["{endpoint}"]}],
    "AuthorizeSecurityGroupEgress": [{"GroupId": "{group}", "IpPermissions": RULE}],
    "AuthorizeSecurityGroupIngress": [{"GroupId": "{group}", "IpPermissions": RULE}],
    "RevokeSecurityGroupEgress": [{"GroupId": "{group}", "SecurityGroupRuleIds": ["{rule}"]}],
    "RevokeSecurityGroupIngress": [{"GroupId": "{group}", "SecurityGroupRuleIds": ["{rule}"]}],
    "CreateSecurityGroup": [{"VpcId": "{vpc}", "GroupName": "mine", "Description": "d"}],
    "CreateNetworkInterface": [{"SubnetId": "{subnet}"}],
    "DeleteNetworkInterface": [{"NetworkInterfaceId": "{interface}"}],
    "CreateSubnet": [{"VpcId": "{vpc}", "CidrBlock": "10.0.9.0/24"}],
    "CreateTags": [
        {"Resources": [f"{{{kind}}}"], "Tags": TAGS}
        for kind in ("vpc", "subnet", "group", "rule", "instance", "interface", "endpoint", "service", "permission")
    ]
    + [{"Resources": ["{connection}"], "Tags": TAGS}],
    "DeleteTags": [{"Resources": [f"{{{kind}}}"]} for kind in ("vpc", "service", "endpoint", "permission")],
    "CreateVpcEndpoint": [
        {"VpcEndpointType": "Interface", "VpcId": "{vpc}", "ServiceName": "{service_name}", "SubnetIds": ["{subnet}"]}
    ],
    "CreateVpcEndpointServiceConfiguration": [{"NetworkLoadBalancerArns": ["{balancer}"]}],
    "DeleteSecurityGroup": [{"GroupId": "{group}"}],
    "DeleteSubnet": [{"SubnetId": "{subnet}"}],
    "DeleteVpc": [{"VpcId": "{vpc}"}],
    "DeleteVpcEndpointServiceConfigurations": [{"ServiceIds": ["{service}"]}],
    "DeleteVpcEndpoints": [{"VpcEndpointIds": ["{endpoint}"]}],
    "DescribeInstanceAttribute": [{"InstanceId": "{instance}", "Attribute": "userData"}],
    "DescribeInstanceCreditSpecifications": [{"InstanceIds": ["{instance}"]}],
    "DescribeInstanceStatus": [{"InstanceIds": ["{instance}"]}],
    "DescribeInstances": [{"InstanceIds": ["{instance}"]}],
    "DescribeNetworkAcls": [{"NetworkAclIds": ["{acl}"]}],
    "DescribeNetworkInterfaces": [{"NetworkInterfaceIds": ["{interface}"]}],
    "DescribeRouteTables": [{"RouteTableIds": ["{routes}"]}],
    "DescribeSecurityGroupRules": [{"SecurityGroupRuleIds": ["{rule}"]}],
    "DescribeSecurityGroups": [{"GroupIds": ["{group}"]}],
    "DescribeSubnets": [{"SubnetIds": ["{subnet}"]}],
    "DescribeVpcAttribute": [{"VpcId": "{vpc}", "Attribute": "enableDnsSupport"}],
    "DescribeVpcEndpointAssociations": [{"VpcEndpointIds": ["{endpoint}"]}],
    "DescribeVpcEndpointServiceConfigurations": [{"ServiceIds": ["{service}"]}],
    "DescribeVpcEndpointServicePermissions": [{"ServiceId": "{service}"}],
    "DescribeVpcEndpointServices": [{"ServiceNames": ["{service_name}"]}],
    "DescribeVpcEndpoints": [{"VpcEndpointIds": ["{endpoint}"]}],
    "DescribeVpcs": [{"VpcIds": ["{vpc}"]}],
    "GetConsoleOutput": [{"InstanceId": "{instance}"}],
    "ModifyInstanceAttribute": [{"InstanceId": "{instance}", "DisableApiTermination": {"Value": True}}],
    "ModifySubnetAttribute": [{"SubnetId": "{subnet}", "MapPublicIpOnLaunch": {"Value": True}}],
    "ModifyVpcAttribute": [{"VpcId": "{vpc}", "EnableDnsHostnames": {"Value": True}}],
    "ModifyVpcEndpoint": [{"VpcEndpointId": "{endpoint}", "ResetPolicy": True}],
    "ModifyVpcEndpointServiceConfiguration": [{"ServiceId": "{service}", "AcceptanceRequired": False}],
    "ModifyVpcEndpointServicePayerResponsibility": [{"ServiceId": "{service}", "PayerResponsibility": "ServiceOwner"}],
    "ModifyVpcEndpointServicePermissions": [{"ServiceId": "{service}", "AddAllowedPrincipals": ["*"]}],
    "RunInstances": [PLACE | {"SubnetId": "{subnet}"}],
    "StartInstances": [{"InstanceIds": ["{instance}"]}],
    "StartVpcEndpointServicePrivateDnsVerification": [{"ServiceId": "{service}"}],
    "StopInstances": [{"InstanceIds": ["{instance}"]}],
    "TerminateInstances": [{"InstanceIds": ["{instance}"]}],
    "AddTags": [{"ResourceArns": [f"{{{kind}}}"], "Tags": TAGS} for kind in ("targets", "balancer", "listener")],
    "RemoveTags": [{"ResourceArns": ["{balancer}"], "TagKeys": ["k"]}],
    "CreateListener": [{"LoadBalancerArn": "{balancer}", "Protocol": "TCP", "Port": 9, "DefaultActions": FORWARD}],
    "CreateLoadBalancer": [{"Name": "mine", "Type": "network", "Scheme": "internal", "Subnets": ["{subnet}"]}],
    "CreateTargetGroup": [{"Name": "mine", "Protocol": "TCP", "Port": 9, "VpcId": "{vpc}"}],
    "DeleteListener": [{"ListenerArn": "{listener}"}],
    "DeleteLoadBalancer": [{"LoadBalancerArn": "{balancer}"}],
    "DeleteTargetGroup": [CHECKED],
    "DeregisterTargets": [CHECKED | {"Targets": [{"Id": "10.0.1.10"}]}],
    "DescribeCapacityReservation": [{"LoadBalancerArn": "{balancer}"}],
    "DescribeListenerAttributes": [{"ListenerArn": "{listener}"}],
    "DescribeListeners": [{"LoadBalancerArn": "{balancer}"}, {"ListenerArns": ["{listener}"]}],
    "DescribeLoadBalancerAttributes": [{"LoadBalancerArn": "{balancer}"}],
    "DescribeLoadBalancers": [{"LoadBalancerArns": ["{balancer}"]}],
    "DescribeRules": [{"ListenerArn": "{listener}"}],
    "DescribeTags": [{"ResourceArns": ["{balancer}"]}],
    "DescribeTargetGroupAttributes": [CHECKED],
    "DescribeTargetGroups": [{"TargetGroupArns": ["{targets}"]}, {"LoadBalancerArn": "{balancer}"}],
    "DescribeTargetHealth": [CHECKED],
    "ModifyListener": [{"ListenerArn": "{listener}", "Port": 9}],
    "ModifyListenerAttributes": [
        {"ListenerArn": "{listener}", "Attributes": [{"Key": "tcp.idle_timeout.seconds", "Value": "60"}]}
    ],
    "ModifyLoadBalancerAttributes": [
        {
            "LoadBalancerArn": "{balancer}",
            "Attributes": [{"Key": "load_balancing.cross_zone.enabled", "Value": "true"}],
        }
    ],
    "ModifyTargetGroup": [CHECKED | {"HealthCheckIntervalSeconds": 5}],
    "ModifyTargetGroupAttributes": [
        CHECKED | {"Attributes": [{"Key": "deregistration_delay.timeout_seconds", "Value": "1"}]}
    ],
    "RegisterTargets": [CHECKED | {"Targets": [{"Id": "10.0.1.11"}]}],
    "SetIpAddressType": [{"LoadBalancerArn": "{balancer}", "IpAddressType": "ipv4"}],
    "SetSecurityGroups": [{"LoadBalancerArn": "{balancer}", "SecurityGroups": ["{group}"]}],
    "SetSubnets": [{"LoadBalancerArn": "{balancer}", "Subnets": ["{subnet}"]}],
    "AssumeRole": [{"RoleArn": "{role}", "RoleSessionName": "s"}],
}
# Ids that are nobody's: of zones, the one image, prefix lists and address pools, which there are none of.
NOBODYS = {"CreateVpc", "DescribeAvailabilityZones", "DescribeImages", "DescribePrefixLists"}


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene()


def takes_an_id(service: str, operation: str) -> bool:
    shape = model(service, operation).input_shape
    return shape is not None and any(
        name.endswith(("Id", "Ids", "Arn", "Arns", "ServiceNames", "Resources")) for name in shape.members
    )


def test_every_operation_that_takes_an_id_is_tried() -> None:
    untried = {name for service, name in SERVED if takes_an_id(service, name)} - FOREIGN.keys() - NOBODYS
    assert untried == set()


@pytest.mark.parametrize(("service", "operation"), [key for key in SERVED if key[1] in FOREIGN])
@pytest.mark.parametrize("stranger", ["other", "platform"])
def test_another_accounts_ids_read_and_change_nothing(
    scene: Scene, service: str, operation: str, stranger: str
) -> None:
    if service == "ec2" and operation == "DescribeTags":
        return  # it takes no id
    for template in FOREIGN[operation]:
        text = json.dumps(template)
        if stranger == "platform" and (("endpoint}" in text and "service}" not in text) or "service_name" in text):
            continue  # the endpoint is its own, and so is the sight of the service
        for kind, id in scene.ids.items():
            text = text.replace(f"{{{kind}}}", id)
        before = scene.fabric.dump()
        answer = ""
        try:
            answer = json.dumps(getattr(scene.fabric, stranger)(service, operation, **json.loads(text)), default=str)
        except AwsError as refusal:
            assert refusal.status in (400, 403), refusal
        assert scene.fabric.dump() == before
        found = [id for id in scene.ids.values() if id in answer and id not in text]
        assert found == [] and ("Unsuccessful" in answer or not any(id in answer for id in scene.ids.values())), answer
