"""Passwords: argon2id with the library's own parameters (RFC 9106, low memory), computed in threads, two at a time."""

from __future__ import annotations

import asyncio

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

AT_ONCE = 2  # each takes 64 MiB
SHORTEST, LONGEST = 12, 256  # characters; NIST SP 800-63B asks for eight at least, and for no other rules

_hasher = PasswordHasher()
_slots = asyncio.Semaphore(AT_ONCE)
_nobody: list[str] = []  # a hash that no password has: logging in as nobody takes as long as any other failure


async def hash_password(password: str) -> str:
    """The hash to store, with its salt and parameters."""
    async with _slots:
        return await asyncio.to_thread(_hasher.hash, password)


async def verify_password(password: str, hash: str | None) -> bool:
    """Whether a password has this hash; None for a user who does not exist takes as long and is false."""
    if hash is None:
        if not _nobody:
            _nobody.append(await hash_password("nobody has this password"))
        await _verify("", _nobody[0])
        return False
    return await _verify(password, hash)


async def _verify(password: str, hash: str) -> bool:
    try:
        async with _slots:
            return await asyncio.to_thread(_hasher.verify, hash, password)
    except (VerificationError, InvalidHashError):
        return False
