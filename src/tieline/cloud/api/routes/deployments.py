"""REST: deployments, and what a provider must know to admit one."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.responses import PlainTextResponse

from tieline.cloud.agents.configuration import without_user
from tieline.cloud.api.common.context import Asked, Asking, IfMatch, Records, There, Who, Within, tagged
from tieline.cloud.api.common.errors import documented
from tieline.cloud.api.common.once import Once
from tieline.cloud.deployments.mqtt_users import users_of
from tieline.cloud.deployments.renewals import tls_validity
from tieline.cloud.deployments.service import (
    DeploymentChange,
    NewDeployment,
    change_deployment,
    create_deployment,
    delete_deployment,
    offer,
    switch,
)
from tieline.cloud.deployments.tokens import renew_token
from tieline.cloud.guard.records import Caller
from tieline.cloud.model.history import timestamp
from tieline.cloud.model.pages import cut
from tieline.cloud.model.problems import PlatformError, not_found
from tieline.cloud.model.records import Deployment, DeploymentView, PrivateLink
from tieline.cloud.platform.platform import Platform
from tieline.cloud.schemas.answers import (
    CertificateView,
    CreatedDeployment,
    DeploymentAnswer,
    Deployments,
    JoinToken,
    Offer,
    Traffic,
)
from tieline.cloud.store.edits import check_match
from tieline.cloud.store.retention import MOST_TRAFFIC_MINUTES

OfLink = Annotated[str, Query(max_length=254, description="only this link, by id or name")]
Seconds = Annotated[float, Query(ge=0, le=60 * MOST_TRAFFIC_MINUTES, description="how far back samples go")]
PEM: dict[str, Any] = {"content": {"text/plain": {"schema": {"type": "string"}}}}

router = APIRouter(prefix="/deployments", tags=["deployments"], route_class=Once)


@router.get("", name="list")
async def list_deployments(there: There, asking: Asking, asked: Asked) -> Deployments:
    """The deployments of the caller's projects, in order of id."""
    found = there.records.all(Deployment, lambda deployment: asking.grant.covers([deployment.project]))
    chosen, cursor = cut(found, asked)
    return Deployments(deployments=[answer(there, deployment) for deployment in chosen], next_cursor=cursor)


@router.post("", status_code=201, responses=documented(400, 409, 502, 503))
async def create(
    there: There, records: Records, asking: Asking, wanted: NewDeployment, response: Response
) -> CreatedDeployment:
    """Create a deployment; it is `creating` until its agent reports a working broker."""
    check_project(asking, wanted.project)
    deployment, token = await create_deployment(records, there.accounts, there.vault, wanted, asking.name, asking.grant)
    there.deployments.reconciler.wake(deployment.id)
    tagged(response, deployment)
    told = token if deployment.joined_by_hand else ""
    return CreatedDeployment(**answer(there, deployment).model_dump(), join_token=told)


@router.get("/{id}", responses=documented(404))
async def get(there: There, within: Within, response: Response) -> DeploymentAnswer:
    """One deployment by id or name."""
    tagged(response, within)
    return answer(there, within)


@router.patch("/{id}", responses=documented(404, 409, 412))
async def change(
    there: There,
    records: Records,
    asking: Asking,
    within: Within,
    wanted: DeploymentChange,
    response: Response,
    if_match: IfMatch = None,
) -> DeploymentAnswer:
    """Change name, description, project or listeners; what is left out stays, null removes a listener."""
    check_match(within, if_match)
    if wanted.project is not None:
        check_project(asking, wanted.project)
    changed = change_deployment(records, there.vault, within, wanted, asking.name, asking.grant)
    tagged(response, changed)
    there.changed(within.id)
    return answer(there, there.records.get(Deployment, within.id) or changed)


@router.post("/{id}/stop", status_code=202, responses=documented(404, 409))
async def stop(there: There, records: Records, who: Who, within: Within) -> DeploymentAnswer:
    """Stop broker and rules; sessions, queues and links stay. It is `stopped` when the agent says so."""
    return _switched(there, switch(records, within, "stopped", who))


@router.post("/{id}/start", status_code=202, responses=documented(404, 409))
async def start(there: There, records: Records, who: Who, within: Within) -> DeploymentAnswer:
    """Start a deployment that was stopped."""
    return _switched(there, switch(records, within, "running", who))


@router.post("/{id}/join-token", responses=documented(404, 409))
async def join_token(there: There, records: Records, who: Who, within: Within) -> JoinToken:
    """Another join token in place of the one that was lost or seen; agents with the old one are disconnected."""
    token = renew_token(records, there.vault, within, who)
    there.hub.hang_up(within.id)
    return JoinToken(join_token=token)


def _switched(there: Platform, deployment: Deployment) -> DeploymentAnswer:
    there.changed(deployment.id)
    return answer(there, there.records.get(Deployment, deployment.id) or deployment)


@router.get("/{id}/certificate", response_model=None, responses={**documented(404), 200: PEM})
async def certificate(within: Within) -> PlainTextResponse:
    """The certificate (PEM) that devices verify the TLS listener with: mosquitto_sub --cafile."""
    if not within.authority:
        raise not_found("TLS listener of deployment", within.name)
    return PlainTextResponse(within.authority)


@router.delete("/{id}", status_code=202, responses=documented(404, 409))
async def delete(there: There, records: Records, who: Who, within: Within, cascade: bool = False) -> DeploymentAnswer:
    """Delete a deployment in any state, with `cascade` everything in it; it is gone when it is no longer found."""
    for link in delete_deployment(records, within, who, cascade):
        there.links.reconciler.wake(link)
    there.deployments.reconciler.wake(within.id)
    there.changed(within.id)
    return answer(there, there.records.get(Deployment, within.id) or within)


@router.get("/{id}/private-link-offer", name="offer", responses=documented(404, 409, 502, 503))
async def private_link_offer(there: There, within: Within) -> Offer:
    """The zones to put the provider's load balancer in, and the ARN to allow."""
    return await offer(there.accounts.of(within.aws), within)


@router.get("/{id}/traffic", responses=documented(404))
async def traffic(there: There, within: Within, link: OfLink = "", seconds: Seconds = 10) -> Traffic:
    """Bytes and connections of the deployment's private links, as its agent counts them, for the last seconds."""
    now = time.time()
    links = there.records.all(
        PrivateLink, lambda one: one.deployment == within.id and (not link or link in (one.id, one.name))
    )
    return Traffic(links=there.traffic.of(links, within.id, now - seconds, now))


def answer(there: Platform, deployment: Deployment) -> DeploymentAnswer:
    """The public part of a deployment, with its agent's last report."""
    public = DeploymentView.model_validate(deployment.model_dump())
    return DeploymentAnswer(
        **public.model_dump(),
        revision=deployment.revision,
        agent=there.hub.view(deployment.id),
        tls_certificate=_certificate(deployment),
        without_user=without_user(deployment, bool(users_of(there.records, deployment))),
    )


def _certificate(deployment: Deployment) -> CertificateView | None:
    found = tls_validity(deployment)
    return CertificateView(ends=timestamp(found.ends.timestamp()), renewed=found.renewable) if found else None


def check_project(asking: Caller, project: str) -> None:
    """Raises PlatformError 403 for a project that is not the caller's."""
    if not asking.grant.covers([project]):
        own = ", ".join(asking.grant.projects)
        raise PlatformError(403, "FORBIDDEN", f"{asking.name!r} is not for project {project!r}", f"own projects: {own}")
