"""Whether a PostgreSQL server takes writes now, whether a procedure may be called, and what a statement waits for."""

from __future__ import annotations

from typing import Any, Final

from tieline.integration.sinks.base.failures import Unavailable
from tieline.integration.sinks.sql.verbs import function, procedure

_STATE: Final = "select pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'"
#: A function or procedure by its name, where there is one of that name only: whether it may be called, and writes.
_ROUTINE: Final = """
select has_function_privilege(oid, 'execute'), provolatile = 'v' from pg_proc where oid = to_regproc($1)
"""
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


async def waits(connection: Any, process: int) -> Unavailable | None:
    """What a server process waits for, where others hold a lock that it needs."""
    rows = await connection.fetch(_WAITS, process)
    if not rows:
        return None
    others = ", ".join(f"process {pid} of {user} {application}".rstrip() for pid, user, application in rows)
    hint = "end what holds the lock (pg_stat_activity, pg_terminate_backend); what waits is written then"
    return Unavailable("database", f"another session has locked the table: {others}", hint, f"waits for {others}")
