"""Regions and zones: names are shuffled for each account, ids are the same for all (AWS, "AZ IDs")."""

from __future__ import annotations

import hashlib
import random

from tieline.fabric.core.records import Account

DIRECTIONS = {
    "north": "n",
    "south": "s",
    "east": "e",
    "west": "w",
    "central": "c",
    "northeast": "ne",
    "northwest": "nw",
    "southeast": "se",
    "southwest": "sw",
}
ZONES = {"us-east-1": 6, "us-west-2": 4, "ap-northeast-1": 4, "ap-northeast-2": 4}  # AWS; every other region has three


def zone_ids(region: str) -> tuple[str, ...]:
    """The zone ids of a region, such as use1-az1 … use1-az6. Raises ValueError for a name that is no region's."""
    try:
        area, direction, number = region.split("-")
        prefix = f"{area}{DIRECTIONS[direction]}{int(number)}"
    except (ValueError, KeyError):
        raise ValueError(f"{region!r} is not a region's name, such as us-east-1") from None
    return tuple(f"{prefix}-az{n}" for n in range(1, ZONES.get(region, 3) + 1))


def shuffled(account: str, region: str) -> tuple[str, ...]:
    """The zone ids in the order of this account's letters: the same for ever, and seldom another account's."""
    ids = list(zone_ids(region))
    seed = int.from_bytes(hashlib.sha256(f"{account}/{region}".encode()).digest())
    random.Random(seed).shuffle(ids)
    return tuple(ids)


def zone_name(account: Account, region: str, zone: str) -> str:
    """What this account calls a zone: the region's name and a letter."""
    return f"{region}{'abcdefghij'[account.zones.index(zone)]}"


def zone_id(account: Account, region: str, name: str) -> str | None:
    """The id behind a zone's name in this account, or None."""
    letters = "abcdefghij"[: len(account.zones)]
    if name.startswith(region) and name[len(region) :] in list(letters):
        return account.zones[letters.index(name[len(region) :])]
    return None
