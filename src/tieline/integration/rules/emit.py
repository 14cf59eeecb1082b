"""From expressions to Python source: a path is read once per block, an operator is inline code or one call.

Names in the source are ours (`v0`, `f_upper`); texts of the rule appear only as literals made by `repr`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson

from tieline.integration import events
from tieline.integration import message as messages
from tieline.integration.rules import syntax, values
from tieline.integration.rules.errors import RuleError, RuleFailure
from tieline.integration.rules.functions import LIBRARY
from tieline.integration.topics import filter_fault, matcher

_ARITHMETIC: Final = {
    "+": "add",
    "-": "subtract",
    "*": "multiply",
    "/": "divide",
    "div": "quotient",
    "mod": "remainder",
}
_COMPARE: Final = {"=": "equal", "!=": "unequal", "<": "less", ">": "greater", "<=": "at_most", ">=": "at_least"}
_PYTHON: Final = {"=": "==", "!=": "!=", "<": "<", ">": ">", "<=": "<=", ">=": ">="}
_HELPERS: Final = (
    *(*_ARITHMETIC.values(), *_COMPARE.values()),
    *("get", "element", "elements", "negative", "one_of", "topic_matches", "NUMBERS"),
)
_BOOLEAN: Final = (syntax.Compare, syntax.Logic, syntax.Not, syntax.In)


def not_json(message: messages.Message) -> RuleFailure:
    """The failure of a rule that selects from a payload that is not JSON."""
    return RuleFailure(f"the payload on {message.topic} is not JSON, so it has no fields to select")


class Emitter:
    """Collects the lines of one function, and the objects that they name."""

    def __init__(self, text: str, topics: Sequence[str]) -> None:
        self.text = text
        self.events = events.reads_events(topics)
        plain = () if self.events and all(topic in events.EVENTS for topic in topics) else tuple(messages.FIELDS)
        self.fields = tuple(dict.fromkeys((*plain, *events.fields(topics))))  # that a rule on these topics can name
        self.names: dict[str, Any] = {name: getattr(values, name) for name in _HELPERS}
        self.names |= {"UNREAD": messages.UNREAD, "NOT_JSON": messages.NOT_JSON, "not_json": not_json}
        self.names |= {"loads": orjson.loads, "JSONDecodeError": orjson.JSONDecodeError}
        self.lines: list[str] = []
        self.indent = 3
        self.loaded: dict[tuple[str, ...], str] = {}  # the variable that holds a path in the present block
        self.aliases: list[syntax.Column] = []
        self.visible = 0  # so many aliases can be named
        self.items: dict[str, str] = {}  # names that are variables: the element of a FOREACH
        self.strict = False  # whether a payload that is not JSON fails the rule
        self._strict_done = False
        self._count = 0

    def line(self, source: str) -> None:
        """One more line of the function."""
        self.lines.append("    " * self.indent + source)

    def fresh(self) -> str:
        """A variable that nothing uses yet."""
        self._count += 1
        return f"v{self._count}"

    def assign(self, source: str) -> str:
        """A new variable with this value."""
        variable = self.fresh()
        self.line(f"{variable} = {source}")
        return variable

    def fault(self, message: str, node: syntax.Node, found: str) -> RuleError:
        return RuleError(message, self.text, node.at, found=found)

    # Expressions

    def value(self, node: syntax.Expression) -> str:
        """Python source that gives the value of an expression."""
        return _EMITTERS[type(node)](self, node)

    def truth(self, node: syntax.Expression) -> str:
        """Python source that is true exactly where the expression is true, not merely something."""
        if isinstance(node, syntax.Const):
            return repr(node.value is True)
        source = self.value(node)
        return source if isinstance(node, _BOOLEAN) else f"({source} is True)"

    def row(self, nodes: Sequence[syntax.Expression]) -> str:
        return "(" + "".join(f"{self.value(node)}, " for node in nodes) + ")"

    def const(self, node: syntax.Const) -> str:
        return repr(node.value)

    def name(self, node: syntax.Name) -> str:
        return self.path(node, (node.name,))

    def get(self, node: syntax.Get) -> str:
        keys: list[str] = [node.base.name] if isinstance(node.base, syntax.Name) else []
        steps = list(node.steps)
        if keys:
            while steps and isinstance(steps[0], str):
                keys.append(steps.pop(0))  # type: ignore[arg-type]
            source = self.path(node.base, tuple(keys), indexed=bool(steps))
        else:
            source = self.value(node.base)
        for step in steps:
            source = self.step(source, step)
        return source

    def step(self, source: str, step: str | syntax.Index | syntax.Slice) -> str:
        if isinstance(step, str):
            return f"get({source}, {step!r})"
        if isinstance(step, syntax.Slice):
            return f"elements({source}, {step.first}, {step.last})"
        return f"element({source}, {self.value(step.of)})"

    def path(self, node: syntax.Expression, keys: tuple[str, ...], indexed: bool = False) -> str:
        """The variable for a path of keys; `indexed` says that an element of it is asked for next."""
        for number in range(self.visible - 1, -1, -1):
            alias = output_path(self.aliases[number], number)
            if keys[: len(alias)] == alias:
                return self.follow(self.alias(number), (f"alias {number}",), keys[len(alias) :])
        root = keys[0]
        if root in self.items:
            return self.follow(self.items[root], (f"item {root}",), keys[1:])
        if root not in self.fields:
            raise self.unknown(node, root)
        if root == "payload" and (len(keys) > 1 or indexed) and not self.events:
            return self.follow(self.document(), ("payload",), keys[1:])
        return self.follow(self.field(root), (root, ""), keys[1:])

    def unknown(self, node: syntax.Node, name: str) -> RuleError:
        known = [*self.fields, *self.items, *(c.alias[0] for c in self.aliases[: self.visible] if c.alias)]
        near = difflib.get_close_matches(name, known, 1, 0.7)
        hint = f"did you mean {near[0]}?" if near else f"JSON is payload.{name}, a text stands in 'single quotes'"
        return self.fault(f"no field {name!r} in a message: {hint}", node, name)

    def field(self, name: str) -> str:
        if self.events:
            return f"{self.load(('*',), self.everything())}[{name!r}]"
        if name in messages.DIRECT:
            return f"m.{name}"
        if name == "payload":
            return self.load(("payload", ""), "m.text()")
        return self.load((name, ""), f"m.details()[{name!r}]")

    def everything(self) -> str:
        """Source of all fields as a new map."""
        return f"m.chosen({self.fields!r})" if self.events else "m.fields()"

    def document(self) -> str:
        """The variable with the decoded payload, which fails the rule where the block is strict."""
        known = ("payload",) in self.loaded
        variable = self.load(("payload",), "m.decoded")
        if not known:
            self.line(f"if {variable} is UNREAD:")
            self.line(f"    try: {variable} = loads(m.payload)")
            self.line(f"    except JSONDecodeError: {variable} = NOT_JSON")
            self.line(f"    if keep: m.decoded = {variable}")
        if self.strict and not self._strict_done:
            self._strict_done = True
            self.line(f"if {variable} is NOT_JSON: raise not_json(m)")
        return variable

    def load(self, key: tuple[str, ...], source: str) -> str:
        """The variable that holds what is read by this source, read once per block."""
        if key not in self.loaded:
            self.loaded[key] = self.assign(source)
        return self.loaded[key]

    def follow(self, variable: str, key: tuple[str, ...], rest: tuple[str, ...]) -> str:
        """The variable with the value under these keys."""
        for step in rest:
            key = (*key, step)
            if not variable.isidentifier():
                variable = self.load((*key, "of"), variable)
            variable = self.load(
                key, f"{variable}.get({step!r}) if {variable}.__class__ is dict else get({variable}, {step!r})"
            )
        return variable

    def alias(self, number: int) -> str:
        """The variable with a selected value, computed where it is first needed."""
        key = (f"column {number}",)
        if key not in self.loaded:
            visible, self.visible = self.visible, number
            source = self.value(self.aliases[number].of)
            self.visible = visible
            self.loaded[key] = source if source.isidentifier() else self.assign(source)
        return self.loaded[key]

    def negative(self, node: syntax.Negative) -> str:
        return f"negative({self.value(node.of)})"

    def arithmetic(self, node: syntax.Arithmetic) -> str:
        return f"{_ARITHMETIC[node.operator]}({self.value(node.left)}, {self.value(node.right)})"

    def compare(self, node: syntax.Compare) -> str:
        if node.operator == "=~":
            return self.topic_match(node)
        left, right = self.value(node.left), self.value(node.right)
        if isinstance(node.right, syntax.Const) and left.isidentifier():
            sign = _PYTHON[node.operator]
            if type(node.right.value) in values.NUMBERS:
                return f"({left}.__class__ in NUMBERS and {left} {sign} {right})"
            return f"({left}.__class__ is {type(node.right.value).__name__} and {left} {sign} {right})"
        return f"{_COMPARE[node.operator]}({left}, {right})"

    def topic_match(self, node: syntax.Compare) -> str:
        left = self.value(node.left)
        if not isinstance(node.right, syntax.Const):
            return f"topic_matches({left}, {self.value(node.right)})"
        wanted = str(node.right.value)
        if fault := filter_fault(wanted):
            raise self.fault(f"{wanted!r} is no topic filter: {fault}", node.right, wanted)
        if node.left == syntax.Name(node.left.at, "topic"):
            name = f"match{len(self.names)}"
            self.names[name] = matcher(wanted)
            return f"{name}({left})"
        return f"topic_matches({left}, {wanted!r})"

    def logic(self, node: syntax.Logic) -> str:
        return "(" + f" {node.operator} ".join(self.truth(term) for term in node.terms) + ")"

    def negation(self, node: syntax.Not) -> str:
        if isinstance(node.of, syntax.Const):
            return repr(node.of.value is False)
        source = self.value(node.of)
        return f"(not {source})" if isinstance(node.of, _BOOLEAN) else f"({source} is False)"

    def member(self, node: syntax.In) -> str:
        return f"one_of({self.value(node.needle)}, {self.row(node.candidates)})"

    def case(self, node: syntax.Case) -> str:
        source = "None" if node.otherwise is None else self.value(node.otherwise)
        subject = None if node.subject is None else self.value(node.subject)
        if subject is not None and not subject.isidentifier():
            subject = self.assign(subject)
        for condition, result in reversed(node.branches):
            test = self.truth(condition) if subject is None else f"equal({subject}, {self.value(condition)})"
            source = f"({self.value(result)} if {test} else {source})"
        return source

    def array(self, node: syntax.Array) -> str:
        return "[" + ", ".join(self.value(item) for item in node.items) + "]"

    def range(self, node: syntax.Range) -> str:
        return f"[*range({node.first}, {node.last + 1})]"

    def call(self, node: syntax.Call) -> str:
        known = LIBRARY.get(node.name)
        if known is None:
            near = difflib.get_close_matches(node.name, LIBRARY, 1, 0.7)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise self.fault(f"no function {node.name}(){hint}", node, node.name)
        if not known.takes(len(node.arguments)):
            raise self.fault(f"{node.name}() takes {known.arguments}, not {len(node.arguments)}", node, node.name)
        self.names[f"f_{node.name}"] = known.run
        return f"f_{node.name}{self.row(node.arguments)}"


def output_path(column: syntax.Column, number: int) -> tuple[str, ...]:
    """The keys that a column has in the output: its alias, else the path that it reads, else its function's name."""
    if column.alias:
        return column.alias
    of = column.of
    if isinstance(of, syntax.Name):
        return (of.name,)
    if isinstance(of, syntax.Get) and isinstance(of.base, syntax.Name):
        return (of.base.name, *(step for step in of.steps if isinstance(step, str)))
    if isinstance(of, syntax.Call):
        return (of.name,)
    return ("case",) if isinstance(of, syntax.Case) else (f"column_{number + 1}",)


_EMITTERS: Final[dict[type, Callable[[Emitter, Any], str]]] = {
    syntax.Const: Emitter.const,
    syntax.Name: Emitter.name,
    syntax.Get: Emitter.get,
    syntax.Call: Emitter.call,
    syntax.Negative: Emitter.negative,
    syntax.Arithmetic: Emitter.arithmetic,
    syntax.Compare: Emitter.compare,
    syntax.Logic: Emitter.logic,
    syntax.Not: Emitter.negation,
    syntax.In: Emitter.member,
    syntax.Case: Emitter.case,
    syntax.Array: Emitter.array,
    syntax.Range: Emitter.range,
}
