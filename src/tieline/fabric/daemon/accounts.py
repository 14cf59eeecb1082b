"""Accounts and their access keys, and the AWS credentials file that people point their clients at."""

from __future__ import annotations

import configparser
from pathlib import Path

from tieline.fabric import zones
from tieline.fabric.ids import Ids
from tieline.fabric.records import AccessKey, Account
from tieline.fabric.world import World

FIRST = ("platform", "customer")  # the two sides of the guide


def ensure_first(world: World, region: str, ids: Ids) -> None:
    """Make the two accounts that every fabric starts with, if they are not there."""
    present = {account.name for account in world.all(Account)}
    for name in FIRST:
        if name not in present:
            create(world, name, region, ids)


def create(world: World, name: str, region: str, ids: Ids) -> AccessKey:
    """A new account with one key for its user of the same name."""
    number = ids.account()
    with world.transaction():
        zone_ids = zones.shuffled(number, region)
        world.put(Account(id=number, owner=number, name=name, zones=zone_ids))
        key, secret = ids.access_key()
        arn, user = f"arn:aws:iam::{number}:user/{name}", "AIDA" + key[4:]
        return world.put(AccessKey(id=key, owner=number, secret=secret, arn=arn, user_id=user))


def write_credentials(world: World, region: str, path: Path) -> None:
    """Write a profile for each account, readable by the owner only; replaced in one step."""
    profiles = configparser.ConfigParser()
    keys = {key.owner: key for key in world.all(AccessKey) if key.token is None}
    for account in world.all(Account):
        key = keys.get(account.id)
        if key:
            secret = {"aws_access_key_id": key.id, "aws_secret_access_key": key.secret, "region": region}
            profiles[account.name] = secret
    draft = path.with_suffix(".new")
    draft.touch(mode=0o600)
    with draft.open("w") as file:
        profiles.write(file)
    draft.replace(path)
