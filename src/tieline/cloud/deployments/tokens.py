"""The join token of a deployment whose agent is started by hand: told once, and replaced where it was lost or seen."""

from __future__ import annotations

import time

from tieline.base.secrets import Vault, hashed
from tieline.cloud.links.service import deployment_leaves
from tieline.cloud.model.history import remembered, timestamp
from tieline.cloud.model.problems import PlatformError
from tieline.cloud.model.records import Deployment, DeploymentStatus
from tieline.cloud.store.repository import Repository


def renew_token(records: Repository, vault: Vault, deployment: Deployment, who: str) -> str:
    """Another token in place of the present one, which is good for nothing from now on; raises PlatformError."""
    if not deployment.joined_by_hand:
        message = f"deployment {deployment.name!r} has an agent of the platform's: nobody joins it"
        raise PlatformError(409, "NO_JOIN_TOKEN", message, "only deployments with provider aws or external have one")
    if deployment.status is DeploymentStatus.DELETING:
        raise deployment_leaves(deployment)
    serial = deployment.token_serial + 1
    token = vault.join_token(deployment.id, serial)
    changed = deployment.model_copy(update={"token_serial": serial, "token_hash": hashed(token)})
    records.commit(write=[remembered(changed, timestamp(time.time()), who, "join token renewed")])
    return token
