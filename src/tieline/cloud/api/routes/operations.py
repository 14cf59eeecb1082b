"""What operators ask: is it alive, and how does it stand, as Prometheus reads it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

from tieline.cloud.api.common.context import There
from tieline.cloud.api.common.errors import documented
from tieline.cloud.api.routes.prometheus import CONTENT_TYPE, Metrics
from tieline.cloud.aws.client import AwsError
from tieline.cloud.deployments.renewals import tls_validity
from tieline.cloud.guard.records import Grant
from tieline.cloud.links.figures import ACTIVE, LinkFigures, figures
from tieline.cloud.model.records import Deployment, DeploymentStatus, LinkStatus, PrivateLink
from tieline.cloud.platform.platform import Platform

router = APIRouter(tags=["operations"])


class Health(BaseModel):
    """The process answers, and its store does."""

    status: str = "ok"


@router.get("/healthz")
async def healthz(there: There) -> Health:
    """Alive: the store was read."""
    there.records.all(Deployment)
    return Health()


async def reader(request: Request, there: There) -> Grant:
    """Whose deployments are shown: all on loopback; from elsewhere those of a caller, of whatever role.

    Raises PlatformError 401, 429.
    """
    if request.url.scheme != "https":
        return Grant()
    return there.doorkeeper.identify(request, request.method).grant


@router.get("/metrics", response_class=PlainTextResponse, responses=documented(401, 429))
async def metrics(there: There, grant: Annotated[Grant, Depends(reader)]) -> PlainTextResponse:
    """Counts by state, and what the agents report, in Prometheus' text format.

    On the TLS listener with a key, and for the deployments of its projects.
    """
    page = Metrics()
    deployments = [one for one in there.records.all(Deployment) if grant.covers([one.project])]
    names = {deployment.id: deployment.name for deployment in deployments}
    shown = [link for link in there.records.all(PrivateLink) if link.deployment in names]
    links = Counter(link.status for link in shown)
    states = Counter(deployment.status for deployment in deployments)
    for status in DeploymentStatus:
        page.add("tieline_deployments", "deployments by status", {"status": status}, states[status])
    for link_status in LinkStatus:
        page.add("tieline_private_links", "private links by status", {"status": link_status}, links[link_status])
    for deployment in deployments:
        _add_deployment(page, there, deployment)
    await _add_links(page, there, names, shown)
    return PlainTextResponse(page.text(), media_type=CONTENT_TYPE)


async def _add_links(page: Metrics, there: Platform, names: Mapping[str, str], links: Sequence[PrivateLink]) -> None:
    """What AWS tells of every link; where it does not, the page says that it does not."""
    known: dict[str, LinkFigures] = {}
    for aws in {there.accounts.of(one.aws) for one in there.records.all(Deployment) if one.id in names}:
        with suppress(AwsError):
            known |= await figures(aws)
    page.add("tieline_link_figures", "1 where AWS tells what links carry", {}, int(bool(known)))
    for link in links:
        own = {"deployment": names[link.deployment], "link": link.name}
        for name, value in sorted(known[link.endpoint].totals.items() if link.endpoint in known else ()):
            meaning = f"CloudWatch's {name}, {'in the last minute' if name == ACTIVE else 'the sum of the last hour'}"
            page.add(f"tieline_link_{snake(name)}", meaning, own, value)


def snake(name: str) -> str:
    """A metric's name as Prometheus writes them."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _add_deployment(page: Metrics, there: Platform, deployment: Deployment) -> None:
    view, counted = there.hub.view(deployment.id), there.hub.report(deployment.id).metrics
    own = {"deployment": deployment.name}
    page.add("tieline_agent_connected", "1 where an agent is connected", own, int(view.connected))
    page.add("tieline_broker_up", "1 where the broker accepts connections", own, int(view.broker))
    if found := tls_validity(deployment):
        page.add(
            "tieline_certificate_ends", "end of the TLS listener's certificate, Unix s", own, found.ends.timestamp()
        )
    for rule, counts in counted.rules.items():
        page.add_counts("tieline_rule", {**own, "rule": rule}, counts)
    for actions in counted.actions.values():
        for action, numbers in actions.items():
            page.add_counts("tieline_action", {**own, "action": action}, numbers)
