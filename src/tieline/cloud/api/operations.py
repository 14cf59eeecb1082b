"""What operators ask: is it alive, and how does it stand, as Prometheus reads it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

from tieline.cloud.api.context import There
from tieline.cloud.protocol import Metrics
from tieline.cloud.records import Deployment, DeploymentStatus, LinkStatus, PrivateLink

router = APIRouter(tags=["operations"])


class Health(BaseModel):
    """The process answers, and its store does."""

    status: str = "ok"


@router.get("/healthz")
async def healthz(there: There) -> Health:
    """Alive: the store was read."""
    there.records.all(Deployment)
    return Health()


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(there: There) -> str:
    """Counts by state, and what the agents report, in Prometheus' text format."""
    deployments = there.records.all(Deployment)
    links = Counter(link.status for link in there.records.all(PrivateLink))
    states = Counter(deployment.status for deployment in deployments)
    views = {deployment.name: there.hub.view(deployment.id) for deployment in deployments}
    lines = [
        *_gauge(
            "tieline_deployments", "deployments by status", ((f'status="{s}"', states[s]) for s in DeploymentStatus)
        ),
        *_gauge("tieline_private_links", "private links by status", ((f'status="{s}"', links[s]) for s in LinkStatus)),
        *_gauge("tieline_agent_connected", "1 where the agent is connected", _each(views, "connected")),
        *_gauge("tieline_broker_up", "1 where the broker accepts connections", _each(views, "broker")),
    ]
    for deployment in deployments:
        lines += _counted(deployment.name, there.hub.report(deployment.id).metrics)
    return "\n".join(lines) + "\n"


def _counted(deployment: str, metrics: Metrics) -> Iterator[str]:
    for rule, counts in metrics.rules.items():
        yield from _counters("tieline_rule", {"deployment": deployment, "rule": rule}, counts)
    for actions in metrics.actions.values():
        for action, counts in actions.items():
            yield from _counters("tieline_action", {"deployment": deployment, "action": action}, counts)


def _gauge(name: str, help: str, samples: Iterable[tuple[str, float]]) -> Iterator[str]:
    yield f"# HELP {name} {help}"
    yield f"# TYPE {name} gauge"
    for labels, value in samples:
        yield f"{name}{{{labels}}} {value}"


def _each(views: Mapping[str, object], attribute: str) -> Iterator[tuple[str, float]]:
    for name, view in views.items():
        yield f'deployment="{name}"', int(getattr(view, attribute))


def _counters(prefix: str, labels: Mapping[str, str], counts: Mapping[str, float | str]) -> Iterator[str]:
    """The numbers among these, as samples; names and labels come from an agent, and may hold anything."""
    shown = ",".join(f"{name}={json.dumps(value)}" for name, value in labels.items())
    for name, value in counts.items():
        if isinstance(value, int | float):
            yield f"{prefix}_{re.sub('[^a-zA-Z0-9_]', '_', name)}{{{shown}}} {value}"
