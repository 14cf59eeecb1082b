"""Whether a PostgreSQL server takes writes now, whether a procedure may be called, and what a statement waits for."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from tieline.integration.sinks.base.failures import Unavailable
from tieline.integration.sinks.sql.verbs import function, procedure

_STATE: Final = "select pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'"
#: A function or procedure by its name, where there is one of that name only: whether it may be called, and writes.
_ROUTINE: Final = """
select has_function_privilege(oid, 'execute'), provolatile = 'v' from pg_proc where oid = to_regproc($1)
"""
#: Whether this user may add a column with an index to a table, and what it is (pg_class.relkind).
_ALTERABLE: Final = """
select pg_has_role(relowner, 'usage') and has_schema_privilege(relnamespace, 'create'), relkind = 'r'
from pg_class where oid = to_regclass($1)
"""
#: A call of nextval in a plan: an identity column's numbers, which need no right, are shown without the type.
_NEXTVAL: Final = re.compile(r"nextval\('((?:[^']|'')+)'::regclass\)")
_WAITS: Final = """
select pid, coalesce(usename::text, ''), application_name from pg_stat_activity where pid = any(pg_blocking_pids($1))
"""


async def takes_writes(connection: Any) -> None:
    """Raises Unavailable for a standby, and where transactions only read."""
    standby, reading = await connection.fetchrow(_STATE)
    if standby:
        hint = "use the primary's address"
        raise Unavailable("database", "the server is a read-only standby", hint, "pg_is_in_recovery() is true")
    if reading:
        hint = "set default_transaction_read_only to off for this user and database, or use the primary's address"
        raise Unavailable("database", "transactions only read here", hint, "transaction_read_only is on")


async def callable_by(connection: Any, sql: str) -> bool:
    """Whether a statement calls a procedure, or is `select f(…)`, which this user may call and which may write; raises
    Unavailable where not. False for every other statement, and a function is still to be planned.
    """
    called, asked = procedure(sql), function(sql)
    row = await connection.fetchrow(_ROUTINE, called or asked) if called or asked else None
    if row is None:  # no call, or several of that name: which one it is, the server knew when it prepared it
        return bool(called)
    allowed, writes = row
    if not allowed:
        cause = f"no EXECUTE on {called or asked}"
        raise Unavailable("statement", f"this user may not call {called or asked}", "grant EXECUTE on it", cause)
    if asked and not writes:
        hint = "write insert, update, delete, merge or call, or select a function that is volatile"
        raise Unavailable("statement", f"{asked} only reads", hint, f"{asked} is not volatile")
    return bool(called)


async def alterable(connection: Any, table: str, column: str) -> None:
    """Raises Unavailable where this user could not add a unique column to the table."""
    row = await connection.fetchrow(_ALTERABLE, table)
    if row is None:  # the statement itself says what is wrong
        return
    owned, plain = row
    if owned and plain:
        return
    said = f"this user does not own {table}" if plain else f"{table} is no table that could have a unique index of it"
    hint = f"add the column {column} text with a unique index, and grant INSERT and SELECT of it"
    raise Unavailable("statement", f"{column} cannot be added: {said}", hint, said)


async def numbered(connection: Any, plan: Any) -> None:
    """Raises Unavailable where a plan takes numbers of a sequence that this user may not use: a column's default does,
    and EXPLAIN does not say so.
    """
    for written in set(_NEXTVAL.findall(json.dumps(plan, ensure_ascii=False))):
        sequence = json.loads(f'"{written}"').replace("''", "'")
        allowed = "select has_sequence_privilege($1::text::regclass, 'usage, update')"
        if not await connection.fetchval(allowed, sequence):
            said = f"permission denied for sequence {sequence}"
            raise Unavailable("statement", said, f"grant USAGE on sequence {sequence} to this user", said)


async def waits(connection: Any, process: int) -> Unavailable | None:
    """What a server process waits for, where others hold a lock that it needs."""
    rows = await connection.fetch(_WAITS, process)
    if not rows:
        return None
    others = ", ".join(f"process {pid} of {user} {application}".rstrip() for pid, user, application in rows)
    hint = "end what holds the lock (pg_stat_activity, pg_terminate_backend); what waits is written then"
    return Unavailable("database", f"another session has locked the table: {others}", hint, f"waits for {others}")
