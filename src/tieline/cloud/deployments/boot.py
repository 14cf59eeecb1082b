"""What a deployment's instance is told when it starts: its boot script, and the tags that open its passages."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tieline.cloud.model.records import Address, Deployment

MQTTS_PORT, WEBSOCKET_PORT = 8883, 8083  # inside an instance: IANA's secure-mqtt, and as EMQX listens
PLATFORM_PORT = 8080  # where the platform is reached on the instance's own loopback
RETRY_SECONDS = 1

DEPLOYMENT_TAG = "tieline:deployment"
INGRESS_TAG = "tieline:ingress"  # <machine host>:<port>-><instance port>
EGRESS_TAG = "tieline:egress"  # <instance port>-><machine host>:<port>


@dataclass(frozen=True)
class Machine:
    """What the instances need of the machine that the platform runs on."""

    python: str
    platform: Address  # where the REST interface listens
    state: Path  # agents keep their files below


def user_data(machine: Machine, deployment: Deployment, token: str) -> str:
    """The boot script: the agent, again if it dies; it ends where the platform dismissed it.

    The token goes by the environment, for command lines are readable to every user.
    """
    state = shlex.quote(str(machine.state / deployment.id))
    platform = f"http://127.0.0.1:{PLATFORM_PORT}"
    agent = f"{shlex.quote(machine.python)} -m tieline agent --platform {platform} --state {state}"
    return f"#!/bin/sh\nexport TIELINE_JOIN={shlex.quote(token)}\nuntil {agent}; do sleep {RETRY_SECONDS}; done\n"


def tags(machine: Machine, deployment: Deployment) -> dict[str, str]:
    """The tags of the instance: whose it is, and which ports are handed in and out."""
    return {
        "Name": deployment.name,
        DEPLOYMENT_TAG: deployment.id,
        INGRESS_TAG: ",".join(_ingress(deployment)),
        EGRESS_TAG: f"{PLATFORM_PORT}->{machine.platform}",
    }


def _ingress(deployment: Deployment) -> Iterator[str]:
    """Each address for devices, and the port of the instance that it leads to."""
    yield f"{deployment.mqtt}->{deployment.broker.port}"
    if deployment.mqtts:
        yield f"{deployment.mqtts}->{MQTTS_PORT}"
    if deployment.websocket:
        yield f"{deployment.websocket}->{WEBSOCKET_PORT}"
