"""All that one person may see of the platform, as one frozen value that is cheap to compare."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

from tieline.client.rest import Client, ClientError
from tieline.cloud.model.records import HistoryEntry, PrivateLinkView
from tieline.cloud.schemas.answers import DeploymentAnswer, ResourceAnswer, RuleAnswer
from tieline.console.live.feed import shared

CHANGES = 12  # entries of the overview's list
R = TypeVar("R", PrivateLinkView, ResourceAnswer, RuleAnswer)
Change = tuple[HistoryEntry, str, str]  # what happened, to what, and the page of that


@dataclass(frozen=True)
class Inside:
    """One deployment and all in it."""

    deployment: DeploymentAnswer
    links: tuple[PrivateLinkView, ...] = ()
    resources: tuple[ResourceAnswer, ...] = ()
    rules: tuple[RuleAnswer, ...] = ()

    def link(self, key: str) -> PrivateLinkView | None:
        """A link by name or id."""
        return next((link for link in self.links if key in (link.name, link.id)), None)

    def resource(self, key: str) -> ResourceAnswer | None:
        """A resource by name or id."""
        return next((resource for resource in self.resources if key in (resource.name, resource.id)), None)

    def rule(self, key: str) -> RuleAnswer | None:
        """A rule by name or id."""
        return next((rule for rule in self.rules if key in (rule.name, rule.id)), None)


@dataclass(frozen=True)
class Snapshot:
    """Everything; `problem` says why it could not be read, `signed_out` that the person is no longer known."""

    deployments: tuple[Inside, ...] = ()
    problem: str = ""
    signed_out: bool = False

    def inside(self, key: str) -> Inside | None:
        """A deployment by name or id."""
        return next((one for one in self.deployments if key in (one.deployment.name, one.deployment.id)), None)


class Reader:
    """Reads the present state again and again; while it cannot be read, the last is shown, and why it is the last."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._last = Snapshot()

    def __call__(self) -> Snapshot:
        """The present state; never raises ClientError."""
        try:
            self._last = _read(self._client)
        except ClientError as error:
            if error.status == 401:
                return Snapshot(problem=error.message, signed_out=True)
            return replace(self._last, problem=f"{error.message}. {error.hint}")
        return self._last


def _read(client: Client) -> Snapshot:
    found = client.deployments()
    links, resources, rules = _by(client.links()), _by(client.all_resources()), _by(client.all_rules())
    return Snapshot(tuple(Inside(one, links[one.id], resources[one.id], rules[one.id]) for one in found))


def _by(records: Iterable[R]) -> defaultdict[str, tuple[R, ...]]:
    """Records by the id of the deployment that they belong to."""
    found = defaultdict[str, list[R]](list)
    for record in records:
        found[record.deployment].append(record)
    return defaultdict(tuple, {id: tuple(ones) for id, ones in found.items()})


@shared
def changes(snapshot: Snapshot) -> list[Change]:
    """The last changes of all records, newest first."""
    found: list[Change] = []
    for one in snapshot.deployments:
        name = one.deployment.name
        found += [(entry, f"deployment {name}", f"/deployments/{name}") for entry in one.deployment.history]
        for link in one.links:
            path = f"/deployments/{name}/private-links/{link.name}"
            found += [(entry, f"link {link.name}", path) for entry in link.history]
    return sorted(found, key=lambda item: item[0].at, reverse=True)[:CHANGES]
