"""ClickHouse over HTTP: each batch one INSERT whose rows go as data, apart from the statement.

Values are literals of the VALUES format, their quotes and backslashes escaped, so that none ends its text. A batch is
one block: it is in as a whole, or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Final, Literal

from tieline.integration.rules.errors import TemplateError
from tieline.integration.rules.template import Path, lookup
from tieline.integration.rules.values import UNDEFINED, as_text
from tieline.integration.sinks.failures import Hop, Rejected, Unavailable
from tieline.integration.sinks.http_client import HttpClient, shown
from tieline.integration.sinks.kind import Action, Kind, Resource, Secret, label
from tieline.integration.sinks.mysql_statement import Statement, statement
from tieline.integration.sinks.sql import Sql

_CODE: Final = re.compile(r"Code: (\d+)")
_ROW: Final = re.compile(r"at row (\d+)\)")
#: By ClickHouse's error codes (ErrorCodes.cpp): the hop, and what helps. Those of rows stand below.
_ANSWERS: Final[dict[int, tuple[Hop, str]]] = {
    **dict.fromkeys((192, 193, 194, 516), ("login", "check the user name and the password")),
    81: ("database", "create the database, or correct its name"),
    291: ("database", "grant the user access to the database"),
    **dict.fromkeys((159, 202, 241, 242, 252, 319, 999), ("database", "the server is busy; it is tried again")),
    243: ("database", "the disk is full: free space; writing goes on by itself"),
    60: ("statement", "create the table, or correct its name"),
    16: ("statement", "add the column, or correct its name"),
    164: ("statement", "the user may only read"),
    497: ("statement", "grant the user INSERT on the table"),
}
_OF_ROWS: Final = frozenset({6, 26, 27, 33, 38, 41, 53, 69, 70, 72, 117, 131, 321, 349, 376, 441, 467, 636, 675, 676})
NO_DATA: Final = 108  # what some versions say of an INSERT without rows that is right otherwise
_NUMBERS: Final = frozenset({int, float})


class ClickHouse(Resource, frozen=True, kw_only=True, tag="clickhouse"):
    """A ClickHouse server, by its HTTP interface."""

    ADDRESS: ClassVar[str] = "url"
    FORM: ClassVar[Literal["server", "servers", "url"]] = "url"

    url: Annotated[str, label("URL, such as http://host:8123")]
    database: str
    username: str = "default"
    password: Secret = ""
    pool_size: Annotated[int, label("Connection pool size")] = 8
    connect_timeout: Annotated[float, label("Connect timeout (seconds)")] = 15.0

    @property
    def tls(self) -> bool:
        return self.url.lower().startswith("https://")


def insert(template: str) -> Statement:
    """The INSERT of one row; raises TemplateError."""
    found = statement(template)
    if not found.row or found.tail.strip():
        raise TemplateError("ClickHouse takes insert into table(columns) values (…) of one row, and nothing behind it")
    return found


def _paths(action: Sql) -> tuple[Path, ...]:
    return insert(action.sql).paths


class ClickHouseSink:
    """The server and its connections."""

    def __init__(self, resource: ClickHouse) -> None:
        self.resource = resource
        self.client = HttpClient(resource, resource.url, resource.pool_size)

    def writer(self, action: Action) -> ClickHouseWriter:
        if not isinstance(action, Sql):
            raise TemplateError(f"{type(action).__name__} cannot write to ClickHouse")
        return ClickHouseWriter(self, action)

    async def check(self, actions: Sequence[Action]) -> None:
        writers = [self.writer(action) for action in actions]
        await self.ask("select 1")
        for writer in writers:
            await self.ask(writer.head)  # an INSERT without rows: the server looks at table, columns and rights

    async def ask(self, query: str, data: bytes = b"") -> None:
        """Run a statement with its rows; raises Unavailable or Rejected."""
        resource = self.resource
        asked = {"database": resource.database, "query": query}
        headers = {"X-ClickHouse-User": resource.username, "X-ClickHouse-Key": resource.password}
        try:
            status, text = await self.client.request("post", "/", data, headers, params=asked)
        except ValueError as error:
            raise Unavailable("address", str(error), "write http:// or https://, host and port", str(error)) from error
        if status >= 300 and not (not data and _code(text) == NO_DATA):
            raise _judged(status, text)

    async def close(self) -> None:
        await self.client.close()


def _code(text: str) -> int:
    found = _CODE.search(text)
    return int(found[1]) if found else 0


def _judged(status: int, text: str) -> Unavailable | Rejected:
    """What an answer other than 2xx means."""
    code, said = _code(text), shown(status, text)
    message = " ".join(text.split()).removesuffix(", e.what() = DB::Exception") or said
    if code in _ANSWERS:
        hop, hint = _ANSWERS[code]
        return Unavailable(hop, message, hint, said)
    if code in _OF_ROWS:
        row = _ROW.search(text)
        return Rejected(message, {int(row[1]) - 1: message} if row else None)
    if not code:
        return Unavailable("database", f"the server does not answer as ClickHouse does: {said}", "check the URL", said)
    return Unavailable("statement", message, "correct the SQL template", said)


class ClickHouseWriter:
    """One action's statement."""

    def __init__(self, sink: ClickHouseSink, action: Sql) -> None:
        self.sink = sink
        if action.exactly_once:
            raise TemplateError("ClickHouse has no unique columns: it cannot write each message once")
        self.statement = insert(action.sql)
        self.head = self.statement.head.rstrip()
        self._parts = self.statement.row.split("?")
        self._missing = "NULL" if action.undefined_vars_as_null else literal(UNDEFINED, text=True)

    async def write(self, outputs: Sequence[dict[str, Any]]) -> None:
        """Insert a row for each output, or none."""
        rows = ",\n".join(map(self._row, outputs))
        try:
            await self.sink.ask(self.head, rows.encode())
        except Rejected as rejected:
            known = {place: said for place, said in rejected.rows.items() if place < len(outputs)}
            raise Rejected(str(rejected), known) from rejected

    def _row(self, output: dict[str, Any]) -> str:
        parts = [self._parts[0]]
        for keys, quoted, after in zip(self.statement.paths, self.statement.quoted, self._parts[1:], strict=True):
            value = lookup(output, keys)
            parts += (self._missing if value is None else literal(value, quoted), after)
        return "".join(parts)


def literal(value: Any, text: bool) -> str:
    """A value as a literal; `text`: also a number is to be a text."""
    if not text and value.__class__ in _NUMBERS:
        return repr(value)
    if not text and isinstance(value, bool):
        return str(int(value))
    written = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else as_text(value)
    return "'" + written.replace("\\", "\\\\").replace("'", "\\'") + "'"


KIND: Final = Kind(
    label="ClickHouse",
    resource=ClickHouse,
    actions=(Sql,),
    open=ClickHouseSink,
    test="logs in, opens the database and inserts no rows with each statement: tables, columns and rights",
    paths=_paths,
    tried="ClickHouse 18.16",
)
