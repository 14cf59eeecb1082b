"""EC2: endpoint services, as their provider configures them and as consumers see them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from tieline.fabric.aws.operations.privatelink import private_names
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
from tieline.fabric.core import consent, names, states, zones
from tieline.fabric.core.records import Endpoint, EndpointService, LoadBalancer

NOT_FOUND = "InvalidVpcEndpointServiceId.NotFound", "The VpcEndpointService Id '{id}' does not exist"
IN_USE = "ExistingVpcEndpointConnections"


def endpoints_of(call: Call, service: str, among: Iterable[str] = states.OCCUPYING) -> list[Endpoint]:
    """A service's endpoints in the given states."""
    return [e for e in call.world.where(Endpoint, "service", service) if e.state in among]


def _balancers(call: Call, arns: Iterable[str], service: str = "") -> list[LoadBalancer]:
    """The load balancers that a service is to have: the caller's own, and no other service's."""
    missing = "InvalidParameter", "The load balancer '{id}' does not exist"
    found = [call.find(LoadBalancer, arn, *missing) for arn in arns]
    for balancer in found:
        for other in call.mine(EndpointService):
            if balancer.id in other.balancers and other.id != service:
                message = f"The load balancer '{balancer.id}' is already associated with the service {other.id}."
                raise AwsError("InvalidParameter", message)
        if balancer.scheme != "internal":
            raise AwsError("InvalidParameter", f"The load balancer '{balancer.id}' is not internal.")
    if len({balancer.vpc for balancer in found}) > 1:
        raise AwsError("UnsupportedOperation", "tieline serves one service from one VPC: its load balancers share it.")
    return found


def _zones(balancers: Iterable[LoadBalancer]) -> tuple[str, ...]:
    return tuple(sorted({placement.zone for balancer in balancers for placement in balancer.placements}))


CREATE = """AcceptanceRequired NetworkLoadBalancerArns SupportedIpAddressTypes PrivateDnsName ClientToken
TagSpecifications"""


@operation("ec2", "CreateVpcEndpointServiceConfiguration", CREATE)
def create_service(call: Call) -> Answer:
    earlier = repeated(call, EndpointService, asked(call))
    if earlier:
        return {"ServiceConfiguration": render(call, earlier), "ClientToken": earlier.token}
    arns = call.p.get("NetworkLoadBalancerArns", [])
    if not arns:
        message = "exactly one of network_load_balancer_arn or gateway_load_balancer_arn is a required member"
        raise AwsError("InvalidParameter", message)
    balancers, tags = _balancers(call, arns), tags_of(call, "vpc-endpoint-service")
    if complaint := consent.complaint(tags):
        raise AwsError("InvalidParameterValue", complaint)
    service = call.world.put(
        EndpointService(
            id=call.ids.new("vpce-svc"),
            owner=call.caller.account,
            tags=tags,
            balancers=tuple(dict.fromkeys(arns)),
            zones=_zones(balancers),
            acceptance_required=call.p.get("AcceptanceRequired", True),
            address_types=_address_types(call.p.get("SupportedIpAddressTypes") or ["ipv4"]),
            private_dns_name=private_names.checked(call.p.get("PrivateDnsName", "")),
            created=call.now,
            token=call.p.get("ClientToken", ""),
            request=asked(call),
        )
    )
    answer: Answer = {"ServiceConfiguration": render(call, service)}
    return answer | ({"ClientToken": service.token} if service.token else {})


def _address_types(types: Iterable[str]) -> tuple[str, ...]:
    if set(types) != {"ipv4"}:
        raise AwsError("UnsupportedOperation", "tieline carries IPv4 only: give the address type ipv4.")
    return ("ipv4",)


def render(call: Call, service: EndpointService) -> dict[str, Any]:
    owner = call.account_of(service.owner)
    return private_names.configuration(service) | {
        "ServiceType": [{"ServiceType": "Interface"}],
        "ServiceId": service.id,
        "ServiceName": names.service_name(call.region, service.id),
        "ServiceState": service.state,
        "AvailabilityZoneIds": list(service.zones),
        "AvailabilityZones": [zones.zone_name(owner, call.region, zone) for zone in service.zones],
        "AcceptanceRequired": service.acceptance_required,
        "ManagesVpcEndpoints": False,
        "NetworkLoadBalancerArns": list(service.balancers),
        "GatewayLoadBalancerArns": [],
        "SupportedIpAddressTypes": list(service.address_types),
        "BaseEndpointDnsNames": [names.service_domain(call.region, service.id)],
        "PayerResponsibility": service.payer or None,
        "RemoteAccessEnabled": False,
        "SupportedRegions": [{"Region": call.region, "ServiceState": service.state}],
        "Tags": tag_list(service.tags),
    }


FIELDS = {
    "service-id": lambda s: s.id,
    "service-state": lambda s: s.state,
    "supported-ip-address-types": lambda s: list(s.address_types),
}


@operation("ec2", "DescribeVpcEndpointServiceConfigurations", "ServiceIds Filters MaxResults NextToken")
def describe_service_configurations(call: Call) -> Answer:
    chosen = chosen_by_id(call, EndpointService, "ServiceIds", *NOT_FOUND)
    fields = FIELDS | {"service-name": lambda s: names.service_name(call.region, s.id)}
    return listing(call, chosen, fields, "ServiceConfigurations", lambda s: render(call, s))


MODIFY = """ServiceId AcceptanceRequired AddNetworkLoadBalancerArns RemoveNetworkLoadBalancerArns
AddSupportedIpAddressTypes RemoveSupportedIpAddressTypes PrivateDnsName RemovePrivateDnsName"""


@operation("ec2", "ModifyVpcEndpointServiceConfiguration", MODIFY)
def modify_service(call: Call) -> Answer:
    """Also the only way by which a zone that a load balancer gained later reaches the service."""
    service = call.find(EndpointService, call.p["ServiceId"], *NOT_FOUND)
    removed = set(call.p.get("RemoveNetworkLoadBalancerArns", []))
    if removed and endpoints_of(call, service.id):
        message = (
            f"You cannot change the load balancers of {service.id} while endpoints are connected. Reject them first."
        )
        raise AwsError(IN_USE, message)
    added = call.p.get("AddNetworkLoadBalancerArns", [])
    arns = tuple(dict.fromkeys(arn for arn in (*service.balancers, *added) if arn not in removed))
    if not arns:
        raise AwsError("InvalidParameter", "An endpoint service needs at least one load balancer.")
    if call.p.get("AddSupportedIpAddressTypes"):
        _address_types(call.p["AddSupportedIpAddressTypes"])
    if "ipv4" in call.p.get("RemoveSupportedIpAddressTypes", []):
        raise AwsError("InvalidParameter", "tieline carries IPv4 only: it cannot be removed.")
    acceptance = call.p.get("AcceptanceRequired", service.acceptance_required)
    zone_ids = _zones(_balancers(call, arns, service.id))
    lost = set(service.zones) - set(zone_ids)
    carried = {door.zone for e in endpoints_of(call, service.id) for door in e.doors}
    if lost & carried:
        raise AwsError(IN_USE, f"Endpoints are connected in {', '.join(sorted(lost & carried))}, which would be lost.")
    name = "" if call.p.get("RemovePrivateDnsName") else call.p.get("PrivateDnsName", service.private_dns_name)
    if name != service.private_dns_name and any(e.private_dns for e in endpoints_of(call, service.id)):
        raise AwsError(IN_USE, f"Endpoints use the private DNS name {service.private_dns_name}.")
    changed = msgspec.structs.replace(service, balancers=arns, zones=zone_ids, acceptance_required=acceptance)
    call.world.put(msgspec.structs.replace(changed, private_dns_name=private_names.checked(name)))
    return {"Return": True}


@operation("ec2", "DeleteVpcEndpointServiceConfigurations", "ServiceIds")
def delete_services(call: Call) -> Answer:
    """Refusals are items of a successful answer, one for each service that stays (AWS)."""
    unsuccessful = []
    for id in call.p["ServiceIds"]:
        service = call.world.get(EndpointService, id)
        if service is None or service.owner != call.caller.account:
            message = NOT_FOUND[1].format(id=id)
            unsuccessful.append(unsuccessful_item(id, "InvalidVpcEndpointService.NotFound", message))
        elif endpoints_of(call, id):
            message = "Service has existing active VPC Endpoint connections!"
            unsuccessful.append(unsuccessful_item(id, IN_USE, message))
        else:
            call.world.delete(service)
    return {"Unsuccessful": unsuccessful}


def unsuccessful_item(id: str, code: str, message: str) -> dict[str, Any]:
    return {"ResourceId": id, "Error": {"Code": code, "Message": message}}


def visible(call: Call) -> list[EndpointService]:
    """The services that the caller may ask for a connection."""
    caller = call.caller
    return [s for s in call.world.all(EndpointService) if consent.allowed(s, caller.account, caller.arn)]


def by_name(call: Call, name: str) -> EndpointService:
    """The service of that name, if the caller may see it: AWS does not tell unknown from forbidden."""
    id = name.removeprefix(names.service_name(call.region, ""))
    found = call.world.get(EndpointService, id) if id != name else None
    if found is None or not consent.allowed(found, call.caller.account, call.caller.arn):
        raise AwsError("InvalidServiceName", f"The Vpc Endpoint Service '{name}' does not exist")
    return found


@operation("ec2", "DescribeVpcEndpointServices", "ServiceNames ServiceRegions Filters MaxResults NextToken")
def describe_services(call: Call) -> Answer:
    for region in call.p.get("ServiceRegions", []):
        if region != call.region:
            raise AwsError("InvalidParameter", f"The Region '{region}' is not served: this fabric is {call.region}.")
    wanted = call.p.get("ServiceNames", [])
    chosen = [by_name(call, name) for name in wanted] if wanted else visible(call)
    fields = {
        "service-name": lambda s: names.service_name(call.region, s.id),
        "service-type": lambda _: "Interface",
        "owner": lambda s: s.owner,
        "service-region": lambda _: call.region,
        "supported-ip-address-types": lambda s: list(s.address_types),
    }
    answer = listing(call, chosen, fields, "ServiceDetails", lambda s: _detail(call, s))
    answer["ServiceNames"] = [detail["ServiceName"] for detail in answer["ServiceDetails"]]
    return answer


def _detail(call: Call, service: EndpointService) -> dict[str, Any]:
    """A service as a consumer sees it: with the zone names of the consumer's own account."""
    return {
        "ServiceName": names.service_name(call.region, service.id),
        "ServiceId": service.id,
        "ServiceType": [{"ServiceType": "Interface"}],
        "ServiceRegion": call.region,
        "AvailabilityZones": [zones.zone_name(call.account, call.region, zone) for zone in service.zones],
        "AvailabilityZoneIds": list(service.zones),
        "Owner": service.owner,
        "BaseEndpointDnsNames": [names.service_domain(call.region, service.id)],
        "VpcEndpointPolicySupported": False,
        "AcceptanceRequired": service.acceptance_required,
        "ManagesVpcEndpoints": False,
        "PayerResponsibility": service.payer or None,
        "SupportedIpAddressTypes": list(service.address_types),
        "Tags": tag_list(service.tags) if service.owner == call.caller.account else [],
    } | private_names.detail(service)
