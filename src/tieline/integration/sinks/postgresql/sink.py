"""PostgreSQL: each action a statement, each batch one transaction, the fastest way that the statement allows.

Measured with four columns and 1,000 rows a batch on two cores: binary COPY 270,000 rows/s at 0.7 µs of our CPU a row,
`insert … select … from unnest(…)` 160,000 at 2.9 µs, a pipelined `executemany` 80,000 at 2.3 µs. So a plain insert of
fields into a table's columns goes by COPY, an insert of one row with casts and functions by `unnest`, and everything
else (DO UPDATE, procedures) by `executemany`.

Values are converted for the types that the server says. Somebody may alter a column meanwhile, so each write asks again
in its own transaction, whose locks keep the table as it is: behind a COPY, in the same message; before the others, by
describing the statement once more. That costs 0.07 ms a batch. Where the types have changed, rows are converted anew.

Nothing is kept in the server's session, no prepared statement and no setting, and each write is one message sequence
up to its Sync: a pooler (PgBouncer, in each of its modes) may give every write another session.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

from tieline.integration.rules.compile.template import sql_template
from tieline.integration.rules.values.errors import TemplateError
from tieline.integration.sinks.base import tls
from tieline.integration.sinks.base.failures import Rejected, Unavailable
from tieline.integration.sinks.base.kind import Action, Kind, Resource, Secret, driver, label
from tieline.integration.sinks.base.network import address
from tieline.integration.sinks.base.pool import Pool
from tieline.integration.sinks.base.reach import resolved
from tieline.integration.sinks.base.waiting import patient
from tieline.integration.sinks.postgresql.bulk import CHANGED, COPYABLE, copy, each_row, many_rows, plain, unchanged
from tieline.integration.sinks.postgresql.errors import translated
from tieline.integration.sinks.postgresql.state import alterable, callable_by, numbered, takes_writes, waits
from tieline.integration.sinks.postgresql.types import Parameter, parameters
from tieline.integration.sinks.sql.conversion import OTHER, row_converter
from tieline.integration.sinks.sql.once import COLUMN, once
from tieline.integration.sinks.sql.parentheses import closing
from tieline.integration.sinks.sql.sql import Rows, Sql, converted

if TYPE_CHECKING:
    import asyncpg
else:
    asyncpg = driver("asyncpg")

Output = dict[str, Any]
APPLICATION: Final = "tieline"
SOON: Final = 0.8  # of the time that a write has, after which it is asked whether it waits for a lock
STATEMENTS: Final = 256  # of which a connection knows the encoding
ATTEMPTS: Final = 3  # to convert rows for a table that is altered meanwhile
#: A table for COPY: its schema, and the type of its rows in SQL.
_TABLE: Final = f"""
select relnamespace::int8, quote_ident(nspname) || '.' || quote_ident(relname)
from pg_class join pg_namespace on pg_namespace.oid = relnamespace where pg_class.oid = to_regclass($1) and {COPYABLE}
"""

ONCE: Final = f"on conflict ({COLUMN}) do nothing"
#: Whether a unique index has this column of this table, and no other.
_HAS_UNIQUE: Final = f"""
exists (select from pg_index join pg_attribute on attrelid = indrelid and attnum = indkey[0]
where indrelid = to_regclass('{{table}}') and indisunique and indnkeyatts = 1 and indpred is null
and attname = '{COLUMN}')
"""
#: The column and its index, made by one process of those that ask; the server names the index, for a name may be taken.
_MAKE_UNIQUE: Final = f"""
lock table {{table}} in access exclusive mode; alter table {{table}} add column if not exists {COLUMN} text;
do $tieline$ begin
    if not {{there}} then create unique index on {{table}} ({COLUMN}); end if;
end $tieline$
"""


class PostgreSQL(Resource, frozen=True, kw_only=True, tag="postgresql"):
    """A PostgreSQL database, also TimescaleDB."""

    PORT: ClassVar[int] = 5432

    server: str  # host or host:port
    database: str
    username: str
    password: Secret = ""
    pool_size: Annotated[int, label("Connection pool size")] = 8


class Changed(Exception):
    """The server describes the statement in another way than it did."""


@dataclass(frozen=True)
class Plan:
    """How one action's rows are written, for the parameters as the server described them."""

    parameters: tuple[Parameter, ...]
    way: Literal["copy", "many", "each"]
    sql: str
    unchanged: str  # for COPY, the query that fails where the table is another one
    convert: Callable[[Sequence[Output]], Rows] = field(compare=False)

    @property
    def types(self) -> tuple[int, ...]:
        """The parameters' types on the server."""
        return tuple(parameter.oid for parameter in self.parameters)


class PostgreSQLSink:
    """A database and at most `pool_size` connections to it."""

    def __init__(self, resource: PostgreSQL) -> None:
        self.resource = resource
        self._encoders: dict[Any, dict[str, Any]] = {}  # of each connection, by the statement alone
        self._pool: Pool[Any] = Pool(
            resource.pool_size, self._connect, lambda connection: not connection.is_closed(), self._discard
        )
        self.connection = self._pool.connection

    def writer(self, action: Action) -> PostgreSQLWriter:
        if not isinstance(action, Sql):
            raise TemplateError(f"{type(action).__name__} cannot write to PostgreSQL")
        return PostgreSQLWriter(self, action)

    async def check(self, actions: Sequence[Action]) -> None:
        writers = [self.writer(action) for action in actions]
        async with self.connection() as connection:
            try:
                await takes_writes(connection)
            except Exception as error:
                raise translated(error, self.resource.server, connecting=False) from error
            for writer in writers:
                await patient(writer.check(connection), lambda: self.why(connection.get_server_pid()))

    async def why(self, process: int) -> Unavailable | None:
        """What one of our connections waits for, where that is a lock."""
        connection = await self._connect()  # beside the pool, whose connections may all wait
        try:
            return await waits(connection, process)
        finally:
            self._discard(connection)

    async def close(self) -> None:
        self._pool.close()

    def _discard(self, connection: Any) -> None:
        self._encoders.pop(connection, None)
        connection.terminate()

    async def _connect(self) -> Any:
        resource = self.resource
        host, port = address(resource.server, resource.PORT)
        try:
            found = await resolved(host, port)
            connection = await asyncpg.connect(
                host=found,
                port=port,
                user=resource.username,
                password=resource.password,
                database=resource.database,
                ssl=tls.context(resource.ssl, dict.fromkeys(found, host)) or False,
                timeout=resource.connect_timeout,
                command_timeout=resource.write_timeout,
                statement_cache_size=0,  # else it names statements, which stay in a session
                server_settings={"application_name": APPLICATION},
            )
        except Exception as error:
            raise translated(error, resource.server, connecting=True) from error
        self._encoders[connection] = {}
        return connection

    async def encoder(self, connection: Any, sql: str) -> Any:
        """What asyncpg knows of a statement whose types are all said in it; nothing of it stays on the server."""
        known = self._encoders[connection]
        if sql not in known:
            if len(known) >= STATEMENTS:  # of rules that were changed since
                known.clear()
            known[sql] = await connection.prepare(sql, name="")
            await settle(connection)
        return known[sql]


async def settle(connection: Any) -> None:
    """End the transaction that a description has begun, and give its locks back."""
    await connection.execute("select")


class PostgreSQLWriter:
    """One action's statement."""

    def __init__(self, sink: PostgreSQLSink, action: Sql) -> None:
        self.sink = sink
        self._once = once(action.sql, closing, ONCE) if action.exactly_once else None
        self._ready = self._once is None  # whether the table has what it takes to write each message once
        self.statement = sql_template(self._once.sql if self._once else action.sql)
        self._own = sql_template(action.sql)  # which a Test prepares: the column may not be there yet
        self._undefined = not action.undefined_vars_as_null
        self._plan: Plan | None = None  # the writer's own: another action converts in another way

    async def write(self, outputs: Sequence[Output]) -> None:
        """Commit a row for each output or none."""
        async with self.sink.connection() as connection:
            try:
                await self._make_ready(connection)
                process = connection.get_server_pid()
                patience = self.sink.resource.write_timeout * SOON
                await patient(self._write(connection, outputs), lambda: self.sink.why(process), patience)
            except Exception as error:
                self._ready = self._once is None  # another table may have taken the place of the one that was ready
                raise translated(error, self.sink.resource.server, connecting=False) from error

    async def _write(self, connection: Any, outputs: Sequence[Output]) -> None:
        """Write by the plan that is known, and by another where the server describes the statement in another way."""
        for _ in range(ATTEMPTS):
            plan = self._plan = self._plan or await self._planned(connection)
            try:
                await self._execute(connection, plan, converted(outputs, plan.convert))
                return
            except Changed:
                pass
            except Exception as error:
                if not _of_rows(error) or connection.is_closed() or not await self._outdated(connection, plan):
                    raise _told(error) from error
            self._plan = None
        raise Unavailable("statement", "the table is altered again and again", "the write is tried again")

    async def _planned(self, connection: Any) -> Plan:
        """The fastest way that the server allows now."""
        described = await self._described(connection)
        wanted = await parameters(connection, described)
        convert = row_converter([one.convert for one in wanted], self.statement.paths, self._undefined)
        await settle(connection)
        target = plain(self.statement.sql, len(wanted))
        if target is not None and not any(one.convert.startswith(OTHER) for one in wanted):
            table = await connection.fetchrow(_TABLE, target.table)
            if table is not None:
                return Plan(wanted, "copy", copy(target), unchanged(target, table[0], table[1], wanted), convert)
        many = many_rows(self.statement.sql, wanted)
        if many is not None and await self._accepted(connection, many):
            return Plan(wanted, "many", many, "", convert)
        return Plan(wanted, "each", each_row(self.statement.sql, wanted), "", convert)

    async def _accepted(self, connection: Any, sql: str) -> bool:
        """Whether the server takes the statement."""
        try:
            await self.sink.encoder(connection, sql)
        except asyncpg.PostgresError:
            return False
        return True

    async def _described(self, connection: Any) -> Sequence[Any]:
        """The types of the parameters. The transaction that this begins ends with the next statement, or `settle`."""
        described: Sequence[Any] = (await connection.prepare(self.statement.sql, name="")).get_parameters()
        return described

    async def _outdated(self, connection: Any, plan: Plan) -> bool:
        """Whether rows may have been refused because the table is not any more what it was for the plan."""
        try:
            if plan.way == "copy":
                await connection.execute(plan.unchanged)
                return False
            described = await self._described(connection)
            await settle(connection)
        except asyncpg.PostgresError:
            return True
        return tuple(one.oid for one in described) != plan.types

    async def _make_ready(self, connection: Any) -> None:
        """Add the unique column, where it is wanted and not there."""
        if self._once is None or self._ready:
            return
        table = self._once.table
        if not await connection.fetchval(f"select {_HAS_UNIQUE.format(table=table)}"):
            await connection.execute(_MAKE_UNIQUE.format(table=table, there=_HAS_UNIQUE.format(table=table)))
        self._ready = True

    async def _may_be_ready(self, connection: Any, table: str) -> bool:
        """Whether the unique column is there; raises Unavailable where this user could not add it."""
        if await connection.fetchval(f"select {_HAS_UNIQUE.format(table=table)}"):
            return True
        await alterable(connection, table, COLUMN)
        return False

    async def _execute(self, connection: Any, plan: Plan, rows: Rows) -> None:
        """Write the rows in one transaction; raises Changed where they were converted for other types."""
        if plan.way == "copy":
            await self._copy(connection, plan, rows)
            return
        encoder = await self.sink.encoder(connection, plan.sql)
        if tuple(one.oid for one in await self._described(connection)) != plan.types:
            await settle(connection)
            raise Changed
        if plan.way == "many":
            await encoder.fetch(*map(list, zip(*rows, strict=True)))
        else:
            await encoder.executemany(rows)  # one implicit transaction, one round trip

    async def _copy(self, connection: Any, plan: Plan, rows: Rows) -> None:
        """COPY and the check of what it wrote to, in one message: both are done, or none."""
        columns = ", ".join(f"null::{one.wire}" for one in plan.parameters)
        encoder = await self.sink.encoder(connection, f"select {columns}")
        try:
            # copy_records_to_table takes the types from a statement of its own, which it also keeps for ever.
            await connection._protocol.copy_in(
                f"{plan.sql}; {plan.unchanged}", None, None, rows, encoder._state, self.sink.resource.write_timeout
            )
        except asyncpg.PostgresError as error:
            if CHANGED in str(error):
                raise Changed from error
            raise

    async def check(self, connection: Any) -> None:
        """Let the server check the statement, the rights to run it included, without running it."""
        try:
            called = await callable_by(connection, self._own.sql)
            ready = self._once is not None and await self._may_be_ready(connection, self._once.table)
            statement = self.statement if ready else self._own
            prepared = await connection.prepare(statement.sql, name="")
            if called:  # which EXPLAIN does not take
                await settle(connection)
            else:
                await numbered(connection, await prepared.explain(*[None] * len(statement.paths)))
        except Exception as error:
            raise translated(error, self.sink.resource.server, connecting=False) from error


def _of_rows(error: Exception) -> bool:
    """Whether the rows, or what the server takes them for, may be the cause: ValueError and its like are asyncpg's for
    a value that it cannot encode.
    """
    return isinstance(error, (Rejected, asyncpg.PostgresError, ValueError, TypeError, OverflowError))


def _told(error: Exception) -> Exception:
    """The error, as one of the rows where a value could not be encoded."""
    if _of_rows(error) and not isinstance(error, (Rejected, asyncpg.PostgresError)):
        return Rejected(f"{type(error).__name__}: {error}")
    return error


KIND: Final = Kind(
    label="PostgreSQL, TimescaleDB",
    resource=PostgreSQL,
    actions=(Sql,),
    open=PostgreSQLSink,
    test="logs in, opens the database, sees that it takes writes, prepares each statement and has the server plan it: "
    "tables, columns and rights; of a procedure whether it is there and may be called",
    tried="PostgreSQL 15, also behind PgBouncer 1.18 in each of its modes",
)
