"""What differs between documents and records: pure, in the order in which it can be done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, SecretStr

from tieline.cloud.api.common.document_shapes import FIXED, SECTIONS, WRITE_ONLY, DeploymentDocument, Documents
from tieline.cloud.model.problems import PlatformError
from tieline.cloud.model.records import MASK
from tieline.cloud.store.retention import RetentionChange, RetentionView, changed

Record = Mapping[str, Any]
DEFAULT = RetentionView()
NOUNS = {"deployments": "deployment", "private_links": "link", "resources": "resource", "rules": "rule"}


@dataclass(frozen=True)
class Present:
    """A deployment as REST shows it, with its sections by name."""

    deployment: Record
    sections: Mapping[str, Mapping[str, Record]] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """One record to create, update, reconnect or delete; `body` is what REST takes, `fields` are those that differ."""

    action: Literal["create", "update", "reconnect", "delete"]
    section: str
    deployment: str
    name: str
    body: Record = field(default_factory=dict)
    fields: tuple[str, ...] = ()

    def __str__(self) -> str:
        told = f": {', '.join(self.fields)}" if self.fields else ""
        if self.section == "retention":
            return f"{self.action} retention{told}"
        where = "" if self.section == "deployments" else f" of {self.deployment}"
        return f"{self.action} {NOUNS[self.section]} {self.name}{where}{told}"


def diff(
    wanted: Documents,
    present: Mapping[str, Present],
    prune: bool,
    rotate: bool = False,
    kept: RetentionView = DEFAULT,
) -> tuple[Change, ...]:
    """The changes in order; raises PlatformError for one that cannot be made on a record that is there.

    A secret cannot be compared, for it is never shown: it is written with what else changes, or where `rotate` is set.
    """
    made = [change for one in wanted.deployments for change in _deployment(one, present.get(one.name), rotate)]
    return (*made, *_retention(wanted.retention, kept), *(_pruned(wanted, present) if prune else ()))


def _retention(wanted: RetentionChange | None, kept: RetentionView) -> Iterator[Change]:
    before, after = kept.model_dump(), changed(kept, wanted).model_dump() if wanted else kept.model_dump()
    if differing := {name: value for name, value in after.items() if value != before[name]}:
        yield Change("update", "retention", "", "retention", differing, tuple(sorted(differing)))


def _deployment(wanted: DeploymentDocument, present: Present | None, rotate: bool) -> Iterator[Change]:
    body = _given(wanted, exclude=set(SECTIONS))
    if present is None:
        yield Change("create", "deployments", wanted.name, wanted.name, body)
    else:
        yield from _update("deployments", wanted.name, body, _comparable(present.deployment), rotate)
    for section in SECTIONS:
        there = present.sections.get(section, {}) if present else {}
        for item in getattr(wanted, section) or ():
            asked = _given(item)
            if item.name not in there:
                yield Change("create", section, wanted.name, item.name, asked)
            else:
                yield from _update(section, wanted.name, asked, there[item.name], rotate)


def _update(section: str, deployment: str, asked: Record, there: Record, rotate: bool) -> Iterator[Change]:
    differing = {key: value for key, value in asked.items() if not _same(value, there.get(key))}
    secret = {key for key in differing if key in WRITE_ONLY or _same(differing[key], there.get(key), True)}
    if section == "private_links" and there.get("status") == "failed":
        names = {key: asked[key] for key in ("service_name", "ports") if key in asked}
        yield Change("reconnect", section, deployment, asked["name"], names, (str(there.get("reason") or "failed"),))
        differing = {key: value for key, value in differing.items() if key not in names}
    fixed = sorted(differing.keys() & FIXED[section])
    if fixed:
        message = f"{', '.join(fixed)} of {NOUNS[section]} {asked['name']} cannot be changed"
        raise PlatformError(409, "CANNOT_CHANGE", message, "delete it first, or take another name; nothing was changed")
    if differing and (rotate or differing.keys() - secret):
        yield Change("update", section, deployment, asked["name"], differing, tuple(sorted(differing)))


def _pruned(wanted: Documents, present: Mapping[str, Present]) -> Iterator[Change]:
    """What no document names, what rests on others first; deployments that no document names go with all in them."""
    if "deployments" not in wanted.model_fields_set:
        return
    named = {one.name: one for one in wanted.deployments}
    for section in reversed(SECTIONS):
        for name, one in named.items():
            kept = getattr(one, section)
            there = present[name].sections.get(section, {}) if name in present else {}
            gone = there.keys() - {item.name for item in kept} if kept is not None else set()
            yield from (Change("delete", section, name, each) for each in sorted(gone))
    yield from (Change("delete", "deployments", name, name) for name in sorted(present.keys() - named.keys()))


def _given(item: BaseModel, exclude: set[str] | None = None) -> dict[str, Any]:
    """What the document says, secrets included, and nothing that it leaves to its default."""
    given: dict[str, Any] = _plain(item.model_dump(exclude_unset=True, exclude=exclude))
    return given


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(member) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(member) for member in value]
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def _comparable(deployment: Record) -> Record:
    """A deployment in the shape of its request: zones are those of its subnets, its broker's password is hidden."""
    subnets = deployment.get("subnets", ())
    found = {**deployment, "zones": [subnet["zone"] for subnet in subnets]}
    if account := deployment.get("aws"):
        ids = sorted(subnet["id"] for subnet in subnets)
        found["aws"] = {**account, "vpc": deployment["vpc"], "subnets": ids}
    if remote := deployment.get("remote"):
        found["broker"] = {**remote, "password": MASK}
    return found


def _same(wanted: Any, present: Any, hidden: bool = False) -> bool:
    """Whether everything that is wanted is there; what is wanted may say less than what is shown.

    With `hidden` a mask stands for whatever is wanted.
    """
    if hidden and present == MASK:
        return True
    if isinstance(wanted, dict) and isinstance(present, Mapping):
        return all(_same(value, present.get(key), hidden) for key, value in wanted.items())
    if isinstance(wanted, list) and isinstance(present, (list, tuple)):
        return len(wanted) == len(present) and all(_same(*pair, hidden) for pair in zip(wanted, present, strict=True))
    return bool(wanted == present)
