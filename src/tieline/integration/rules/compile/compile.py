"""From the text of a rule to one plain Python function that is applied to every message."""

from __future__ import annotations

import itertools
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from tieline.integration.messages import events
from tieline.integration.messages.json_text import NOT_JSON, decode
from tieline.integration.messages.message import Message
from tieline.integration.messages.topics import matches
from tieline.integration.rules.compile.emit import Emitter
from tieline.integration.rules.compile.outputs import output
from tieline.integration.rules.compile.paths import output_path
from tieline.integration.rules.functions import LIBRARY
from tieline.integration.rules.syntax import syntax
from tieline.integration.rules.syntax.parse import parse
from tieline.integration.rules.syntax.places import put
from tieline.integration.rules.values import bounds
from tieline.integration.rules.values.errors import NotMatched, RuleFailure, Unfit

Output = dict[str, Any]
Item = tuple[Output, Message]  # what a rule made of a message
Failures = list[tuple[Message, Exception]]
Apply = Callable[[Sequence[Message], Failures, bool], list[Item]]
SOURCE: Final = "<rule>"
_HEAD: Final = ("def apply(messages, failures, keep):", "    items = []", "    for m in messages:", "        try:")
_TAIL: Final = (
    "        except Excess:",
    "            items += careful(m, failures, keep)",
    "        except Exception as error:",
    "            failures.append((m, error))",
    "    return items",
)
_CAREFUL: Final = ("def careful(m, keep):", "    items = []", "    for m in (m,):", "        if True:")


@dataclass(frozen=True)
class Shape:
    """What is known of a rule without running it."""

    topics: tuple[str, ...]
    paths: frozenset[tuple[str, ...]]  # what an output has, apart from the message's fields
    everything: bool  # whether an output has every field of the message
    fields: tuple[str, ...]  # that messages on its topics have
    foreach: bool

    def gives(self, path: Sequence[str]) -> bool:
        """Whether an output can have a value under this path."""
        if self.everything and path[0] in self.fields:
            return True
        return any(known[: len(path)] == tuple(path[: len(known)]) for known in self.paths)


@dataclass(frozen=True)
class CompiledRule(Shape):
    """A rule ready to run.

    `apply(messages, failures, keep)` is the function itself: it returns an item for each output, in order, and appends
    each message that raised something to `failures`. With `keep` a decoded payload stays with its message, for the next
    rule. `evaluate` does one message and raises RuleFailure.
    """

    sql: str
    apply: Apply

    def evaluate(self, message: Message) -> list[Output]:
        """The outputs for one message, none where it does not match; raises RuleFailure."""
        failures: Failures = []
        items = self.apply([message], failures, False)
        if failures:
            error = failures[0][1]
            raise failure(error) from error
        return [made for made, _ in items]


def failure(error: Exception) -> RuleFailure:
    """Any error of a rule's function as RuleFailure, naming the library function in which it arose."""
    codes = [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)]
    called = next((f.name for code in codes for f in LIBRARY.values() if f.run.__code__ is code), None)
    message = str(error) or type(error).__name__
    if called is not None:
        return RuleFailure(f"{called}(): {message}")
    return error if isinstance(error, RuleFailure) else RuleFailure(message)


def constant(node: syntax.Expression) -> Any:
    """The value of an expression that no message changes; raises RuleFailure."""
    emitter = Emitter("", ("t",))
    _select(emitter, syntax.Select((syntax.Column(node.at, node, ("x",)),), ("t",), None))
    failures: Failures = []
    items = _function(emitter)([Message("t", b"{}")], failures, False)
    if failures:
        error = failures[0][1]
        raise error if isinstance(error, Unfit) else failure(error)
    return items[0][0]["x"]


def compile_rule(sql: str) -> CompiledRule:
    """A rule of EMQX's SQL as a function; raises RuleError naming the place of a fault."""
    statement = parse(sql)
    topics = tuple(map(events.canonical, statement.topics))
    emitter = Emitter(sql, topics)
    if isinstance(statement, syntax.Select):
        _select(emitter, statement)
    else:
        _foreach(emitter, statement)
    columns = statement.columns
    named = [_keys(output_path(c, i)) for i, c in enumerate(_columns(columns))]
    bare = isinstance(statement, syntax.Foreach) and not columns
    if isinstance(statement, syntax.Foreach) and bare:
        named = [(item_name(statement),)]
    everything = bare or any(isinstance(column, syntax.Everything) for column in columns)
    is_foreach = isinstance(statement, syntax.Foreach)
    return CompiledRule(topics, frozenset(named), everything, emitter.fields, is_foreach, sql, _function(emitter))


def _function(emitter: Emitter) -> Apply:
    """The function of the lines. What a message may be made of is shared among the places that make something."""
    share = bounds.MAX_MADE // (1 + emitter.makers + len(emitter.aliases))
    checks = [f"            if len(m.payload) > {share}: raise Excess"]
    if emitter.makers:
        checks.append(f"            left[0] = {share}")
    metered = {name: bounds.metered(run) for name, run in emitter.functions.items()}
    names = {**emitter.names, "put": put, "as_list": as_list, "left": bounds.left, "Excess": bounds.Excess}
    names |= {f"m_{name}": run for name, run in metered.items()}
    namespace = {**names, **{f"f_{name}": run for name, run in emitter.functions.items()}}
    namespace["careful"] = _careful(emitter.lines, {**names, **{f"f_{name}": run for name, run in metered.items()}})
    exec(compile("\n".join([*_HEAD, *checks, *emitter.lines, *_TAIL]), SOURCE, "exec"), namespace)
    apply: Apply = namespace["apply"]
    return apply


def _careful(lines: Sequence[str], names: dict[str, Any]) -> Callable[[Message, Failures, bool], list[Item]]:
    """What does one message with everything counted that is made of it; compiled when a message needs it."""

    @cache
    def function() -> Callable[[Message, bool], list[Item]]:
        exec(compile("\n".join([*_CAREFUL, *lines, "    return items"]), SOURCE, "exec"), names)
        made: Callable[[Message, bool], list[Item]] = names["careful"]
        return made

    def careful(message: Message, failures: Failures, keep: bool) -> list[Item]:
        bounds.left[0] = bounds.MAX_MADE
        try:
            items = function()(message, keep)
            bounds.check_outputs([output for output, _ in items])
        except Exception as error:
            failures.append((message, error))
            return []
        return items

    return careful


def _columns(columns: Iterable[syntax.Column | syntax.Everything]) -> list[syntax.Column]:
    return [column for column in columns if isinstance(column, syntax.Column)]


def _keys(path: syntax.Path) -> tuple[str, ...]:
    """The keys with which a path begins: what stands behind a place of an array is not known."""
    return tuple(itertools.takewhile(lambda step: isinstance(step, str), path))  # type: ignore[arg-type]


def item_name(statement: syntax.Foreach) -> str:
    """The name of the present element: the alias of the array, else `item`."""
    alias = statement.bindings[-1].alias
    return str(alias[0]) if len(alias) == 1 else "item"


def _select(emitter: Emitter, statement: syntax.Select) -> None:
    emitter.aliases = _columns(statement.columns)
    _condition(emitter, statement.where, "continue")
    emitter.strict = True
    emitter.line(f"items.append(({output(emitter, statement.columns)}, m))")


def _foreach(emitter: Emitter, statement: syntax.Foreach) -> None:
    emitter.aliases = list(statement.bindings)
    _condition(emitter, statement.where, "continue")
    emitter.strict = True
    emitter.visible = len(statement.bindings) - 1
    emitter.refuse(emitter.stranger(statement.bindings[-1].of), "this goes through nothing")
    array = emitter.alias(len(statement.bindings) - 1)
    beside = [(binding.alias, emitter.alias(number)) for number, binding in enumerate(statement.bindings[:-1])]
    emitter.line("rows = []")
    emitter.place = len(emitter.lines)
    emitter.line(f"for item in as_list({array}):")
    emitter.indent += 1
    emitter.item = item_name(statement)
    emitter.items = {emitter.item: "item", **{str(path[0]): variable for path, variable in beside if path}}
    emitter.aliases, emitter.loaded = _columns(statement.columns), dict(emitter.loaded)
    _forget_columns(emitter)
    _condition(emitter, statement.incase, "continue")
    if statement.columns:
        emitter.line(f"rows.append(({output(emitter, statement.columns)}, m))")
    else:
        emitter.line(f"rows.append(({{**{emitter.everything()}, {item_name(statement)!r}: item}}, m))")
    emitter.indent -= 1
    emitter.line("items += rows")


def _forget_columns(emitter: Emitter) -> None:
    for key in [key for key in emitter.loaded if key[0].startswith(("column ", "alias "))]:
        del emitter.loaded[key]


def _condition(emitter: Emitter, condition: syntax.Expression | None, otherwise: str) -> None:
    emitter.visible = len(emitter.aliases)
    if condition is not None:
        emitter.refuse(emitter.stranger(condition), "this is never true")
        emitter.line(f"if not {emitter.truth(condition)}: {otherwise}")


def as_list(value: Any) -> list[Any]:
    """What FOREACH goes through: an array, or the array in a text of JSON; a text that is none fails the rule."""
    if isinstance(value, (str, bytes)):
        try:
            value = decode(value)
        except NOT_JSON:
            raise RuleFailure("FOREACH goes through an array, not through a text that is not JSON") from None
    if not isinstance(value, list):
        return []
    if len(value) > bounds.MAX_OUTPUTS:
        raise RuleFailure(f"FOREACH goes through at most {bounds.MAX_OUTPUTS} elements, not {len(value)}")
    return value


def rule_test(sql: str, context: Mapping[str, Any]) -> Output | list[Output]:
    """What a rule gives for a sample message: one output, or for FOREACH a list of them.

    Raises RuleError for a rule that does not parse, RuleFailure for one that cannot be applied, and NotMatched. The
    sample's topic is compared with the rule's only where the sample has one.
    """
    rule = compile_rule(sql)
    message = Message.sample(context)
    if message.topic and not any(matches(topic, message.topic) for topic in rule.topics):
        raise NotMatched(f"{message.topic} matches none of the rule's topics")
    outputs = rule.evaluate(message)
    if not outputs:
        raise NotMatched("the condition is not true for this message")
    return outputs if rule.foreach else outputs[0]
