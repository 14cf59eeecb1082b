"""Who uses whom, and hence the order in which things go: rule, resource, link."""

from __future__ import annotations

from collections.abc import Iterable

from tieline.cloud.records import PrivateLink, Resource, Rule

LINK_SCHEME = "link"


def split_server(server: str) -> tuple[str, str, int]:
    """`host:port` as ("", host, port), `link:<name>:port` as (name, "", port); raises ValueError with what is wrong."""
    head, colon, tail = server.rpartition(":")
    if not colon or not head:
        raise ValueError("expected host:port or link:<name>:port")
    if not tail.isdecimal() or not 1 <= int(tail) <= 65535:
        raise ValueError(f"port {tail!r} is not a number from 1 to 65535")
    scheme, colon, name = head.partition(":")
    if colon and scheme == LINK_SCHEME:
        return name, "", int(tail)
    if "/" in head or (colon and not head.startswith("[")):
        raise ValueError("expected host:port without a scheme or a path")
    return "", head.strip("[]"), int(tail)


def link_of(resource: Resource, links: Iterable[PrivateLink]) -> PrivateLink | None:
    """The link of its deployment that a resource goes through, by name or by the link's address."""
    name, host, _ = split_server(resource.server)
    for link in links:
        if link.deployment != resource.deployment:
            continue
        if link.name == name or (host and host == link.address):
            return link
    return None


def rules_using(resource: Resource, rules: Iterable[Rule]) -> list[Rule]:
    """The rules of its deployment with an action on this resource."""
    return [
        rule
        for rule in rules
        if rule.deployment == resource.deployment and any(action.resource == resource.name for action in rule.actions)
    ]


def resources_using(link: PrivateLink, resources: Iterable[Resource]) -> list[Resource]:
    """The resources that go through this link."""
    return [resource for resource in resources if link_of(resource, [link])]
