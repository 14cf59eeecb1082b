"""Tags that open a loopback port between this machine and an instance (docs/decisions/0005).

`tieline:ingress` = "127.0.0.1:1883->1883": devices on this machine reach the instance's port 1883.
`tieline:egress` = "8080->127.0.0.1:8080": the instance reaches this machine's port on its own loopback.
Several are separated by commas. Only loopback addresses of this machine can be named, and only by the account that the
platform works with: any other could reach all that listens on this machine's loopback, and take any free port.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from tieline.fabric.core.records import Account, Instance
from tieline.fabric.core.topology import Passage

INGRESS, EGRESS = "tieline:ingress", "tieline:egress"
TAGS = (INGRESS, EGRESS)
INWARD = re.compile(r"(127(?:\.\d{1,3}){3}):(\d{1,5})->(\d{1,5})", re.ASCII)
OUTWARD = re.compile(r"(\d{1,5})->(127(?:\.\d{1,3}){3}):(\d{1,5})", re.ASCII)
OPENER = "platform"  # it is made with the fabric, and only the machine's operator gives accounts their names


def allowed(account: Account | None) -> bool:
    """Whether the account's instances may have passages."""
    return account is not None and account.name == OPENER


def complaint(tags: Mapping[str, str]) -> str:
    """Why the tags that open passages are not well formed, or ''."""
    return next(filter(None, (_complaint(tag, tags[tag]) for tag in TAGS if tag in tags)), "")


def _complaint(tag: str, value: str) -> str:
    pattern, form = {
        INGRESS: (INWARD, "127.0.0.1:PORT->PORT"),
        EGRESS: (OUTWARD, "PORT->127.0.0.1:PORT"),
    }[tag]
    parts = [part.strip() for part in value.split(",")]
    for part in parts:
        match = pattern.fullmatch(part)
        if match is None or not all(_plausible(number) for number in re.split(r"->|:", part)):
            return f"{part!r} in the tag {tag} is not of the form {form}, with ports from 1 to 65535"
    return ""


def _plausible(piece: str) -> bool:
    if "." in piece:
        return all(int(number) <= 255 for number in piece.split("."))
    return 1 <= int(piece) <= 65535


def wanted(instance: Instance, owner: Account | None) -> Iterator[Passage]:
    """The passages that an instance's tags ask for, where its owner may; one that is not well formed opens none."""
    if not allowed(owner):
        return
    for tag, pattern in ((INGRESS, INWARD), (EGRESS, OUTWARD)):
        value = instance.tags.get(tag, "")
        if not value or _complaint(tag, value):
            continue
        for part in value.split(","):
            match = pattern.fullmatch(part.strip())
            assert match is not None, "_complaint() has checked it"
            yield _passage(instance, tag, match.groups())


def _passage(instance: Instance, tag: str, pieces: tuple[str, ...]) -> Passage:
    if tag == INGRESS:
        address, outside, inside = pieces
        listen, connect = (address, int(outside)), ("127.0.0.1", int(inside))
        return Passage(
            id=f"{instance.id}-in-{outside}", instance=instance.id, direction="inward", listen=listen, connect=connect
        )
    inside, address, outside = pieces
    listen, connect = ("127.0.0.1", int(inside)), (address, int(outside))
    return Passage(
        id=f"{instance.id}-out-{inside}", instance=instance.id, direction="outward", listen=listen, connect=connect
    )
