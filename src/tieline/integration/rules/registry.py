"""How a function of the library is declared: its name, what it does, and an example that is run as a test."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from tieline.integration.rules.values.errors import Unfit
from tieline.integration.rules.values.values import kind, opened

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Example:
    """A call and what it gives; `result` is an expression too, None where the result differs each time."""

    call: str
    result: str | None


@dataclass(frozen=True)
class Function:
    """One function: `least` to `most` arguments (most None: any number).

    A function that tells gets MISSING for what is missing and NULL for JSON's null, where the others get NULL for both.
    One with a field gets that field of the message before its arguments. `unsettled` is one that gives MISSING, or
    bits.
    """

    name: str
    group: str
    doc: str
    run: Any  # a Python function
    least: int
    most: int | None
    examples: tuple[Example, ...]
    telling: bool = False
    unsettled: bool = False
    field: str = ""

    def takes(self, count: int) -> bool:
        """Whether it can be called with so many arguments."""
        return count >= self.least and (self.most is None or count <= self.most)

    @property
    def arguments(self) -> str:
        """How many arguments it takes, in words."""
        if self.most is None:
            return f"{self.least} or more arguments"
        counts = [str(n) for n in range(self.least, self.most + 1)]
        return f"{' or '.join(counts)} argument{'' if counts == ['1'] else 's'}" if self.most else "no argument"


LIBRARY: dict[str, Function] = {}


def function(
    group: str,
    *examples: tuple[str, str | None],
    name: str = "",
    telling: bool = False,
    unsettled: bool = False,
    field: str = "",
) -> Callable[[F], F]:
    """Put the decorated Python function into the library; its docstring is its documentation."""

    def declare(run: F) -> F:
        key = name or run.__name__.rstrip("_")
        parameters = list(inspect.signature(run).parameters.values())
        fixed = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        own = 1 if field else 0  # the message's field, which no rule writes
        least = sum(p.default is p.empty for p in fixed) - own
        most = None if any(p.kind is p.VAR_POSITIONAL for p in parameters) else len(fixed) - own
        doc = inspect.cleandoc(run.__doc__ or "")
        shown = tuple(Example(*example) for example in examples)
        LIBRARY[key] = Function(key, group, doc, run, least, most, shown, telling, unsettled, field)
        return run

    return declare


def text(value: Any) -> str:
    """The argument as a text; raises Unfit for anything else."""
    if not isinstance(value, str):
        raise Unfit(f"a text is needed, not {kind(value)}")
    return value


def subject(value: Any) -> str:
    """The argument as a text, a boolean being its word, as in EMQX; raises Unfit for anything else."""
    if value.__class__ is bool:
        return "true" if value else "false"
    return text(value)


def number(value: Any) -> Any:
    """The argument as a number; raises Unfit for anything else."""
    if value.__class__ is not int and value.__class__ is not float:
        raise Unfit(f"a number is needed, not {kind(value)}")
    return value


def whole(value: Any) -> int:
    """The argument as a whole number; raises Unfit for anything else."""
    if type(value) is not int:
        raise Unfit(f"a whole number is needed, not {value!r}" if value is not None else "a whole number is needed")
    return value


def array(value: Any) -> list[Any]:
    """The argument as an array; raises Unfit for anything else."""
    if not isinstance(value, list):
        raise Unfit(f"an array is needed, not {kind(value)}")
    return value


def mapping(value: Any) -> dict[str, Any]:
    """The argument as a map, a text of JSON being what it holds; raises Unfit for anything else."""
    if isinstance(value, (str, bytes)) and isinstance(held := opened(value), dict):
        return held
    if not isinstance(value, dict):
        raise Unfit(f"a map is needed, not {kind(value)}")
    return value


def octets(value: Any) -> bytes:
    """The argument as bytes, a text being its UTF-8 bytes; raises Unfit for anything else."""
    if isinstance(value, str):
        return value.encode()
    if not isinstance(value, bytes):
        raise Unfit(f"a text or bytes are needed, not {kind(value)}")
    return value


def readable(data: bytes) -> str | bytes:
    """Bytes as a text where they are UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data
