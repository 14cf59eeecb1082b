"""What is still to do before a link leads to an exposed service: pure, from the link as the platform shows it."""

from __future__ import annotations

from dataclasses import dataclass

from tieline.cloud.model.problems import PlatformError
from tieline.cloud.model.records import LinkStatus, PrivateLinkView


@dataclass(frozen=True)
class Join:
    """The link that should be there. With `accept` the provider's consent is given as well."""

    name: str
    service_name: str
    ports: tuple[int, ...]
    accept: bool = False


@dataclass(frozen=True)
class Create:
    def __str__(self) -> str:
        return "create the private link"


@dataclass(frozen=True)
class Reconnect:
    reason: str

    def __str__(self) -> str:
        return f"reconnect the private link, which failed ({self.reason})"


@dataclass(frozen=True)
class SetPorts:
    """The provider listens on more ports than the link knows of."""

    ports: tuple[int, ...]

    def __str__(self) -> str:
        return f"tell the private link its ports {', '.join(map(str, self.ports))}"


@dataclass(frozen=True)
class Accept:
    endpoint: str

    def __str__(self) -> str:
        return f"accept {self.endpoint or 'the endpoint'} in the provider's account"


@dataclass(frozen=True)
class Ask:
    """Only the provider can go on."""

    endpoint: str

    def __str__(self) -> str:
        return f"wait for the provider to accept {self.endpoint or 'the endpoint'}"


@dataclass(frozen=True)
class Wait:
    def __str__(self) -> str:
        return "wait until the link is running"


@dataclass(frozen=True)
class Reach:
    def __str__(self) -> str:
        return "connect to every port from inside the deployment"


Step = Create | Reconnect | SetPorts | Accept | Ask | Wait | Reach


def next_step(wanted: Join, link: PrivateLinkView | None) -> Step:
    """The one thing to do now; raises PlatformError where the link is somebody else's, or leaves."""
    if link is None:
        return Create()
    moved = bool(wanted.service_name) and link.service_name != wanted.service_name
    match link.status:
        case LinkStatus.DELETING:
            message = f"private link {link.name!r} is being deleted"
            raise PlatformError(409, "DELETING", message, "run it again in a moment")
        case LinkStatus.FAILED:
            return Reconnect(link.reason or "no reason")
        case _ if moved:
            message = f"private link {link.name!r} leads to {link.service_name}, not to {wanted.service_name}"
            raise PlatformError(409, "OTHER_SERVICE", message, "choose another --name, or delete that link first")
        case _ if set(wanted.ports) - set(link.ports):
            return SetPorts(tuple(sorted({*wanted.ports, *link.ports})))
        case LinkStatus.WAITING_ACCEPTANCE:
            return Accept(link.endpoint) if wanted.accept else Ask(link.endpoint)
        case LinkStatus.RUNNING:
            return Reach()
        case _:
            return Wait()


def preview(wanted: Join, link: PrivateLinkView | None) -> tuple[Step, ...]:
    """Everything that is to do from here, if all goes well."""
    first = next_step(wanted, link)
    if isinstance(first, SetPorts) and link:
        return (first, *preview(wanted, link.model_copy(update={"ports": first.ports})))
    endpoint = link.endpoint if link else ""
    consent: Step = Accept(endpoint) if wanted.accept else Ask(endpoint)
    rest: dict[type[Step], tuple[Step, ...]] = {
        Create: (consent, Wait(), Reach()),
        Reconnect: (consent, Wait(), Reach()),
        Accept: (Wait(), Reach()),
        Ask: (Wait(), Reach()),
        Wait: (Reach(),),
        Reach: (),
    }
    return (first, *rest[type(first)])
