"""What an older agent makes of a newer platform: what it knows runs; what it does not is named, and stays as it was.

Only what somebody asked for can be new to it: fields that have their default are not sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from tieline.agent.protocol import Answered, Condition, Configure, LeftOut, Probed, Status, one_error
from tieline.integration.config.shapes import Config, Resource, Rule

OLDER = "this agent is older than its platform"
HINT = "bring the agent up to date"

T = TypeVar("T", Resource, Rule)


class _Item(msgspec.Struct):
    id: str


class _Parts(msgspec.Struct):
    resources: tuple[msgspec.Raw, ...] = ()
    rules: tuple[msgspec.Raw, ...] = ()


class _Message(msgspec.Struct):
    config: _Parts


class _Question(msgspec.Struct):
    type: str
    id: str = ""


def heard(frame: bytes | str, before: Configure | None) -> Configure | Probed | Answered:
    """A frame of a newer platform: what there is to run, or the answer to a question that is not understood; raises
    msgspec.DecodeError where it is neither.
    """
    with one_error():
        return _heard(frame, before)


def _heard(frame: bytes | str, before: Configure | None) -> Configure | Probed | Answered:
    question = msgspec.json.decode(frame, type=_Question)
    why = f"{OLDER}, and does not know this"
    match question.type:
        case "configure":
            return understood(frame, before)
        case "probe":
            return Probed(id=question.id, hop="agent", message=why, hint=HINT)
        case _:
            return Answered(id=question.id, error=f"{why}: {HINT}")


def understood(frame: bytes | str, before: Configure | None) -> Configure:
    """A configuration without what is unknown here; raises msgspec.DecodeError where the frame is none.

    A rule or resource that is not understood is as it was `before`, or left out: with some of its fields only it would
    do something else than was asked for.
    """
    whole = msgspec.json.decode(frame, type=dict[str, Any])
    parts = msgspec.json.decode(frame, type=_Message).config
    known = before.config if before is not None else Config()
    resources, unknown_resources = _items(parts.resources, msgspec.json.Decoder(Resource), known.resources)
    rules, unknown_rules = _items(parts.rules, msgspec.json.Decoder(Rule), known.rules)
    plain = {name: whole["config"].pop(name) for name in Config.__struct_fields__ if name in whole["config"]}
    left_out = LeftOut(rules=unknown_rules, resources=unknown_resources, fields=tuple(sorted(whole["config"])))
    message = msgspec.convert({**whole, "config": plain | {"resources": (), "rules": ()}}, Configure)
    config = msgspec.structs.replace(message.config, resources=resources, rules=rules)
    return msgspec.structs.replace(message, config=config, left_out=left_out)


def _items(
    those: Iterable[msgspec.Raw], decoder: msgspec.json.Decoder[T], before: Iterable[T]
) -> tuple[tuple[T, ...], dict[str, str]]:
    """The items that run, and by id why others do not run as they should."""
    known = {item.id: item for item in before}
    found: list[T] = []
    unknown: dict[str, str] = {}
    for raw in those:
        try:
            found.append(decoder.decode(raw))
        except msgspec.ValidationError as error:
            id = msgspec.json.decode(raw, type=_Item).id
            stays = "it stays as it was" if id in known else "it does not run"
            unknown[id] = f"{OLDER}: {error}; {stays}"
            found += [known[id]] if id in known else []
    return tuple(found), unknown


def words(left_out: LeftOut) -> str:
    """What is to be told of it; "" where nothing was left out."""
    counts = [("rule", len(left_out.rules)), ("resource", len(left_out.resources))]
    those = [f"{count} {name}{'s' * (count > 1)}" for name, count in counts if count] + list(left_out.fields)
    return f"{OLDER}, and does not know all of: {', '.join(those)}; {HINT}" if those else ""


def told(left_out: LeftOut, status: dict[str, Any]) -> Status:
    """The pipeline's status, with what is left out as failed."""
    found = msgspec.convert(status, Status)
    rules = {id: Condition(status="failed", reason=why, hint=HINT) for id, why in left_out.rules.items()}
    resources = {id: Condition("disconnected", why, hint=HINT) for id, why in left_out.resources.items()}
    return Status(resources=found.resources | resources, rules=found.rules | rules)
