"""What several processes counted and how they are, as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

#: How bad a state is; the worst of several is the state of all.
_WORSE: Final = ("connected", "running", "stopped", "connecting", "waiting", "disconnected", "failed")
_WORST_OF: Final = ("latency.",)  # numbers that are not added: the largest counts


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
                total[name][id] = state if known is None else _worst(known, state)
    return total


def _worst(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    worse = max(left, right, key=lambda state: _WORSE.index(state["status"]))
    pending = {"pending": left["pending"] + right["pending"]} if "pending" in left and "pending" in right else {}
    return {**worse, **pending}
