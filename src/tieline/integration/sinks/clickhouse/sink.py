"""ClickHouse over HTTP: each batch one INSERT whose rows go as data, apart from the statement.

Values are literals of the VALUES format, their quotes and backslashes escaped, so that none ends its text. A batch is
one block: it is in as a whole, or not at all.

A literal is made for the type of its column (see clickhouse_values), which is asked before each write: 0.6 ms of the 35
that a batch of 1,000 rows takes. ClickHouse has no transactions, so that an ALTER in these 0.6 ms is not seen.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Final
from typing import Literal as OneOf

from tieline.integration.rules.compile.template import Path, lookup
from tieline.integration.rules.values.errors import TemplateError
from tieline.integration.rules.values.values import UNDEFINED
from tieline.integration.sinks.base.failures import Came, Hop, Rejected, Unavailable
from tieline.integration.sinks.base.kind import Action, Kind, Resource, Secret, label
from tieline.integration.sinks.clickhouse.values import Literal, literal, literal_of
from tieline.integration.sinks.http.client import HttpClient, shown
from tieline.integration.sinks.mysql.columns import target
from tieline.integration.sinks.mysql.statement import Statement, between, statement
from tieline.integration.sinks.sql.sql import Sql, converted

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
#: What fewer rows may do in: time, and memory.
_CAME: Final[dict[int, Came]] = {159: "silence", 241: "silence"}
_OF_ROWS: Final = frozenset({6, 26, 27, 33, 38, 41, 53, 69, 70, 72, 117, 131, 321, 349, 376, 441, 467, 636, 675, 676})
NO_DATA: Final = 108  # what some versions say of an INSERT without rows that is right otherwise


class ClickHouse(Resource, frozen=True, kw_only=True, tag="clickhouse"):
    """A ClickHouse server, by its HTTP interface."""

    ADDRESS: ClassVar[str] = "url"
    FORM: ClassVar[OneOf["server", "servers", "url"]] = "url"

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
            await writer.learn()
            await self.ask(writer.head)  # an INSERT without rows: the server looks at table, columns and rights

    async def ask(self, query: str, data: bytes = b"") -> str:
        """Run a statement with its rows, and return what is answered; raises Unavailable or Rejected."""
        resource = self.resource
        asked = {"database": resource.database, "query": query}
        headers = {"X-ClickHouse-User": resource.username, "X-ClickHouse-Key": resource.password}
        try:
            status, text = await self.client.request("post", "/", data, headers, params=asked)
        except ValueError as error:
            raise Unavailable("address", str(error), "write http:// or https://, host and port", str(error)) from error
        if status >= 300 and not (not data and _code(text) == NO_DATA):
            raise _judged(status, text)
        return text

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
        return Unavailable(hop, message, hint, said, came=_CAME.get(code, "answer" if hop == "statement" else "away"))
    if code in _OF_ROWS:
        row = _ROW.search(text)
        return Rejected(message, {int(row[1]) - 1: message} if row else None)
    if not code:
        told = f"the server does not answer as ClickHouse does: {said}"
        return Unavailable("database", told, "check the URL", said, came="answer")
    return Unavailable("statement", message, "correct the SQL template", said, came="answer")


class ClickHouseWriter:
    """One action's statement."""

    def __init__(self, sink: ClickHouseSink, action: Sql) -> None:
        self.sink = sink
        if action.exactly_once:
            raise TemplateError("ClickHouse has no unique columns: it cannot write each message once")
        self.statement = insert(action.sql)
        self.head = self.statement.head.rstrip()
        self._parts = between(self.statement.row)
        self._target = target(self.statement)
        self._described = ""  # by the server, when it was last asked
        self._literals: list[Literal | None] = [None] * len(self.statement.paths)
        self._missing = "NULL" if action.undefined_vars_as_null else literal(UNDEFINED, text=True)

    async def write(self, outputs: Sequence[dict[str, Any]]) -> None:
        """Insert a row for each output, or none."""
        await self.learn()
        rows = ",\n".join(converted(outputs, lambda some: list(map(self._row, some))))
        try:
            await self.sink.ask(self.head, rows.encode("utf-8", "surrogateescape"))
        except Rejected as rejected:
            known = {place: said for place, said in rejected.rows.items() if place < len(outputs)}
            raise Rejected(str(rejected), known) from rejected

    async def learn(self) -> None:
        """Make literals for the columns as they are now."""
        if self._target is None:
            return
        described = await self.sink.ask(f"describe table {self._target.table}")
        if described == self._described:
            return
        self._described = described
        rows = [line.split("\t") for line in described.splitlines()]
        types = {unescaped(row[0]): unescaped(row[1]) for row in rows if row[2:3] not in (["MATERIALIZED"], ["ALIAS"])}
        names = [name.strip("`") for name in self._target.columns] or list(types)
        literals: list[Literal | None] = [None] * len(self.statement.paths)
        for column, field in self._target.places:
            if column < len(names) and names[column] in types:
                literals[field] = literal_of(types[names[column]])
        self._literals = literals

    def _row(self, output: dict[str, Any]) -> str:
        parts, fields = [self._parts[0]], zip(self.statement.paths, self.statement.quoted, self._literals, strict=True)
        for (keys, text, write), after in zip(fields, self._parts[1:], strict=True):
            value = lookup(output, keys)
            if value is None:
                parts += (self._missing, after)
            else:
                parts += (write(value) if write is not None else literal(value, text), after)
        return "".join(parts)


_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "t": "\t", "b": "\b", "f": "\f", "r": "\r", "0": "\0"}


def unescaped(text: str) -> str:
    """A value of a TabSeparated answer."""
    return _ESCAPED.sub(lambda found: _ESCAPES.get(found[1], found[1]), text)


KIND: Final = Kind(
    label="ClickHouse",
    resource=ClickHouse,
    actions=(Sql,),
    open=ClickHouseSink,
    test="logs in, opens the database and inserts no rows with each statement: tables, columns and rights",
    paths=_paths,
    tried="ClickHouse 18.16",
)
