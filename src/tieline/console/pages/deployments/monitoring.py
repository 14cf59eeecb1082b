"""The tab Monitoring: what each rule took and wrote, and what could not be used."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from tieline.cloud.model.records import HistoryEntry
from tieline.cloud.schemas.answers import RuleAnswer
from tieline.console.frame import parts
from tieline.console.frame.shell import Desk
from tieline.console.live.snapshot import Inside

RULE_COLUMNS = (("matched", "Matched"), ("passed", "Passed"), ("failed", "Kept out"))
ACTION_COLUMNS = (
    ("received", "Received"),
    ("success", "Written"),
    ("queuing", "Queued"),
    ("retried", "Retried"),
    ("failed", "Failed"),
    ("dropped", "Dropped"),
)


def monitoring(view: Desk, name: str) -> None:
    """The counters of the agent's last report, and what happened to the deployment; each is drawn where it changed."""
    view.live(lambda now: _rules_of(now.inside(name)), lambda rules: _rules(name, rules))
    view.live(lambda now: _letters_of(now.inside(name)), lambda count: _letters(name, count))
    with parts.card("History"):
        view.each(lambda now: _history_of(now.inside(name)), _entry, parts.tag("ul", "list"))


def _rules_of(found: Inside | None) -> tuple[RuleAnswer, ...]:
    return found.rules if found else ()


def _letters_of(found: Inside | None) -> int:
    return found.deployment.agent.dead_letters if found else 0


def _history_of(found: Inside | None) -> tuple[HistoryEntry, ...]:
    return found.deployment.history[::-1] if found else ()


def _entry(entry: HistoryEntry) -> ui.element:
    return parts.tag("li", text=parts.told(entry))


def _letters(deployment: str, count: int) -> None:
    with parts.card("Dead letters"):
        if count:
            parts.problem(
                f"Messages that could not be used: {count}. They are kept on the agent's disk with their errors."
            )
            with parts.row():
                parts.go("See and replay them", f"/deployments/{deployment}/dead-letters")
        else:
            parts.say("None: every message that a rule took was written, or waits to be.", "muted")


def _rules(deployment: str, rules: tuple[RuleAnswer, ...]) -> None:
    with parts.card("Rules"):
        if rules:
            _counters(deployment, rules)
        else:
            parts.empty("Nothing to count: there is no rule yet.", "New rule", f"/deployments/{deployment}/rules/new")


def _counters(deployment: str, rules: tuple[RuleAnswer, ...]) -> None:
    columns = ("Rule", *(title for _, title in (*RULE_COLUMNS, *ACTION_COLUMNS)), "Last error")
    with parts.table(columns, "Counters of the rules", classes=""):
        for rule in rules:
            for metrics in rule.action_metrics or [{}]:
                with parts.tag("tr"):
                    with parts.tag("td"):
                        ui.link(rule.name, f"/deployments/{deployment}/rules/{rule.name}")
                    _numbers(rule.metrics, RULE_COLUMNS)
                    _numbers(metrics, ACTION_COLUMNS)
                    parts.tag("td", text=str(metrics.get("last_error") or rule.metrics.get("last_error") or "—"))


def _numbers(metrics: dict[str, Any], columns: tuple[tuple[str, str], ...]) -> None:
    for key, _ in columns:
        value = metrics.get(key)
        parts.tag("td", "number", f"{int(value):,}" if isinstance(value, int | float) else "—")
