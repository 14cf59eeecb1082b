"""`host:port` as people write it, in every place where they do: one rule, and words that help."""

from __future__ import annotations

import argparse

import pytest

from tieline.base import hostport
from tieline.base.servers import split_server
from tieline.cli.platform.broker import address
from tieline.client.rest import ClientError
from tieline.cloud.platform import encrypted

WRONG = ["1883", ":1883", "host:", "host:0", "host:65536", "host:-1", "host:٣", "a b:1883", "::1:1883", "[::1:1883"]


@pytest.mark.parametrize(
    ("text", "found"),
    [("127.0.0.1:1883", ("127.0.0.1", 1883)), ("a_b.example:1", ("a_b.example", 1)), ("[::1]:65535", ("::1", 65535))],
)
def test_what_is_read_can_be_written(text: str, found: tuple[str, int]) -> None:
    assert hostport.read(text) == found
    assert hostport.joined(*found) == text == str(address(text)) == str(encrypted.address(text))


@pytest.mark.parametrize("text", WRONG)
def test_a_mistake_is_explained_where_it_is_made(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected host:port|is not a number from 1 to 65535"):
        hostport.read(text)
    with pytest.raises(ClientError, match="is no host:port"):
        address(text)
    with pytest.raises(argparse.ArgumentTypeError, match="is no HOST:PORT"):
        encrypted.address(text)


@pytest.mark.parametrize("text", ["link:orders:0", "host:65536", "host:٣"])
def test_servers_of_resources_have_the_same_ports(text: str) -> None:
    with pytest.raises(ValueError, match="is not a number from 1 to 65535"):
        split_server(text)
