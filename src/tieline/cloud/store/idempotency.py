"""Requests that were sent twice: the answer to an Idempotency-Key is kept for a day, encrypted, and told again."""

from __future__ import annotations

import hashlib
import json
from typing import ClassVar

from tieline.base.secrets import Vault
from tieline.cloud.model.problems import PlatformError
from tieline.cloud.model.records import Stored
from tieline.cloud.store.repository import Repository

KEPT_SECONDS = 86400.0
CLEAN_SECONDS = 3600.0  # between two looks for what may be forgotten
LONGEST = 255


class Answered(Stored):
    """An answer by caller, path and key; `request` is the hash of the body that was answered."""

    kind: ClassVar[str] = "answered"
    audited: ClassVar[bool] = False
    request: str
    status: int
    answer: str
    at: float


class Idempotency:
    """Tells an answer again, and refuses a key that was used for something else. Raises PlatformError."""

    def __init__(self, records: Repository, vault: Vault) -> None:
        self._records = records
        self._vault = vault
        self._running: set[str] = set()
        self._cleaned = 0.0

    def begin(self, key: str, scope: tuple[str, ...], body: bytes, now: float) -> tuple[str, tuple[int, bytes] | None]:
        """The id under which to `finish`, and the answer where it was given already."""
        if not key.isascii() or not key.isprintable() or not 0 < len(key) <= LONGEST:
            hint = f"1 to {LONGEST} printable ASCII characters, such as a UUID"
            raise PlatformError(422, "INVALID_IDEMPOTENCY_KEY", "this is no Idempotency-Key", hint)
        id = _digest(json.dumps([*scope, key]).encode())
        known = self._records.get(Answered, id)
        if id in self._running:
            message = "the first request with this Idempotency-Key is not answered yet"
            raise PlatformError(409, "IN_PROGRESS", message, "send it again in a moment")
        if known is None or now - known.at > KEPT_SECONDS:
            self._running.add(id)
            return id, None
        if known.request != _digest(body):
            message = "this Idempotency-Key was used with another body"
            raise PlatformError(422, "IDEMPOTENCY_KEY_REUSED", message, "use a new key for a new request")
        return id, (known.status, self._vault.decrypt(known.answer).encode())

    def finish(self, id: str, body: bytes, answer: tuple[int, bytes] | None, now: float) -> None:
        """Keep a success; a refusal is not kept, for the same request may succeed later."""
        self._running.discard(id)
        if answer is None:
            return
        status, content = answer
        known = self._records.get(Answered, id)
        version = known.version if known else 0
        kept = Answered(
            id=id,
            version=version,
            request=_digest(body),
            status=status,
            answer=self._vault.encrypt(content.decode()),
            at=now,
        )
        self._records.commit(write=[kept])
        self._clean(now)

    def _clean(self, now: float) -> None:
        if now - self._cleaned > CLEAN_SECONDS:
            self._cleaned = now
            self._records.commit(delete=_expired(self._records, now))


def _expired(records: Repository, now: float) -> list[Answered]:
    return records.all(Answered, lambda item: now - item.at > KEPT_SECONDS)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
