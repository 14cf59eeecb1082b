"""What a provider wants to expose: backends behind listener ports, and the names that make repeating harmless."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address

from tieline.base.hostport import port_number
from tieline.cloud.model.problems import PlatformError
from tieline.cloud.model.records import NAME_PATTERN, NAME_RULE

EXPOSE_TAG = "tieline:expose"  # on everything that belongs to an exposure; its value is the exposure's name
LONGEST = 32  # characters of a load balancer's or target group's name
INSTANCE = re.compile(r"i-[0-9a-f]{8,17}")


@dataclass(frozen=True)
class Backend:
    """`listen` is the load balancer's port; `host` an IPv4 address or an instance id, at `port`."""

    listen: int
    host: str
    port: int

    @property
    def kind(self) -> str:
        """The target type, in ELBv2's words."""
        return "instance" if INSTANCE.fullmatch(self.host) else "ip"


@dataclass(frozen=True)
class Exposure:
    """What should be exposed of one VPC. `zones` are the AZ ids that a consumer is in; none means every zone."""

    name: str
    vpc: str
    backends: tuple[Backend, ...]
    zones: tuple[str, ...] = ()
    principals: tuple[str, ...] = ()
    health_port: int = 0  # 0: the backend's own

    @property
    def ports(self) -> tuple[int, ...]:
        """The listener ports, in order."""
        return tuple(sorted({backend.listen for backend in self.backends}))

    def behind(self, port: int) -> tuple[Backend, ...]:
        """The backends of a listener port."""
        return tuple(backend for backend in self.backends if backend.listen == port)


def exposure(
    name: str,
    vpc: str,
    to: tuple[str, ...],
    zones: tuple[str, ...] = (),
    principals: tuple[str, ...] = (),
    health_port: int = 0,
) -> Exposure:
    """The exposure that these words describe; raises PlatformError for words that describe none."""
    if not re.fullmatch(NAME_PATTERN, name):
        raise PlatformError(422, "INVALID_NAME", f"{name!r} is no name", NAME_RULE)
    backends = tuple(sorted({backend(text) for text in to}, key=lambda one: (one.listen, one.host, one.port)))
    if not backends:
        raise PlatformError(422, "NO_TARGET", "nothing to expose", "give --to HOST:PORT")
    found = Exposure(name, vpc, backends, zones, principals, health_port)
    for port in found.ports:
        if len({one.kind for one in found.behind(port)}) > 1:
            message = f"port {port} has targets by address and by instance id: a target group has one kind only"
            raise PlatformError(422, "INVALID_TARGET", message, "name them all by address, or all by instance id")
    return found


def backend(text: str) -> Backend:
    """`HOST:PORT`, or `LISTEN=HOST:PORT` where the listener has another port; raises PlatformError."""
    listen, equals, target = text.rpartition("=")
    host, colon, port = target.rpartition(":")
    if "://" in target or "/" in target or not colon or not host:
        raise _invalid(text, "expected HOST:PORT without a scheme or a path")
    if not INSTANCE.fullmatch(host) and not _is_address(host):
        raise _invalid(text, f"{host!r} is neither an IPv4 address nor an instance id: load balancers take no names")
    return Backend(_port(listen if equals else port, text), host, _port(port, text))


def group_name(name: str, port: int) -> str:
    """The name of the target group behind a listener port."""
    return _fitting(f"tl-{name}", f"-{port}")


def balancer_name(name: str) -> str:
    """The name of an exposure's load balancer."""
    return _fitting(f"tl-{name}", "")


def _fitting(head: str, tail: str) -> str:
    """A name of letters, digits and hyphens that is no longer than AWS allows, and differs where `head` does."""
    plain = re.sub(r"[^0-9A-Za-z]+", "-", head).strip("-")
    if plain != head or len(plain + tail) > LONGEST:
        mark = "-" + hashlib.sha256(head.encode()).hexdigest()[:6]
        plain = plain[: LONGEST - len(mark) - len(tail)].rstrip("-") + mark
    return plain + tail


def _is_address(host: str) -> bool:
    try:
        IPv4Address(host)
    except AddressValueError:
        return False
    return True


def _port(text: str, whole: str) -> int:
    try:
        return port_number(text)
    except ValueError as error:
        raise _invalid(whole, str(error)) from error


def _invalid(text: str, why: str) -> PlatformError:
    hint = "for example 10.0.1.10:5432, i-0123456789abcdef0:5432, or 15432=10.0.1.10:5432"
    return PlatformError(422, "INVALID_TARGET", f"target {text!r}: {why}", hint)
