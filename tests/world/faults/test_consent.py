"""Withdrawn consent, by either side: every live flow ends with a reset, and no later packet passes, on any ground."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tieline.fabric.daemon import control
from tieline.fabric.daemon.control import Delete, Listing
from world.faults.fabric import Fabric
from world.faults.linked import PORT, Linked
from world.running import until

pytestmark = pytest.mark.world
FLOWS = 50
LATE = 5.0  # seconds from the answer to the last reset: 0.25 at rest, and what a loaded machine adds
# Counts what it receives, and tells it to whoever asks on a local socket.
COUNT = f"""#!/usr/bin/env python3
import selectors, socket
chosen, total = selectors.DefaultSelector(), 0
service = socket.create_server(("", {PORT}), backlog=512)
asked = socket.create_server(("", {PORT + 1}))
for one in (service, asked):
    chosen.register(one, selectors.EVENT_READ)
while True:
    for key, _ in chosen.select():
        if key.fileobj is service:
            chosen.register(service.accept()[0], selectors.EVENT_READ)
        elif key.fileobj is asked:
            with asked.accept()[0] as asker:
                asker.sendall(str(total).encode())
        else:
            try:
                data = key.fileobj.recv(65536)
            except OSError:
                data = b""
            total += len(data)
            if data:
                key.fileobj.send(data)
            else:
                chosen.unregister(key.fileobj)
                key.fileobj.close()
"""
# Opens flows, each of which speaks every 10 ms; prints when the last was reset, and how the flows ended. Afterwards it
# tries each old socket again for every line of its input, and prints how many could send.
FLOWING = """
import collections, selectors, socket, sys, time
address, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
flows = [socket.create_connection((address, port), 5) for _ in range(count)]
ends = collections.Counter()
alive = set(flows)
for flow in flows:
    flow.setblocking(False)
print("flowing", flush=True)
while alive:
    for flow in list(alive):
        try:
            flow.send(b"x")
            flow.recv(100)
        except BlockingIOError:
            continue
        except OSError as error:
            ends[type(error).__name__] += 1
            alive.discard(flow)
    time.sleep(0.01)
print(time.monotonic(), *ends, flush=True)
for _ in sys.stdin:
    sent = 0
    for flow in flows:
        try:
            sent += flow.send(b"y")
        except OSError:
            pass
    print(sent, flush=True)
"""


@pytest.fixture(scope="module")
def linked(fabric: Fabric) -> Iterator[Linked]:
    yield Linked(fabric, COUNT)


def reject(linked: Linked) -> None:
    linked.customer.ec2.reject_vpc_endpoint_connections(ServiceId=linked.service, VpcEndpointIds=[linked.endpoint])


def delete(linked: Linked) -> None:
    linked.platform.ec2.delete_vpc_endpoints(VpcEndpointIds=[linked.endpoint])


@pytest.mark.parametrize("withdraw", [reject, delete], ids=lambda one: one.__name__)
def test_every_flow_is_reset_and_no_later_byte_passes(linked: Linked, withdraw: Callable[[Linked], None]) -> None:
    linked.endpoint = endpoint(linked) or linked.join()
    linked.address = linked.platform.addresses(linked.endpoint)[0]
    enter = ["nsenter", f"--net=/run/netns/{linked.space(linked.client)}", "--"]
    command = [*enter, sys.executable, "-c", FLOWING, linked.address, str(PORT), str(FLOWS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as flowing:
        assert flowing.stdin is not None and flowing.stdout is not None
        assert flowing.stdout.readline() == "flowing\n"
        time.sleep(0.3)
        withdraw(linked)
        answered = time.monotonic()
        moment, _, ends = flowing.stdout.readline().partition(" ")
        assert float(moment) - answered < LATE
        assert set(ends.split()) <= {"ConnectionResetError", "BrokenPipeError"}  # none timed out
        received = settled(linked)
        assert not linked.passes() and total(linked) == received
        if withdraw is reject:
            delete(linked)
        until(lambda: endpoint(linked) is None)
        linked.endpoint = linked.join()
        assert linked.platform.addresses(linked.endpoint)[0] == linked.address  # the same ground
        flowing.stdin.write("again\n")
        flowing.stdin.flush()
        assert flowing.stdout.readline() == "0\n"
        assert total(linked) == received
        flowing.stdin.close()


def test_an_account_that_is_removed_takes_its_consent_with_it(mortal: Fabric) -> None:
    mortal.up()
    linked = Linked(mortal, COUNT)
    enter = ["nsenter", f"--net=/run/netns/{linked.space(linked.client)}", "--"]
    command = [*enter, sys.executable, "-c", FLOWING, linked.address, str(PORT), str(FLOWS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as flowing:
        assert flowing.stdin is not None and flowing.stdout is not None
        assert flowing.stdout.readline() == "flowing\n"
        time.sleep(0.3)
        assert control.ask(mortal.state, Delete("customer")).code == "IN_USE"
        assert control.ask(mortal.state, Delete("customer", cascade=True)).code == ""
        answered = time.monotonic()
        moment, _, ends = flowing.stdout.readline().partition(" ")
        assert float(moment) - answered < LATE
        assert set(ends.split()) <= {"ConnectionResetError", "BrokenPipeError"}
        flowing.stdin.close()
    with pytest.raises(ClientError, match=r"InvalidClientTokenId|AuthFailure"):
        linked.customer.ec2.describe_vpcs()
    assert not linked.passes()
    assert linked.platform.endpoint_state(linked.endpoint) == "rejected"
    until(lambda: control.ask(mortal.state, Listing()).accounts, lambda known: [a.name for a in known] == ["platform"])
    until(lambda: not Path(f"/run/netns/{linked.space(linked.provider)}").exists())
    assert not Path(f"/run/netns/{linked.space(linked.server)}").exists()
    delete(linked)
    until(lambda: endpoint(linked) is None)


def endpoint(linked: Linked) -> str | None:
    found = linked.platform.ec2.describe_vpc_endpoints()["VpcEndpoints"]
    return found[0]["VpcEndpointId"] if found else None


def settled(linked: Linked) -> int:
    """How many bytes the server has received once it has read what had arrived before the end."""
    before, now = -1, total(linked)
    while now != before:
        time.sleep(0.3)
        before, now = now, total(linked)
    return now


def total(linked: Linked) -> int:
    """How many bytes the server has received; asked inside its own network."""
    program = f"import socket; print(socket.create_connection(('127.0.0.1', {PORT + 1})).recv(20).decode())"
    return int(linked.tieline.inside(linked.server, sys.executable, "-c", program).stdout)
