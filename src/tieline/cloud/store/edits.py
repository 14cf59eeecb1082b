"""Edits that lose nothing: an ETag of what people may change, a check of If-Match, and merging by RFC 7396."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from tieline.cloud.model.problems import PlatformError, malformed, misfits
from tieline.cloud.model.records import Deployment, MqttUser, PrivateLink, Resource, Rule, Stored
from tieline.cloud.store.retention import Retention, RetentionView

M = TypeVar("M", bound=BaseModel)

#: What people may change of each record: the platform's own writes to the others disturb no editor.
EDITABLE: Mapping[type[Stored], tuple[str, ...]] = {
    Deployment: (
        "name",
        "description",
        "project",
        "mqtts",
        "websocket",
        "anonymous",
        "websocket_origins",
        "certificate",
        "tls_key",
        "workers",
        "remote",
        "remote_password",
    ),
    PrivateLink: ("name", "description", "ports", "server_name"),
    Resource: ("name", "type", "server", "options", "secrets"),
    MqttUser: ("password", "rules"),
    Rule: ("name", "sql", "actions", "enable"),
    Retention: tuple(RetentionView.model_fields),
}


def etag(record: Stored) -> str:
    """The entity tag (RFC 9110, 8.8.3): it changes with what people may change, and only then."""
    shown = json.dumps([record.id, record.model_dump(mode="json", include=set(EDITABLE[type(record)]))], sort_keys=True)
    return f'"{hashlib.sha256(shown.encode()).hexdigest()[:20]}"'


def check_match(record: Stored, if_match: str | None) -> None:
    """Raises PlatformError 412 where the record is no longer as the editor saw it (RFC 9110, 13.1.1)."""
    if if_match is None or if_match.strip() == "*":
        return
    if etag(record) not in [tag.strip() for tag in if_match.split(",")]:
        message = f"{record.kind} {getattr(record, 'name', record.id)!r} was changed since it was read"
        raise PlatformError(
            412, "CHANGED_MEANWHILE", message, "read it again, and repeat the edit on what is there now"
        )


def merged(target: Any, patch: Any) -> Any:
    """A JSON merge patch (RFC 7396): objects are merged, null removes a member, everything else replaces."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def checked(type: type[M], members: Mapping[str, Any]) -> M:
    """The merged value; raises PlatformError 422 naming the fields that do not fit, without their values."""
    try:
        return type.model_validate(members)
    except ValidationError as error:
        raise malformed(misfits(error.errors())) from error
