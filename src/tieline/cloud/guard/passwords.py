"""Passwords: argon2id with the library's own parameters (RFC 9106, low memory), computed in two threads of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from tieline.cloud.guard.turns import Turns

AT_ONCE = 2  # each takes 64 MiB, and a processor for some 50 ms
OF_ONE, OF_ALL = 8, 64  # that may wait, of one sender and of all
SHORTEST, LONGEST = 12, 256  # characters; NIST SP 800-63B asks for eight at least, and for no other rules

FEWEST = 5  # different characters: one key held down, or two or three in turn, are what is tried first

T = TypeVar("T")


def guessable(password: str) -> str:
    """Why a password is too easy to guess; "" where nothing speaks against it."""
    if len(set(password)) < FEWEST:
        return f"a password has {FEWEST} different characters at least: some words make a good one"
    return ""


_hasher = PasswordHasher()
_turns = Turns(AT_ONCE, OF_ONE, OF_ALL)
_threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="password")  # what fills other threads does not delay these


async def hash_password(password: str, sender: str) -> str:
    """The hash to store, with its salt and parameters; raises Crowded where the sender has too many of them waiting."""
    return await _compute(sender, lambda: _hasher.hash(password))


async def verify_password(password: str, hash: str | None, sender: str) -> bool:
    """Whether a password has this hash; None for a user who does not exist takes as long and is false.

    Raises Crowded.
    """
    if hash is None:
        return await _compute(sender, lambda: _verify("", _nobodys())) and False
    return await _compute(sender, lambda: _verify(password, hash))


@cache
def _nobodys() -> str:
    """A hash that no password has: logging in as nobody takes as long as any other failure."""
    return _hasher.hash("nobody has this password")


def _verify(password: str, hash: str) -> bool:
    try:
        return _hasher.verify(hash, password)
    except (VerificationError, InvalidHashError):
        return False


async def _compute(sender: str, work: Callable[[], T]) -> T:
    async with _turns.turn(sender):
        return await asyncio.get_running_loop().run_in_executor(_threads, work)
