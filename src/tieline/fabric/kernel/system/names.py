"""The names and places of everything that the driver makes, all derived from one prefix and one directory."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

PREFIX = re.compile(r"[a-z0-9]{1,12}-[a-z0-9]{1,12}")  # exactly one hyphen: no prefix can then begin with another
NAMESPACES = Path("/run/netns")  # where iproute2 keeps named namespaces
HOST_LINK = "h-"
WIRE_LINK = "w-"
ATTACHED_LINK = "tl-"
LINK_LENGTH = 15  # IFNAMSIZ less the closing zero, linux/if.h


@dataclass(frozen=True, slots=True)
class Footprint:
    """Where one fabric's objects are: `prefix` is in every name, `state` holds what must outlive a reboot."""

    prefix: str
    state: Path

    def __post_init__(self) -> None:
        if not PREFIX.fullmatch(self.prefix):
            raise ValueError(
                f"the prefix {self.prefix!r} is not two short words of a-z and 0-9 with one hyphen between"
            )

    def namespace(self, id: str) -> str:
        """The network namespace of a VPC or an instance."""
        return f"{self.prefix}-{id}"

    def id_of(self, namespace: str) -> str | None:
        """The id whose namespace this is; None where it is not ours."""
        head = self.prefix + "-"
        return namespace.removeprefix(head) if namespace.startswith(head) else None

    @property
    def runtime(self) -> Path:
        """What lives no longer than the namespaces: to be passed by the unprivileged resolvers, and read by nobody."""
        return Path("/run") / self.prefix

    def resolver(self, vpc: str) -> Path:
        return self.runtime / "resolvers" / vpc

    def table(self, vpc: str) -> Path:
        """The nft table that was loaded last."""
        return self.runtime / "tables" / vpc

    def severed(self, vpc: str) -> Path:
        """Whose flows were ended last, and since when they are to be."""
        return self.runtime / "severed" / vpc

    def announcing(self, vpc: str) -> Path:
        """Is there while the VPC may have announcers."""
        return self.runtime / "announcing" / vpc

    @property
    def wires(self) -> Path:
        return self.runtime / "wires"

    @property
    def instances(self) -> Path:
        return self.state / "instances"


def is_vpc(id: str) -> bool:
    """Whether a namespace's id is a VPC's; every other namespace is an instance's (AWS's id prefixes)."""
    return id.startswith("vpc-")


def host_link(id: str) -> str:
    """The VPC's end of a host's veth pair."""
    return _link(HOST_LINK, id)


def inner_link(id: str) -> str:
    """A host's own end of its veth pair. An attached namespace has an eth0 of its own."""
    return _link(ATTACHED_LINK, id) if is_foreign(id) else "eth0"


def is_foreign(id: str) -> bool:
    """Whether a namespace is not ours, and only our name for it is: that of an attached process (AWS's id prefixes)."""
    return id.startswith("eni-")


def wire_link(id: str) -> str:
    """Both ends of a wire's veth pair, each in its own VPC."""
    return _link(WIRE_LINK, id)


def path(namespace: str) -> Path:
    """The file that holds a named namespace open."""
    return NAMESPACES / namespace


def _link(kind: str, id: str) -> str:
    return kind + sha256(id.encode()).hexdigest()[: LINK_LENGTH - len(kind)]
