"""The small pure parts: names, conntrack's listing, packets, status lists, and the resolver's files."""

from __future__ import annotations

import struct
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tieline.fabric.core.topology import Name, Passage, Vpc
from tieline.fabric.kernel.net import passages, probes, resolver
from tieline.fabric.kernel.nft import flows
from tieline.fabric.kernel.system import names
from tieline.fabric.kernel.system.names import Footprint

LISTING = """\
tcp      6 431999 ESTABLISHED src=10.0.0.10 dst=10.0.0.50 sport=40000 dport=5432 \
src=169.254.8.1 dst=169.254.8.0 sport=5432 dport=40001 [ASSURED] mark=0 use=1
tcp      6 100 TIME_WAIT src=10.0.0.10 dst=10.0.0.50 sport=40002 dport=5432 \
src=169.254.8.1 dst=169.254.8.0 sport=5432 dport=40002 [ASSURED] mark=0 use=1
udp      17 20 src=10.0.0.10 dst=10.0.0.50 sport=1 dport=53 \
src=169.254.8.1 dst=169.254.8.0 sport=53 dport=1 mark=0 use=1
tcp      6 118 SYN_SENT src=10.0.0.10 dst=10.0.0.50 sport=40003 dport=5432 [UNREPLIED] \
src=169.254.8.1 dst=169.254.8.0 sport=5432 dport=40003 mark=0 use=1
"""


@pytest.mark.parametrize("prefix", ["tieline", "tl-", "-a", "tl-a-b", "TL-a", "tl-abcdefghijklm", "tl-a/b", ""])
def test_a_prefix_that_could_begin_another_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="prefix"):
        Footprint(prefix, Path("/nowhere"))


@settings(deadline=None)
@given(st.text("abcdef0123456789-", min_size=1))
def test_names_fit_and_lead_back(id: str) -> None:
    footprint = Footprint("tl-3f2a", Path("/nowhere"))
    assert footprint.id_of(footprint.namespace(id)) == id
    assert Footprint("tl-3f2", Path("/nowhere")).id_of(footprint.namespace(id)) is None
    for link in (names.host_link(id), names.wire_link(id)):
        assert len(link) <= names.LINK_LENGTH
    assert names.host_link(id) != names.host_link(id + "x")


def test_live_tcp_flows_are_found_in_conntracks_listing() -> None:
    first, second = flows.parse(LISTING)
    assert first.source == ("10.0.0.10", 40000) and first.aimed_at == ("10.0.0.50", 5432)
    assert first.answered_by == ("169.254.8.1", 5432) and first.answered_to == ("169.254.8.0", 40001)
    assert second.source == ("10.0.0.10", 40003)


def test_each_end_is_nudged_from_where_it_thinks_its_peer_is() -> None:
    flow = flows.parse(LISTING)[0]
    segments = [*flows.to_client(flow), *flows.to_server(flow)]
    ends = [(bytes(packet[12:16]), bytes(packet[16:20]), struct.unpack("!HH", packet[20:24])) for packet, _ in segments]
    client = (bytes([10, 0, 0, 50]), bytes([10, 0, 0, 10]), (5432, 40000))
    target = (bytes([169, 254, 8, 0]), bytes([169, 254, 8, 1]), (40001, 5432))
    assert ends == [client, client, target, target]
    numbers = [struct.unpack("!L", packet[24:28])[0] for packet, _ in segments]
    assert (numbers[0] - numbers[1]) % (1 << 32) == 1 << 31, "at least one is outside of any window"


@settings(deadline=None)
@given(st.integers(0, 65535), st.integers(0, 65535), st.integers(0, 2**32 - 1))
def test_a_packets_checksum_is_right(source: int, target: int, number: int) -> None:
    packet = flows.packet(("10.0.0.1", source), ("10.0.0.2", target), number)
    segment = packet[20:]
    pseudo = packet[12:20] + struct.pack("!BBH", 0, 6, len(segment))
    total = sum(struct.unpack(f"!{(len(pseudo) + len(segment)) // 2}H", pseudo + segment))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert total == 0xFFFF


@pytest.mark.parametrize(
    ("matcher", "status", "expected"),
    [
        ("200-399", 399, True),
        ("200-399", 400, False),
        ("200,204", 204, True),
        ("200, 204", 201, False),
        ("200", 200, True),
    ],
)
def test_a_status_is_in_its_list(matcher: str, status: int, expected: bool) -> None:
    assert probes.matches(matcher, status) is expected


def test_the_resolvers_files() -> None:
    wanted = (Name(name="a.example.com.", addresses=("10.0.0.1", "10.0.0.2")), Name(name="b.example.com", addresses=()))
    assert resolver.hosts_file(wanted) == "10.0.0.1 a.example.com\n10.0.0.2 a.example.com\n"
    vpc = Vpc(id="vpc-a", cidrs=(), resolver="10.0.0.2", names=wanted)
    settings = resolver.configuration(vpc, Path("/run/x/hosts")).splitlines()
    assert {"listen-address=10.0.0.2", "local-ttl=60", "no-resolv", "txt-record=b.example.com"} <= set(settings)


def test_a_forwarder_is_known_by_its_prefix_and_nothing_else() -> None:
    passage = Passage(id="p", instance="i", direction="inward", listen=("127.0.0.1", 1), connect=("127.0.0.1", 2))
    footprint = Footprint("tl-3f2a", Path("/nowhere"))
    owner = '{"prefix":"tl-3f2a","inode":1,"passage":' + msgspec.json.encode(passage).decode() + "}"
    line = ["python3", "-I", "-S", "-B", "/x/forwarder.py", owner, "a", "b", "c", "d"]
    found = passages.owner(footprint, line)
    assert found is not None and found.passage == passage
    assert passages.owner(Footprint("tl-3f2b", Path("/nowhere")), line) is None
    assert passages.owner(footprint, [*line[:4], "/x/other.py", *line[5:]]) is None
    assert passages.owner(footprint, ["vi", "forwarder.py"]) is None
