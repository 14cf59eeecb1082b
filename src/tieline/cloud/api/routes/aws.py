"""REST: what the owner of an AWS account must know before a deployment can be in it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from tieline.cloud.api.common.context import Asking, There
from tieline.cloud.api.common.errors import documented
from tieline.cloud.aws.client import AwsRefused, AwsUnreachable
from tieline.cloud.links.states import aws_problem
from tieline.cloud.model.problems import not_found
from tieline.cloud.model.records import Name
from tieline.cloud.schemas.answers import AwsAccess

router = APIRouter(prefix="/aws", tags=["aws"])


@router.get("/access", responses=documented(404, 502, 503))
async def access(there: There, asking: Asking, project: Annotated[Name, Query()] = "default") -> AwsAccess:
    """Who asks for a role, and what its trust policy demands: `tieline aws trust` prints that policy."""
    if not asking.grant.covers([project]):
        raise not_found("project", project)
    try:
        principal = (await there.accounts.own.identity()).principal
    except (AwsUnreachable, AwsRefused) as error:
        raise aws_problem(error) from error
    return AwsAccess(
        principal=principal,
        external_id=there.vault.external_id(project),
        region=there.accounts.own.settings.region,
        profiles=list(there.accounts.profiles),
    )
