"""IAM policies of least privilege for both sides of a private link, and the trust policy of a role that we assume.

Rules: an action stands here if and only if the code sends it (tests/cloud/test_policies.py). What names no resource in
AWS's model (Describe…) is allowed on all; what changes anything is bound to tags that tieline sets at creation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tieline.client.provider.exposure import EXPOSE_TAG
from tieline.cloud.links.observe import LINK_TAG

Policy = dict[str, Any]

VERSION = "2012-10-17"  # of the policy language (IAM user guide, "Version")
LOOK_FOR_LINKS = (
    "cloudwatch:GetMetricData",
    "cloudwatch:ListMetrics",
    "ec2:DescribeAvailabilityZones",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcEndpointServices",
    "ec2:DescribeVpcEndpoints",
)
LOOK_FOR_SERVICES = (
    "ec2:DescribeAvailabilityZones",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcEndpointConnections",
    "ec2:DescribeVpcEndpointServiceConfigurations",
    "ec2:DescribeVpcEndpointServicePermissions",
    "ec2:DescribeVpcs",
    "elasticloadbalancing:DescribeListeners",
    "elasticloadbalancing:DescribeLoadBalancerAttributes",
    "elasticloadbalancing:DescribeLoadBalancers",
    "elasticloadbalancing:DescribeTags",
    "elasticloadbalancing:DescribeTargetGroups",
    "elasticloadbalancing:DescribeTargetHealth",
)
MAKE_BALANCERS = (
    "elasticloadbalancing:CreateListener",
    "elasticloadbalancing:CreateLoadBalancer",
    "elasticloadbalancing:CreateTargetGroup",
)
CHANGE_BALANCERS = (
    "elasticloadbalancing:DeleteLoadBalancer",
    "elasticloadbalancing:DeleteTargetGroup",
    "elasticloadbalancing:DeregisterTargets",
    "elasticloadbalancing:ModifyListener",
    "elasticloadbalancing:ModifyLoadBalancerAttributes",
    "elasticloadbalancing:RegisterTargets",
    "elasticloadbalancing:SetSubnets",
)
CHANGE_SERVICES = (
    "ec2:AcceptVpcEndpointConnections",
    "ec2:DeleteVpcEndpointServiceConfigurations",
    "ec2:ModifyVpcEndpointServiceConfiguration",
    "ec2:ModifyVpcEndpointServicePermissions",
    "ec2:RejectVpcEndpointConnections",
)


def platform_policy(region: str = "*") -> Policy:
    """What the platform needs in the account of a deployment's VPC."""
    ec2 = f"arn:aws:ec2:{region}:*"
    parts = [f"{ec2}:{kind}/*" for kind in ("vpc", "subnet", "security-group")]
    return _policy(
        _allow("Look", LOOK_FOR_LINKS),
        _allow("MakeEndpoints", ["ec2:CreateVpcEndpoint"], [f"{ec2}:vpc-endpoint/*"], _asked(LINK_TAG)),
        _allow("MakeEndpointsIn", ["ec2:CreateVpcEndpoint"], parts),
        _allow("TagWhatIsMade", ["ec2:CreateTags"], [f"{ec2}:vpc-endpoint/*"], _made_by("CreateVpcEndpoint")),
        _allow("DeleteOwnEndpoints", ["ec2:DeleteVpcEndpoints"], [f"{ec2}:vpc-endpoint/*"], _tagged(LINK_TAG)),
    )


def provider_policy(region: str = "*") -> Policy:
    """What tieline expose, connect, accept, reject and service need in the provider's account."""
    ec2, elb = f"arn:aws:ec2:{region}:*", f"arn:aws:elasticloadbalancing:{region}:*"
    balancing = [f"{elb}:{kind}/*" for kind in ("loadbalancer/net", "listener/net", "targetgroup")]
    services = [f"{ec2}:vpc-endpoint-service/*"]
    making = {"StringEquals": {"elasticloadbalancing:CreateAction": [_name(action) for action in MAKE_BALANCERS]}}
    return _policy(
        _allow("Look", LOOK_FOR_SERVICES),
        _allow("MakeBalancers", MAKE_BALANCERS, balancing, _asked(EXPOSE_TAG)),
        _allow("TagBalancers", ["elasticloadbalancing:AddTags"], balancing, making),
        _allow("ChangeOwnBalancers", CHANGE_BALANCERS, balancing, _tagged(EXPOSE_TAG)),
        _allow("MakeServices", ["ec2:CreateVpcEndpointServiceConfiguration"], services, _asked(EXPOSE_TAG)),
        _allow("TagServices", ["ec2:CreateTags"], services, _made_by("CreateVpcEndpointServiceConfiguration")),
        _allow("ChangeOwnServices", CHANGE_SERVICES, services, _tagged(EXPOSE_TAG)),
    )


def trust_policy(principal: str, external_id: str) -> Policy:
    """Who may assume the role: the platform, and through it no project but the one of this external id."""
    statement = {"Sid": "TheProjectThroughThePlatform", "Effect": "Allow", "Principal": {"AWS": principal}}
    condition = {"StringEquals": {"sts:ExternalId": external_id}}
    return _policy({**statement, "Action": "sts:AssumeRole", "Condition": condition})


def _policy(*statements: Policy) -> Policy:
    return {"Version": VERSION, "Statement": list(statements)}


def _allow(
    sid: str, actions: Sequence[str], resources: Sequence[str] = ("*",), condition: Policy | None = None
) -> Policy:
    found = {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
    return {**found, "Condition": condition} if condition else found


def _asked(tag: str) -> Policy:
    """Only where the request itself sets the tag."""
    return {"Null": {f"aws:RequestTag/{tag}": "false"}}


def _tagged(tag: str) -> Policy:
    """Only what has the tag."""
    return {"Null": {f"aws:ResourceTag/{tag}": "false"}}


def _made_by(operation: str) -> Policy:
    return {"StringEquals": {"ec2:CreateAction": operation}}


def _name(action: str) -> str:
    return action.partition(":")[2]
