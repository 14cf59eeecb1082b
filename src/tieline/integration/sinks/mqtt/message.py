"""A message that is published for a row: its QoS, retain flag and MQTT 5 properties, by templates or as they came.

What came with the message that a row was made of is kept: user properties, content type, response topic, correlation
data, and what is left of its time to live. The rules that it went through are in a user property, so that a loop ends
at the first rule that sees it a second time, over however many brokers.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from tieline.integration.messages.message import CARRIED
from tieline.integration.rules.compile.template import Path, Text, lookup, text_template
from tieline.integration.rules.values.errors import TemplateError
from tieline.integration.sinks.base.failures import Rejected

WAY: Final = "tieline-way"  # the user property with the ids of the rules that published a message, with commas between
MOST_HOPS: Final = 64
#: The properties that a template may give, by the names of MQTT 5 (2.2.2.2), with the client library's names for them.
PROPERTIES: Final = {
    "Payload-Format-Indicator": "payload_format_indicator",
    "Message-Expiry-Interval": "message_expiry_interval",
    "Content-Type": "content_type",
    "Response-Topic": "response_topic",
    "Correlation-Data": "correlation_data",
}
_WHOLE: Final = {"Payload-Format-Indicator": 1, "Message-Expiry-Interval": 0xFFFFFFFF}  # the most of each
_TYPES: Final[dict[str, type]] = {
    "Payload-Format-Indicator": int,
    "Message-Expiry-Interval": int,
    "Content-Type": str,
    "Response-Topic": str,
    "Correlation-Data": bytes,
}
_FLAGS: Final = {"true": True, "1": True, "false": False, "0": False, "undefined": False, "": False}
_LEVELS: Final = {"0": 0, "1": 1, "2": 2}


@dataclass(frozen=True)
class Templates:
    """What an action says of its messages besides topic and payload."""

    qos: Text
    retain: Text
    user: Text | None
    properties: Mapping[str, Text]

    @property
    def paths(self) -> tuple[Path, ...]:
        """The fields that they name."""
        texts = [self.qos, self.retain, *([self.user] if self.user else []), *self.properties.values()]
        return tuple(path for text in texts for path in text.paths)


def templates(qos: int | str, retain: bool | str, user: str, properties: Mapping[str, str]) -> Templates:
    """The templates of an action; raises TemplateError, also for a constant that can never be right."""
    if unknown := sorted(set(properties) - set(PROPERTIES)):
        raise TemplateError(f"{unknown[0]} is no property of a message: there are {', '.join(PROPERTIES)}", unknown[0])
    made = Templates(
        text_template(str(qos)),
        text_template(str(retain)),
        text_template(user) if user else None,
        {name: text_template(text) for name, text in properties.items()},
    )
    try:
        for text, check in ((made.qos, level), (made.retain, flag)):
            if not text.paths:
                check(text.render({}))
        for name, text in made.properties.items():
            if not text.paths:
                _property(name, text, {})
    except ValueError as error:
        raise TemplateError(str(error)) from None
    return made


def level(text: str) -> int:
    """A QoS; raises ValueError."""
    if text.strip() not in _LEVELS:
        raise ValueError(f"{text!r} is no QoS, which is 0, 1 or 2")
    return _LEVELS[text.strip()]


def flag(text: str) -> bool:
    """A retain flag, not set where the rule does not give it; raises ValueError."""
    if text.strip().lower() not in _FLAGS:
        raise ValueError(f"{text!r} is no retain flag, which is true or false")
    return _FLAGS[text.strip().lower()]


@dataclass(frozen=True)
class Publication:
    """A message as it goes to the broker; `properties` by the client library's names."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: Mapping[str, Any]


def publication(
    rule: str,
    topic: Text,
    payload: Text,
    said: Templates,
    output: dict[str, Any],
    clock: Callable[[], float] = time.time,
) -> Publication:
    """The message for a row; raises ValueError or Rejected where there is none."""
    carried: Mapping[str, Any] = output.get(CARRIED) or {}
    if carried:
        output = {name: value for name, value in output.items() if name != CARRIED}
    place = topic.render(output)
    if not place or any(character in place for character in "+#\0"):
        raise Rejected(f"{place!r} is no topic that can be published to")
    body = payload.data(output)
    properties = _kept(carried, body, clock) | {
        PROPERTIES[name]: value
        for name, text in said.properties.items()
        if (value := _property(name, text, output)) is not None
    }
    if any(isinstance(value, str) and "\0" in value for value in properties.values()):
        raise ValueError("a property with a null character, which no text of MQTT has")
    pairs = _pairs(said.user, output) if said.user else [(str(k), str(v)) for k, v in carried.get("pairs", ())]
    properties["user_properties"] = _onward(rule, carried, pairs)
    return Publication(place, body, level(said.qos.render(output)), flag(said.retain.render(output)), properties)


def _kept(carried: Mapping[str, Any], body: bytes, clock: Callable[[], float]) -> dict[str, Any]:
    """The properties that came with the message, as they are by now."""
    found: dict[str, Any] = {}
    for name, value in carried.get("properties", {}).items():
        if name == "Correlation-Data" and isinstance(value, str):  # as a letter has it, which is JSON
            value = base64.b64decode(value, validate=True)
        if not isinstance(value, _TYPES.get(name, ())) or isinstance(value, bool):
            raise ValueError(f"{name} of the message is {str(value)[:30]!r}, which is no value of it")
        found[PROPERTIES[name]] = value
    if (lives := found.get("message_expiry_interval")) is not None:  # what it waited here counts (MQTT 5, 3.3.2.3.3)
        left = lives - int(clock() - carried.get("at", 0) / 1000)
        if left <= 0:
            raise Rejected(f"the message has expired: it was to live for {lives} s")
        found["message_expiry_interval"] = left
    if found.get("payload_format_indicator"):
        try:
            body.decode()
        except UnicodeDecodeError:
            del found["payload_format_indicator"]
    return found


def _onward(rule: str, carried: Mapping[str, Any], pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The user properties with this rule added to the way; raises Rejected where it is on it already."""
    came = [str(value) for key, value in carried.get("pairs", ()) if key == WAY]
    way = [hop for value in came for hop in value.split(",") if hop]
    if rule in way:
        raise Rejected(f"a loop: rule {rule} has published this message before, and got it back by {' and '.join(way)}")
    if len(way) >= MOST_HOPS:
        raise Rejected(f"a loop: the message has been published by {len(way)} rules")
    if any("\0" in text for pair in pairs for text in pair):
        raise ValueError("a user property with a null character, which no text of MQTT has")
    return [*((key, value) for key, value in pairs if key != WAY), (WAY, ",".join([*way, rule]))]


def _pairs(text: Text, output: dict[str, Any]) -> list[tuple[str, str]]:
    """User properties out of a template: a map, or an array of {key, value}; raises ValueError."""
    value: Any = lookup(output, text.alone) if text.alone is not None else text.render(output)
    if isinstance(value, str | bytes):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            value = None if text.alone is not None else value
    if value is None:
        return []
    if isinstance(value, dict):
        return [(str(key), _told(one)) for key, one in value.items()]
    if isinstance(value, list) and all(isinstance(one, dict) and {"key", "value"} <= one.keys() for one in value):
        return [(str(one["key"]), _told(one["value"])) for one in value]
    raise ValueError("user_properties are a map, or an array of {key, value}")


def _told(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _property(name: str, text: Text, output: dict[str, Any]) -> Any:
    """A property's value, None where the rule does not give it; raises ValueError."""
    if text.alone is not None and lookup(output, text.alone) is None:
        return None
    if name == "Correlation-Data":
        return text.data(output)
    shown = text.render(output)
    if name not in _WHOLE:
        return shown
    if not shown.isdecimal() or int(shown) > _WHOLE[name]:
        raise ValueError(f"{shown[:30]!r} is no {name}, which is 0 to {_WHOLE[name]}")
    return int(shown)
