"""Paths of the REST interface, made of ids and names that cannot lead elsewhere."""

from __future__ import annotations

import re

from tieline.client.errors import ClientError
from tieline.cloud.model.records import NAME_PATTERN, NAME_RULE

PART = NAME_PATTERN.replace("_]", "_.@:]")  # names of MQTT users hold . @ : as well


def at(*parts: str, cascade: bool = False) -> str:
    """The path of these parts; raises ClientError for what can be neither id nor name, and would change the path."""
    for part in parts:
        if not re.fullmatch(PART, part):
            hint = f"{NAME_RULE}; in names of MQTT users also . @ and :"
            raise ClientError("INVALID_NAME", f"{part!r} is no id or name", hint)
    return "/" + "/".join(parts) + ("?cascade=true" if cascade else "")
