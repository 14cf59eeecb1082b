"""Dead letters as people see them: listed page by page, exported, corrected, tried again, discarded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from tieline.cloud.agents.agent_registry import Hub
from tieline.cloud.model.pages import decoded, encoded
from tieline.cloud.model.problems import PlatformError, not_found
from tieline.cloud.schemas.answers import Letter, Letters, Replayed
from tieline.integration.delivery.dead_letters import DeadLetter
from tieline.integration.messages.message import FIELDS
from tieline.integration.messages.plain import plain
from tieline.integration.rules.values.values import to_json
from tieline.integration.worker import messages

__all__ = ["Chosen", "Correction", "Letter", "Letters", "Replayed", "correct", "discard", "every", "page", "replay"]

LETTER = "dead letter"  # its kind in the audit log, where no payload is
AT_ONCE = 100  # letters in one answer of an agent, which has fewer where they are large
PART = 1000  # letters that an agent forgets at once, or whose ids it tells


class Chosen(BaseModel):
    """Which letters: these ids, or all of a rule, or with neither all of the deployment."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"rule": "warm"}]})

    ids: tuple[str, ...] = Field(default=(), max_length=10_000)
    rule: str = Field(default="", max_length=254, description="the rule's id or name")


class Correction(BaseModel):
    """Fields of the letter's message to change, such as `payload`; a payload that is no text is taken as JSON."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"message": {"payload": {"temp": 21}}}]})

    message: dict[str, Any] = Field(min_length=1)


async def page(hub: Hub, deployment: str, rule: str, limit: int, cursor: str) -> Letters:
    """One page of letters; raises PlatformError where no agent answers."""
    time, _, id = decoded(cursor).partition(" ")
    if cursor and not time.isdecimal():
        raise PlatformError(422, "INVALID_CURSOR", "this is no cursor of letters", "take next_cursor of a page")
    size = min(limit, AT_ONCE)
    asked = messages.Letters(id=0, rule=rule, after=(int(time or 0), id), limit=size + 1)
    answer = await hub.request(deployment, asked)
    chosen = answer.letters[:size]
    more = len(answer.letters) > size or (answer.more and bool(chosen))
    following = encoded(f"{chosen[-1].time} {chosen[-1].id}") if more else None
    return Letters(letters=[_view(letter) for letter in chosen], next_cursor=following)


async def every(hub: Hub, deployment: str, rule: str) -> AsyncIterator[Letter]:
    """All letters, page by page."""
    cursor: str | None = ""
    while cursor is not None:
        found = await page(hub, deployment, rule, AT_ONCE, cursor)
        for letter in found.letters:
            yield letter
        cursor = found.next_cursor


async def correct(hub: Hub, deployment: str, letter: str, wanted: Correction) -> Letter:
    """The letter with a message that was changed; raises PlatformError 404, 422 for a field that no message has."""
    if unknown := sorted(wanted.message.keys() - FIELDS.keys() - {"payload_base64"}):
        hint = f"fields: {', '.join(FIELDS)}"
        raise PlatformError(422, "UNKNOWN_FIELD", f"no field {unknown[0]!r} in a message", hint)
    changes = dict(wanted.message)
    if "payload" in changes and not isinstance(changes["payload"], str):
        changes["payload"] = to_json(changes["payload"])
    await hub.request(deployment, messages.Edit(id=0, letter=letter, message=changes))
    async for found in every(hub, deployment, ""):
        if found.id == letter:
            return found
    raise not_found("dead letter", letter)


async def replay(hub: Hub, deployment: str, ids: tuple[str, ...]) -> Replayed:
    """Give letters to their rules once more, as the rules are now."""
    answer = await hub.request(deployment, messages.Replay(id=0, ids=ids))
    staying = {id: reason for id, reason in answer.replayed.items() if reason}
    return Replayed(under_way=len(answer.replayed) - len(staying), staying=staying)


async def discard(hub: Hub, deployment: str, ids: tuple[str, ...]) -> None:
    """Forget letters, a part after the other, each of which takes an agent little time."""
    for start in range(0, len(ids), PART):
        await hub.request(deployment, messages.Discard(id=0, ids=ids[start : start + PART]))


async def chosen(hub: Hub, deployment: str, ids: tuple[str, ...], rule: str) -> tuple[str, ...]:
    """The ids that are meant: those that are named, or all of a rule, or all."""
    return ids or tuple([id async for id in _ids(hub, deployment, rule)])


async def _ids(hub: Hub, deployment: str, rule: str) -> AsyncIterator[str]:
    """The ids of all letters, without their messages; an agent that does not know how sends them all the same."""
    after, limit = (0, ""), AT_ONCE
    while found := (await hub.request(deployment, _bare(rule, after, limit))).letters:
        for letter in found:
            yield letter.id
        after, limit = (found[-1].time, found[-1].id), AT_ONCE if found[-1].message else PART


def _bare(rule: str, after: tuple[int, str], limit: int) -> messages.Letters:
    return messages.Letters(id=0, rule=rule, after=after, limit=limit, bare=True)


def _view(letter: DeadLetter) -> Letter:
    """A letter as JSON has it, whatever an older agent made of it."""
    known = msgspec.structs.asdict(letter)
    output = plain(letter.output)
    return Letter.model_validate({**known, "output": output if isinstance(output, dict) else None})
