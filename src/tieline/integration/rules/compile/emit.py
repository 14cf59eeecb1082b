"""From expressions to Python source: a path is read once per block, an operator is inline code or one call.

Names in the source are ours (`v0`, `f_upper`); texts of the rule appear only as literals made by `repr`.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Sequence
from typing import Any, Final

from tieline.integration.messages.topics import filter_fault, matcher
from tieline.integration.rules.compile.paths import ARITHMETIC, COMPARE, Paths, output_path
from tieline.integration.rules.compile.varying import Varying
from tieline.integration.rules.functions import LIBRARY
from tieline.integration.rules.syntax import syntax
from tieline.integration.rules.values import values

_PYTHON: Final = {"=": "==", "!=": "!=", "<": "<", ">": ">", "<=": "<=", ">=": ">="}
NESTED: Final = 10  # calls inside calls for a chain of + - * /; a longer one is a loop, as Python's parser has limits
BRANCHES: Final = 50  # of a CASE that are conditional expressions inside one another
_BOOLEAN: Final = (syntax.Compare, syntax.Logic, syntax.Not, syntax.In)


#: What is worked out once before the loop of a FOREACH where it does not name the element; the rest costs nothing.
_COSTLY: Final = (syntax.Call, syntax.Arithmetic, syntax.Case, syntax.In, syntax.Array, syntax.Range, syntax.Compare)


class Emitter(Paths):
    """Writes the expressions of a rule."""

    @functools.cached_property
    def varying(self) -> Varying:
        """What differs between the elements of a FOREACH."""
        return Varying(self)

    def differs(self, number: int) -> bool:
        return self.varying.column(number)

    def gives_missing(self, call: syntax.Call) -> bool:
        known = LIBRARY.get(call.name)
        return known is not None and known.unsettled

    def value(self, node: syntax.Expression, telling: bool = False) -> str:
        """Python source that gives the value of an expression; `telling` makes it MISSING where it is missing."""
        before, self.telling = self.telling, telling
        if self.place >= 0 and not self.lazy and isinstance(node, _COSTLY) and not self.varying.expression(node):
            variable = self.fresh()
            self.later(variable)
            with self.lazily():
                source = _EMITTERS[type(node)](self, node)
            source = f"({variable} if {variable} is not LATER else ({variable} := {source}))"
        else:
            source = _EMITTERS[type(node)](self, node)
        self.telling = before
        return source

    def truth(self, node: syntax.Expression) -> str:
        """Python source that is true exactly where the expression is true, not merely something."""
        if isinstance(node, syntax.Const):
            return repr(node.value is True)
        source = self.value(node)
        return source if isinstance(node, _BOOLEAN) else f"({source} is True)"

    def row(self, nodes: Sequence[syntax.Expression], telling: bool = False) -> str:
        return "(" + "".join(f"{self.value(node, telling)}, " for node in nodes) + ")"

    def const(self, node: syntax.Const) -> str:
        return repr(node.value)

    def name(self, node: syntax.Name) -> str:
        return self.path(node, (node.name,))

    def get(self, node: syntax.Get) -> str:
        keys: list[str] = [node.base.name] if isinstance(node.base, syntax.Name) else []
        steps, telling = list(node.steps), self.telling
        if keys:
            while steps and isinstance(steps[0], str):
                keys.append(steps.pop(0))  # type: ignore[arg-type]
            self.telling = telling and not steps
            source = self.path(node.base, tuple(keys), indexed=bool(steps))
        else:
            source = self.value(node.base)
        for number, step in enumerate(steps, 1):
            source = self.step(source, step, ", MISSING" if telling and number == len(steps) else "")
        return source

    def step(self, source: str, step: str | syntax.Index | syntax.Slice, missing: str) -> str:
        if isinstance(step, str):
            return f"get({source}, {step!r}{missing})"
        if isinstance(step, syntax.Slice):
            return f"elements({source}, {step.first}, {step.last})"
        return f"element({source}, {self.value(step.of)}{missing})"

    def operands(self, node: syntax.Compare) -> tuple[str, str]:
        """Both sides of a comparison. One that nothing gives, beside one that is there, is a slip, and refused."""
        left, right = self.stranger(node.left), self.stranger(node.right)
        if (left is None) != (right is None):
            self.refuse(left or right, "this is never true")
        return self.value(node.left), self.value(node.right)

    def stranger(self, node: syntax.Expression) -> syntax.Name | None:
        """The name, where this is one that nothing gives, or what is inside it."""
        name = node.base if isinstance(node, syntax.Get) else node
        if not isinstance(name, syntax.Name) or name.name in self.fields or name.name in self.items:
            return None
        known = (output_path(column, number)[0] for number, column in enumerate(self.aliases[: self.visible]))
        return None if name.name in known else name

    def refuse(self, name: syntax.Name | None, why: str) -> None:
        """Raises RuleError for a name that nothing gives, where there is one."""
        if name is None:
            return
        self.unknown(name, name.name)  # which may be nearly another one
        hint = "a text stands in 'single quotes'" if self.text[name.at] == '"' else f"JSON is payload.{name.name}"
        raise self.fault(f"no field {name.name!r} in a message, so {why}: {hint}", name, name.name)

    def negative(self, node: syntax.Negative) -> str:
        return f"negative({self.value(node.of)})"

    def arithmetic(self, node: syntax.Arithmetic) -> str:
        chain: list[syntax.Arithmetic] = []
        first: syntax.Expression = node
        while isinstance(first, syntax.Arithmetic):
            chain.append(first)
            first = first.left
        self.makers += len(chain)
        source, rest = self.value(first), [(ARITHMETIC[one.operator], self.value(one.right)) for one in reversed(chain)]
        if len(rest) > NESTED:
            return f"in_turn({source}, ({''.join(f'({name}, {right}), ' for name, right in rest)}))"
        for name, right in rest:
            source = f"{name}({source}, {right})"
        return source

    def compare(self, node: syntax.Compare) -> str:
        if node.operator == "=~":
            return self.topic_match(node)
        left, right = self.operands(node)
        compared = f"{COMPARE[node.operator]}({left}, {right})"
        if isinstance(node.right, syntax.Const) and left.isidentifier():
            name = type(node.right.value).__name__
            alike = "in NUMBERS" if type(node.right.value) in values.NUMBERS else f"is {name}"
            return f"({left} {_PYTHON[node.operator]} {right} if {left}.__class__ {alike} else {compared})"
        return compared

    def topic_match(self, node: syntax.Compare) -> str:
        left, right = self.operands(node)
        if not isinstance(node.right, syntax.Const):
            return f"topic_matches({left}, {right})"
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
        self.refuse(self.stranger(node.needle), "this is never true")
        needle = self.value(node.needle)
        constants = [candidate.value for candidate in node.candidates if isinstance(candidate, syntax.Const)]
        if len(constants) < len(node.candidates) or not needle.isidentifier():
            return f"one_of({needle}, {self.row(node.candidates)})"
        by_kind: dict[type, set[Any]] = {}
        for value in constants:
            by_kind.setdefault(type(value), set()).add(value)
            if isinstance(value, str):
                by_kind.setdefault(bytes, set()).add(value.encode())
        return f"({needle} in {self.constant(by_kind)}.get({needle}.__class__, ()))"

    def case(self, node: syntax.Case) -> str:
        telling = self.telling
        last = ("MISSING" if telling else "None") if node.otherwise is None else self.value(node.otherwise, telling)
        subject = None if node.subject is None else self.value(node.subject)
        if subject is not None and not subject.isidentifier():
            subject = self.assign(subject)
        branches = []
        for condition, result in node.branches:
            test = self.truth(condition) if subject is None else f"chosen({subject}, {self.value(condition)})"
            branches.append((test, self.value(result, telling)))
        if len(branches) > BRANCHES:  # one level of an `or` each for the parser, as a list is always true
            return f"({' or '.join(f'{test} and [{result}]' for test, result in branches)} or [{last}])[0]"
        return f"({''.join(f'{result} if {test} else ' for test, result in branches)}{last})"

    def array(self, node: syntax.Array) -> str:
        telling = self.telling  # of its elements, not of those of an array inside it
        items = (self.value(item, telling and not isinstance(item, syntax.Array)) for item in node.items)
        source = "[" + ", ".join(items) + "]"
        if all(isinstance(item, syntax.Const) for item in node.items):
            return source
        self.makers += 1
        return f"grown({source})"

    def range(self, node: syntax.Range) -> str:
        return f"[*range({node.first}, {node.last + 1})]"

    def prefix(self, node: syntax.Call) -> str:
        """`m` for a function whose result counts always: in the loop of a FOREACH each element may take all of
        something that is not its own.
        """
        if self.place < 0 or self.lazy:
            return "f"
        own = [isinstance(one, syntax.Const) or self.varying.expression(one) for one in node.arguments]
        return "f" if all(own) else "m"

    def call(self, node: syntax.Call) -> str:
        known = LIBRARY.get(node.name)
        if known is None:
            near = difflib.get_close_matches(node.name, LIBRARY, 1, 0.7)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise self.fault(f"no function {node.name}(){hint}", node, node.name)
        if not known.takes(len(node.arguments)):
            raise self.fault(f"{node.name}() takes {known.arguments}, not {len(node.arguments)}", node, node.name)
        self.makers += 1
        self.functions[node.name] = known.run
        arguments = [syntax.Name(node.at, known.field), *node.arguments] if known.field else node.arguments
        source = f"{self.prefix(node)}_{node.name}{self.row(arguments, known.telling)}"
        return f"settle({source})" if known.unsettled and not self.telling else source


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
