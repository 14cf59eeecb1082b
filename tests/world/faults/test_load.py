"""Much at once through one link: open connections, short connections, and questions to its resolver."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from world.faults.fabric import Fabric
from world.faults.linked import PORT, Linked

pytestmark = pytest.mark.world
OPEN, SHORT, QUESTIONS = 10_000, 50_000, 1_000
ECHO = f"""#!/usr/bin/env python3
import resource, selectors, socket
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
chosen = selectors.DefaultSelector()
service = socket.create_server(("", {PORT}), backlog=4096)
chosen.register(service, selectors.EVENT_READ)
while True:
    for key, _ in chosen.select():
        if key.fileobj is service:
            chosen.register(service.accept()[0], selectors.EVENT_READ)
            continue
        try:
            data = key.fileobj.recv(4096)
            key.fileobj.send(data)
        except OSError:  # it is reset, before or in between
            data = b""
        if not data:
            chosen.unregister(key.fileobj)
            key.fileobj.close()
"""
HOLD = """
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
address, count = (sys.argv[1], int(sys.argv[2])), int(sys.argv[3])
held = [socket.create_connection(address, 10) for _ in range(count)]
for number, one in enumerate(held):
    one.sendall(b"%05d" % number)
print(sum(one.recv(5) == b"%05d" % number for number, one in enumerate(held)))
"""
HURRY = """
import socket, struct, sys
address, count = (sys.argv[1], int(sys.argv[2])), int(sys.argv[3])
answered = 0
for _ in range(count):
    with socket.create_connection(address, 10) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.sendall(b"!")
        answered += one.recv(1) == b"!"
print(answered)
"""
ASK = """
import socket, struct, sys, time
resolver, name, count, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), 1.0
labels = [bytes([len(part)]) + part.encode() for part in name.split(".")]
question = b"".join(labels) + bytes([0]) + struct.pack("!HH", 1, 1)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
    asking.connect((resolver, 53))
    asking.settimeout(10)
    began, answered = time.monotonic(), set()
    for number in range(count):
        asking.send(struct.pack("!HHHHHH", number, 0x100, 1, 0, 0, 0) + question)
        time.sleep(max(0.0, began + number * seconds / count - time.monotonic()))
        while number % 20 == 19 and len(answered) <= number - 20:
            answered.add(asking.recv(512)[:2])
    try:
        while len(answered) < count:
            answered.add(asking.recv(512)[:2])
    except TimeoutError:
        pass
print(len(answered))
"""


@pytest.fixture(scope="module")
def linked(fabric: Fabric) -> Iterator[Linked]:
    yield Linked(fabric, ECHO)


def run(linked: Linked, program: str, *arguments: object) -> int:
    done = linked.tieline.inside(linked.client, sys.executable, "-c", program, *map(str, arguments), seconds=300)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_ten_thousand_connections_are_open_through_one_link(linked: Linked) -> None:
    assert run(linked, HOLD, linked.address, PORT, OPEN) == OPEN


def test_fifty_thousand_short_connections(linked: Linked) -> None:
    with ThreadPoolExecutor(2) as clients:
        runs = [clients.submit(run, linked, HURRY, linked.address, PORT, SHORT // 2) for _ in range(2)]
        assert sum(one.result() for one in runs) == SHORT


def test_a_resolver_answers_a_thousand_questions_in_a_second(linked: Linked) -> None:
    assert run(linked, ASK, "10.0.0.2", linked.name, QUESTIONS) == QUESTIONS
