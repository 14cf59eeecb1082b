"""Networks in the one spelling that everybody reads alike."""

from __future__ import annotations

import pytest

from tieline.base.cidr import network, network4, network6

OTHER_SPELLINGS = [
    "10.0.0.0/255.255.0.0",
    "10.0.0.0/0.0.255.255",
    "10.0.0.0/16/",
    "10.0.0.0//16",
    "/10.0.0.0/16",
    "010.0.0.0/8",
    "10.0.0.0/08",
    "10.0.0.0/+16",
    "10.0.0.0/-1",
    "10.0.0.0/ 16",
    " 10.0.0.0/16",
    "10.0.0.0/16 ",
    "10.0.0.0/16\n",
    "10.0.0.0/1٦",
    "１0.0.0.0/16",
    "10.0.0/16",
    "10/8",
    "0xa.0.0.0/8",
    "167772160/8",
    "10.0.0.0",
    "10.0.0.0/",
    "10.0.0.0/33",
    "10.0.0.256/32",
    "",
    "/",
    "10.0.0.0/16,10.1.0.0/16",
    "fe80::%eth0/64",
    "::/129",
    "::/064",
    "2001:db8::/ffff::",
    "1::2::3/64",
]


@pytest.mark.parametrize("text", OTHER_SPELLINGS)
def test_other_spellings_are_refused(text: str) -> None:
    for read in (network, network4, network6):
        with pytest.raises(ValueError):
            read(text)


@pytest.mark.parametrize("text", ["0.0.0.0/0", "10.0.0.0/8", "10.0.0.4/32", "::/0", "2001:db8::/32", "::1/128"])
def test_the_one_spelling(text: str) -> None:
    assert str(network(text)) == text


def test_bits_behind_the_length_are_refused_or_dropped_as_asked() -> None:
    with pytest.raises(ValueError, match="host bits"):
        network("10.0.1.0/16")
    assert str(network4("10.0.1.0/16", strict=False)) == "10.0.0.0/16"
    assert str(network6("2001:db8::1/32", strict=False)) == "2001:db8::/32"
