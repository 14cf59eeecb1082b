"""The tab Monitoring: what each rule took and wrote, and what could not be used."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from tieline.console import parts
from tieline.console.snapshot import Inside

RULE_COLUMNS = (("matched", "Matched"), ("passed", "Passed"), ("failed", "Kept out"))
ACTION_COLUMNS = (
    ("received", "Received"),
    ("success", "Written"),
    ("queuing", "Queued"),
    ("retried", "Retried"),
    ("failed", "Failed"),
    ("dropped", "Dropped"),
)


def monitoring(found: Inside) -> None:
    """The counters of the agent's last report."""
    with parts.card("Rules"):
        if not found.rules:
            parts.empty(
                "Nothing to count: there is no rule yet.",
                "New rule",
                f"/deployments/{found.deployment.name}/rules/new",
            )
        else:
            _rules(found)
    with parts.card("Dead letters"):
        count = found.deployment.agent.dead_letters
        if count:
            parts.problem(
                f"Messages that could not be used: {count}. They are kept on the agent's disk with their errors."
            )
            with parts.row():
                parts.go("See and replay them", f"/deployments/{found.deployment.name}/dead-letters")
        else:
            parts.say("None: every message that a rule took was written, or waits to be.", "muted")
    with parts.card("History"):
        parts.listing(map(parts.told, reversed(found.deployment.history)))


def _rules(found: Inside) -> None:
    columns = ("Rule", *(title for _, title in (*RULE_COLUMNS, *ACTION_COLUMNS)), "Last error")
    with parts.table(columns, "Counters of the rules", classes=""):
        for rule in found.rules:
            for metrics in rule.action_metrics or [{}]:
                with parts.tag("tr"):
                    with parts.tag("td"):
                        ui.link(rule.name, f"/deployments/{found.deployment.name}/rules/{rule.name}")
                    _numbers(rule.metrics, RULE_COLUMNS)
                    _numbers(metrics, ACTION_COLUMNS)
                    parts.tag("td", text=str(metrics.get("last_error") or rule.metrics.get("last_error") or "—"))


def _numbers(metrics: dict[str, Any], columns: tuple[tuple[str, str], ...]) -> None:
    for key, _ in columns:
        value = metrics.get(key)
        parts.tag("td", "number", f"{int(value):,}" if isinstance(value, int | float) else "—")
