"""What to do next about a link: pure, from the record, the deployment's subnets and what AWS shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tieline.cloud.links import states
from tieline.cloud.model.history import remembered
from tieline.cloud.model.records import LinkStatus, PrivateLink, Reason, Subnet

SETTLE_SECONDS = 5.0  # EC2 is eventually consistent: so long a sent creation may still be invisible


@dataclass(frozen=True)
class Endpoint:
    """An interface endpoint as AWS shows it; `state` in lower case, `names` the regional one first, `zones` are ids."""

    id: str
    state: str
    names: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class Service:
    """An endpoint service that we may see; `zones` are AZ ids."""

    zones: tuple[str, ...]


@dataclass(frozen=True)
class Observed:
    """What AWS shows of one link. No service: it does not exist, or does not allow us."""

    endpoint: Endpoint | None
    service: Service | None


@dataclass(frozen=True)
class Create:
    """Ask for an endpoint in these subnets."""

    subnets: tuple[str, ...]
    zones: tuple[str, ...]


@dataclass(frozen=True)
class Delete:
    """Delete the endpoint."""

    endpoint: str


@dataclass(frozen=True)
class Forget:
    """Nothing is left on AWS: remove the record."""


@dataclass(frozen=True)
class Show:
    """What the record should say now."""

    status: LinkStatus
    reason: Reason | None = None
    cause: str = ""
    seen: Endpoint | None = field(default=None)


Step = Create | Delete | Forget | Show


def plan(link: PrivateLink, subnets: Sequence[Subnet], observed: Observed, now: float) -> tuple[Step, ...]:
    """The steps that bring the link closer to what is wanted; none where it is there already."""
    if link.status is LinkStatus.DELETING:
        return _unmake(link, observed.endpoint, now)
    if observed.endpoint is not None:
        return _difference(link, _judge(observed.endpoint, observed.service))
    if link.endpoint:
        return _difference(link, Show(LinkStatus.FAILED, Reason.ENDPOINT_REMOVED))
    if link.status is LinkStatus.FAILED:
        return ()
    return _make(link, subnets, observed.service)


def common(subnets: Sequence[Subnet], service: Service) -> tuple[Subnet, ...]:
    """One subnet for each zone that both sides have, in order of zone id."""
    by_zone = {subnet.zone: subnet for subnet in reversed(subnets)}
    return tuple(by_zone[zone] for zone in sorted(by_zone.keys() & set(service.zones)))


def zone_sets(subnets: Sequence[Subnet], service: Service) -> str:
    """Both sets of zones, in words."""
    ours, theirs = sorted({subnet.zone for subnet in subnets}), sorted(service.zones)
    return f"the deployment is in {', '.join(ours) or 'no zone'}, the service in {', '.join(theirs) or 'no zone'}"


def shown(link: PrivateLink, show: Show, principal: str, at: str) -> PrivateLink:
    """The record after `show`; a change of status or reason enters its history."""
    seen = show.seen
    endpoint = seen.id if seen else link.endpoint
    hint = ""
    if show.reason:
        hint = states.hint(show.reason, service_name=link.service_name, endpoint=endpoint, principal=principal)
    address = seen.names[0] if seen and seen.names else link.address
    changed = link.model_copy(
        update={
            "status": show.status,
            "reason": show.reason,
            "hint": hint,
            "cause": show.cause,
            "endpoint": endpoint,
            "endpoint_state": seen.state if seen else _unseen(link, show),
            "address": address,
            "addresses": addresses(address, link.ports),
            "zones": seen.zones if seen and seen.zones else link.zones,
        }
    )
    if (changed.status, changed.reason) == (link.status, link.reason):
        return changed
    return remembered(changed, at, "platform", " ".join(filter(None, (changed.status, changed.reason))))


def addresses(address: str, ports: Sequence[int]) -> tuple[str, ...]:
    """host:port for each port of a link, none while it has no address."""
    return tuple(f"{address}:{port}" for port in ports) if address else ()


def _unseen(link: PrivateLink, show: Show) -> str:
    return "deleted" if show.reason is Reason.ENDPOINT_REMOVED else link.endpoint_state


def _make(link: PrivateLink, subnets: Sequence[Subnet], service: Service | None) -> tuple[Step, ...]:
    if service is None:
        return _difference(link, Show(LinkStatus.FAILED, Reason.NOT_ALLOWED))
    shared = common(subnets, service)
    if not shared:
        return _difference(link, Show(LinkStatus.FAILED, Reason.ZONE_MISMATCH, zone_sets(subnets, service)))
    return (Create(tuple(subnet.id for subnet in shared), tuple(subnet.zone for subnet in shared)),)


def _unmake(link: PrivateLink, endpoint: Endpoint | None, now: float) -> tuple[Step, ...]:
    if endpoint is None or endpoint.state in states.GONE:
        unsure = endpoint is None and not link.endpoint and now - link.sent < SETTLE_SECONDS
        return () if unsure else (Forget(),)
    return () if endpoint.state in states.LEAVING else (Delete(endpoint.id),)


def _judge(endpoint: Endpoint, service: Service | None) -> Show:
    """The status that an endpoint's state means, given whether the service is still to be seen."""
    unknown = (LinkStatus.FAILED, Reason.AWS_REFUSED)
    status, reason = states.ENDPOINT_STATES.get(endpoint.state, unknown)
    cause = endpoint.error or ("" if endpoint.state in states.ENDPOINT_STATES else f"state {endpoint.state}")
    if status is LinkStatus.FAILED and reason is not Reason.ENDPOINT_REMOVED:
        if service is None:
            reason = Reason.SERVICE_REMOVED
        elif not service.zones:
            reason = Reason.LOAD_BALANCER_REMOVED
    return Show(status, reason, cause, endpoint)


def _difference(link: PrivateLink, show: Show) -> tuple[Step, ...]:
    """The step, where the record does not say so already."""
    after = shown(link, show, "", "")
    keep = {"hint": link.hint, "history": link.history}
    return () if after.model_copy(update=keep) == link else (show,)
