"""PROXY protocol, version 2: the header that tells a target who its client is, as a network load balancer writes it.

Pure. https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt, and aws.md, section 3, for what AWS puts into it.
"""

from __future__ import annotations

import socket
import struct

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
PROXIED, OWN = 0x21, 0x20  # version 2: on behalf of a client, or of the sender itself
TCP_IPV4, UNSPECIFIED = 0x11, 0x00
CRC32C, NOOP, AWS = 0x03, 0x04, 0xEA
ENDPOINT = 0x01  # of AWS's own TLV: the rest is the id of the endpoint
BODY = 84  # bytes after the length that AWS pads to
POLYNOMIAL = 0x82F63B78  # Castagnoli's, reflected (RFC 3720)

LOCAL = SIGNATURE + bytes((OWN, UNSPECIFIED, 0, 0))


def header(client: tuple[str, int], aimed_at: tuple[str, int], endpoint: str = "") -> bytes:
    """The header of a connection that `client` made to the address `aimed_at`, through an endpoint if one is named."""
    addresses = socket.inet_aton(client[0]) + socket.inet_aton(aimed_at[0]) + struct.pack("!HH", client[1], aimed_at[1])
    through = _tlv(AWS, bytes((ENDPOINT,)) + endpoint.encode()) if endpoint else b""
    length = len(addresses) + 7 + len(through)  # the checksum's TLV has 7 bytes
    padding = _tlv(NOOP, bytes(BODY - length - 3)) if length + 3 <= BODY else b""
    head = SIGNATURE + struct.pack("!BBH", PROXIED, TCP_IPV4, length + len(padding)) + addresses
    tail = through + padding
    checksum = crc32c(head + _tlv(CRC32C, bytes(4)) + tail)
    return head + _tlv(CRC32C, checksum.to_bytes(4, "big")) + tail


def crc32c(data: bytes) -> int:
    """The checksum that the header carries of itself, its own four bytes taken as zero."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def _tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


def _entry(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (POLYNOMIAL if value & 1 else 0)
    return value


_TABLE = tuple(_entry(n) for n in range(256))
