"""What a platform asks about rules of its users, and the answers: each is worked out in a process of its own.

A rule is a program of somebody's: it may compute for long and fill the memory, and so may its compiler.
"""

from __future__ import annotations

import base64
import json
import math
from json.encoder import encode_basestring_ascii
from typing import Any, Final, Literal

import msgspec

from tieline.integration.config.shapes import Action
from tieline.integration.rules.compile.certain import refuse_failing
from tieline.integration.rules.compile.compile import Output, Shape, compile_rule, rule_test
from tieline.integration.rules.compile.template import lookup, text_template
from tieline.integration.rules.functions import system
from tieline.integration.rules.values.errors import NotMatched, RuleError, RuleFailure, TemplateError

MAX_RESULT: Final = 4 << 20  # bytes of JSON that a trial shows
MAX_DEPTH: Final = 100  # levels of what a trial shows; what reads JSON gives up at some hundreds


class Check(msgspec.Struct, frozen=True, tag="check"):
    """Whether this is a rule, and with `strict` one that can do something for some message."""

    sql: str
    strict: bool = True


class Try(msgspec.Struct, frozen=True, tag="try"):
    """What a rule makes of a sample message, whose fields are a JSON text, and what its actions would send."""

    sql: str
    context: str
    actions: tuple[Action, ...] | None = None


class Accepted(msgspec.Struct, frozen=True, tag="accepted"):
    """It is a rule, and this is known of it."""

    shape: Shape


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """It is no rule, as RuleError says it."""

    message: str
    offset: int
    found: str
    expected: tuple[str, ...]


class Tried(msgspec.Struct, frozen=True, tag="tried"):
    """What came of it: JSON with the member `result`, and `actions` where they were given."""

    json: str


class Not(msgspec.Struct, frozen=True, tag="not"):
    """Nothing came of it: the message does not match, or the rule fails on it."""

    why: Literal["unmatched", "failed"]
    message: str


Question = Check | Try
Answer = Accepted | Refused | Tried | Not


def answer(question: Question) -> Answer:
    """The answer; every way in which it can fail is one."""
    try:
        return Accepted(_shape(question)) if isinstance(question, Check) else Tried(_tried(question))
    except RuleError as error:
        return Refused(error.message, error.offset, error.found, error.expected)
    except NotMatched as error:
        return Not("unmatched", str(error))
    except (RuleFailure, TemplateError) as error:
        return Not("failed", str(error))
    except RecursionError:
        return Not("failed", "the message, or what the rule makes of it, is nested too deep")
    except MemoryError:
        return Not("failed", "it needs too much memory")
    except Exception as error:  # a sample may have a value of any kind under any name
        return Not("failed", f"the sample cannot be read: {error}")


def _shape(question: Check) -> Shape:
    rule = compile_rule(question.sql)
    if question.strict:
        refuse_failing(question.sql)
    return Shape(rule.topics, rule.paths, rule.everything, rule.fields, rule.foreach)


def _tried(question: Try) -> str:
    system.forget()  # what another's rule kept
    result = rule_test(question.sql, json.loads(question.context))
    told: dict[str, Any] = {"result": result}
    if question.actions is not None:
        outputs = result if isinstance(result, list) else [result]
        told["actions"] = [
            [_rendered(number, one, output) for number, one in enumerate(question.actions)] for output in outputs
        ]
    return shown(told)


def _rendered(number: int, action: Action, output: Output) -> dict[str, Any]:
    """What one action would send for one output: its fields, and its templates; a statement keeps its parameters."""
    members = msgspec.to_builtins(action)
    texts = {name: value for name, value in members.items() if isinstance(value, str) and "${" in value}
    try:
        return {
            "kind": members["kind"],
            "resource": action.resource,
            "fields": {".".join(path) or ".": lookup(output, path) for path in action.paths()},
            "texts": {
                name: text if name == "sql" else text_template(text).render(output) for name, text in texts.items()
            },
        }
    except ValueError as error:  # a value that has no form where a template puts it
        raise RuleFailure(f"actions[{number}]: {error}") from None


def shown(value: Any) -> str:
    """A value as JSON: bytes that are no text as `{"$base64": …}`; raises RuleFailure where it is too much to show."""
    return _Shown().text(value)


class _Shown:
    """Writes JSON until there is too much of it: one value may stand in many places."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._left = MAX_RESULT

    def text(self, value: Any) -> str:
        self._write(value, 0)
        return "".join(self._pieces)

    def _add(self, piece: str) -> None:
        self._pieces.append(piece)
        self._left -= len(piece)
        if self._left < 0:
            raise RuleFailure(f"the rule gives more than {MAX_RESULT} bytes for this message, too much to show")

    def _write(self, value: Any, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise RuleFailure(f"the rule gives more than {MAX_DEPTH} levels for this message, too much to show")
        if isinstance(value, dict):
            self._sequence("{}", [(f"{encode_basestring_ascii(str(key))}: ", one) for key, one in value.items()], depth)
        elif isinstance(value, (list, tuple)):
            self._sequence("[]", [("", one) for one in value], depth)
        elif isinstance(value, bytes):
            self._add(f'{{"$base64": "{base64.b64encode(value).decode()}"}}')
        elif isinstance(value, str):
            self._add(encode_basestring_ascii(value))
        elif isinstance(value, float) and not math.isfinite(value):
            raise RuleFailure("the rule gives a number that JSON does not have")
        else:
            self._add(json.dumps(value))

    def _sequence(self, brackets: str, parts: list[tuple[str, Any]], depth: int) -> None:
        self._add(brackets[0])
        for number, (before, one) in enumerate(parts):
            self._add(f", {before}" if number else before)
            self._write(one, depth + 1)
        self._add(brackets[1])
