"""What is kept how long: what an administrator may set, as a form, and what nobody has to."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from tieline.client.rest import ClientError
from tieline.cloud.guard.identify import IDLE_SECONDS, LONGEST_SECONDS
from tieline.cloud.store.retention import FOR_EVER, SETTING, RetentionView
from tieline.console.frame import parts
from tieline.console.frame.shell import Desk, View, words
from tieline.console.session.rest import Rest
from tieline.integration.delivery.dead_letters import LIMIT as MOST_LETTERS

SECONDS = 2.0
LABELS = {
    "audit_days": "Audit log, days (0: for ever)",
    "history_entries": "History of a deployment or link, entries",
    "metrics_minutes": "Counters of rules, minutes",
    "traffic_minutes": "Traffic of links, minutes",
}
FIXED: tuple[parts.Fact, ...] = (
    ("Dead letters", f"the newest {MOST_LETTERS:,} of a deployment, on its agent's disk; more are counted"),
    ("Sessions", f"{IDLE_SECONDS / 3600:.0f} hours without a request, {LONGEST_SECONDS / 86400:.0f} days at most"),
)
Known = RetentionView | str  # the setting, or why it could not be read


def read(client: Rest) -> Known:
    """The present setting; never raises ClientError."""
    try:
        return client.retention()
    except ClientError as error:
        return words(error)


async def retention(view: Desk) -> None:
    """The card."""
    source = await view.beside("retention", read, SECONDS)
    with parts.card("What is kept, and how long"):
        parts.say("What is older goes by itself, for ever. An empty field is the default again.", "muted")
        source.live(
            lambda now: now if isinstance(now, str) else "",
            lambda problem: parts.problem(problem) if problem else None,
        )
        with parts.stack("wide") as place:
            Form(view, source)
        place.set_visibility(False)  # once it is known, what is typed stays whatever cannot be read later
        source.shown(place, lambda now: place.visible or isinstance(now, RetentionView))
        parts.facts(FIXED)


class Form:
    """The fields; what somebody else changes meanwhile is shown in those that were not typed in."""

    def __init__(self, view: Desk, source: View[Known]) -> None:
        self._view, self._source = view, source
        self._known = source.now if isinstance(source.now, RetentionView) else RetentionView()
        with parts.tag("div", "grid"):
            self._entries = {name: self._entry(name) for name in LABELS}
        self._outcome = parts.stack().props("aria-live=polite")
        with parts.row():
            parts.button("Save what is kept", self._save)
        source.follow(self._hear)

    def _entry(self, name: str) -> ui.number:
        default = getattr(RetentionView(), name)
        said = "for ever" if (name, default) == ("audit_days", FOR_EVER) else default
        return parts.number(LABELS[name], getattr(self._known, name)).props(f'hint="unless set: {said}"')

    def _hear(self, now: Known) -> None:
        if isinstance(now, RetentionView):
            before, self._known = self._known, now
            for name, entry in self._entries.items():
                if entry.value == getattr(before, name):
                    entry.value = getattr(now, name)

    async def _save(self) -> None:
        self._outcome.clear()
        for entry in self._entries.values():
            entry.error = None
        typed = {name: entry.value for name, entry in self._entries.items()}
        changes = {name: value for name, value in typed.items() if value != getattr(self._known, name)}
        if less := shorter(self._known, changes):
            text = f"What is too old then is removed at once, and cannot be brought back: {', '.join(less)}."
            with self._view.page:
                if not await parts.confirmed("Keep less", text, SETTING, "Keep less"):
                    return
        made = await self._view.act(lambda client: client.change_retention(**changes), self._refuse)
        self._source.source.hurry()
        if made is not None:
            self._hear(made)
            for name, entry in self._entries.items():
                entry.value = getattr(made, name)
            with self._outcome:
                parts.say("Saved.", "good")

    def _refuse(self, error: ClientError) -> None:
        """Each error at the field that it is about, another below."""
        for item in error.extra.get("fields") or [{"field": "", "message": words(error)}]:
            entry = self._entries.get(item["field"])
            if entry is not None:
                entry.error = item["message"]
            else:
                with self._outcome:
                    parts.problem(item["message"])


def shorter(known: RetentionView, changes: dict[str, Any]) -> list[str]:
    """The labels of what would be kept for less than now. Pure."""
    defaults = RetentionView()

    def kept(name: str, value: float | None) -> float:
        value = getattr(defaults, name) if value is None else value
        return float("inf") if (name, value) == ("audit_days", FOR_EVER) else float(value)

    return [
        LABELS[name].partition(",")[0]
        for name, value in changes.items()
        if kept(name, value) < kept(name, getattr(known, name))
    ]
