"""Whether a MySQL or MariaDB server takes writes now, and what a statement waits for."""

from __future__ import annotations

from typing import Any, Final

from tieline.integration.sinks.base.failures import Unavailable

#: The session's default, by its names in MySQL and MariaDB of several versions.
_SESSION: Final = "show session variables where variable_name in ('tx_read_only', 'transaction_read_only')"
_WAITS: Final = "select state from information_schema.processlist where id = %s and state like 'Waiting for %%lock%%'"


async def takes_writes(connection: Any) -> None:
    """Raises Unavailable for transactions that only read, and the server's own error where it refuses to write.

    A transaction that is to write is refused at its start where the server is read-only for this user, and may be
    started again at once (MySQL 8.0, START TRANSACTION; MariaDB too).
    """
    async with connection.cursor() as cursor:
        await cursor.execute(_SESSION)
        for name, value in await cursor.fetchall():
            if value == "ON":
                hint = f"set {name} to off for this user, or use the address of a server that takes writes"
                raise Unavailable("database", "transactions only read here", hint, f"{name} is ON")
        await cursor.execute("start transaction read write")
        await cursor.execute("rollback")


async def waits(connection: Any, thread: int) -> Unavailable | None:
    """What a connection waits for, where that is a lock of somebody's."""
    async with connection.cursor() as cursor:
        await cursor.execute(_WAITS, (thread,))
        rows = await cursor.fetchall()
    if not rows:
        return None
    hint = "end what holds the lock (show processlist); what waits is written then"
    return Unavailable("database", "another session has locked the table", hint, str(rows[0][0]))
