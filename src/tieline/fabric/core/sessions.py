"""Sessions of accounts: whom an account lets assume its role, and how long what came of that may last.

A session never outlives what it was made from: neither the key that asked for it, nor the trust that it needed. Both
are looked at whenever the session is used, so that a key that is rotated and a trust that is withdrawn end it at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from tieline.fabric.core import consent
from tieline.fabric.core.records import AccessKey, Account
from tieline.fabric.core.world import World

ENDED = datetime(1970, 1, 1, tzinfo=UTC)  # the end of a session whose trust or key is gone
LONGEST_CHAIN = 8  # sessions made from sessions of other accounts; AWS's own clients make two or three


def trusts(account: Account, caller_account: str, arn: str) -> bool:
    """Whether an account lets a caller assume its role: itself, and whom it trusts by account, user or role."""
    names = {"*", f"arn:aws:iam::{caller_account}:root", consent.identity(arn)}
    return account.id == caller_account or not names.isdisjoint(account.trusted)


def source(world: World, caller: AccessKey, account: str) -> AccessKey:
    """What a session of this account that the caller asks for is made from.

    Where the caller is itself a session of that account, it is what that one was made from: asking again makes the way
    back no longer.
    """
    made_from = world.get(AccessKey, caller.source) if caller.source else None
    return made_from if made_from is not None and caller.owner == account else caller


def end(world: World, key: AccessKey) -> datetime | None:
    """When a key ends, None for one that does not."""
    ends = [one for one in _ends(world, key) if one is not None]
    return min(ends, default=None)


def chain(world: World, key: AccessKey) -> int:
    """How many keys stand behind one, itself included."""
    return sum(1 for _ in _ends(world, key))


def _ends(world: World, key: AccessKey) -> Iterator[datetime | None]:
    """The end of a key and of all that it was made from."""
    yield key.expires
    while key.source:
        account, made_from = world.get(Account, key.owner), world.get(AccessKey, key.source)
        if account is None or made_from is None or not trusts(account, made_from.owner, made_from.arn):
            yield ENDED
            return
        yield made_from.expires
        key = made_from
