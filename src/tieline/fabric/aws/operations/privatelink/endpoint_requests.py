"""EC2: what a request for an interface endpoint may ask for, and how it is refused."""

from __future__ import annotations

import json

from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.aws.service.calls import Call, idle
from tieline.fabric.core import names
from tieline.fabric.core.records import Endpoint, EndpointService, LoadBalancer, Subnet, Vpc

POLICY_LIMIT = 20480  # characters (AWS quota)
OPEN_POLICY = json.dumps({"Statement": [{"Action": "*", "Effect": "Allow", "Principal": "*", "Resource": "*"}]})


def refuse_unsupported(call: Call) -> None:
    kind = call.p.get("VpcEndpointType", "Gateway")  # AWS's default
    if kind != "Interface":
        message = f"tieline makes Interface endpoints only, not {kind}. Set VpcEndpointType to Interface."
        raise AwsError("UnsupportedOperation", message)
    if "ServiceName" not in call.p:  # botocore's shape lets it be absent, for endpoints of other types
        raise AwsError("MissingParameter", "The request must contain the parameter ServiceName")
    if call.p.get("ServiceRegion", call.region) != call.region:
        raise AwsError("UnsupportedOperation", f"Cross-region endpoints are not served: this fabric is {call.region}.")
    check_addressing(call)
    if call.p.get("PolicyDocument"):
        policy(call.p["PolicyDocument"])


def check_addressing(call: Call) -> None:
    """Refuse what is not IPv4, in an address type or in the records of names."""
    options = call.p.get("DnsOptions", {})
    if call.p.get("IpAddressType", "ipv4") != "ipv4" or options.get("DnsRecordIpType", "ipv4") != "ipv4":
        raise AwsError("UnsupportedOperation", "tieline carries IPv4 only: give the address type ipv4.")
    if not idle({key: value for key, value in options.items() if key != "DnsRecordIpType"}):
        raise AwsError("UnsupportedOperation", "tieline supports the DnsRecordIpType of DnsOptions only.")


def policy(document: str) -> str:
    """An endpoint policy is kept only if it allows everything: tieline does not read requests to judge them."""
    if len(document) > POLICY_LIMIT:
        raise AwsError("InvalidPolicyDocument", f"The policy is longer than {POLICY_LIMIT} characters.")
    try:
        statements = json.loads(document)["Statement"]
        statements = statements if isinstance(statements, list) else [statements]
        wanted = {"Action": "*", "Effect": "Allow", "Principal": "*", "Resource": "*"}
        full = all({k: s.get(k) for k in wanted} == wanted for s in statements)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise AwsError("InvalidPolicyDocument", "The policy is not a JSON document with a Statement.") from None
    if not full:
        raise AwsError(
            "UnsupportedOperation", "tieline enforces no endpoint policy: leave it out, or allow everything."
        )
    return document


def subnet_ids(call: Call) -> list[str]:
    ids = list(call.p.get("SubnetIds", []))
    ids += [c["SubnetId"] for c in call.p.get("SubnetConfigurations", []) if c.get("SubnetId") not in ids]
    return list(dict.fromkeys(ids))


def fixed_address(call: Call, subnet: str) -> str | None:
    for configuration in call.p.get("SubnetConfigurations", []):
        if configuration.get("SubnetId") == subnet:
            return configuration.get("Ipv4")  # type: ignore[no-any-return]
    return None


def check_zones(call: Call, service: EndpointService, vpc: str, chosen: list[Subnet]) -> None:
    seen: dict[str, str] = {}
    for subnet in chosen:
        if subnet.vpc != vpc:
            raise AwsError("InvalidParameter", f"The subnet {subnet.id} is not in the VPC {vpc}.")
        if subnet.zone in seen:
            message = f"Found another VPC endpoint subnet in the availability zone of {subnet.id}"
            raise AwsError("DuplicateSubnetsInSameZone", message)
        seen[subnet.zone] = subnet.id
        if subnet.zone not in service.zones or not serving(call, service, subnet.zone):
            name = names.service_name(call.region, service.id)
            message = (
                f"The VPC endpoint service {name} does not support the availability zone of the subnet: {subnet.id}."
            )
            zones = ", ".join(zone for zone in service.zones if serving(call, service, zone))
            served = f" The subnet is in {subnet.zone}; the service is in {zones}."
            raise AwsError("InvalidParameter", message + served)


def serving(call: Call, service: EndpointService, zone: str) -> list[str]:
    """The service's load balancers that are in a zone now: one may have left a zone that nobody was connected in."""
    balancers = (balancer for arn in service.balancers if (balancer := call.world.get(LoadBalancer, arn)))
    return [balancer.id for balancer in balancers if any(placement.zone == zone for placement in balancer.placements)]


def private_dns(call: Call, service: EndpointService, vpc: Vpc, endpoint: str = "") -> bool:
    """Whether the service's private name is to lead to the endpoint inside its VPC; where nothing is said, if it can.

    Raises InvalidParameter where it is asked for and the service has no private name, the VPC resolves none, or another
    endpoint of the VPC has the name.
    """
    wanted = call.p.get("PrivateDnsEnabled")
    trouble = _obstacle(call, service, vpc, endpoint)
    if wanted and trouble:
        raise AwsError("InvalidParameter", trouble)
    return not trouble if wanted is None else bool(wanted)


def _obstacle(call: Call, service: EndpointService, vpc: Vpc, endpoint: str) -> str:
    name = service.private_dns_name
    if not name:
        shown = names.service_name(call.region, service.id)
        return f"Private DNS can't be enabled because the service {shown} does not provide a private DNS name."
    if not (vpc.dns_support and vpc.dns_hostnames):
        switches = "enableDnsSupport and enableDnsHostnames VPC attributes set to true"
        return f"Enabling private DNS requires both {switches} for {vpc.id}"
    for other in call.world.where(Endpoint, "vpc", vpc.id):
        held = call.world.get(EndpointService, other.service)
        if other.private_dns and other.id != endpoint and held and held.private_dns_name == name:
            conflict = f"there is already a conflicting DNS domain for {name} in the VPC {vpc.id}"
            return f"private-dns-enabled cannot be set because {conflict}"
    return ""
