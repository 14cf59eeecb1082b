"""The process that announces clients by the PROXY protocol: it accepts on an address of a VPC and connects onwards.

Each connection begins with the header, then come the client's own bytes, which are spliced and never copied into here.
At the edge the client's real address is still known; what crosses the wire is the header and the bytes.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import sys
from errno import ECONNREFUSED
from typing import Any

from tieline.fabric.kernel.relay.forwarder import (
    BACKLOG,
    NEW_NET,
    Connection,
    Forwarder,
    check,
    leave_caller,
    libc,
    run,
)
from tieline.fabric.kernel.relay.proxy_header import header

IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h: the port is chosen on connect, by both addresses


class Announcer(Forwarder):
    """One port of an address, handed on with headers."""

    def __init__(
        self,
        listener: socket.socket,
        onwards: tuple[str, int],
        source: str,
        endpoint: str,
        shared: selectors.BaseSelector,
    ) -> None:
        super().__init__(listener, onwards, shared)
        self.source, self.endpoint = source, endpoint

    def prepare(self, client: socket.socket, server: socket.socket) -> bytes:
        peer, aimed_at = client.getpeername(), client.getsockname()
        if peer[0] == self.source:  # our own connection, which no rule led to a target
            raise OSError(ECONNREFUSED, os.strerror(ECONNREFUSED))
        server.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        server.bind((self.source, 0))
        return header(peer, aimed_at, self.endpoint)


def main(owner: str, namespace: str) -> None:
    """Arguments: what to announce (announcers.Owner as JSON), and the file of the VPC's namespace."""
    wanted: dict[str, Any] = json.loads(owner)["announcement"]
    handle = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    check(libc.setns(handle, NEW_NET), "enter the VPC's namespace")
    os.close(handle)
    selector = selectors.DefaultSelector()
    for port in wanted["ports"]:
        listener = socket.create_server((wanted["address"], port), backlog=BACKLOG)
        listener.setblocking(False)
        Announcer(listener, (wanted["onwards"], port), wanted["source"], wanted["endpoint"], selector)
    leave_caller()
    signal.signal(signal.SIGTERM, _stop)
    try:
        run(selector)
    finally:
        _reset_all(selector)


def _stop(_number: int, _frame: object) -> None:
    raise SystemExit


def _reset_all(selector: selectors.BaseSelector) -> None:
    """A cut link is a reset at both ends, not an end that looks proper."""
    owners = [getattr(key.data, "__self__", None) for key in selector.get_map().values()]
    for connection in {one for one in owners if isinstance(one, Connection)}:
        connection.close(reset=True)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except OSError as failure:
        sys.exit(str(failure))
