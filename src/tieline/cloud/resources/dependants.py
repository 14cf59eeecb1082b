"""Who uses whom, and hence the order in which things go: rule, resource, link."""

from __future__ import annotations

from collections.abc import Iterable

from tieline.base.servers import mapped, split_servers
from tieline.cloud.model.records import PrivateLink, PrivateLinkView, Resource, Rule


def link_of(resource: Resource, links: Iterable[PrivateLink]) -> PrivateLink | None:
    """The first link of its deployment that a resource goes through, by name or by the link's address."""
    return next(iter(links_of(resource, links)), None)


def links_of(resource: Resource, links: Iterable[PrivateLink]) -> list[PrivateLink]:
    """The links of its deployment that a resource goes through; a resource of several servers may have several."""
    addresses = [resource.server, *mapped(resource.options)]
    return [
        link
        for link in links
        if link.deployment == resource.deployment and any(goes_through(address, link) for address in addresses)
    ]


def goes_through(address: str, link: PrivateLinkView) -> bool:
    """Whether a resource's address names the link, or is the link's own."""
    servers = split_servers(address)
    return any(name == link.name or (host and host == link.address) for name, host, _ in servers)


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
