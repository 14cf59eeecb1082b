"""What a server's text means, and who uses whom."""

from __future__ import annotations

import pytest

from tieline.base.hostport import joined
from tieline.base.servers import rewritten, split_server, split_servers
from tieline.cloud.model.records import Action, PrivateLink, Resource, Rule
from tieline.cloud.resources.dependants import link_of, links_of, resources_using, rules_using

NOW = "2026-01-01T00:00:00Z"
LINK = PrivateLink(id="pl-1", deployment="dep-1", name="orders", service_name="x", address="vpce-1.aws", created=NOW)


def resource(server: str, deployment: str = "dep-1") -> Resource:
    return Resource(id="res-1", deployment=deployment, name="db", type="postgresql", server=server, created=NOW)


@pytest.mark.parametrize(
    ("server", "parts"),
    [
        ("db:5432", ("", "db", 5432)),
        ("10.0.0.1:1", ("", "10.0.0.1", 1)),
        ("[::1]:5432", ("", "::1", 5432)),
        ("link:orders:5432", ("orders", "", 5432)),
        ("link:5432", ("", "link", 5432)),
    ],
)
def test_servers(server: str, parts: tuple[str, str, int]) -> None:
    assert split_server(server) == parts


@pytest.mark.parametrize(
    "server", ["", "db", ":5432", "db:", "db:x", "db:0", "db:65536", "tcp://db:1", "a/b:1", "a:b:1"]
)
def test_what_is_no_server(server: str) -> None:
    with pytest.raises(ValueError, match=r"expected|port"):
        split_server(server)


@pytest.mark.parametrize(
    ("address", "servers"),
    [
        ("a:1, link:orders:2,[::1]:3", [("", "a", 1), ("orders", "", 2), ("", "::1", 3)]),
        ("http://link:orders:8080/in?x=1", [("orders", "", 8080)]),
        ("https://example.com", [("", "example.com", 443)]),
        ("http://[::1]:8080/a/b", [("", "::1", 8080)]),
    ],
)
def test_several_servers_and_urls(address: str, servers: list[tuple[str, str, int]]) -> None:
    assert split_servers(address) == servers
    moved = rewritten(address, lambda name, host, port: f"moved:{port}" if name else joined(host, port))
    assert split_servers(moved) == [("", "moved" if name else host, port) for name, host, port in servers]


@pytest.mark.parametrize(
    "address",
    ["a:1,", "ftp://a:1", "http://", "http://a@b:1", "http://a:1@b/", "http://a b:1", "http://a\\b:1", "http://a#b:1"],
)
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(ValueError, match=r"expected|port"):
        split_servers(address)


def test_a_resource_of_several_servers_goes_through_several_links() -> None:
    other = LINK.model_copy(update={"id": "pl-2", "name": "cache", "address": "vpce-2.aws"})
    both = resource("link:orders:1,elsewhere:2,vpce-2.aws:3")
    assert links_of(both, [LINK, other]) == [LINK, other]
    assert link_of(both, [other]) == other
    assert resources_using(other, [both]) == [both]


@pytest.mark.parametrize("server", ["link:orders:5432", "vpce-1.aws:5432"])
def test_a_resource_goes_through_a_link_by_name_or_by_address(server: str) -> None:
    assert link_of(resource(server), [LINK]) == LINK
    assert resources_using(LINK, [resource(server)]) == [resource(server)]
    assert resources_using(LINK, [resource(server, deployment="dep-2")]) == []


@pytest.mark.parametrize("server", ["link:others:5432", "elsewhere:5432"])
def test_other_resources_do_not(server: str) -> None:
    assert link_of(resource(server), [LINK, LINK.model_copy(update={"id": "pl-2", "address": "", "name": "x"})]) is None


def test_a_rule_uses_the_resource_of_its_deployment() -> None:
    action = Action(resource="db")
    rule = Rule(id="rule-1", deployment="dep-1", name="r", sql="x", actions=(action,), created=NOW)
    assert rules_using(resource("db:1"), [rule]) == [rule]
    assert rules_using(resource("db:1", deployment="dep-2"), [rule]) == []
