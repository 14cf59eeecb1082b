"""Accounts and their access keys, and the AWS credentials file that people point their clients at."""

from __future__ import annotations

import configparser
import io
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from tieline.base import trees
from tieline.fabric.core import consent, states, zones
from tieline.fabric.core.ids import Ids
from tieline.fabric.core.records import KINDS, AccessKey, Account, Endpoint, EndpointService, Instance, Record
from tieline.fabric.core.world import World

TEST_KEY = "test"  # key and secret that LocalStack's awslocal and tflocal sign with; no secret at all
FIRST = ("platform", "customer")  # the two sides of the guide
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")  # it is a profile's name and part of an ARN


class Refused(Exception):
    """The change is not possible, and nothing was changed; `hint` says what to do."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.hint = code, message, hint


def ensure_first(world: World, region: str, ids: Ids) -> None:
    """Make the two accounts that a new fabric starts with; one that was deleted does not come back."""
    if not world.all(Account):
        for name in FIRST:
            create(world, name, region, ids)


def create(world: World, name: str, region: str, ids: Ids, *, test_key: bool = False) -> AccessKey:
    """A new account with one key for its user of the same name: its own, or the one that everybody knows."""
    if not NAME.fullmatch(name):
        hint = "use up to 63 lower-case letters, digits, - and _, beginning with a letter or digit"
        raise Refused("INVALID_NAME", f"{name!r} is no account's name", hint)
    if any(account.name == name for account in world.all(Account)):
        raise Refused("EXISTS", f"there is an account {name} already", "choose another name")
    if test_key and (holder := world.get(AccessKey, TEST_KEY)) is not None:
        raise Refused("EXISTS", f"the account {holder.owner} has the key {TEST_KEY}", "only one account can have it")
    number = ids.account()
    while world.get(Account, number) is not None:
        number = ids.account()
    with world.transaction():
        world.put(Account(id=number, owner=number, name=name, zones=zones.shuffled(number, region)))
        return _new_key(world, number, name, (TEST_KEY, TEST_KEY) if test_key else ids.access_key())


def _new_key(world: World, account: str, name: str, key: tuple[str, str]) -> AccessKey:
    id, secret = key
    arn, user = f"arn:aws:iam::{account}:user/{name}", "AIDA" + account.rjust(16, "0")
    return world.put(AccessKey(id=id, owner=account, secret=secret, arn=arn, user_id=user))


def find(world: World, key: str) -> Account:
    """The account of that name or number; raises Refused for another."""
    found = next((account for account in world.all(Account) if key in (account.id, account.name)), None)
    if found is None:
        names = ", ".join(account.name for account in world.all(Account))
        raise Refused("NOT_FOUND", f"there is no account {key!r}", f"there are {names or 'none'}")
    return found


def rotate(world: World, account: Account, grace: timedelta, ids: Ids, now: datetime) -> AccessKey:
    """A new key for the account; those that it has, sessions included, end after `grace`."""
    with world.transaction():
        for key in world.where(AccessKey, "owner", account.id):
            if key.expires is None or key.expires > now + grace:
                world.put(msgspec.structs.replace(key, expires=now + grace))
        return _new_key(world, account.id, account.name, ids.access_key())


def trust(world: World, account: Account, principal: str, *, withdraw: bool = False) -> Account:
    """Let a principal of another account assume the account's role, or let it no longer: its sessions end, too."""
    if not consent.well_formed(principal):
        hint = "use the ARN of an account's root, a user or a role"
        raise Refused("INVALID_PRINCIPAL", f"{principal!r} is no principal", hint)
    kept = tuple(arn for arn in account.trusted if arn != principal)
    with world.transaction():
        return world.put(msgspec.structs.replace(account, trusted=kept if withdraw else (*kept, principal)))


def delete(world: World, account: Account) -> None:
    """Delete an account that owns nothing, with its keys; raises Refused with what it owns."""
    owned = list(belongings(world, account))
    if owned:
        named = ", ".join(sorted(owned)[:5]) + (f" and {len(owned) - 5} more" if len(owned) > 5 else "")
        raise Refused(
            "IN_USE", f"the account {account.name} owns {named}", "delete these first, as the account; or use --cascade"
        )
    with world.transaction():
        for kind in KINDS.values():
            for record in world.where(kind, "owner", account.id):
                world.delete(record)


def close(world: World, account: Account, now: datetime) -> None:
    """Delete an account with all that it owns: its keys end and its consent is withdrawn now, the rest follows.

    Connections to its services are rejected, its endpoints deleted and its instances terminated; `lifecycle` removes
    what is left, and the account, once none of these is in the kernel any more.
    """
    with world.transaction():
        for key in world.where(AccessKey, "owner", account.id):
            world.delete(key)
        for service in world.where(EndpointService, "owner", account.id):
            for endpoint in world.where(Endpoint, "service", service.id):
                _move(world, endpoint, "reject", now)
        for endpoint in world.where(Endpoint, "owner", account.id):
            _move(world, endpoint, "delete", now)
        for instance in world.where(Instance, "owner", account.id):
            if not _ended(instance):
                world.put(msgspec.structs.replace(instance, state="shutting-down"))
        world.put(msgspec.structs.replace(account, closing=True))


def _move(world: World, endpoint: Endpoint, event: states.Event, now: datetime) -> None:
    """To the state that follows, where the event is possible."""
    with suppress(states.NotPossible):
        world.put(msgspec.structs.replace(endpoint, state=states.after(endpoint.state, event), changed=now))


def belongings(world: World, account: Account) -> Iterator[str]:
    """The ids of what an account owns, besides its keys and instances that have ended."""
    for kind in KINDS.values():
        if kind not in (Account, AccessKey):
            yield from (record.id for record in world.where(kind, "owner", account.id) if not _ended(record))


def _ended(record: Record) -> bool:
    return isinstance(record, Instance) and record.state == "terminated"


def write_credentials(world: World, region: str, path: Path) -> None:
    """Write a profile for each account, readable by the owner only; replaced in one step."""
    profiles = configparser.ConfigParser()
    keys = {key.owner: key for key in world.all(AccessKey) if key.token is None and key.expires is None}
    for account in world.all(Account):
        key = keys.get(account.id)
        if key:
            secret = {"aws_access_key_id": key.id, "aws_secret_access_key": key.secret, "region": region}
            profiles[account.name] = secret
    text = io.StringIO()
    profiles.write(text)
    trees.write(path, text.getvalue().encode())
