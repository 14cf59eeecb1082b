"""The daemon dies while bytes cross a link: not one is lost, and the next start finds everything as it was."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from servers import free_port
from world.running import Tieline, until

pytestmark = pytest.mark.world

PORT = 9000
TRANSFERS = 64
SLICE = 1 << 15
# Sends 5 MiB in slices with pauses, so that a transfer lasts about four seconds, then its checksum.
SERVE = f"""#!/usr/bin/env python3
import hashlib, os, socketserver, time
class Slow(socketserver.BaseRequestHandler):
    def handle(self):
        if not self.request.recv(1, 0):
            return
        digest = hashlib.sha256()
        for _ in range(160):
            slice = os.urandom({SLICE})
            digest.update(slice)
            self.request.sendall(slice)
            time.sleep(0.025)
        self.request.sendall(digest.digest())
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
Server(("", {PORT}), Slow).serve_forever()
"""
# Fetches several times at once; prints when all are under way, and in the end how many arrived whole.
FETCH = """
import hashlib, socket, sys, threading
address, count, size = (sys.argv[1], int(sys.argv[2])), int(sys.argv[3]), int(sys.argv[4])
whole, begun = [], threading.Barrier(count + 1)
def fetch():
    data = bytearray()
    with socket.create_connection(address, 30) as link:
        link.sendall(b"!")
        while more := link.recv(65536):
            if not data:
                begun.wait()
            data += more
    whole.append(len(data) == size + 32 and hashlib.sha256(data[:-32]).digest() == data[-32:])
threads = [threading.Thread(target=fetch) for _ in range(count)]
for thread in threads:
    thread.start()
begun.wait()
print("flowing", flush=True)
for thread in threads:
    thread.join()
print(sum(whole))
"""


def test_sigkill_of_up_during_transfers_loses_no_byte_and_the_next_start_adopts_the_link(
    mortal: Tieline, tmp_path: Path
) -> None:
    mortal.up()
    customer, platform = mortal.account("customer"), mortal.account("platform")
    vpc, subnets = customer.network()
    server = customer.instance(subnets[0], SERVE)
    arn, group = customer.balancer("slow", vpc, subnets, server, PORT)
    service, name = customer.service(arn, f"arn:aws:iam::{platform.id}:root")
    own_vpc, own_subnets = platform.network()
    client = platform.instance(own_subnets[0], "#!/bin/sh\nexec sleep 600\n")
    endpoint = platform.endpoint(own_vpc, name, own_subnets)
    customer.ec2.accept_vpc_endpoint_connections(ServiceId=service, VpcEndpointIds=[endpoint])
    until(lambda: platform.endpoint_state(endpoint), lambda state: state == "available")
    address = platform.addresses(endpoint)[0]
    command = ["nsenter", f"--net=/run/netns/{mortal.namespace(client)}", "--", sys.executable, "-c", FETCH, address]
    options = [str(PORT), str(TRANSFERS), str(160 * SLICE)]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as transfers:
        assert transfers.stdout is not None and transfers.stdout.readline() == "flowing\n"
        mortal.kill()
        assert transfers.poll() is None, "killed while the transfers were under way"
        assert transfers.communicate(timeout=90)[0] == f"{TRANSFERS}\n"

    log = mortal.state / "fabric.log"
    before = log.stat().st_size
    with Monitors([mortal.namespace(vpc), mortal.namespace(own_vpc)], tmp_path) as monitors:
        mortal.up()
        time.sleep(1.0)
    assert monitors.heard == [], "the kernel tells of no write"
    platform = mortal.account("platform")
    assert platform.endpoint_state(endpoint) == "available"
    assert mortal.account("customer").health(group) == ["healthy"]
    options[1] = "1"
    again = subprocess.run([*command, *options], capture_output=True, text=True, timeout=60, check=True)
    assert again.stdout == "flowing\n1\n"
    time.sleep(1.0)
    after = log.read_bytes()[before:].decode()
    assert "nft -f" not in after and "-batch" not in after, after  # an unchanged link is not touched


class Monitors:
    """What the kernel itself tells of writes to links, addresses, routes and tables of these namespaces."""

    COMMANDS = (["ip", "-o", "monitor", "link", "address", "route"], ["nft", "monitor"])

    def __init__(self, namespaces: list[str], directory: Path) -> None:
        self._namespaces, self._directory = namespaces, directory
        self._running: list[tuple[subprocess.Popen[bytes], Path]] = []
        self.heard: list[str] = []

    def __enter__(self) -> Monitors:
        for namespace in self._namespaces:
            for command in self.COMMANDS:
                enter = ["nsenter", f"--net=/run/netns/{namespace}", "--"]
                told = self._directory / f"told-{len(self._running)}"
                with told.open("wb") as file:
                    self._running.append((subprocess.Popen([*enter, *command], stdout=file), told))
        until(self._listen)
        return self

    def _listen(self) -> bool:
        """Whether each tells of what is written for it to hear, so that its silence means something."""
        for namespace in self._namespaces:
            self._write(namespace)
        return all(any(map(self._is_own, self._lines(told))) for _, told in self._running)

    def _write(self, namespace: str) -> None:
        for action in ("add", "del"):
            subprocess.run(["ip", "-n", namespace, "address", action, "127.9.9.9/32", "dev", "lo"], check=True)
            nft = ["nft", action.replace("del", "delete"), "table", "ip", "heard"]
            subprocess.run(["nsenter", f"--net=/run/netns/{namespace}", "--", *nft], check=True)

    def __exit__(self, *_: object) -> None:
        for process, told in self._running:
            process.terminate()
            process.wait()
            self.heard += [line for line in self._lines(told) if not self._is_own(line)]

    @staticmethod
    def _is_own(line: str) -> bool:
        return "127.9.9.9" in line or "table ip heard" in line

    @staticmethod
    def _lines(told: Path) -> list[str]:
        return [line for line in told.read_text().splitlines() if not line.startswith("# new generation")]


def test_two_ups_on_one_directory_the_second_names_the_first(mortal: Tieline) -> None:
    mortal.up()
    assert mortal.process is not None
    ports = ["--console-port", str(free_port()), "--aws-port", str(free_port())]
    second = mortal.command("up", "--state", str(mortal.state), *ports, check=False)
    assert second.returncode == 1
    assert f"process {mortal.process.pid}" in second.stderr
    assert mortal.process.poll() is None
