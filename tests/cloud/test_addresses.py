"""Which addresses resources may name."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.cloud.model.problems import PlatformError
from tieline.cloud.resources.addresses import check_address, check_entry
from tieline.integration.sinks.base.reach import plain


def allowed(host: str, *entries: str, inside: bool = True) -> bool:
    try:
        check_address(host, inside, entries)
    except PlatformError as error:
        assert (error.status, error.code) == (403, "FORBIDDEN_ADDRESS")
        return False
    return True


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "localhost", "LOCALHOST.", "db.localhost"),
        *(
            "0x7f000001",
            "2130706433",
            "127.1",
            "0177.1",
            "::ffff:7f00:1",
            "64:ff9b::127.0.0.1",
            "１２７.1",
            "ｌocalhost",
        ),
    ],
)
def test_the_loopback_of_a_deployment_is_the_platforms_own(host: str) -> None:
    assert not allowed(host)
    assert allowed(host, inside=False)


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "fe80::1",
        "::ffff:169.254.0.1",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "0",
        "0xa9fea9fe",
        "fd00:ec2::254",
    ],
)
def test_metadata_services_are_nobodys_database(host: str) -> None:
    assert not allowed(host)
    assert not allowed(host, inside=False)


def test_a_list_is_all_that_is_allowed() -> None:
    entries = ("10.0.0.0/8", ".example.com", "db", "fd00::/8", "192.0.2.7")
    for host in ("10.1.2.3", "::ffff:10.1.2.3", "x.example.com", "X.Example.COM.", "db", "fd00::5", "192.0.2.7"):
        assert allowed(host, *entries)
    for host in ("11.1.2.3", "example.com.evil", "xexample.com", "dbx", "192.0.2.8", "127.0.0.1"):
        assert not allowed(host, *entries)


@given(st.ip_addresses())
def test_every_public_address_is_allowed_by_default(address: IPv4Address | IPv6Address) -> None:
    meant = plain(address)
    if meant.is_global and not meant.is_multicast:
        assert allowed(str(address))


def test_an_entry_is_checked_when_it_is_given() -> None:
    assert check_entry("10.0.0.0/8") == "10.0.0.0/8"
    for wrong in ("10.0.0.1/8", "a b", "", "300.0.0.0/8"):
        with pytest.raises(ValueError):
            check_entry(wrong)
