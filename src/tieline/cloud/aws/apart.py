"""What keeps projects apart in AWS, where one account may serve them all: networks and services have a project.

Whoever may work in all the projects that share something may have them share it. What is refused names nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from tieline.cloud.guard.records import Grant
from tieline.cloud.model.problems import PlatformError
from tieline.cloud.model.providers import AwsAccount
from tieline.cloud.model.records import Deployment, LinkStatus, PrivateLink, Reason
from tieline.cloud.store.repository import Repository

#: Reasons of links that have nothing of their service any more.
WITHOUT = frozenset({Reason.REJECTED, Reason.EXPIRED, Reason.SERVICE_REMOVED})
HINT = "use one of this project's own, or ask somebody who administrates both projects"


def check_network(records: Repository, grant: Grant, vpc: str, tagged: Collection[str]) -> None:
    """Raise PlatformError 403 where a VPC is of a deployment of somebody else's project: it was made for that one, as
    the tags of its subnets say, or that one is in it.
    """
    holders = records.all(Deployment, lambda one: one.vpc == vpc or one.id in tagged)
    if not grant.covers(one.project for one in holders):
        raise PlatformError(403, "FORBIDDEN", f"{vpc} is the network of another project", HINT)


def check_service(records: Repository, grant: Grant, deployment: Deployment, service_name: str) -> None:
    """Raise PlatformError 403 where somebody else's project has a link to a service by the same account: the provider
    admitted the account, and meant that project.
    """
    linked = {
        link.deployment
        for link in records.all(PrivateLink, lambda link: link.service_name == service_name)
        if link.reason not in WITHOUT and link.status is not LinkStatus.DELETING
    }
    holders = records.all(Deployment, lambda one: one.id in linked and one.project != deployment.project)
    ours = _identity(deployment.aws)
    if not grant.covers(one.project for one in holders if _identity(one.aws) == ours):
        raise PlatformError(403, "FORBIDDEN", "a link to this service is another project's", HINT)


def visible(deployments: Iterable[Deployment], grant: Grant, bound_here: bool) -> list[Deployment]:
    """The deployments whose addresses another one is held against: those of the caller's projects, and for an address
    on this machine those that are on it as well. Whether anything else listens there, the machine itself says.
    """
    return [one for one in deployments if grant.covers([one.project]) or (bound_here and not one.joined_by_hand)]


def _identity(account: AwsAccount | None) -> tuple[str, str]:
    """Who asks AWS on behalf of a deployment; regions of one account are one."""
    return (account.profile, account.role) if account is not None else ("", "")
