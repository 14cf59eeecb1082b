"""`host:port` as people write it: read by one rule, and written."""

from __future__ import annotations

import re

HOST_PATTERN = r"^[0-9A-Za-z._:-]+$"  # a name, or an address of either family without its brackets


def read(text: str) -> tuple[str, int]:
    """Host and port of `host:port`, an IPv6 address in brackets; raises ValueError with what is wrong."""
    host, colon, port = text.strip().rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    plain = host[1:-1] if bracketed else host
    if not colon or not re.fullmatch(HOST_PATTERN, plain) or (":" in plain) != bracketed:
        raise ValueError("expected host:port, an IPv6 address in brackets")
    return plain, port_number(port)


def port_number(text: str) -> int:
    """A port; raises ValueError with what is wrong."""
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 65535):
        raise ValueError(f"port {text!r} is not a number from 1 to 65535")
    return int(text)


def joined(host: str, port: int) -> str:
    """`host:port`, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
