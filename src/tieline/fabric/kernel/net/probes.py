"""Health probes: connections that begin inside a VPC's namespace, at a balancer node's own address."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from functools import partial

from tieline.fabric.core.topology import Check, Outcome
from tieline.fabric.kernel.net import namespaces
from tieline.fabric.kernel.relay import proxy_header
from tieline.fabric.kernel.system.names import Footprint

FAILED, TIMEOUT, MISMATCH = "Target.FailedHealthChecks", "Target.Timeout", "Target.ResponseCodeMismatch"  # ELBv2
IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h: the port is chosen on connect, so that probes do not use the ports up
HEAD_LIMIT = 16 * 1024  # bytes of an HTTP answer that are read for its status line
AGENT = "ELB-HealthChecker/2.0"  # what AWS's checkers call themselves


async def probe(footprint: Footprint, check: Check) -> Outcome:
    """Whether the target answers as the check wants. A failed probe is an outcome, never an exception."""
    try:
        async with asyncio.timeout(check.timeout):
            return await _probe(footprint, check)
    except TimeoutError:
        return Outcome(passed=False, reason=TIMEOUT, cause=f"no answer within {check.timeout:g} s")
    except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
        return Outcome(passed=False, reason=FAILED, cause=_words(error))


def matches(matcher: str, status: int) -> bool:
    """Whether a status is in a list like `200,204` or `200-399`."""
    return any(_in_range(part, status) for part in matcher.split(","))


async def _probe(footprint: Footprint, check: Check) -> Outcome:
    place = partial(_socket, check.source)
    with await namespaces.inside(footprint.namespace(check.vpc), place) as connection:
        await asyncio.get_running_loop().sock_connect(connection, (check.address, check.port))
        if check.proxy_protocol:
            await asyncio.get_running_loop().sock_sendall(connection, proxy_header.LOCAL)
        if check.protocol == "TCP":
            return Outcome(passed=True)
        status = await _status(connection, check)
    if matches(check.matcher, status):
        return Outcome(passed=True)
    return Outcome(passed=False, reason=MISMATCH, cause=f"HTTP status {status}, not in {check.matcher}")


def _socket(source: str) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        made.bind((source, 0))
    except OSError:
        made.close()
        raise
    return made


async def _status(connection: socket.socket, check: Check) -> int:
    """The status that the target answers a GET with. As on AWS, its certificate is not verified."""
    encryption = _unverified() if check.protocol == "HTTPS" else None
    name = (check.host or check.address) if encryption else None
    reader, writer = await asyncio.open_connection(
        sock=connection.dup(), ssl=encryption, server_hostname=name, limit=HEAD_LIMIT
    )
    try:
        host = check.host or f"{check.address}:{check.port}"
        request = f"GET {check.path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {AGENT}\r\nConnection: close\r\n\r\n"
        writer.write(request.encode())
        return _parse(await reader.readuntil(b"\n"))
    finally:
        writer.transport.abort()


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _parse(line: bytes) -> int:
    words = line.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise ValueError(f"not an HTTP answer: {line[:40]!r}")
    return int(words[1])


def _in_range(part: str, status: int) -> bool:
    low, _, high = part.strip().partition("-")
    return int(low) <= status <= int(high or low)


def _words(error: Exception) -> str:
    if isinstance(error, EOFError):
        return "the target closed the connection without an answer"
    if isinstance(error, OSError) and error.errno and not isinstance(error, ssl.SSLError):
        return os.strerror(error.errno).lower()
    return str(error) or type(error).__name__
