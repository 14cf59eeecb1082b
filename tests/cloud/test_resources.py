"""A resource as its agent needs it: where its link leads, and which name TLS verifies there."""

from __future__ import annotations

import msgspec
from cryptography.fernet import Fernet

from tieline.base.secrets import Vault
from tieline.cloud.links.service import _renamed
from tieline.cloud.model.records import PrivateLink, Resource
from tieline.cloud.resources.dependants import links_of
from tieline.cloud.resources.service import to_config

VAULT = Vault(Fernet.generate_key())
LINK = PrivateLink(
    id="pl-1",
    deployment="dep-1",
    name="orders",
    service_name="com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0",
    address="vpce-1.example",
    server_name="db.internal",
    created="",
)


def resource(server: str, **options: object) -> Resource:
    known = {"database": "d", "username": "u", **options}
    return Resource(
        id="res-1", deployment="dep-1", name="db", type="postgresql", server=server, options=known, created=""
    )


def test_a_resource_follows_its_links_address_and_name() -> None:
    for server in ("link:orders:5432", "vpce-1.example:5432"):
        made = to_config(resource(server, ssl={"enable": True}), VAULT, [LINK])
        assert made.address == "vpce-1.example:5432"
        assert (made.ssl.enable, made.ssl.server_name) == (True, "db.internal")


def test_its_own_name_goes_before_its_links() -> None:
    own = resource("link:orders:5432", ssl={"enable": True, "server_name": "other"})
    assert to_config(own, VAULT, [LINK]).ssl.server_name == "other"
    elsewhere = to_config(resource("db.example.com:5432"), VAULT, [LINK])
    assert elsewhere.ssl.server_name == ""


def test_members_that_announce_other_addresses_are_reached_through_the_link() -> None:
    places = {"10.0.1.10:9092": "link:orders:19092", "10.0.1.11:9092": "10.9.0.1:9092"}
    kafka = Resource(
        id="res-2",
        deployment="dep-1",
        name="log",
        type="kafka",
        server="link:orders:19092",
        options={"address_map": places},
        created="",
    )
    found = msgspec.to_builtins(to_config(kafka, VAULT, [LINK]))
    assert found["address_map"] == {"10.0.1.10:9092": "vpce-1.example:19092", "10.0.1.11:9092": "10.9.0.1:9092"}
    elsewhere = kafka.model_copy(update={"server": "10.9.0.1:9092"})
    assert links_of(elsewhere, [LINK]) == [LINK]
    renamed = _renamed(elsewhere, "orders", "log")
    assert renamed.options["address_map"]["10.0.1.10:9092"] == "link:log:19092"


def test_a_link_of_another_deployment_is_no_link() -> None:
    foreign = LINK.model_copy(update={"deployment": "dep-2"})
    made = to_config(resource("link:orders:5432"), VAULT, [foreign])
    assert (made.address, made.ssl.server_name) == ("orders.link.invalid:5432", "")
