"""Hostile bytes for a forwarder and hostile names for a resolver: a corpus that stays, and changes to it.

What fails is written beside the corpus, so that it is tried at every run from then on. Bounded to seconds: the inputs
come from a fixed seed; TIELINE_FUZZ_SEED gives others.
"""

from __future__ import annotations

import ast
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from fabric.aws.operations.scene import Scene
from servers import accepts, free_port, wait_until
from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.core.topology import Name, Vpc
from tieline.fabric.kernel.net import resolver
from tieline.fabric.kernel.relay import forwarder

CORPUS = Path(__file__).parent / "corpus"
SEED = int(os.environ.get("TIELINE_FUZZ_SEED", "1"))
CHANGED = 60  # inputs made of the corpus, each time
SECONDS = 30.0

FORWARD = """
import sys, socket
from tieline.fabric.kernel.relay.forwarder import Forwarder
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
listener.setblocking(False)
Forwarder(listener, ("127.0.0.1", int(sys.argv[2]))).run()
"""


def changed(known: list[bytes], number: int) -> Iterator[bytes]:
    """Inputs with bytes exchanged, cut, doubled and joined."""
    chance = random.Random(SEED)
    for _ in range(number):
        data = bytearray(chance.choice(known) + (chance.choice(known) if chance.random() < 0.3 else b""))
        for _ in range(chance.randrange(1, 8)):
            at = chance.randrange(len(data) + 1)
            kind = chance.randrange(4)
            if kind == 0 and at < len(data):
                data[at] = chance.randrange(256)
            elif kind == 1:
                data[at:at] = chance.randbytes(chance.randrange(1, 64))
            elif kind == 2:
                del data[at : at + chance.randrange(1, 64)]
            else:
                data[at:at] = data[: chance.randrange(len(data) + 1)]
        yield bytes(data)


@pytest.fixture(scope="module")
def way() -> Iterator[int]:
    """The port of a forwarder that leads to a server which sends everything back."""
    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(server,), daemon=True).start()
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", FORWARD, str(port), str(server.getsockname()[1])])
    try:
        wait_until(lambda: accepts(port), "the forwarder")
        yield port
        assert process.poll() is None, "the forwarder ended"
    finally:
        process.kill()
        process.wait()
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()


def serve(server: socket.socket) -> None:
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=echo, args=(client,), daemon=True).start()


def echo(client: socket.socket) -> None:
    with client, suppress(OSError):
        while data := client.recv(65536):
            client.sendall(data)


FIRST = {path.name: path.read_bytes() for path in sorted((CORPUS / "forwarder").glob("*.bin"))}


@pytest.mark.parametrize("name", FIRST)
def test_a_forwarder_carries_whatever_comes_first(way: int, name: str) -> None:
    assert carried(way, FIRST[name]) == FIRST[name]


def test_a_forwarder_carries_what_was_changed(way: int) -> None:
    chance = random.Random(SEED)
    for number, data in enumerate(changed(list(FIRST.values()), CHANGED)):
        reset_one(way, data)
        back = carried(way, data, [chance.randrange(1, 300) for _ in range(20)])
        if back != data:
            (CORPUS / "forwarder" / f"found-{SEED}-{number}.bin").write_bytes(data)
        assert back == data


def carried(port: int, data: bytes, pieces: list[int] | None = None) -> bytes:
    """What comes back for bytes that are sent in pieces, the rest at once, and then no more."""
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as one:
        at = 0
        for size in pieces or ():
            one.sendall(data[at : at + size])
            at += size
        one.sendall(data[at:])
        one.shutdown(socket.SHUT_WR)
        chunks = []
        while chunk := one.recv(65536):
            chunks.append(chunk)
    return b"".join(chunks)


def reset_one(port: int, data: bytes) -> None:
    """Send, and leave with a reset in the middle of it."""
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as one:
        one.sendall(data)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


@pytest.mark.parametrize("text", ["", ":", "a", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", f"127.0.0.1:{10**20}"])
def test_an_address_that_is_none_stops_a_forwarder_before_it_listens(text: str) -> None:
    done = subprocess.run(
        [sys.executable, forwarder.__file__, "owner", "/proc/self/ns/net", "/proc/self/ns/net", text, text],
        capture_output=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode != 0


NAMES = [ast.literal_eval(line) for line in (CORPUS / "resolver" / "names.txt").read_text().splitlines()]
#: A line of hosts(5) and of dnsmasq's own file as we mean them: one address, one name, and nothing else.
LABEL = "[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?"
HOSTS_LINE = re.compile(rf"[0-9]{{1,3}}(\.[0-9]{{1,3}}){{3}} {LABEL}(\.{LABEL})*", re.ASCII)
RECORD = re.compile(r"txt-record=[a-z0-9_.-]+", re.ASCII)


def names() -> list[str]:
    texts = [name.encode("utf-8", "surrogatepass") for name in NAMES]
    return NAMES + [data.decode("utf-8", "replace") for data in changed(texts, CHANGED)]


def test_no_private_name_writes_another_line_for_the_resolver(tmp_path: Path) -> None:
    scene, taken = Scene(), 0
    customer, ours = scene.fabric.customer, {"ServiceId": scene.ids["service"]}
    plain = len(resolver.configuration(Vpc(id="vpc-1", cidrs=(), resolver="10.0.0.2"), tmp_path / "hosts").splitlines())
    for name in names():
        try:
            customer.ec2("ModifyVpcEndpointServiceConfiguration", **ours, PrivateDnsName=name)
            taken += 1
        except AwsError as refused:
            assert 400 <= refused.status < 500, repr(name)
        for vpc in scene.fabric.plan().vpcs.values():
            hosts = resolver.hosts_file(vpc.names).splitlines()
            assert [line for line in hosts if not HOSTS_LINE.fullmatch(line)] == [], repr(name)
            records = resolver.configuration(vpc, tmp_path / "hosts").splitlines()[plain:]
            assert [line for line in records if not RECORD.fullmatch(line)] == [], repr(name)
    assert taken > 2  # some of them are good


@pytest.mark.parametrize("text", [name for name in NAMES if not re.fullmatch(r"[A-Za-z0-9_.*-]*", name)])
def test_the_resolver_s_files_take_no_other_name_wherever_it_comes_from(text: str, tmp_path: Path) -> None:
    for addresses in ((), ("10.0.0.9",)):
        vpc = Vpc(id="vpc-1", cidrs=(), resolver="10.0.0.2", names=(Name(name=text, addresses=addresses),))
        with pytest.raises(ValueError, match="no name"):
            resolver.hosts_file(vpc.names) + resolver.configuration(vpc, tmp_path / "hosts")


@pytest.mark.skipif(shutil.which("dnsmasq") is None, reason="dnsmasq is not installed")
def test_dnsmasq_itself_takes_what_is_written(tmp_path: Path) -> None:
    known = tuple(Name(name=f"n{number}.tieline.internal", addresses=()) for number in range(50))
    vpc = Vpc(id="vpc-1", cidrs=(), resolver="10.0.0.2", names=known)
    (tmp_path / "dnsmasq.conf").write_text(resolver.configuration(vpc, tmp_path / "hosts"))
    done = subprocess.run(
        ["dnsmasq", "--test", f"--conf-file={tmp_path / 'dnsmasq.conf'}"], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
