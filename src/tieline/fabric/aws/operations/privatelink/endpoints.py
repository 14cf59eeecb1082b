"""EC2, the consumer's side: interface endpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tieline.fabric.aws.operations.privatelink.endpoint_requests import (
    OPEN_POLICY,
    check_zones,
    fixed_address,
    private_dns,
    refuse_unsupported,
    serving,
    subnet_ids,
)
from tieline.fabric.aws.operations.privatelink.services import by_name
from tieline.fabric.aws.operations.vpc import interfaces
from tieline.fabric.aws.operations.vpc.security_groups import groups_for
from tieline.fabric.aws.operations.vpc.subnets import NOT_FOUND as SUBNET_NOT_FOUND
from tieline.fabric.aws.operations.vpc.vpcs import NOT_FOUND as VPC_NOT_FOUND
from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.aws.service.calls import (
    Answer,
    Call,
    asked,
    chosen_by_id,
    listing,
    operation,
    repeated,
    tag_list,
    tags_of,
)
from tieline.fabric.core import addresses, consent, names, obstacles, states
from tieline.fabric.core.records import (
    Door,
    Endpoint,
    EndpointService,
    LoadBalancer,
    SecurityGroup,
    Subnet,
    Vpc,
)

NOT_FOUND = "InvalidVpcEndpointId.NotFound", "The Vpc Endpoint Id '{id}' does not exist"
PER_VPC = 50  # interface endpoints in a VPC (AWS quota)

CREATE = """VpcEndpointType VpcId ServiceName PolicyDocument SubnetIds SecurityGroupIds IpAddressType DnsOptions
ClientToken PrivateDnsEnabled TagSpecifications SubnetConfigurations ServiceRegion"""


@operation("ec2", "CreateVpcEndpoint", CREATE)
def create_endpoint(call: Call) -> Answer:
    earlier = repeated(call, Endpoint, asked(call))
    if earlier:
        return _created(call, earlier)
    refuse_unsupported(call)
    vpc = call.find(Vpc, call.p["VpcId"], *VPC_NOT_FOUND)
    service = by_name(call, call.p["ServiceName"])
    if len(call.world.where(Endpoint, "vpc", vpc.id)) >= PER_VPC:
        raise AwsError("VpcEndpointLimitExceeded", "The maximum number of VPC endpoints has been reached")
    chosen = [call.find(Subnet, id, *SUBNET_NOT_FOUND) for id in subnet_ids(call)]
    check_zones(call, service, vpc.id, chosen)
    return _created(call, _make(call, service, vpc, chosen))


def _make(call: Call, service: EndpointService, vpc: Vpc, chosen: list[Subnet]) -> Endpoint:
    id = call.ids.new("vpce")
    groups = groups_for(call, call.p.get("SecurityGroupIds", []), vpc.id)
    provider = call.world.get(LoadBalancer, service.balancers[0])
    assert provider is not None, "a load balancer cannot be deleted while a service has it"
    waits = service.acceptance_required and not consent.automatic(service, call.caller.account, call.caller.arn)
    return call.world.put(
        Endpoint(
            id=id,
            owner=call.caller.account,
            tags=tags_of(call, "vpc-endpoint"),
            vpc=vpc.id,
            service=service.id,
            service_name=call.p["ServiceName"],
            provider_vpc=provider.vpc,
            state=states.PENDING_ACCEPTANCE if waits else states.PENDING,
            doors=tuple(doors(call, id, service, vpc.id, provider.vpc, chosen, groups)),
            dns_suffix=call.ids.text(8),
            groups=groups,
            private_dns=private_dns(call, service, vpc),
            created=call.now,
            changed=call.now,
            token=call.p.get("ClientToken", ""),
            request=asked(call),
        )
    )


def doors(
    call: Call,
    endpoint: str,
    service: EndpointService,
    vpc: str,
    provider: str,
    chosen: list[Subnet],
    groups: tuple[str, ...],
) -> Iterator[Door]:
    """An endpoint's doors, one in each subnet: an interface, wire addresses free on both sides, and a balancer."""
    pairs = addresses.wire_pairs(wire_addresses(call, vpc) | wire_addresses(call, provider))
    for subnet in chosen:
        interface = interfaces.attach(
            call,
            subnet,
            purpose="vpc_endpoint",
            holder=endpoint,
            address=fixed_address(call, subnet.id),
            description=f"VPC Endpoint Interface {endpoint}",
            groups=groups,
        )
        near, far = next(pairs)
        yield Door(
            zone=subnet.zone,
            subnet=subnet.id,
            interface=interface.id,
            address=interface.address,
            near=near,
            far=far,
            balancer=call.ids.random.choice(serving(call, service, subnet.zone)),
        )


def wire_addresses(call: Call, vpc: str) -> set[str]:
    """The near wire addresses of the links that end in a VPC; the far ones go with them."""
    ends = [*call.world.where(Endpoint, "vpc", vpc), *call.world.where(Endpoint, "provider_vpc", vpc)]
    return {door.near for endpoint in ends for door in endpoint.doors}


def _created(call: Call, endpoint: Endpoint) -> Answer:
    answer: Answer = {"VpcEndpoint": render(call, endpoint, obstacles.explainer(call.world))}
    return answer | ({"ClientToken": endpoint.token} if endpoint.token else {})


def dns_entries(call: Call, endpoint: Endpoint) -> list[dict[str, str]]:
    """Regional name first, then the zonal ones, each with a hosted zone id."""
    zone = "Z7HUB22UULQXV"  # AWS's hosted zone of interface endpoints in us-east-1
    return [{"DnsName": n, "HostedZoneId": zone} for n, _ in names.endpoint_names(call.world, endpoint, call.region)]


def render(call: Call, endpoint: Endpoint, explain: Callable[[Endpoint], obstacles.Obstacle | None]) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "VpcEndpointId": endpoint.id,
        "VpcEndpointType": "Interface",
        "VpcId": endpoint.vpc,
        "ServiceName": endpoint.service_name,
        "ServiceRegion": call.region,
        "State": endpoint.state,
        "PolicyDocument": endpoint.policy or OPEN_POLICY,
        "RouteTableIds": [],
        "SubnetIds": [door.subnet for door in endpoint.doors],
        "Groups": [{"GroupId": id, "GroupName": _group_name(call, id)} for id in endpoint.groups],
        "IpAddressType": "ipv4",
        "DnsOptions": {"DnsRecordIpType": "ipv4"},
        "PrivateDnsEnabled": endpoint.private_dns,
        "RequesterManaged": False,
        "NetworkInterfaceIds": [door.interface for door in endpoint.doors],
        "DnsEntries": dns_entries(call, endpoint),
        "CreationTimestamp": endpoint.created,
        "Tags": tag_list(endpoint.tags),
        "OwnerId": endpoint.owner,
    }
    if obstacle := explain(endpoint):
        answer["LastError"] = {"Code": obstacle[0], "Message": obstacle[1]}
    return answer


def _group_name(call: Call, id: str) -> str:
    group = call.world.get(SecurityGroup, id)
    return group.name if group else ""


FIELDS = {
    "vpc-endpoint-id": lambda e: e.id,
    "vpc-id": lambda e: e.vpc,
    "service-name": lambda e: e.service_name,
    "vpc-endpoint-state": lambda e: [e.state, e.state[0].upper() + e.state[1:]],
    "vpc-endpoint-type": lambda _: "Interface",
    "ip-address-type": lambda _: "ipv4",
    "service-region": lambda _: "",
}


@operation("ec2", "DescribeVpcEndpoints", "VpcEndpointIds Filters MaxResults NextToken")
def describe_endpoints(call: Call) -> Answer:
    chosen = chosen_by_id(call, Endpoint, "VpcEndpointIds", *NOT_FOUND)
    fields = FIELDS | {"service-region": lambda _: call.region}
    explain = obstacles.explainer(call.world)
    return listing(call, chosen, fields, "VpcEndpoints", lambda e: render(call, e, explain))
