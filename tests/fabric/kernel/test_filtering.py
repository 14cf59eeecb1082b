"""A filter's ranges say what its permits say, and the chains ask them in a number that does not grow."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network
from itertools import combinations
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from tieline.fabric.core.topology import Filter, Guard, Permit, Vpc
from tieline.fabric.kernel.nft import filtering, rules

unhurried = settings(deadline=None, max_examples=100)  # a busy machine is not a failure
peers = st.sampled_from(
    ["0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/16", "10.0.1.0/24", "10.0.1.7", "10.0.1.8/31", "192.168.0.0/24"]
)
spans = st.tuples(st.integers(0, 65535), st.integers(0, 65535)).map(sorted)
permits = st.lists(
    st.builds(lambda peer, span: Permit(protocol="tcp", peer=peer, first=span[0], last=span[1]), peers, spans),
    max_size=12,
)
addresses = st.sampled_from(
    ["10.0.1.7", "10.0.1.8", "10.0.1.9", "10.0.1.10", "10.0.2.1", "10.1.0.0", "11.0.0.0", "9.9.9.9"]
)


@unhurried
@given(permits, addresses, st.integers(0, 65535))
def test_ranges_contain_exactly_what_some_permit_does(given: list[Permit], address: str, port: int) -> None:
    expected = any(IPv4Address(address) in IPv4Network(one.peer) and one.first <= port <= one.last for one in given)
    number = int(IPv4Address(address))
    found = [
        box for box in filtering.boxes(given) if box[0][0] <= number <= box[0][1] and box[1][0] <= port <= box[1][1]
    ]
    assert len(found) == expected


@unhurried
@given(permits)
def test_no_two_ranges_overlap(given: list[Permit]) -> None:
    for (a, p), (b, q) in combinations(filtering.boxes(given), 2):
        assert a[1] < b[0] or b[1] < a[0] or p[1] < q[0] or q[1] < p[0]


def test_an_icmp_code_belongs_to_its_type() -> None:
    echo = Permit(protocol="icmp", peer="10.0.0.0/8", first=8 * 256, last=8 * 256)
    unreachable = Permit(protocol="icmp", peer="10.0.0.0/8", first=3 * 256, last=3 * 256 + 255)
    found = {name: elements for _, name, _, elements in filtering.blocks(guarded([echo, unreachable]))}
    assert found["in-sg-1-icmp"] == ["10.0.0.0-10.255.255.255 . 3 . 0-255", "10.0.0.0-10.255.255.255 . 8 . 0"]


def test_the_number_of_rules_does_not_grow_with_groups_or_rules() -> None:
    random = Random(1)
    many = [
        Permit(protocol="tcp", peer=f"10.0.{random.randrange(256)}.0/24", first=n, last=n + random.randrange(99))
        for n in range(60)
    ]
    small, large = rules.table(guarded(many[:1]), [], []), rules.table(guarded(many, hosts=200), [], [])
    assert [line for line in small.splitlines() if " hook " in line] == [
        line for line in large.splitlines() if " hook " in line
    ]
    assert [len(chain_rules(text)) for text in (small, large)] == [len(chain_rules(small))] * 2


def test_an_address_without_a_known_filter_is_open() -> None:
    vpc = Vpc(
        id="vpc-b", cidrs=(), resolver="10.0.0.2", guards=(Guard(address="10.0.0.9", filter="sg-0", place="host"),)
    )
    assert "10.0.0.9" not in rules.table(vpc, [], [])


def guarded(inward: list[Permit], hosts: int = 1) -> Vpc:
    guards = tuple(Guard(address=f"10.0.0.{n}", filter="sg-1", place="host") for n in range(10, 10 + hosts))
    filters = (Filter(id="sg-1", inward=tuple(inward)),)
    return Vpc(id="vpc-b", cidrs=(), resolver="10.0.0.2", filters=filters, guards=guards)


def chain_rules(text: str) -> list[str]:
    """Every rule, as opposed to an element."""
    chains = re.findall(r"  chain \S+ \{\n(.*?)\n  \}", text, re.S)
    return [line for chain in chains for line in chain.splitlines()]
