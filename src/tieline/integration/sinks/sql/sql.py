"""The action of every SQL database: one statement, whose fields are parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from tieline.integration.rules.compile.template import Path, sql_template
from tieline.integration.sinks.base.failures import Rejected
from tieline.integration.sinks.base.kind import Action, label
from tieline.integration.sinks.sql.conversion import Misfit
from tieline.integration.sinks.sql.once import once
from tieline.integration.sinks.sql.parentheses import closing
from tieline.integration.sinks.sql.verbs import check_writes

Rows = list[tuple[Any, ...]]
Row = TypeVar("Row")


class Sql(Action, frozen=True, kw_only=True, tag="sql"):
    """Writes each output of the rule with one SQL statement."""

    sql: Annotated[str, label("SQL template", kind="lines")]
    undefined_vars_as_null: Annotated[bool, label("Undefined values are NULL")] = True  # else `undefined` in texts
    #: Adds a unique column for the message's id to the table, so that a row that comes twice is written once.
    exactly_once: Annotated[bool, label("Write each message once")] = False

    def paths(self) -> tuple[Path, ...]:
        check_writes(self.sql)
        if self.exactly_once:
            once(self.sql, closing, "")
        return sql_template(self.sql).paths


def converted(outputs: Sequence[dict[str, Any]], convert: Callable[[Sequence[dict[str, Any]]], list[Row]]) -> list[Row]:
    """The outputs as rows of parameters; raises Rejected naming every output that does not fit."""
    try:
        return convert(outputs)
    except Exception:
        misfits = {}
        for place, output in enumerate(outputs):
            try:
                convert([output])
            except KeyError as missing:
                misfits[place] = f"the row came before the rule selected {missing.args[0]}: replay the letter"
            except Exception as error:
                misfits[place] = str(error) if isinstance(error, Misfit) else f"{type(error).__name__}: {error}"
        raise Rejected("values that the statement's parameters cannot take", misfits) from None
