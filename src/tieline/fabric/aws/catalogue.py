"""Which of AWS's actions are served, and what each lacks; `python -m tieline.fabric.aws.catalogue` writes the page."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterator, Mapping

from tieline.fabric.aws import operations
from tieline.fabric.aws.protocol.model import SERVICES, ServiceName, services
from tieline.fabric.aws.service.calls import OPERATIONS, Served

TITLES: dict[ServiceName, str] = {
    "ec2": "EC2",
    "elbv2": "Elastic Load Balancing v2",
    "sts": "STS",
    "cloudwatch": "CloudWatch",
}

# What an action lacks that its parameters do not show.
NOTES: dict[str, str] = {
    "AssumeRole": "The one role of each account is `tieline-admin`; sessions cannot be narrowed by policies.",
    "CreateNetworkInterface": "IPv4; `tieline attach` puts something behind it.",
    "CreateListener": "TCP, UDP and TCP_UDP; one action, which forwards to one target group.",
    "CreateLoadBalancer": "Network load balancers, internal, IPv4.",
    "CreateSubnet": "IPv4.",
    "CreateTargetGroup": "TCP, UDP and TCP_UDP; targets of type instance and ip.",
    "CreateVpc": "IPv4, one block, default tenancy.",
    "CreateVpcEndpoint": "Interface endpoints, IPv4; a policy must allow everything.",
    "CreateVpcEndpointServiceConfiguration": "Private DNS names below domains that nobody owns, such as `.internal`; "
    "load balancers in one VPC.",
    "DescribeCapacityReservation": "Nothing is reserved: capacity is the machine's.",
    "DescribeImages": "One image, `local`: the machine's own file system.",
    "DescribeInstanceAttribute": "Not of a kernel, a RAM disk, a root device, enclaves, ENA or SR-IOV.",
    "DescribeInstanceTypes": "The types whose size is known, as AWS has them; none has more than the machine.",
    "DescribePrefixLists": "There are none: they belong to gateway endpoints.",
    "DescribeVpcEndpointAssociations": "There are none: they belong to endpoints of resources.",
    "GetMetricData": "Queries of metrics, not expressions; one page. Minutes are kept for three hours, in memory.",
    "ListMetrics": "Of links, services and target groups; docs/performance.md lists the names.",
    "ModifyListener": "As CreateListener.",
    "ModifyLoadBalancerAttributes": "Deletion protection and cross-zone balancing; the others keep their defaults.",
    "ModifySubnetAttribute": "Recorded only: nothing here has a public address.",
    "ModifyTargetGroupAttributes": "What the data plane acts on; the others keep their defaults, which are listed.",
    "ModifyVpcEndpoint": "As CreateVpcEndpoint.",
    "ModifyVpcEndpointServicePayerResponsibility": "Recorded only.",
    "RunInstances": "Image `local`, user data that begins with `#!`; type and credits are recorded only.",
    "StopInstances": "Refused as AWS does where the root is an instance store.",
}

# Actions that clients of the guide might look for.
ABSENT: dict[str, str] = {
    "CreateVpcEndpointConnectionNotification": "There is no SNS; DescribeVpcEndpointConnections tells the same.",
    "DescribeVpcEndpointConnectionNotifications": "",
    "ModifyVpcEndpointConnectionNotification": "",
    "DeleteVpcEndpointConnectionNotifications": "",
    "CreateRouteTable, CreateRoute, CreateNetworkAcl": "Every VPC has its main table and its default list.",
    "CreateInternetGateway, CreateNatGateway, AllocateAddress": "There is no way out of a VPC but a private link.",
    "AttachNetworkInterface": "`tieline attach` puts what exists behind an interface, as root.",
    "CreateRule, ModifyRule": "A network load balancer's listener has its default rule only.",
    "AssumeRoleWithSAML, AssumeRoleWithWebIdentity": "There is no identity provider to trust.",
    "All of IAM": "An account has one user and one role.",
}

PREAMBLE = """\
Written by `python -m tieline.fabric.aws.catalogue`; do not edit. **Full**: every parameter of botocore's model is
taken, with AWS's meaning. **Partial**: the parameters named are refused when a request sets them, never ignored.
Filters compare what is recorded here; any other filter is refused as `InvalidFilter`, with the names of those that are.
Any other action answers `UnsupportedOperation` (EC2) or `InvalidAction`, with HTTP status 400."""


def served() -> Mapping[tuple[str, str], Served]:
    """Every operation that is served, by service and name."""
    for module in pkgutil.walk_packages(operations.__path__, f"{operations.__name__}."):
        importlib.import_module(module.name)
    return OPERATIONS


def missing(service: ServiceName, name: str) -> list[str]:
    """The parameters that the model knows and the operation refuses."""
    known = services()[service].operation(name).parameters
    return sorted(known - OPERATIONS[service, name].accepts)


def page() -> Iterator[str]:
    """The lines of docs/aws-actions.md."""
    table = served()
    yield "# AWS actions"
    yield ""
    yield from PREAMBLE.splitlines()
    for service in SERVICES:
        names = sorted(name for key, name in table if key == service)
        yield ""
        yield f"## {TITLES[service]}"
        yield ""
        yield "| Action | | What it lacks |"
        yield "|---|---|---|"
        for name in names:
            yield _row(service, name)
    yield ""
    yield "## Absent"
    yield ""
    yield "| Action | Why |"
    yield "|---|---|"
    for name, why in ABSENT.items():
        yield f"| {name} | {why} |"


def _row(service: ServiceName, name: str) -> str:
    refused = ", ".join(f"`{parameter}`" for parameter in missing(service, name))
    lacks = " ".join(part for part in (NOTES.get(name, ""), f"Refused: {refused}." if refused else "") if part)
    return f"| {name} | {'partial' if lacks else 'full'} | {lacks} |"


def main() -> None:
    sys.stdout.write("\n".join(page()) + "\n")


if __name__ == "__main__":
    main()
