"""How a link is, told apart: the link's state, its backends' health, and the last probe from inside."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from tieline.cloud.doctor.evidence import Door, Inside, Provider
from tieline.cloud.links.figures import LinkFigures
from tieline.cloud.model.history import timestamp
from tieline.cloud.model.records import LinkStatus
from tieline.cloud.store.audit import AuditEntry

Backend = Literal["healthy", "initial", "unhealthy", "unknown"]


class Probe(BaseModel):
    """One look from inside the deployment: `reached` is None where nobody could look."""

    at: str = Field(description="when, RFC 3339 in UTC")
    reached: bool | None = None
    addresses: tuple[str, ...] = ()
    ports: tuple[Door, ...] = ()
    cause: str = ""


class LinkHealth(BaseModel):
    """Three things that `running` does not mean at once, what it carries, and who changed it last."""

    link: LinkStatus
    figures: LinkFigures = Field(default=LinkFigures(), description="what it carried and refused in the last hour")
    changed: AuditEntry | None = Field(default=None, description="the last change by people, and who made it")
    backend: Backend = Field(default="unknown", description="only the provider's account tells; see doctor")
    probe: Probe


def to_probe(inside: Inside | None, now: float) -> Probe:
    """What the agent found, as one answer."""
    at = timestamp(now)
    if inside is None:
        return Probe(at=at, cause="the link is not running")
    if inside.error:
        return Probe(at=at, cause=inside.error)
    closed = [f"port {door.port}: {door.cause}" for door in inside.doors if door.cause]
    cause = inside.cause or "; ".join(closed)
    return Probe(at=at, reached=not cause, addresses=inside.addresses, ports=inside.doors, cause=cause)


def backend_health(provider: Provider | None, ports: tuple[int, ...]) -> Backend:
    """Whether every port in use has a healthy target, as the provider's account shows it; `initial` where the first

    health checks of one are still under way.
    """
    if provider is None or provider.error or not provider.exists:
        return "unknown"
    missing = set(ports or provider.listeners) - _listening(provider, "healthy")
    if not missing:
        return "healthy"
    return "initial" if missing <= _listening(provider, "initial") else "unhealthy"


def _listening(provider: Provider, state: str) -> set[int]:
    """The listener ports with a target in this state."""
    return {target.listen for target in provider.targets if target.state == state}
