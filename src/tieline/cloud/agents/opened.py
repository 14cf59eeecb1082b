"""What deployments of former versions left open: kept as it was, and said.

Until a deployment had an MQTT user everybody connected to its broker, and its WebSocket listener took the pages of
every site. What is made now asks for both, or has neither.
"""

from __future__ import annotations

import logging
import time

from tieline.agent.brokers.settings import ANY_ORIGIN
from tieline.cloud.agents.configuration import without_user
from tieline.cloud.deployments.mqtt_users import users_of
from tieline.cloud.model.history import remembered, timestamp
from tieline.cloud.model.records import Deployment
from tieline.cloud.store.repository import Repository

log = logging.getLogger(__name__)

ORIGINS_KEPT = "websocket_origins: pages of every site, as until now"


def tell(records: Repository) -> None:
    """Write down that a WebSocket listener takes every origin as until now, and log what is open at the start."""
    for deployment in records.all(Deployment, lambda one: one.remote is None):
        if deployment.websocket is not None and deployment.websocket_origins is None:
            kept = deployment.model_copy(update={"websocket_origins": (ANY_ORIGIN,)})
            records.commit(write=[remembered(kept, timestamp(time.time()), "platform", ORIGINS_KEPT)])
            _say(deployment, ORIGINS_KEPT, "--origin https://app.example.com, or --origin none")
        if opened := without_user(deployment, bool(users_of(records, deployment))):
            until = ", until it has an MQTT user" if deployment.anonymous is None else ""
            _say(deployment, f"devices connect without a user by {', '.join(opened)}{until}", "--no-anonymous")


def _say(deployment: Deployment, what: str, option: str) -> None:
    how = f"tieline deployment change {deployment.name} {option}"
    log.warning("deployment %s: %s; to end that: %s", deployment.name, what, how)
