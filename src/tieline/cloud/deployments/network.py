"""The layout of a deployment's network: its address range and the subnets in it, before anything is created."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network

from tieline.base import cidr as cidrs
from tieline.cloud.model.problems import PlatformError
from tieline.cloud.model.records import Subnet

DEFAULT_CIDR = "10.0.0.0/16"
SHORTEST, LONGEST = 16, 26  # a VPC is /16 to /28 on AWS; beyond /26 two subnets of /28 beside the reserve do not fit
SUBNET_LONGEST = 28
EXAMPLE = f"for example {DEFAULT_CIDR}"


def network(cidr: str) -> IPv4Network:
    """The address range of a VPC; raises PlatformError where AWS would refuse it."""
    try:
        found = cidrs.network(cidr)
    except ValueError as error:
        raise PlatformError(422, "INVALID_CIDR", f"{cidr!r} is no network: {error}", EXAMPLE) from error
    if not isinstance(found, IPv4Network) or not SHORTEST <= found.prefixlen <= LONGEST:
        message = f"{cidr} is not an IPv4 network from /{SHORTEST} to /{LONGEST}"
        raise PlatformError(422, "INVALID_CIDR", message, EXAMPLE)
    return found


def layout(cidr: str, zones: Sequence[str]) -> tuple[Subnet, ...]:
    """One subnet per zone, counted from the second: the first stays in reserve."""
    whole = network(cidr)
    parts = list(whole.subnets(new_prefix=min(whole.prefixlen + 8, SUBNET_LONGEST)))[1:]
    if len(zones) > len(parts):
        message = f"{cidr} has no room for subnets in {len(zones)} zones"
        raise PlatformError(422, "INVALID_CIDR", message, "choose a larger network")
    return tuple(Subnet(zone=zone, cidr=str(part)) for zone, part in zip(zones, parts, strict=False))


def chosen_zones(wanted: Sequence[str], available: Sequence[str]) -> tuple[str, ...]:
    """The zones asked for, or the first two; raises PlatformError naming both sets where they do not fit."""
    unknown = [zone for zone in wanted if zone not in available]
    if unknown or len(set(wanted)) != len(wanted):
        message = f"zones {', '.join(wanted)}: each must be one of {', '.join(sorted(available))}, once"
        raise PlatformError(422, "INVALID_ZONE", message, "use zone ids, not zone names")
    return tuple(wanted) or tuple(sorted(available)[:2])
