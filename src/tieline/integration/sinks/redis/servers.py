"""The servers that a Redis resource names, as its form has them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from tieline.integration.sinks.base.kind import Resource, Secret, label


class Redis(Resource, frozen=True, kw_only=True, tag="redis"):
    """A Redis or Valkey server, a master that sentinels name, or a cluster."""

    ADDRESS: ClassVar[str] = "servers"
    FORM: ClassVar[Literal["server", "servers", "url"]] = "servers"
    PORT: ClassVar[int] = 6379

    servers: Annotated[str, label("Servers; with sentinel those of the sentinels")]  # host:port, commas between several
    redis_type: Annotated[Literal["single", "sentinel", "cluster"], Meta(extra={"steers": True})] = "single"
    sentinel: Annotated[str, label("Name of the master, with sentinel", steers=True)] = ""
    sentinel_username: str = ""
    sentinel_password: Annotated[Secret, label("Sentinel password", kind="password", secret=True)] = ""
    database: int = 0
    username: str = ""
    password: Secret = ""
    pool_size: Annotated[int, label("Connection pool size")] = 8
    #: Where a node is reached that names itself by an address that leads nowhere from here, as behind a private link.
    address_map: Annotated[
        dict[str, str], label("Addresses that nodes announce, and where they are reached", steers=True)
    ] = msgspec.field(default_factory=dict)
