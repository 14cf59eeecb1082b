"""What one client may take of a server: bytes, seconds and connections; `docs/security.md` lists them."""

from __future__ import annotations

from dataclasses import dataclass

KIB, MIB = 1 << 10, 1 << 20


@dataclass(frozen=True)
class Limits:
    """Sizes are bytes, times are seconds. What is beyond a limit is refused, and its connection is closed."""

    body_bytes: int  # of one request, as it arrives
    message_bytes: int = 16 * MIB  # of one WebSocket message, unpacked
    head_bytes: int = 64 * KIB  # request line and headers; nginx takes 32 KiB (large_client_header_buffers)
    headers: int = 100  # of one request, as Apache takes (LimitRequestFields)
    pipelined: int = 16  # requests that wait on one connection while another is served
    connections: int = 256  # open at a time, WebSockets not counted; see `connections.py` for what happens beyond
    websockets: int = 2048  # open at a time; each was let in by a token or a session
    head_seconds: float = 20.0  # for a head to arrive whole, counted from the connection or from its first byte
    body_seconds: float = 60.0  # for a body to arrive whole, counted from the end of the head
    idle_seconds: float = 75.0  # between two requests: longer than clients keep theirs, or a request meets its end
    send_seconds: float = 60.0  # in which a client must take some of what waits for it (64 KiB or the rest)
    handshake_seconds: int = 10  # for TLS
