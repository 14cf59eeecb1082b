"""Withdrawn consent, by either side: every live flow ends with a reset, and no later packet passes, on any ground."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tieline.fabric.daemon import control
from tieline.fabric.daemon.control import Delete, Listing
from world.faults.fabric import Fabric
from world.faults.linked import PORT, Linked, run
from world.running import settled, until

pytestmark = pytest.mark.world
FLOWS = 50
PROMISED = 0.25  # seconds from the answer to the last reset
COMMANDS = 40  # of conntrack's take as long as it does at rest: where these take longer, so may it
LATE = 5.0  # seconds that a single time may take, whatever else the machine does
ROUNDS = 5
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
                total += len(data)
                key.fileobj.send(data)
            except OSError:  # it is reset, before or in between
                data = b""
            if not data:
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
def test_every_flow_is_dead_within_a_quarter_of_a_second(linked: Linked, withdraw: Callable[[Linked], None]) -> None:
    took, paces = [], []
    for _ in range(ROUNDS):
        refresh(linked)
        with flowing(linked) as flows:
            withdraw(linked)
            answered = time.monotonic()
            took.append(ended(flows) - answered)
        paces.append(pace(linked))
        if withdraw is reject:
            delete(linked)
        until(lambda: endpoint(linked) is None)
    assert statistics.median(took) < max(PROMISED, COMMANDS * statistics.median(paces)), (took, paces)


@pytest.mark.parametrize("withdraw", [reject, delete], ids=lambda one: one.__name__)
def test_every_flow_is_reset_and_no_later_byte_passes(linked: Linked, withdraw: Callable[[Linked], None]) -> None:
    refresh(linked)
    with flowing(linked) as flows:
        withdraw(linked)
        ended(flows)
        received = settled(lambda: total(linked), 0.3)  # once it has read what had arrived before the end
        assert not linked.passes() and total(linked) == received
        if withdraw is reject:
            delete(linked)
        until(lambda: endpoint(linked) is None)
        linked.endpoint = linked.join()
        assert linked.platform.addresses(linked.endpoint)[0] == linked.address  # the same ground
        assert flows.stdin is not None and flows.stdout is not None
        flows.stdin.write("again\n")
        flows.stdin.flush()
        assert flows.stdout.readline() == "0\n"
        assert total(linked) == received


def test_an_account_that_is_removed_takes_its_consent_with_it(mortal: Fabric) -> None:
    mortal.up()
    linked = Linked(mortal, COUNT)
    with flowing(linked) as flows:
        assert control.ask(mortal.state, Delete("customer")).code == "IN_USE"
        assert control.ask(mortal.state, Delete("customer", cascade=True)).code == ""
        answered = time.monotonic()
        assert ended(flows) - answered < LATE
    with pytest.raises(ClientError, match=r"InvalidClientTokenId|AuthFailure"):
        linked.customer.ec2.describe_vpcs()
    assert not linked.passes()
    assert linked.platform.endpoint_state(linked.endpoint) == "rejected"
    until(lambda: control.ask(mortal.state, Listing()).accounts, lambda known: [a.name for a in known] == ["platform"])
    until(lambda: not Path(f"/run/netns/{linked.space(linked.provider)}").exists())
    assert not Path(f"/run/netns/{linked.space(linked.server)}").exists()
    delete(linked)
    until(lambda: endpoint(linked) is None)


def refresh(linked: Linked) -> None:
    """Have a link, where the test before has left none."""
    linked.endpoint = endpoint(linked) or linked.join()
    linked.address = linked.platform.addresses(linked.endpoint)[0]


@contextmanager
def flowing(linked: Linked) -> Iterator[subprocess.Popen[str]]:
    """Flows that are open and speak."""
    enter = ["nsenter", f"--net=/run/netns/{linked.space(linked.client)}", "--"]
    command = [*enter, sys.executable, "-c", FLOWING, linked.address, str(PORT), str(FLOWS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as flows:
        assert flows.stdin is not None and flows.stdout is not None
        try:
            assert flows.stdout.readline() == "flowing\n"
            time.sleep(0.3)
            yield flows
            flows.stdin.close()
        except BaseException:
            flows.kill()  # it would speak for as long as nobody cuts its flows
            raise


def pace(linked: Linked) -> float:
    """How long one command in the consumer's network takes now."""
    began = time.monotonic()
    run("nsenter", f"--net=/run/netns/{linked.space(linked.consumer)}", "--", "conntrack", "-C")
    return time.monotonic() - began


def ended(flows: subprocess.Popen[str]) -> float:
    """When the last flow was reset; each was, and none timed out."""
    assert flows.stdout is not None
    moment, _, ends = flows.stdout.readline().partition(" ")
    assert set(ends.split()) <= {"ConnectionResetError", "BrokenPipeError"}
    return float(moment)


def endpoint(linked: Linked) -> str | None:
    found = linked.platform.ec2.describe_vpc_endpoints()["VpcEndpoints"]
    return found[0]["VpcEndpointId"] if found else None


def total(linked: Linked) -> int:
    """How many bytes the server has received; asked inside its own network."""
    program = f"import socket; print(socket.create_connection(('127.0.0.1', {PORT + 1})).recv(20).decode())"
    return int(linked.tieline.inside(linked.server, sys.executable, "-c", program).stdout)
