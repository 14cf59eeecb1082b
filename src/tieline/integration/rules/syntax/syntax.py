"""The syntax tree of a rule: frozen values, each with the offset in the text at which it stands."""

from __future__ import annotations

import enum
from typing import Literal

import msgspec


class Edge(enum.Enum):
    """Where an alias puts a value into an array: before its first element (`[0]`), or behind its last (`[-0]`)."""

    HEAD = 0
    TAIL = -1


#: Where an output has a value: keys, and elements of arrays counted from 1, from the end where negative.
Path = tuple[str | int | Edge, ...]


class Node(msgspec.Struct, frozen=True):
    """Base of every node."""

    at: int


class Const(Node, frozen=True):
    """A number, a text, true or false."""

    value: int | float | str | bool


class Name(Node, frozen=True):
    """A field of the message, an alias, or the item of a FOREACH."""

    name: str


class Index(msgspec.Struct, frozen=True):
    """`[n]`, counted from 1, from the end where negative; no element is 0."""

    of: Expression


class Slice(msgspec.Struct, frozen=True):
    """`[first..last]`, both counted from 1 and included, from the end where negative."""

    first: int
    last: int


class Get(Node, frozen=True):
    """A value inside another: keys as text, elements as Index or Slice."""

    base: Expression
    steps: tuple[str | Index | Slice, ...]


class Call(Node, frozen=True):
    """A function of the library."""

    name: str
    arguments: tuple[Expression, ...]


class Negative(Node, frozen=True):
    """`-x`."""

    of: Expression


class Arithmetic(Node, frozen=True):
    """`+ - * / div mod` of two values."""

    operator: Literal["+", "-", "*", "/", "div", "mod"]
    left: Expression
    right: Expression


class Compare(Node, frozen=True):
    """`= != < > <= >= =~` of two values, `<>` being written `!=` here."""

    operator: Literal["=", "!=", "<", ">", "<=", ">=", "=~"]
    left: Expression
    right: Expression


class Logic(Node, frozen=True):
    """`and` or `or` of two or more terms."""

    operator: Literal["and", "or"]
    terms: tuple[Expression, ...]


class Not(Node, frozen=True):
    """`not x`: true where x is false; not where x is no boolean."""

    of: Expression


class In(Node, frozen=True):
    """`x in (…)`: true where x is exactly one of the list."""

    needle: Expression
    candidates: tuple[Expression, ...]


class Case(Node, frozen=True):
    """`case when … then … else … end`, or with a subject `case x when value then … end`."""

    subject: Expression | None
    branches: tuple[tuple[Expression, Expression], ...]
    otherwise: Expression | None


class Array(Node, frozen=True):
    """`[a, b]`."""

    items: tuple[Expression, ...]


class Range(Node, frozen=True):
    """`[1..3]`, the whole numbers from the first to the last."""

    first: int
    last: int


Expression = Const | Name | Get | Call | Negative | Arithmetic | Compare | Logic | Not | In | Case | Array | Range


class Everything(Node, frozen=True):
    """`*`: every field of the message."""


class Column(Node, frozen=True):
    """One selected value and the path under which the output has it, empty where the rule names none."""

    of: Expression
    alias: Path


class Select(msgspec.Struct, frozen=True):
    """`SELECT columns FROM topics WHERE condition`."""

    columns: tuple[Column | Everything, ...]
    topics: tuple[str, ...]
    where: Expression | None


class Foreach(msgspec.Struct, frozen=True):
    """`FOREACH bindings DO columns INCASE condition FROM topics WHERE condition`; the last binding is the array."""

    bindings: tuple[Column, ...]
    columns: tuple[Column | Everything, ...]
    incase: Expression | None
    topics: tuple[str, ...]
    where: Expression | None


Statement = Select | Foreach
