"""What stands behind a service on its provider's side, where the same person is signed in to that account as well."""

from __future__ import annotations

from dataclasses import dataclass

from tieline.console.live.feed import shared
from tieline.console.provider.reading import Estate


@dataclass(frozen=True)
class Backing:
    """The load balancer of a service, its VPC, the ids of its zones, and the targets with their health."""

    balancer: str
    vpc: str
    zones: tuple[str, ...]
    targets: tuple[tuple[str, str], ...]


@shared
def backings(estate: Estate) -> dict[str, Backing]:
    """By the service's name. Pure."""
    groups = {group.arn: group for group in estate.groups}
    found = {}
    for service in estate.services:
        for balancer in (one for one in estate.balancers if one.arn in service.balancers):
            behind = [groups[one.group] for one in balancer.listeners if one.group in groups]
            targets = [(f"{target.id}:{target.port}", target.state) for group in behind for target in group.targets]
            found[service.name] = Backing(
                balancer.name, balancer.vpc, tuple(zone.id for zone in balancer.zones), tuple(targets)
            )
    return found
