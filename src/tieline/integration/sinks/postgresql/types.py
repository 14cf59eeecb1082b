"""The types of a statement's parameters: as the server names them, as values are converted, and as they are sent.

A type that `conversion` does not know goes as a text, which the server reads: `$1` becomes `($1::text::app.mood)`. So
every type that has a text form can be written: intervals, ranges, enums, composites, those of extensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from tieline.integration.sinks.sql.conversion import OTHER, TYPES

SYSTEM: Final = "pg_catalog"
#: Each type with its name in SQL; that of a domain's values with its name and schema, and of an array's elements.
_READ: Final = """
with recursive base as (
    select oid as root, oid, typbasetype from pg_type where oid = any($1::oid[])
    union all
    select base.root, pg_type.oid, pg_type.typbasetype from base join pg_type on pg_type.oid = base.typbasetype
)
select root::int8, own.typname, own_schema.nspname, coalesce(item.typname, value.typname) as name,
    coalesce(item_schema.nspname, value_schema.nspname) as schema, item.oid is not null as is_array
from base
join pg_type own on own.oid = root join pg_namespace own_schema on own_schema.oid = own.typnamespace
join pg_type value on value.oid = base.oid join pg_namespace value_schema on value_schema.oid = value.typnamespace
left join pg_type item on item.typarray = value.oid
left join pg_namespace item_schema on item_schema.oid = item.typnamespace
where base.typbasetype = 0
"""


@dataclass(frozen=True)
class Parameter:
    """A parameter of a statement. `oid` is its type on the server, `wire` the type that values are converted to and
    sent as, and `cast` the type that the server reads from the text, in SQL.
    """

    oid: int
    convert: str  # in the table of `conversion`
    wire: str
    cast: str = ""

    def of(self, expression: str) -> str:
        """The value of the parameter, of which the expression is what was sent."""
        return f"({expression}::{self.wire}{f'::{self.cast}' if self.cast else ''})"


async def parameters(connection: Any, types: Sequence[Any]) -> tuple[Parameter, ...]:
    """The parameters that asyncpg describes by these types."""
    strange = sorted({kind.oid for kind in types if not _known(kind.schema, kind.name)})
    found = {row["root"]: row for row in await connection.fetch(_READ, strange)} if strange else {}
    return tuple(
        _strange(kind.oid, found[kind.oid]) if kind.oid in found else Parameter(kind.oid, kind.name, kind.name)
        for kind in types
    )


def _known(schema: str, name: str) -> bool:
    return schema == SYSTEM and name.removesuffix("[]") in TYPES and not name.startswith(OTHER)


def _strange(oid: int, row: Any) -> Parameter:
    """A domain over a known type is sent as that, and everything else as a text."""
    several = "[]" if row["is_array"] else ""
    if _known(row["schema"], row["name"]):
        return Parameter(oid, row["name"] + several, row["name"] + several)
    return Parameter(oid, OTHER + several, "text" + several, f"{_quoted(row['nspname'])}.{_quoted(row['typname'])}")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
