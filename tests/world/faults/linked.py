"""One link through a running tieline, seen from its consumer, and the names of all its kernel objects."""

from __future__ import annotations

import re
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from world.faults.fabric import Fabric
from world.running import until

PORT = 9000
IDLE = "#!/bin/sh\nexec sleep 3600\n"
SERVE = f"""#!/usr/bin/env python3
import contextlib, socket
with socket.create_server(("", {PORT})) as server:
    while True:
        with contextlib.suppress(OSError), server.accept()[0] as connection:  # one that is reset ends itself alone
            connection.sendall(b"hello")
"""
FETCH = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), float(sys.argv[3])) as link:
    print(link.recv(5).decode())
"""
ENTRY = re.compile(r"^\d{4}-\d\d-\d\d [\d:,]+ INFO tieline\.fabric\.kernel\.system\.commands: (.*)", re.MULTILINE)
LINE = re.compile(r"^(?=\d{4}-\d\d-\d\d [\d:,]+ [A-Z]+ )", re.MULTILINE)


class Linked:
    """A platform's instance, a customer's server, and the accepted link between them."""

    def __init__(self, tieline: Fabric, script: str = SERVE) -> None:
        self.tieline = tieline
        customer, platform = self.customer, self.platform = tieline.account("customer"), tieline.account("platform")
        self.provider, subnets = customer.network()
        self.server = customer.instance(subnets[0], script)
        arn, self.group = customer.balancer("faults", self.provider, subnets, self.server, PORT)
        self.service, self.service_name = customer.service(arn, f"arn:aws:iam::{platform.id}:root")
        self.consumer, self.subnets = platform.network()
        self.client = platform.instance(self.subnets[0], IDLE)
        self.endpoint = self.join()
        self.address = platform.addresses(self.endpoint)[0]
        described = platform.ec2.describe_vpc_endpoints(VpcEndpointIds=[self.endpoint])["VpcEndpoints"][0]
        self.name: str = described["DnsEntries"][0]["DnsName"]

    def join(self) -> str:
        """One more endpoint, accepted and available."""
        made = self.platform.endpoint(self.consumer, self.service_name, self.subnets)
        self.customer.ec2.accept_vpc_endpoint_connections(ServiceId=self.service, VpcEndpointIds=[made])
        until(lambda: self.platform.endpoint_state(made), lambda state: state == "available")
        return made

    def passes(self, seconds: float = 1) -> bool:
        """Whether the first byte of a new connection arrives; who asks only once gives it more time."""
        program = ("python3", "-c", FETCH, self.address, str(PORT), str(seconds))
        return "hello" in self.tieline.inside(self.client, *program).stdout

    def resolves(self) -> bool:
        """Whether the client is there, and finds the endpoint by its name."""
        program = f"import socket; print(socket.gethostbyname('{self.name}'))"
        if (init := self.found_init(self.client)) is None:
            return False
        enter = ["nsenter", "-t", str(init), "-a", "--", "python3", "-c", program]
        return subprocess.run(enter, capture_output=True, timeout=60, check=False).returncode == 0

    def works(self) -> bool:
        return self.passes() and self.resolves()

    def space(self, id: str) -> str:
        return self.tieline.namespace(id)

    def within(self, id: str) -> list[int]:
        """The processes in a VPC's or an instance's network."""
        done = subprocess.run(["ip", "netns", "pids", self.space(id)], capture_output=True, text=True, check=True)
        return [int(pid) for pid in done.stdout.split()]

    def init(self, id: str) -> int:
        """An instance's process 1, as the machine numbers it."""
        found = self.found_init(id)
        assert found is not None, f"{id} has no process 1"
        return found

    def found_init(self, id: str) -> int | None:
        """The same, or None where it has none, or none yet."""
        for pid in self.within(id):
            with suppress(OSError):
                ids = re.search(r"^NSpid:(.*)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
                if ids and ids[1].split()[-1] == "1":
                    return pid
        return None

    def logged(self) -> int:
        """How long the fabric's log is."""
        return (self.tieline.state / "fabric.log").stat().st_size

    def writes(self, since: int) -> list[str]:
        """The commands that changed something in the kernel since the log had this length."""
        text = (self.tieline.state / "fabric.log").read_bytes()[since:].decode()
        return [entry for entry in LINE.split(text) if ENTRY.match(entry)]

    def quiet(self) -> bool:
        """No command for a while: what was done last has been followed up."""
        before = self.logged()
        time.sleep(1.2)
        return not self.writes(before)


def run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)
