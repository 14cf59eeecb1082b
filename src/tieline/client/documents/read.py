"""Reads documents: YAML or JSON, secrets from the environment, and what does not fit named by its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from pydantic import ValidationError

from tieline.cloud.api.common.document_shapes import FROM_ENVIRONMENT, SECTIONS, SHOWN, Documents
from tieline.cloud.model.problems import PlatformError, misfits
from tieline.cloud.store.retention import RetentionChange

GONE = object()
HINT = "nothing was changed; tieline apply --schema prints what a document may say"


def read(texts: Iterable[tuple[str, str]], environment: Mapping[str, str]) -> Documents:
    """The document of these files, each as name and text; several documents add up. Raises PlatformError."""
    whole: dict[str, Any] = {}
    for name, text in texts:
        try:
            found = [item for item in yaml.safe_load_all(text) if item is not None]
        except yaml.YAMLError as error:
            raise PlatformError(422, "INVALID_YAML", f"{name}: {error}", "nothing was changed") from error
        for item in found:
            _add(whole, name, item, environment)
    try:
        documents = Documents.model_validate(whole)
    except ValidationError as error:
        raise _misfit(error) from error
    _check_unique(documents)
    return documents


def _add(whole: dict[str, Any], file: str, item: Any, environment: Mapping[str, str]) -> None:
    """Add what one document says; retention may stand under its key, or alone as it is printed."""
    if isinstance(item, dict) and item and set(item) <= set(RetentionChange.model_fields):
        item = {"retention": item}
    if isinstance(item, dict) and "retention" in item:
        if "retention" in whole:
            message = f"{file}: retention is there more than once"
            raise PlatformError(422, "DUPLICATE_NAME", message, "nothing was changed; keep one of them")
        whole["retention"] = item["retention"]
        item = {key: value for key, value in item.items() if key != "retention"}
        if not item:
            return
    known = whole.setdefault("deployments", [])
    known += _resolved(_deployments(file, item), environment, "deployments")


def _deployments(file: str, item: Any) -> list[Any]:
    """The deployments of one document: under their key, or as REST lists them, or one alone."""
    if isinstance(item, dict) and set(item) <= {"deployments", "next_cursor"} and item:
        item = item.get("deployments") or []
    items = item if isinstance(item, list) else [item]
    if not all(isinstance(one, dict) for one in items):
        message = f"{file}: expected deployments, and found {type(item).__name__}"
        raise PlatformError(422, "INVALID_DOCUMENT", message, HINT)
    return [_without_shown(one) for one in items]


def _without_shown(deployment: dict[str, Any]) -> dict[str, Any]:
    """Without what only answers have, so that what is printed with --json can be applied."""
    asked = {key: value for key, value in deployment.items() if key not in SHOWN["deployments"]}
    asked |= _asked_again(deployment)
    asked = {key: value for key, value in asked.items() if value is not GONE}
    for section in SECTIONS:
        if isinstance(asked.get(section), list):
            asked[section] = [
                {key: value for key, value in item.items() if key not in SHOWN[section]}
                if isinstance(item, dict)
                else item
                for item in asked[section]
            ]
    return asked


def _asked_again(shown: dict[str, Any]) -> dict[str, Any]:
    """What an answer shows in another shape than a request has it; GONE for what cannot be asked for."""
    found: dict[str, Any] = {}
    if isinstance(shown.get("certificate"), str):  # the chain alone
        found["certificate"] = GONE
    if shown.get("cidr") == "":
        found["cidr"] = GONE
    if isinstance(shown.get("remote"), dict):
        found |= {"broker": shown["remote"], "mqtt": GONE}
    account, subnets = shown.get("aws"), shown.get("subnets")
    if isinstance(account, dict) and "external_id" in account and isinstance(subnets, list):
        known = {key: value for key, value in account.items() if key != "external_id"}
        ids = [subnet.get("id") for subnet in subnets if isinstance(subnet, dict)]
        found["aws"] = {**known, "vpc": shown.get("vpc"), "subnets": ids}
    return found


def _resolved(value: Any, environment: Mapping[str, str], place: str) -> Any:
    if isinstance(value, list):
        return [_resolved(item, environment, f"{place}.{n}") for n, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if set(value) == {FROM_ENVIRONMENT}:
        name = str(value[FROM_ENVIRONMENT])
        if name not in environment:
            message = f"{place}: the environment has no variable {name}"
            raise PlatformError(422, "NO_VARIABLE", message, f"set {name}; nothing was changed")
        return environment[name]
    return {key: _resolved(item, environment, f"{place}.{key}") for key, item in value.items()}


def _misfit(error: ValidationError) -> PlatformError:
    message = "; ".join(f"{item['field']}: {item['message']}" for item in misfits(error.errors()))
    return PlatformError(422, "INVALID_DOCUMENT", message, "nothing was changed; see /api/v1/schema/documents")


def _check_unique(documents: Documents) -> None:
    _check_names("deployments", [one.name for one in documents.deployments])
    for deployment in documents.deployments:
        for section in SECTIONS:
            names = [item.name for item in getattr(deployment, section) or ()]
            _check_names(f"deployments.{deployment.name}.{section}", names)


def _check_names(place: str, names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        message = f"{place}: {', '.join(twice)} is there more than once"
        raise PlatformError(422, "DUPLICATE_NAME", message, "nothing was changed; keep one of each name")
