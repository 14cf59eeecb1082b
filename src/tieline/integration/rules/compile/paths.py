"""From the paths of a rule to Python source that reads them: a path is read once per block, and kept in a variable."""

from __future__ import annotations

import contextlib
import difflib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any, Final

from tieline.integration.messages import events, json_text
from tieline.integration.messages import message as messages
from tieline.integration.rules.syntax import syntax
from tieline.integration.rules.values import bounds, comparison, texts, values
from tieline.integration.rules.values.errors import RuleError, RuleFailure

ARITHMETIC: Final = {
    "+": "add",
    "-": "subtract",
    "*": "multiply",
    "/": "divide",
    "div": "quotient",
    "mod": "remainder",
}
COMPARE: Final = {"=": "equal", "!=": "unequal", "<": "less", ">": "greater", "<=": "at_most", ">=": "at_least"}
HELPERS: Final[dict[str, Any]] = {
    "add": texts.add,
    "in_turn": texts.in_turn,
    "grown": bounds.grown,
    **{name: getattr(values, name) for name in ("subtract", "multiply", "divide", "quotient", "remainder", "negative")},
    **{name: getattr(values, name) for name in ("get", "element", "elements", "settle", "MISSING", "NUMBERS")},
    **{name: getattr(comparison, name) for name in (*COMPARE.values(), "one_of", "chosen", "topic_matches")},
}
#: What can be missing rather than NULL.
_TELLING: Final = (syntax.Name, syntax.Get, syntax.Call, syntax.Case, syntax.Array)

Columns = defaultdict[syntax.Path, list[tuple[int, syntax.Path]]]  # with their numbers
NEAR: Final = 100  # names among which the one that was meant is looked for
LATER: Final = object()  # in the place of a value that no element has needed yet


def not_json(message: messages.Message) -> RuleFailure:
    """The failure of a rule that selects from a payload that is not JSON."""
    return RuleFailure(f"the payload on {message.topic} is not JSON, so it has no fields to select")


class Paths:
    """Collects the lines of one function, and the objects that they name; reads what the rule's paths name."""

    def __init__(self, text: str, topics: Sequence[str]) -> None:
        self.text = text
        self.events = events.reads_events(topics)
        plain = () if self.events and all(topic in events.EVENTS for topic in topics) else tuple(messages.FIELDS)
        self.fields = tuple(dict.fromkeys((*plain, *events.fields(topics))))  # that a rule on these topics can name
        self.names: dict[str, Any] = dict(HELPERS)
        self.names |= {"UNREAD": messages.UNREAD, "NOT_JSON": messages.NOT_JSON, "not_json": not_json}
        self.names |= {"LATER": LATER}
        self.names |= {"decode": json_text.decode, "NO_JSON": json_text.NOT_JSON}
        self.lines: list[str] = []
        self.indent = 3
        self.loaded: dict[tuple[str, ...], str] = {}  # the variable that holds a path in the present block
        self.aliases: list[syntax.Column] = []
        self.visible = 0  # so many aliases can be named
        self.items: dict[str, str] = {}  # names that are variables: the element of a FOREACH, and what is beside it
        self.item = ""  # the name of the element
        self.place = -1  # where lines before the loop of a FOREACH go, while its body is written
        self.outside = False  # whether the present lines go there
        self.lazy = False  # whether the present variables are worked out once for all elements
        self.strict = False  # whether a payload that is not JSON fails the rule
        self.telling = False  # whether who gets the present value tells what is missing from JSON's null
        self.makers = 0  # places at which something new is made
        self.functions: dict[str, Callable[..., Any]] = {}  # of the library, by name
        self._at: Columns = defaultdict(list)  # of `aliases`, by their path
        self._below: Columns = defaultdict(list)  # likewise, by each beginning of their path
        self._index_of: list[syntax.Column] = []
        self._strict_done = False
        self._count = 0

    def line(self, source: str) -> None:
        """One more line of the function."""
        if self.outside:
            self.lines.insert(self.place, "    " * (self.indent - 1) + source)
            self.place += 1
        else:
            self.lines.append("    " * self.indent + source)

    @contextlib.contextmanager
    def before_the_loop(self, wanted: bool = True) -> Iterator[None]:
        """Lines within go before the loop whose body is written, if any is: they are run once for a message."""
        outside, self.outside = self.outside, self.outside or (wanted and self.place >= 0)
        yield
        self.outside = outside

    def fresh(self) -> str:
        """A variable that nothing uses yet."""
        self._count += 1
        return f"v{self._count}"

    def assign(self, source: str) -> str:
        """A new variable with this value."""
        variable = self.fresh()
        if self.lazy and not self.outside:
            self.later(variable)
            self.line(f"if {variable} is LATER: {variable} = {source}")
        else:
            self.line(f"{variable} = {source}")
        return variable

    def later(self, variable: str) -> None:
        """Begin a variable that the first element of a FOREACH gives its value that needs it."""
        with self.before_the_loop():
            self.line(f"{variable} = LATER")

    @contextlib.contextmanager
    def lazily(self, wanted: bool = True) -> Iterator[None]:
        """Variables made within are worked out once for all elements of a FOREACH, when one needs them."""
        lazy, self.lazy = self.lazy, self.lazy or (wanted and self.place >= 0)
        yield
        self.lazy = lazy

    def differs(self, number: int) -> bool:
        """Whether a column may differ between the elements of a FOREACH."""
        raise NotImplementedError

    def fault(self, message: str, node: syntax.Node, found: str) -> RuleError:
        return RuleError(message, self.text, node.at, found=found)

    def value(self, node: syntax.Expression, telling: bool = False) -> str:
        """Python source that gives the value of an expression; `telling` makes it MISSING where it is missing."""
        raise NotImplementedError

    def path(self, node: syntax.Expression, keys: tuple[str, ...], indexed: bool = False) -> str:
        """The variable for a path of keys; `indexed` says that an element of it is asked for next."""
        for number, alias in self.named(keys):
            if keys[: len(alias)] == alias:
                with self.lazily(self.place >= 0 and not self.differs(number)):
                    return self.renamed(number, keys[len(alias) :])
            if alias[: len(keys)] == keys:
                return self.grown(node, number, keys, alias)
        root = keys[0]
        if root in self.items:
            with self.before_the_loop(root != self.item):
                return self.follow(self.items[root], (f"item {root}",), keys[1:], said=root == self.item)
        if root not in self.fields:
            return self.unknown(node, root)
        with self.before_the_loop():
            if root == "payload" and (len(keys) > 1 or indexed) and not self.events:
                return self.follow(self.document(), ("payload",), keys[1:])
            return self.follow(self.field(root), (root, ""), keys[1:])

    def named(self, keys: syntax.Path) -> Iterator[tuple[int, syntax.Path]]:
        """The visible columns whose path is the beginning of these keys, or begins with them, the latest first."""
        if self._index_of is not self.aliases:
            self._index_of, self._at, self._below = self.aliases, defaultdict(list), defaultdict(list)
            for number, column in enumerate(self.aliases):
                path = output_path(column, number)
                self._at[path].append((number, path))
                for length in range(1, len(path)):
                    self._below[path[:length]].append((number, path))
        found = [one for length in range(1, len(keys) + 1) for one in self._at.get(keys[:length], ())]
        found += self._below.get(keys, ())
        return (
            (number, path) for number, path in sorted(found, key=itemgetter(0), reverse=True) if number < self.visible
        )

    def renamed(self, number: int, rest: tuple[str, ...]) -> str:
        """What is under these keys in the value of an earlier column."""
        if self.telling and not rest and isinstance(self.aliases[number].of, _TELLING):
            return self.told(number)
        return self.follow(self.alias(number), (f"alias {number}",), rest, said=True)

    def told(self, number: int) -> str:
        """The variable with a selected value that is MISSING where it is missing."""
        key = (f"column {number}", "told")
        if key not in self.loaded:
            column, (visible, self.visible) = self.aliases[number], (self.visible, number)
            if isinstance(column.of, syntax.Call) and not self.gives_missing(column.of):
                self.loaded[key] = self.alias(number)
            else:
                source = self.value(column.of, telling=True)
                self.loaded[key] = source if source.isidentifier() else self.assign(source)
            self.visible = visible
        return self.loaded[key]

    def gives_missing(self, call: syntax.Call) -> bool:
        """Whether a function tells what is missing from JSON's null."""
        raise NotImplementedError

    def grown(self, node: syntax.Expression, number: int, keys: tuple[str, ...], alias: syntax.Path) -> str:
        """The value under keys inside which an earlier column was put: with that column, and with those before it."""
        visible, self.visible = self.visible, number
        telling, self.telling = self.telling, False
        try:
            before = self.path(node, keys)
        finally:
            self.visible, self.telling = visible, telling
        return self.assign(f"put({before}, {self.constant(alias[len(keys) :])}, {self.alias(number)})")

    def constant(self, value: Any) -> str:
        """A name for an object that the source needs."""
        name = f"c{len(self.names)}"
        self.names[name] = value
        return name

    def unknown(self, node: syntax.Node, name: str) -> str:
        """A name that nothing gives is NULL, as in EMQX; one that is nearly a field's is a slip, and refused."""
        known = [*self.fields, *self.items, *(str(c.alias[0]) for c in self.aliases[: self.visible] if c.alias)]
        if near := difflib.get_close_matches(name, known[:NEAR], 1, 0.7):
            raise self.fault(
                f"no field {name!r} in a message: did you mean {near[0]}? JSON is payload.{name}", node, name
            )
        return "MISSING" if self.telling else "None"

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
        source = f"m.chosen({self.fields!r})" if self.events else "m.fields()"
        if self.place < 0:
            return source
        with self.before_the_loop():
            return self.load(("all",), source)

    def document(self) -> str:
        """The variable with the decoded payload, which fails the rule where the block is strict."""
        known = ("payload",) in self.loaded
        variable = self.load(("payload",), "m.decoded")
        if not known:
            self.line(f"if {variable} is UNREAD:")
            self.line(f"    try: {variable} = decode(m.payload)")
            self.line(f"    except NO_JSON: {variable} = NOT_JSON")
            self.line(f"    if keep: m.decoded = {variable}")
        if self.strict and not self._strict_done:
            self._strict_done = True
            self.lines.append("    " * self.indent + f"if {variable} is NOT_JSON: raise not_json(m)")
        return variable

    def load(self, key: tuple[str, ...], source: str) -> str:
        """The variable that holds what is read by this source, read once per block."""
        if key not in self.loaded:
            self.loaded[key] = self.assign(source)
        return self.loaded[key]

    def follow(self, variable: str, key: tuple[str, ...], rest: tuple[str, ...], said: bool = False) -> str:
        """The variable with the value under these keys; with `said` NULL is JSON's null where there are no keys."""
        if self.telling and not rest and not said:
            return f"(MISSING if {variable} is None else {variable})"
        for number, step in enumerate(rest, 1):
            key, missing = (*key, step), ", MISSING" if self.telling and number == len(rest) else ""
            if not variable.isidentifier():
                variable = self.load((*key, "of"), variable)
            source = f"{variable}.get({step!r}{missing}) if {variable}.__class__ is dict"
            source += f" else get({variable}, {step!r}{missing})"
            variable = self.load((*key, missing) if missing else key, source)
        return variable

    def alias(self, number: int) -> str:
        """The variable with a selected value, computed where it is first needed."""
        key = (f"column {number}",)
        if key not in self.loaded:
            column, (visible, self.visible) = self.aliases[number], (self.visible, number)
            telling = isinstance(column.of, syntax.Call) and self.gives_missing(column.of)
            with self.lazily(self.place >= 0 and not self.differs(number)):
                source = self.value(column.of, telling=telling)
                source = source if source.isidentifier() else self.assign(source)
                if telling:  # it is asked once: it may keep something, or differ at each call
                    self.loaded[(*key, "told")] = source
                    source = self.assign(f"settle({source})")
            self.visible = visible
            self.loaded[key] = source
        return self.loaded[key]


def output_path(column: syntax.Column, number: int) -> syntax.Path:
    """The keys and places that a column has in the output: its alias, else the path that it reads, else its function's
    name.
    """
    if column.alias:
        return column.alias
    of = column.of
    if isinstance(of, syntax.Name):
        return (of.name,)
    if isinstance(of, syntax.Get) and isinstance(of.base, syntax.Name):
        return (of.base.name, *_read(of.steps))
    if isinstance(of, syntax.Call):
        return (of.name,)
    return ("case",) if isinstance(of, syntax.Case) else (f"column_{number + 1}",)


def _read(steps: Sequence[str | syntax.Index | syntax.Slice]) -> Iterator[str | int]:
    """The steps that the place of a path's value has in the output: keys, and the elements that a constant names."""
    for step in steps:
        if isinstance(step, str):
            yield step
        elif isinstance(step, syntax.Index) and isinstance(step.of, syntax.Const) and isinstance(step.of.value, int):
            yield step.of.value
