"""What a thousand links cost: building and adopting them, one more of them, an idle daemon, and each packet's way.

The records are made by AWS operations without a kernel; the first start of the fabric then builds everything, and the
second finds it. A start is over when the fabric's CPU use, its commands included, has come to rest. Needs root.
"""

from __future__ import annotations

import argparse
import base64
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

# In the place of this directory, whose fabric.py would be taken for the tests' package of that name.
sys.path[:1] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "tests")]

from bench import accept  # noqa: E402
from bench._cost import measured  # noqa: E402

from fabric.worlds import Account  # noqa: E402
from fabric.worlds import Fabric as Records  # noqa: E402
from tieline.store import SQLiteStore  # noqa: E402
from world.faults.fabric import Fabric  # noqa: E402
from world.running import until  # noqa: E402

PORT, COSTED, CHECKED = 9000, 9001, 10000  # a server answers, `_cost.py` listens, targets are checked
GROUP, ATTACHED = 50, 400  # targets of a checked group, and of a balancer, which may have 500 in a zone (AWS quota)
ZONE = "use1-az1"
HOST = "10.0.1.10"
PER_VPC = 20  # links of a consumer's VPC
REST = 0.2  # of one core: below it, a start is over
# Takes connections on one port and on all that are checked.
SERVER = f"""#!/usr/bin/env python3
import selectors, socket, sys
chosen = selectors.DefaultSelector()
for port in ({PORT}, *range({CHECKED}, {CHECKED} + {{targets}})):
    chosen.register(socket.create_server(("", port), backlog=512), selectors.EVENT_READ)
while True:
    for key, _ in chosen.select():
        key.fileobj.accept()[0].close()
"""


class Measured(msgspec.Struct):
    """One size of world. Seconds, but for what is named otherwise."""

    links: int
    build: float
    adopt: float
    one_more_ms: float
    idle_percent: float
    memory_mib: float
    connection_us: float
    round_trip_us: float


@dataclass
class World:
    """The ids of what is measured."""

    service: str
    name: str
    server: str
    vpc: str
    subnet: str
    client: str
    endpoint: str


def record(state: Path, links: int, targets: int) -> World:
    """The records of a world with so many links to one service."""
    store = SQLiteStore(state / "fabric.db")
    records = Records(seed=7, store=store)
    customer, platform = records.customer, records.platform
    provider, subnet = network(customer)
    server = run(customer, subnet, SERVER.format(targets=targets))
    balancer = customer.balancer(provider, [subnet], name="service", port=PORT, target=HOST)
    group(customer, provider, balancer, COSTED, [COSTED], HealthCheckPort=str(PORT))
    service, name = customer.service(balancer, platform, acceptance=False)
    for first in range(CHECKED, CHECKED + targets, GROUP):
        if (first - CHECKED) % ATTACHED == 0:
            balancer = customer.balancer(provider, [subnet], name=f"checked-{first}", port=PORT, target=HOST)
        group(customer, provider, balancer, first, list(range(first, min(first + GROUP, CHECKED + targets))))
    places = [network(platform) for _ in range(0, links, PER_VPC)]
    client = run(platform, places[0][1], accept.IDLE)
    records.settle()
    made = [platform.endpoint(vpc, name, [own]) for number in range(links) for vpc, own in [places[number // PER_VPC]]]
    customer.ec2("ModifyVpcEndpointServiceConfiguration", ServiceId=service, AcceptanceRequired=True)
    store.close()
    return World(service, name, server, *places[0], client, made[0])


def network(account: Account) -> tuple[str, str]:
    """A VPC and its subnet, whose default group lets everybody in."""
    vpc, (subnet,) = account.network((ZONE,))
    groups = account.ec2("DescribeSecurityGroups", Filters=[{"Name": "vpc-id", "Values": [vpc]}])["SecurityGroups"]
    everybody = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    account.ec2("AuthorizeSecurityGroupIngress", GroupId=groups[0]["GroupId"], IpPermissions=everybody)
    return vpc, subnet


def run(account: Account, subnet: str, script: str) -> str:
    place = {"ImageId": "local", "MinCount": 1, "MaxCount": 1, "SubnetId": subnet, "PrivateIpAddress": HOST}
    user_data = base64.b64encode(script.encode()).decode()
    id: str = account.ec2("RunInstances", UserData=user_data, **place)["Instances"][0]["InstanceId"]
    return id


def group(account: Account, vpc: str, balancer: str, listen: int, ports: list[int], **check: str) -> None:
    """A listener with a target for each of these ports of the server."""
    wanted = {"Name": f"g{listen}", "Protocol": "TCP", "Port": listen, "VpcId": vpc, "TargetType": "ip"}
    arn = account.elb("CreateTargetGroup", **wanted, **check)["TargetGroups"][0]["TargetGroupArn"]
    targets = [{"Id": HOST, "Port": port} for port in ports]
    account.elb("RegisterTargets", TargetGroupArn=arn, Targets=targets)
    actions = [{"Type": "forward", "TargetGroupArn": arn}]
    account.elb("CreateListener", LoadBalancerArn=balancer, Protocol="TCP", Port=listen, DefaultActions=actions)


def start(fabric: Fabric) -> float:
    """Start the fabric; seconds until it rests."""
    began = time.monotonic()
    fabric.up()
    ended, quiet = time.monotonic(), 0
    while quiet < 4:
        before, at = used(fabric), time.monotonic()
        time.sleep(0.5)
        busy = (used(fabric) - before) / (time.monotonic() - at) > REST
        quiet = 0 if busy else quiet + 1
        ended = time.monotonic() if busy else ended
    return ended - began


def used(fabric: Fabric) -> float:
    """Seconds of CPU of the fabric and of its commands that have ended (proc(5), fields 14 to 17)."""
    fields = Path(f"/proc/{pid(fabric)}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / 100


def memory(fabric: Fabric) -> float:
    """MiB that are resident."""
    lines = Path(f"/proc/{pid(fabric)}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS:"))) / 1024


def pid(fabric: Fabric) -> int:
    assert fabric.process is not None
    return fabric.process.pid


def measure(links: int, targets: int, rounds: int, idle: float) -> Measured:
    """One world, from its first start to its end."""
    with tempfile.TemporaryDirectory() as place:
        fabric = Fabric(Path(place) / "state", f"tlb-{secrets.token_hex(3)}")
        try:
            world = record(fabric.state, links, targets)
            build = start(fabric)
            customer, platform = fabric.account("customer"), fabric.account("platform")
            until(lambda: platform.endpoint_state(world.endpoint), lambda state: state == "available", 60)
            address = platform.addresses(world.endpoint)[0]
            ends = fabric.namespace(world.client), fabric.namespace(world.server)
            costs = [measured(*ends, address, COSTED, COSTED) for _ in range(rounds)]
            fabric.kill()
            adopt = start(fabric)
            before = used(fabric)
            time.sleep(idle)
            percent = (used(fabric) - before) / idle * 100
            known = (fabric, customer, platform, world.service, world.name, world.vpc, [world.subnet], world.client)
            more = list(_more(accept.Consumer(*known, others=links), rounds))
            return Measured(
                links=links,
                build=build,
                adopt=adopt,
                one_more_ms=statistics.median(more),
                idle_percent=percent,
                memory_mib=memory(fabric),
                connection_us=statistics.median(one["connection"] for one in costs),
                round_trip_us=statistics.median(one["round trip"] for one in costs),
            )
        finally:
            fabric.down()


def _more(consumer: accept.Consumer, rounds: int) -> Iterator[float]:
    for _ in range(rounds):
        with consumer.asking() as endpoint:
            yield consumer.accepted(endpoint)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--links", type=int, nargs="+", default=[1, 1000])
    parser.add_argument("--targets", type=int, default=1000, help="health-checked, at AWS's own interval of 30 s")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--idle", type=float, default=60.0, help="seconds")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = [measure(links, options.targets, options.rounds, options.idle) for links in options.links]
    names = [name for name in Measured.__struct_fields__ if name != "links"]
    print("| links | " + " | ".join(name.replace("_", " ") for name in names) + " |")
    print("|---" * (len(names) + 1) + "|")
    for one in found:
        print(f"| {one.links} | " + " | ".join(f"{getattr(one, name):,.1f}" for name in names) + " |")
    if options.json:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1))


if __name__ == "__main__":
    main()
