"""Refuses, when a rule is saved, what can only fail when it runs: it would make a dead letter of every message.

What is constant is worked out. A call with constants among its arguments is tried with other arguments that its
function takes, as its own examples have them; an operator with a value of each kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Final

from tieline.integration.rules.compile.compile import constant
from tieline.integration.rules.compile.paths import ARITHMETIC, COMPARE, HELPERS
from tieline.integration.rules.compile.varying import parts, steady
from tieline.integration.rules.functions import LIBRARY, Function, jq
from tieline.integration.rules.syntax import syntax
from tieline.integration.rules.syntax.build import literal_place
from tieline.integration.rules.syntax.parse import parse
from tieline.integration.rules.values.errors import RuleError, RuleFailure, Unfit

#: A value of each kind, the more likely first; texts that are a number, JSON and a time.
PROBES: Final[tuple[Any, ...]] = (1, "a", 1.5, "1", True, [], {}, "{}", "2022-04-25T16:11:16Z", b"\xff")
MOST: Final = 2000  # expressions that are tried; a rule with more is hardly written by a person
_OPERATORS: Final = (syntax.Arithmetic, syntax.Compare, syntax.Negative)
_KEEPING: Final = ("kv_store_", "proc_dict_")  # functions that do something besides
_UNKNOWN: Final = object()


def refuse_failing(sql: str) -> None:
    """Raises RuleError for an expression that fails for every message, at its place."""
    for number, node in enumerate(_expressions(parse(sql))):
        if number == MOST:
            return
        _refuse(sql, node)


def _expressions(statement: syntax.Statement) -> Iterator[syntax.Expression]:
    """Every call of a statement, and every operation that is always done, what is inside another before it."""
    columns = (*statement.columns, *(statement.bindings if isinstance(statement, syntax.Foreach) else ()))
    waiting = [(one.of, False) for one in columns if isinstance(one, syntax.Column)]
    conditions = (statement.where, statement.incase if isinstance(statement, syntax.Foreach) else None)
    waiting += [(one, False) for one in conditions if one is not None]
    found: list[syntax.Expression] = []
    while waiting:
        node, perhaps = waiting.pop()
        if isinstance(node, syntax.Call) or (isinstance(node, _OPERATORS) and not perhaps):
            found.append(node)
        perhaps = perhaps or isinstance(node, (syntax.Logic, syntax.Case))
        waiting += [(part, perhaps) for part in parts(node)]
    return reversed(found)


def _refuse(sql: str, node: syntax.Expression) -> None:
    try:
        if _constant(node):
            _value(node)
        elif isinstance(node, syntax.Call):
            _try_call(node)
        elif isinstance(node, (syntax.Arithmetic, syntax.Compare)):
            _try_operator(node)
    except RuleFailure as error:
        raise _refused(sql, node, error) from None
    except RecursionError:
        return  # it is said elsewhere how deep a rule may be


def _refused(sql: str, node: syntax.Expression, error: RuleFailure) -> RuleError:
    at = node.at
    if isinstance(node, syntax.Call) and isinstance(error, Unfit):
        for one in node.arguments:
            if isinstance(one, syntax.Const) and one.value == error.text:
                at = literal_place(sql, one.at, error.offset)
    said = str(error)
    if isinstance(node, syntax.Call) and not said.startswith(f"{node.name}()"):
        said = f"{node.name}(): {said}"
    return RuleError(f"this fails for every message: {said}", sql, at, found=getattr(node, "name", ""))


def _constant(node: syntax.Expression) -> bool:
    """Whether a value is the same for every message and at every time."""
    if isinstance(node, (syntax.Name, syntax.Get)):
        return False
    if isinstance(node, syntax.Call):
        known = LIBRARY.get(node.name)
        if known is None or known.field or not steady(known):
            return False
    return all(map(_constant, parts(node)))


def _value(node: syntax.Expression) -> Any:
    """The value of a constant expression; raises RuleFailure."""
    if isinstance(node, syntax.Const):
        return node.value
    return constant(node)


def _known(node: syntax.Expression) -> Any:
    return _value(node) if _constant(node) else _UNKNOWN


def _try_call(node: syntax.Call) -> None:
    """Raises Unfit where its constants do not suit its function, whatever its other arguments are."""
    function = LIBRARY.get(node.name)
    given = [_known(one) for one in node.arguments]
    if function is None or function.field or function.name.startswith(_KEEPING):
        return
    if all(one is _UNKNOWN for one in given):
        return
    if function.name == "jq" and isinstance(given[0], str):
        jq.check(given[0])
        return
    faults = [_fault(function, given, filling) for filling in _fillings(function, len(given))]
    alike = function.most is not None or len({str(fault) for fault in faults}) == 1
    if all(faults) and alike and faults[0] is not None:
        raise faults[0]


def _fillings(function: Function, count: int) -> list[tuple[Any, ...]]:
    """Arguments that do for a function, as its examples have them; what an example does not have is of each kind. One
    with any number of arguments, a format, may say itself what they are.
    """
    if function.most is None:
        return [(probe,) * count for probe in PROBES if not isinstance(probe, bytes)]
    same = [one for one in _examples(function) if len(one) == count]
    longer = [one[:count] for one in _examples(function) if len(one) > count]
    shorter = [(*one, *(probe,) * (count - len(one))) for one in _examples(function) for probe in PROBES]
    return same or longer or shorter or [(probe,) * count for probe in PROBES]


def _fault(function: Function, given: list[Any], filling: tuple[Any, ...]) -> Unfit | None:
    arguments = [other if one is _UNKNOWN else one for one, other in zip(given, filling, strict=True)]
    try:
        function.run(*arguments)
    except Unfit as error:
        return error
    except Exception:
        return None  # it may do for another message
    return None


@cache
def _examples(function: Function) -> list[tuple[Any, ...]]:
    """The arguments with which its own examples call it."""
    found = []
    for example in function.examples:
        for node in _expressions(parse(f'SELECT {example.call} FROM "t"')):
            if isinstance(node, syntax.Call) and node.name == function.name:
                given = [_known(one) for one in node.arguments]
                found.append(tuple(None if one is _UNKNOWN else one for one in given))
    return found


def _try_operator(node: syntax.Arithmetic | syntax.Compare) -> None:
    """Raises RuleFailure where an operator fails with a constant beside every kind of value."""
    names = ARITHMETIC if isinstance(node, syntax.Arithmetic) else COMPARE
    if (name := names.get(node.operator)) is None or _constant(node.left) is _constant(node.right):
        return
    operate: Callable[[Any, Any], Any] = HELPERS[name]
    left, right = _known(node.left), _known(node.right)
    failure = None
    for probe in PROBES:
        try:
            operate(probe if left is _UNKNOWN else left, probe if right is _UNKNOWN else right)
        except RuleFailure as error:
            failure = failure or error
        else:
            return
    assert failure is not None
    raise failure
