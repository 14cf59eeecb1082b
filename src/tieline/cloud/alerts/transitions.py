"""What changed between two looks: pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import BaseModel, Field

from tieline.agent.protocol import Report
from tieline.cloud.deployments.renewals import REPLACE, tls_validity
from tieline.cloud.model.records import Deployment, PrivateLink, Resource
from tieline.cloud.tls.certificates import Renewal, Validity, renewal

ABSENT = "absent"
UNKNOWN = "unknown"
CERTIFICATE = "certificate"


class Alert(BaseModel):
    """One change of state, as it is sent."""

    kind: str = Field(description="link, resource or certificate", examples=["link"])
    project: str = Field(description="* for what is the whole platform's")
    deployment: str = Field(description="its name; empty for what is of none")
    name: str
    before: str = Field(examples=["running"])
    after: str = Field(examples=["failed"])
    reason: str = ""
    hint: str = ""
    at: str = Field(description="RFC 3339, UTC")


@dataclass(frozen=True)
class State:
    """How something is: only a change of `status` or `reason` is told."""

    kind: str
    deployment: str
    name: str
    status: str
    reason: str = ""
    hint: str = ""
    project: str = "default"


def states(
    deployments: Iterable[Deployment],
    links: Iterable[PrivateLink],
    resources: Iterable[Resource],
    reports: Mapping[str, Report],
    now: datetime,
) -> dict[str, State]:
    """The state of every link and TLS listener's certificate, and of every resource as its agent reports it, by id."""
    known = {deployment.id: deployment for deployment in deployments}
    found = {link.id: _state(known, "link", link, link.status, link.reason or "", link.hint) for link in links}
    for resource in resources:
        seen = (
            reports[resource.deployment].status.resources.get(resource.id) if resource.deployment in reports else None
        )
        status, reason, hint = (seen.status, seen.reason, seen.hint) if seen else (UNKNOWN, "", "")
        found[resource.id] = _state(known, "resource", resource, status, reason, hint)
    for deployment in known.values():
        if state := _certificate(deployment, now):
            found[f"{deployment.id} certificate"] = state
    return found


def _certificate(deployment: Deployment, now: datetime) -> State | None:
    validity = tls_validity(deployment)
    if validity is None:
        return None
    name, hint = deployment.name, REPLACE.format(name=deployment.name)
    return certificate(validity, now, hint, deployment=name, name=name, project=deployment.project)


def certificate(validity: Validity, now: datetime, hint: str, deployment: str, name: str, project: str) -> State:
    """Whether the certificate of a TLS listener ends: one that is renewed here does not."""
    found = renewal(validity, now)
    if found not in (Renewal.ENDING, Renewal.ENDED):
        return State(CERTIFICATE, deployment, name, Renewal.GOOD.value, project=project)
    return State(CERTIFICATE, deployment, name, found.value, f"until {validity.ends:%Y-%m-%d}", hint, project)


def assumed(first: Mapping[str, State]) -> dict[str, State]:
    """What a first look is compared with: itself, but that certificates are good: one that ends is told then, too."""
    return {
        id: replace(state, status=Renewal.GOOD.value, reason="", hint="") if state.kind == CERTIFICATE else state
        for id, state in first.items()
    }


def _state(
    known: Mapping[str, Deployment], kind: str, record: PrivateLink | Resource, status: str, reason: str, hint: str
) -> State:
    within = known.get(record.deployment)
    deployment, project = (within.name, within.project) if within else (record.deployment, "default")
    return State(kind, deployment, record.name, status, reason, hint, project)


def changes(before: Mapping[str, State], after: Mapping[str, State], at: str) -> list[Alert]:
    """An alert for each that changed, came or went. A resource that nobody can see has not changed."""
    told = []
    for id in sorted(before.keys() | after.keys()):
        old, new = before.get(id), after.get(id)
        seen = new or old
        assert seen is not None, "an id is of one of them"
        was, now = (old.status if old else ABSENT), (new.status if new else ABSENT)
        same_reason = bool(old and new and old.reason == new.reason)
        if was == now and (same_reason or seen.kind == "resource"):
            continue
        if {was, now} == {ABSENT, Renewal.GOOD.value}:  # a listener with TLS, which somebody asked for
            continue
        told.append(
            Alert(
                kind=seen.kind,
                project=seen.project,
                deployment=seen.deployment,
                name=seen.name,
                before=was,
                after=now,
                reason=new.reason if new else "",
                hint=new.hint if new else "",
                at=at,
            )
        )
    return told


def remembered(before: Mapping[str, State], after: Mapping[str, State]) -> dict[str, State]:
    """What to compare with next time: the last known state of a resource outlives an agent that is away."""
    return {
        id: before[id] if new.kind == "resource" and new.status == UNKNOWN and id in before else new
        for id, new in after.items()
    }
