"""Rules with their messages, and what EMQX's rule engine answers: facts that tieline's answers are held against.

`emqx_cases.json` was made by running each rule on EMQX's own code (its `master` of August 2026). Each case has:

- `id`, `group`, `source`; `sql`; `message`, the fields of a message or an event, bytes as `{"$base64": …}`;
- `expected`: `{"outputs": […]}` in order, `{"no_match": true}`, or `{"error": true}`: the message fails or the rule is
  refused;
- `compare`: `named` where only the fields that are expected count (`SELECT *`);
- `declared`: the difference that docs/rules.md declares for it, where it has one.

Numbers are equal by value, fractions within 1e-12; in the group `types` a whole number is no fraction. What is
undefined in EMQX is NULL. Bytes that are UTF-8 are texts.
"""

from __future__ import annotations

import base64
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tieline.integration.rules.compile.compile import rule_test
from tieline.integration.rules.values.errors import NotMatched, RuleError, RuleFailure

FILE: Final = Path(__file__).with_suffix(".json")
NEAR: Final = 1e-12  # between two fractions that count as equal


@dataclass(frozen=True)
class Case:
    """One case of the file."""

    id: str
    group: str
    sql: str
    message: dict[str, Any]
    expected: dict[str, Any]
    source: str = ""
    compare: str = ""
    declared: str = ""


def load() -> list[Case]:
    """Every case, in the order of the file."""
    return [Case(**case) for case in json.loads(FILE.read_text())]


def answer(case: Case) -> dict[str, Any]:
    """What tieline makes of a case, in the form of `expected`."""
    try:
        found = rule_test(case.sql, {name: _received(value) for name, value in case.message.items()})
    except NotMatched:
        return {"no_match": True}
    except (RuleError, RuleFailure) as error:
        return {"error": True, "said": str(error)}
    except Exception as error:
        return {"crash": repr(error)[:200]}  # which is nobody's answer
    return {"outputs": [_shown(output) for output in (found if isinstance(found, list) else [found])]}


def agrees(case: Case, found: dict[str, Any]) -> bool:
    """Whether an answer is EMQX's."""
    if "outputs" not in case.expected or "outputs" not in found:
        return case.expected.keys() <= found.keys()
    wanted, given = case.expected["outputs"], found["outputs"]
    if case.compare == "named":
        given = [
            {key: value for key, value in one.items() if key in two} for one, two in zip(given, wanted, strict=False)
        ]
    return _same(wanted, given, case.group == "types")


def _received(value: Any) -> Any:
    if isinstance(value, dict) and "$base64" in value:
        return base64.b64decode(value["$base64"])
    return value


def _shown(value: Any) -> Any:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"$base64": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {key: _shown(inner) for key, inner in value.items()}
    return [_shown(inner) for inner in value] if isinstance(value, list) else value


def _same(wanted: Any, given: Any, strict: bool) -> bool:
    if isinstance(wanted, bool) or isinstance(given, bool) or wanted is None or given is None:
        return wanted is given
    if isinstance(wanted, (int, float)) and isinstance(given, (int, float)):
        if type(wanted) is type(given) is float:
            return math.isclose(wanted, given, rel_tol=NEAR, abs_tol=NEAR)
        return wanted == given and (not strict or type(wanted) is type(given))
    if isinstance(wanted, list) and isinstance(given, list):
        return len(wanted) == len(given) and all(_same(a, b, strict) for a, b in zip(wanted, given, strict=True))
    if isinstance(wanted, dict) and isinstance(given, dict):
        return wanted.keys() == given.keys() and all(_same(wanted[key], given[key], strict) for key in wanted)
    return type(wanted) is type(given) and bool(wanted == given)
