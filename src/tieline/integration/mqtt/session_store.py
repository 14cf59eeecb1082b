"""What the broker may still hold for us: sessions and their subscriptions, kept on disk because no broker lists them.

A subscription that is left over would deliver the same message twice beside a new one, and a session that is left over
would queue messages for nobody.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

FILE: Final = "sessions.json"


class Memory:
    """Subscriptions by client id. Without a directory it lasts as long as the process."""

    def __init__(self, directory: Path | None = None) -> None:
        self._path = directory / FILE if directory is not None else None
        self._sessions: dict[str, set[str]] = {}
        if self._path is not None and self._path.exists():
            try:
                self._sessions = msgspec.json.decode(self._path.read_bytes(), type=dict[str, set[str]])
            except msgspec.DecodeError:
                self._sessions = {}

    def clients(self) -> list[str]:
        """The client ids whose sessions the broker may have."""
        return list(self._sessions)

    def filters(self, client_id: str) -> frozenset[str]:
        """The filters that the broker may have for a client id."""
        return frozenset(self._sessions.get(client_id, ()))

    def remember(self, client_id: str, filters: Iterable[str]) -> None:
        """The broker may have exactly these from now on; on disk before this returns. Raises OSError, and nothing has
        changed: the next call tries again.
        """
        wanted = set(filters)
        if self._sessions.get(client_id) != wanted:
            self._save(self._sessions | {client_id: wanted})

    def forget(self, client_id: str) -> None:
        """The broker has no session for this client id. Raises OSError, as `remember` does."""
        if client_id in self._sessions:
            self._save({id: filters for id, filters in self._sessions.items() if id != client_id})

    def _save(self, sessions: dict[str, set[str]]) -> None:
        """Know these from now on, the disk first."""
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            new = self._path.with_suffix(".new")
            with new.open("wb") as file:
                file.write(msgspec.json.encode(sessions))
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
        self._sessions = sessions
