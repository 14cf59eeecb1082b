"""CPU time of connections and round trips between two namespaces, all in one pinned process, both ends included.

Packets between namespaces of one machine are carried in the time of whoever sends them, so that this process's own CPU
time has the whole way; unlike throughput it hardly depends on what else the machine does. Prints JSON, in microseconds.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from tieline.fabric.kernel.net.namespaces import enter

WARM = 100


def connections(listener: socket.socket, address: tuple[str, int], count: int) -> float:
    """A connection, a request and an answer in it, and its end: CPU time of each."""
    began = 0.0
    for number in range(count + WARM):
        if number == WARM:
            began = time.process_time()
        client = socket.create_connection(address)
        server, _ = listener.accept()
        client.send(b"x" * 60)
        server.recv(100)
        server.send(b"y" * 100)
        client.recv(200)
        server.close()
        client.recv(1)
        client.close()
    return (time.process_time() - began) / count * 1e6


def round_trips(listener: socket.socket, address: tuple[str, int], count: int) -> float:
    """A byte there and a byte back on an open connection: CPU time of each pair."""
    began = 0.0
    with socket.create_connection(address) as client, listener.accept()[0] as server:
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in range(count + WARM):
            if number == WARM:
                began = time.process_time()
            client.send(b"x")
            server.recv(10)
            server.send(b"y")
            client.recv(10)
    return (time.process_time() - began) / count * 1e6


def measured(client: str, server: str, address: str, port: int, listen: int, count: int = 2000) -> dict[str, float]:
    """Run this file as a process between the namespaces: `connection` and `round trip`."""
    command = [sys.executable, str(Path(__file__)), client, server, address, str(port), str(listen), str(count)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("client")
    parser.add_argument("server")
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("listen", type=int)
    parser.add_argument("count", type=int)
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    enter(options.server)
    with socket.create_server(("", options.listen), backlog=512) as listener:
        enter(options.client)
        aim = options.address, options.port
        taken = {"connection": connections(listener, aim, options.count)}
        taken["round trip"] = round_trips(listener, aim, 2 * options.count)
    print(json.dumps(taken))


if __name__ == "__main__":
    main()
