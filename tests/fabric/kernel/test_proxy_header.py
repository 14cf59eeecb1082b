"""The PROXY protocol's header, read back by a parser that knows only the specification, and AWS's own additions."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from tieline.fabric.kernel.relay import proxy_header

addresses = st.tuples(st.ip_addresses(v=4).map(str), st.integers(1, 65535))
ids = st.text("0123456789abcdef", min_size=17, max_size=17).map("vpce-".__add__)


@dataclass
class Parsed:
    command: int
    source: tuple[str, int]
    target: tuple[str, int]
    values: dict[int, bytes]
    length: int


def parse(data: bytes) -> Parsed:
    """Section 2.2 of the specification, for TCP over IPv4; the checksum is verified as section 2.2.4 says."""
    assert data[:12] == bytes.fromhex("0d0a0d0a000d0a515549540a")
    version, family, length = struct.unpack("!BBH", data[12:16])
    assert version >> 4 == 2
    body = data[16 : 16 + length]
    assert len(body) == length
    if family == 0:
        return Parsed(version & 15, ("", 0), ("", 0), {}, 16 + length)
    assert family == 0x11
    ports = struct.unpack("!HH", body[8:12])
    values, at = {}, 12
    while at < length:
        kind, size = struct.unpack("!BH", body[at : at + 3])
        values[kind] = body[at + 3 : at + 3 + size]
        if kind == 3:
            blank = data[: 16 + at + 3] + bytes(4) + data[16 + at + 7 : 16 + length]
            assert bitwise_crc32c(blank) == int.from_bytes(values[kind], "big")
        at += 3 + size
    assert at == length
    source, target = socket.inet_ntoa(body[:4]), socket.inet_ntoa(body[4:8])
    return Parsed(version & 15, (source, ports[0]), (target, ports[1]), values, 16 + length)


def bitwise_crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 * (crc & 1))
    return crc ^ 0xFFFFFFFF


@given(addresses, addresses, ids)
def test_a_parser_of_the_specification_reads_what_was_written(
    client: tuple[str, int], aimed_at: tuple[str, int], endpoint: str
) -> None:
    written = proxy_header.header(client, aimed_at, endpoint)
    read = parse(written + b"payload")
    assert (read.command, read.source, read.target, read.length) == (1, client, aimed_at, len(written))
    assert read.values[0xEA] == b"\x01" + endpoint.encode() and set(read.values) == {3, 4, 0xEA}


def test_the_layout_is_that_of_the_capture() -> None:
    """84 bytes follow the length, in AWS's order: addresses, checksum, endpoint, padding."""
    written = proxy_header.header(("10.0.1.10", 40000), ("10.0.1.20", 5432), "vpce-0123456789abcdef0")
    assert len(written) == 100 and written[14:16] == b"\x00\x54"
    assert written[28:31] == b"\x03\x00\x04" and written[35:39] == b"\xea\x00\x17\x01" and written[61] == 4


def test_the_checksum_is_castagnolis() -> None:
    assert proxy_header.crc32c(b"123456789") == 0xE3069283  # RFC 3720, B.4 and every catalogue of checksums
    assert proxy_header.crc32c(bytes(32)) == 0x8A9136AA


def test_without_an_endpoint_there_is_no_word_of_one() -> None:
    read = parse(proxy_header.header(("10.0.1.10", 40000), ("10.0.1.20", 5432)))
    assert 0xEA not in read.values and read.length == 100


def test_a_probe_speaks_for_itself() -> None:
    assert parse(proxy_header.LOCAL).command == 0 and len(proxy_header.LOCAL) == 16
