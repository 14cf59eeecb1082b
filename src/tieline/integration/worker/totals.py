"""What several processes counted and how they are, as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from tieline.integration.delivery.dead_letters import NO_LETTER, listed, order
from tieline.integration.metrics import INTERVAL
from tieline.integration.worker import messages

#: How bad a state is; the worst of several is the state of all.
_WORSE: Final = ("connected", "running", "stopped", "connecting", "waiting", "disconnected", "failed")
_WORST_OF: Final = ("latency.",)  # numbers that are not added: the largest counts


#: How it was at a moment: nothing of it is left once the process has ended.
_PASSING: Final = frozenset({"queuing", "queuing_bytes", "inflight", "rate", "rate.max", "rate.last5m"})


def ended(one: dict[str, Any]) -> dict[str, Any]:
    """What a process counted until it ended. What it had in hand comes again, counted then, as are its letters."""
    rules = {rule: _final(figures) for rule, figures in one.get("rules", {}).items()}
    actions = {rule: {id: _final(it) for id, it in each.items()} for rule, each in one.get("actions", {}).items()}
    return {"rules": rules, "actions": actions, "dead_letters": one.get("dead_letters", {}) | {"count": 0}}


def _final(figures: dict[str, Any]) -> dict[str, Any]:
    final = {name: 0 if name in _PASSING else value for name, value in figures.items()}
    if "received" in final:
        final["received"] -= figures["queuing"] + figures["inflight"]
    return final


def metrics(those: Sequence[dict[str, Any]], version: int) -> dict[str, Any]:
    """The sum of several metrics, name by name."""
    total: dict[str, Any] = {"version": version, "rules": {}, "actions": {}, "dead_letters": {}}
    for one in those:
        for name in ("rules", "actions", "dead_letters"):
            total[name] = _added(total[name], one.get(name, {}))
    return total


def _added(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    result = dict(left)
    for name, value in right.items():
        known = result.get(name)
        if known is None:
            result[name] = value
        elif isinstance(value, dict):
            result[name] = _added(known, value)
        elif name == "last_error":
            result[name] = value if right["last_error_at"] >= left["last_error_at"] and value else known
        elif name == "last_error_at" or name.startswith(_WORST_OF):
            result[name] = max(known, value)
        else:
            result[name] = known + value
    return result


def status(those: Sequence[dict[str, Any]], version: int) -> dict[str, Any]:
    """For each resource and rule the worst state, with the sum of what is pending."""
    total: dict[str, Any] = {"version": version, "resources": {}, "rules": {}}
    for one in those:
        for name in ("resources", "rules"):
            for id, state in one.get(name, {}).items():
                known = total[name].get(id)
                total[name][id] = state if known is None else worst(known, state)
    return total


def worst(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    """The worse of two states, with the sum of what is pending."""
    worse = max(left, right, key=lambda state: _WORSE.index(state["status"]))
    pending = {"pending": left["pending"] + right["pending"]} if "pending" in left and "pending" in right else {}
    return {**worse, **pending}


def answers(request: messages.Asked, those: Sequence[messages.Answer]) -> messages.Answer:
    """Several answers to one request as one; where one failed all did."""
    letters: tuple[Any, ...] = ()
    more = False
    if isinstance(request, messages.Letters):
        letters, more = _together(request, those)
    replayed: dict[str, str] = {}
    if isinstance(request, messages.Replay):
        replayed = {id: _reason(one.replayed[id] for one in those if id in one.replayed) for id in request.ids}
    names = dict.fromkeys(name for one in those for name in one.past)
    past = {name: history([one.past.get(name, []) for one in those]) for name in names}
    error = next((one.error for one in those if one.error), "")
    return messages.Answer(id=request.id, letters=letters, replayed=replayed, past=past, error=error, more=more)


def _together(request: messages.Letters, those: Sequence[messages.Answer]) -> tuple[tuple[Any, ...], bool]:
    """The letters of several answers in their order, up to the first that may lack some, and whether some are left."""
    known = [letter for one in those for letter in one.letters]
    ends = [order(one.letters[-1]) for one in those if one.more and one.letters]
    if ends:
        known = [letter for letter in known if order(letter) <= min(ends)]
    found, more = listed(known, request)
    return found, more or bool(ends)


def _reason(reasons: Iterable[str]) -> str:
    """Why a letter stays: one place has it, and the others have never heard of it."""
    known = [reason for reason in reasons if reason != NO_LETTER]
    return min(known, key=bool, default=NO_LETTER)


def history(those: Sequence[Sequence[tuple[float, ...]]]) -> list[tuple[float, ...]]:
    """Samples of several processes added up, interval by interval; one without a sample there is as it was before."""
    tables = [{int(sample[0] // INTERVAL): sample[1:] for sample in one} for one in those]
    last: list[tuple[float, ...]] = [()] * len(tables)
    found: list[tuple[float, ...]] = []
    for step in sorted(set().union(*tables)):
        last = [table.get(step, before) for table, before in zip(tables, last, strict=True)]
        told = [counters for counters in last if counters]
        found.append((step * INTERVAL, *map(sum, zip(*told, strict=True))))
    return found
