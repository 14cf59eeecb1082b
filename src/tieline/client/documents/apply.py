"""Makes the records what the documents say, change by change; run again, it does what is still missing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from pydantic import BaseModel

from tieline.client.documents.diff import Change, Present, Record
from tieline.client.rest import Client, ClientError
from tieline.cloud.model.records import DeploymentStatus, PrivateLinkView
from tieline.cloud.schemas.answers import DeploymentAnswer, ResourceAnswer, RuleAnswer
from tieline.cloud.store.retention import RetentionView

PATHS = {"private_links": "private-links", "resources": "resources", "rules": "rules"}
ANSWERS: dict[str, type[BaseModel]] = {
    "deployments": DeploymentAnswer,
    "private_links": PrivateLinkView,
    "resources": ResourceAnswer,
    "rules": RuleAnswer,
    "retention": RetentionView,
}
POLL_SECONDS = 0.1
NOT_YET = {"NOT_READY", "UNKNOWN_LINK"}  # refused only because what it rests on is still on its way


def observe(client: Client) -> dict[str, Present]:
    """Every deployment with what is in it, by name; raises ClientError."""
    listed: dict[str, Sequence[BaseModel]] = {
        "private_links": client.links(),
        "resources": client.all_resources(),
        "rules": client.all_rules(),
    }
    shown = {section: [item.model_dump(mode="json") for item in items] for section, items in listed.items()}
    return {one.name: _present(one, shown) for one in client.deployments()}


def _present(deployment: DeploymentAnswer, shown: Mapping[str, Sequence[Record]]) -> Present:
    sections = {
        section: {str(item["name"]): item for item in items if item["deployment"] == deployment.id}
        for section, items in shown.items()
    }
    return Present(deployment.model_dump(mode="json"), sections)


def apply(client: Client, changes: Iterable[Change], tell: Callable[[str], None], seconds: float) -> None:
    """Make the changes in order, each within `seconds`; raises ClientError at the first that is refused."""
    for change in changes:
        tell(str(change))
        deadline = time.monotonic() + seconds
        while True:
            try:
                _make(client, change)
                break
            except ClientError as error:
                if error.code not in NOT_YET or time.monotonic() > deadline:
                    raise
            time.sleep(POLL_SECONDS)
        if change.section == "deployments" and change.action == "create":
            _until_placed(client, change.name, deadline)


def _make(client: Client, change: Change) -> None:
    where = _path(change)
    match change.action, change.section:
        case "create", "deployments":
            client.create_deployment(**change.body)
        case "create", "private_links":
            client.create_link(change.deployment, **change.body)
        case "create", "resources":
            client.create_resource(change.deployment, **change.body)
        case "create", _:
            client.create_rule(change.deployment, **change.body)
        case "reconnect", _:
            client.reconnect_link(change.deployment, change.name, **change.body)
        case "update", _:
            client.change(ANSWERS[change.section], *where, changes=change.body)
        case _:
            _delete(client, change)


def _delete(client: Client, change: Change) -> None:
    match change.section:
        case "deployments":
            client.delete_deployment(change.name, cascade=True)
        case "private_links":
            client.delete_link(change.deployment, change.name)
        case "resources":
            client.delete_resource(change.deployment, change.name)
        case _:
            client.delete_rule(change.deployment, change.name)


def _path(change: Change) -> tuple[str, ...]:
    if change.section == "retention":
        return ("retention",)
    if change.section == "deployments":
        return "deployments", change.name
    return "deployments", change.deployment, PATHS[change.section], change.name


def _until_placed(client: Client, name: str, deadline: float) -> None:
    """Wait until a new deployment has its network, which links need; another one waits for nobody."""
    while time.monotonic() < deadline:
        found = client.deployment(name)
        placed = bool(found.vpc) and all(subnet.id for subnet in found.subnets)
        if found.provider != "fabric" or placed or found.status is DeploymentStatus.FAILED:
            return
        time.sleep(POLL_SECONDS)
