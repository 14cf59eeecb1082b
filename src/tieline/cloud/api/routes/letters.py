"""REST: dead letters of a deployment, seen, exported, corrected, tried again or discarded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from tieline.cloud.agents import dead_letters as letters
from tieline.cloud.agents.dead_letters import LETTER, Chosen, Correction
from tieline.cloud.api.common.context import Asked, Key, Records, There, Within, item
from tieline.cloud.api.common.errors import documented
from tieline.cloud.api.common.once import Once
from tieline.cloud.model.records import Deployment, Rule
from tieline.cloud.platform.platform import Platform
from tieline.cloud.schemas.answers import Letter, Letters, Replayed
from tieline.cloud.store.repository import Repository

NAMED = 20  # ids of one entry in the audit log

router = APIRouter(
    prefix="/deployments/{id}/dead-letters",
    tags=["dead letters"],
    route_class=Once,
    responses=documented(404, 422, 502, 503),
)
OfRule = Annotated[str, Query(max_length=254, description="only those of this rule, by id or name")]


@router.get("", name="list")
async def list_letters(there: There, within: Within, asked: Asked, rule: OfRule = "") -> Letters:
    """Messages that could not be used, the oldest first; at most 100 in one answer."""
    return await letters.page(there.hub, within.id, _rule(there, within, rule), asked.limit, asked.cursor)


@router.get("/export", response_class=StreamingResponse)
async def export(there: There, within: Within, rule: OfRule = "") -> StreamingResponse:
    """All of them as JSON lines."""
    found = letters.every(there.hub, within.id, _rule(there, within, rule))
    first = await anext(found, None)  # an agent that is away is an error, not an empty file

    async def lines() -> AsyncIterator[str]:
        if first is not None:
            yield first.model_dump_json() + "\n"
        async for letter in found:
            yield letter.model_dump_json() + "\n"

    return StreamingResponse(lines(), media_type="application/x-ndjson")


@router.post("/replay", responses=documented(502, 503))
async def replay(there: There, records: Records, within: Within, wanted: Chosen) -> Replayed:
    """Give letters to their rules once more, as the rules are now."""
    ids = await _chosen(there, within, wanted)
    done = await letters.replay(there.hub, within.id, ids)
    _note(records, "replayed", within, ids)
    return done


@router.post("/discard", status_code=204, responses=documented(502, 503))
async def discard(there: There, records: Records, within: Within, wanted: Chosen) -> None:
    """Forget letters."""
    ids = await _chosen(there, within, wanted)
    await letters.discard(there.hub, within.id, ids)
    _note(records, "discarded", within, ids)


@router.patch("/{letter}", responses=documented(422, 502, 503))
async def correct(there: There, records: Records, within: Within, letter: Key, wanted: Correction) -> Letter:
    """Change fields of a letter's message, to be tried again."""
    done = await letters.correct(there.hub, within.id, letter, wanted)
    records.note("corrected", LETTER, letter, within, {"fields": sorted(wanted.message)})
    return done


def _note(records: Repository, action: str, within: Deployment, ids: tuple[str, ...]) -> None:
    """One entry for all: their number, and the first of them by id."""
    if ids:
        records.note(action, LETTER, ids[0] if len(ids) == 1 else "", within, {"letters": len(ids), "ids": ids[:NAMED]})


async def _chosen(there: Platform, within: Deployment, wanted: Chosen) -> tuple[str, ...]:
    return await letters.chosen(there.hub, within.id, wanted.ids, _rule(there, within, wanted.rule))


def _rule(there: Platform, within: Deployment, key: str) -> str:
    """The id of a rule by id or name; a rule that was deleted is known by its id alone."""
    if not key:
        return ""
    return key if key.startswith("rule-") else item(there, Rule, within, key, "rule").id
