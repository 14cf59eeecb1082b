"""REST: deployments, and what a provider must know to admit one."""

from __future__ import annotations

from fastapi import APIRouter

from tieline.cloud.answers import CreatedDeployment, DeploymentAnswer, Deployments, Offer
from tieline.cloud.api.context import There, Who, Within
from tieline.cloud.api.errors import documented
from tieline.cloud.deployments.requests import NewDeployment, create_deployment, delete_deployment, offer
from tieline.cloud.platform import Platform
from tieline.cloud.records import Deployment, DeploymentView

router = APIRouter(prefix="/deployments", tags=["deployments"], responses=documented(401, 422))


@router.get("")
async def list_deployments(there: There) -> Deployments:
    """All deployments, in order of id."""
    return Deployments(deployments=[answer(there, deployment) for deployment in there.records.all(Deployment)])


@router.post("", status_code=201, responses=documented(400, 409, 502, 503))
async def create(there: There, who: Who, wanted: NewDeployment) -> CreatedDeployment:
    """Create a deployment; it is `creating` until its agent reports a working broker."""
    deployment, token = await create_deployment(there.records, there.aws, there.vault, wanted, who)
    there.deployments.reconciler.wake(deployment.id)
    told = token if deployment.provider == "external" else ""
    return CreatedDeployment(**answer(there, deployment).model_dump(), join_token=told)


@router.get("/{id}", responses=documented(404))
async def get(there: There, within: Within) -> DeploymentAnswer:
    """One deployment by id or name."""
    return answer(there, within)


@router.delete("/{id}", status_code=202, responses=documented(404, 409))
async def delete(there: There, who: Who, within: Within, cascade: bool = False) -> DeploymentAnswer:
    """Delete a deployment in any state, with `cascade` everything in it; it is gone when it is no longer found."""
    for link in delete_deployment(there.records, within, who, cascade):
        there.links.reconciler.wake(link)
    there.deployments.reconciler.wake(within.id)
    there.changed(within.id)
    return answer(there, there.records.get(Deployment, within.id) or within)


@router.get("/{id}/private-link-offer", responses=documented(404, 409, 502, 503))
async def private_link_offer(there: There, within: Within) -> Offer:
    """The zones to put the provider's load balancer in, and the ARN to allow."""
    return await offer(there.aws, within)


def answer(there: Platform, deployment: Deployment) -> DeploymentAnswer:
    """The public part of a deployment, with its agent's last report."""
    public = DeploymentView.model_validate(deployment.model_dump())
    return DeploymentAnswer(**public.model_dump(), revision=deployment.revision, agent=there.hub.view(deployment.id))
