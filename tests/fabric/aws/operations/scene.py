"""A fabric in which two accounts have one of everything, for tests that run over all operations."""

from __future__ import annotations

import base64
from typing import Any

from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel

from fabric.worlds import Fabric
from tieline.fabric.aws import catalogue
from tieline.fabric.core.records import NetworkInterface, SecurityGroup, Vpc

SCRIPT = base64.b64encode(b"#!/bin/sh\n").decode()
MODELS = {name: ServiceModel(Loader().load_service_model(name, "service-2"), name) for name in ("ec2", "elbv2", "sts")}
SERVED = sorted(key for key in catalogue.served() if key[0] in MODELS)  # those that are asked by forms


def model(service: str, operation: str) -> OperationModel:
    return MODELS[service].operation_model(operation)


class Scene:
    """`ids` are the customer's resources by kind, the platform's endpoint among them."""

    def __init__(self) -> None:
        self.fabric = Fabric()
        customer, platform = self.fabric.customer, self.fabric.platform
        vpc, subnets = customer.network()
        made = customer.ec2("CreateSecurityGroup", GroupName="db", Description="db", VpcId=vpc)
        group, rule = made["GroupId"], [{"IpProtocol": "tcp", "FromPort": 1, "ToPort": 2, "IpRanges": [_ANYWHERE]}]
        customer.ec2("AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=rule)
        instance = customer.ec2(
            "RunInstances", ImageId="local", MinCount=1, MaxCount=1, SubnetId=subnets[0], UserData=SCRIPT
        )["Instances"][0]["InstanceId"]
        balancer = customer.balancer(vpc, subnets)
        service, name = customer.service(balancer, platform)
        there, their_subnets = platform.network()
        endpoint = platform.endpoint(there, name, their_subnets)
        rules = customer.ec2("DescribeSecurityGroupRules")["SecurityGroupRules"]
        world = self.fabric.world
        own = world.get(Vpc, vpc)
        assert own is not None
        self.their_groups = [g.id for g in world.where(SecurityGroup, "vpc", there)]
        self.ids: dict[str, str] = {
            "vpc": vpc,
            "subnet": subnets[0],
            "subnet2": subnets[1],
            "group": group,
            "rule": rules[0]["SecurityGroupRuleId"],
            "instance": instance,
            "interface": world.where(NetworkInterface, "holder", instance)[0].id,
            "acl": own.default_acl,
            "routes": own.main_route_table,
            "targets": customer.elb("DescribeTargetGroups")["TargetGroups"][0]["TargetGroupArn"],
            "balancer": balancer,
            "listener": customer.elb("DescribeListeners")["Listeners"][0]["ListenerArn"],
            "service": service,
            "service_name": name,
            "endpoint": endpoint,
            "permission": customer.ec2("DescribeVpcEndpointServicePermissions", ServiceId=service)["AllowedPrincipals"][
                0
            ]["ServicePermissionId"],
            "connection": "vpce-con-" + endpoint.removeprefix("vpce-"),
            "role": f"arn:aws:iam::{customer.id}:role/tieline-admin",
        }
        self.fabric.settle()


_ANYWHERE: dict[str, Any] = {"CidrIp": "0.0.0.0/0"}
