"""The ways from a consumer's host to a provider's server: the link, plain routing, and proxies, in equal namespaces.

    host c -- VPC a ==== wire ==== VPC b -- host t

The link is made by the kernel driver, with overlapping addresses. Peering is the same four namespaces with plain routes
and neither NAT nor conntrack; each proxy stands in its VPC b, on the wire's address, and is spared all translation.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tieline.fabric.core.topology import (
    Crossing,
    Filter,
    Guard,
    Host,
    Listener,
    Node,
    Permit,
    Protocol,
    Target,
    Vpc,
    Wire,
)
from tieline.fabric.kernel.driver import Kernel

HTTP, BULK, IDLE = 80, 5201, 7000
PORTS = (HTTP, BULK, IDLE)
ALL = (Permit(protocol="tcp", peer="0.0.0.0/0"),)  # of the security groups that each flow of the link passes
ENDPOINT, NODE, HOST, RESOLVER = "10.0.0.50", "10.0.0.60", "10.0.0.10", "10.0.0.2"
NEAR, FAR = "169.254.8.0", "169.254.8.1"

NGINX = """
worker_processes 1; pid {place}/{name}.pid; error_log /dev/null; daemon off; worker_rlimit_nofile 65536; user root;
events {{ worker_connections 16384; }}
http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 3600;
  server {{ listen 80 backlog=4096; location / {{ return 200 "ok"; }} }} }}
"""
STREAM = """
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
worker_processes auto; pid {place}/{name}.pid; error_log /dev/null; daemon off; worker_rlimit_nofile 65536; user root;
events {{ worker_connections 16384; }}
stream {{ {servers} }}
"""
HAPROXY = """
global
  maxconn 4096
defaults
  mode tcp
  option splice-auto
  timeout connect 10s
  timeout client 1h
  timeout server 1h
{servers}
"""
ENVOY = """
static_resources:
  listeners: {listeners}
  clusters: {clusters}
"""
# Accepts and keeps connections that say nothing.
KEEP = f"""
import resource, socket
resource.setrlimit(resource.RLIMIT_NOFILE, (16384, 16384))
server, kept = socket.create_server(("", {IDLE}), backlog=4096), []
while True:
    kept.append(server.accept()[0])
"""


@dataclass
class Candidate:
    """One candidate: from where to which address and ports, and the processes that carry its bytes."""

    name: str
    client: str
    address: str
    ports: tuple[int, int, int]
    carriers: list[subprocess.Popen[bytes]] = field(default_factory=list)


class Worlds:
    """All namespaces and processes of one run; `close` removes them."""

    def __init__(self, prefix: str, place: Path) -> None:
        self.prefix, self.place = prefix, place
        self.kernel = Kernel(prefix, place / "state")
        self._started: list[subprocess.Popen[bytes]] = []

    def space(self, id: str) -> str:
        return f"{self.prefix}-{id}"

    def inside(self, id: str, *argv: str) -> list[str]:
        """The command that runs another in a namespace."""
        return ["nsenter", f"--net=/run/netns/{self.space(id)}", "--", *argv]

    def start(self, id: str, *argv: str) -> subprocess.Popen[bytes]:
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(self.inside(id, *argv), stdin=quiet, stdout=quiet, stderr=quiet)
        self._started.append(process)
        return process

    def close(self) -> None:
        for process in self._started:
            process.terminate()
        for process in self._started:
            process.wait()
        asyncio.run(self.kernel.down())

    def paths(self) -> list[Candidate]:
        """Every candidate, ready to carry."""
        asyncio.run(self._lay_link())
        self._lay_plain()
        for target in ("i-t", "i-pt"):
            self._serve(target)
        plain = [Candidate("peering", "i-pc", "10.2.0.10", PORTS)]
        for number, (name, command) in enumerate(self._proxies(), 1):
            path = Candidate(name, "i-pc", FAR, _ports(number))
            path.carriers = [self.start("vpc-pb", *argv) for argv in command]
            plain.append(path)
        time.sleep(1.5)
        return [plain[0], Candidate("link", "i-c", ENDPOINT, PORTS), *plain[1:]]

    async def _lay_link(self) -> None:
        ports: tuple[tuple[Protocol, int], ...] = tuple(("tcp", port) for port in PORTS)
        crossing = Crossing(zone="a", endpoint=ENDPOINT, near=NEAR, far=FAR, node=NODE, ports=ports)
        wire = Wire(id="vpce-1", consumer="vpc-a", provider="vpc-b", crossings=(crossing,))
        listeners = tuple(
            Listener(protocol="tcp", port=port, targets=(Target(address=HOST, port=port),)) for port in PORTS
        )
        node = Node(id="eni-1", address=NODE, listeners=listeners)
        await self.kernel.converge_vpc(_vpc("vpc-a", "i-c", (ENDPOINT,)), [wire])
        await self.kernel.converge_vpc(_vpc("vpc-b", "i-t", (), (node,)), [], [wire])
        await self.kernel.converge_wire(wire)

    def _lay_plain(self) -> None:
        for id in ("vpc-pa", "vpc-pb", "i-pc", "i-pt"):
            _run("ip", "netns", "add", self.space(id))
            _run("ip", "-n", self.space(id), "link", "set", "lo", "up")
        for vpc, host, network in (("vpc-pa", "i-pc", "10.1.0"), ("vpc-pb", "i-pt", "10.2.0")):
            near, far = self.space(vpc), self.space(host)
            _run(*self.inside(vpc, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.proxy_arp=1"))
            _run("ip", "link", "add", "eth0", "netns", far, "type", "veth", "peer", "name", "h0", "netns", near)
            _run("ip", "-n", near, "link", "set", "h0", "up")
            _run("ip", "-n", near, "address", "add", f"{network}.1/32", "dev", "h0")
            _run("ip", "-n", far, "address", "add", f"{network}.10/24", "dev", "eth0")
            _run("ip", "-n", far, "link", "set", "eth0", "up")
            _run("ip", "-n", far, "route", "add", "default", "via", f"{network}.1")
            _run("ip", "-n", near, "route", "add", f"{network}.10/32", "dev", "h0")
        near, far = self.space("vpc-pa"), self.space("vpc-pb")
        _run("ip", "link", "add", "w0", "netns", near, "type", "veth", "peer", "name", "w0", "netns", far)
        for space, own, other in ((near, NEAR, FAR), (far, FAR, NEAR)):
            _run("ip", "-n", space, "address", "add", f"{own}/31", "dev", "w0")
            _run("ip", "-n", space, "link", "set", "w0", "up")
            _run("ip", "-n", space, "route", "add", "default", "via", other)

    def _serve(self, target: str) -> None:
        self.start(target, "nginx", "-c", self._file(f"{target}.conf", NGINX, name=target))
        self.start(target, "iperf3", "-s")
        self.start(target, sys.executable, "-c", KEEP)

    def _proxies(self) -> list[tuple[str, list[list[str]]]]:
        pairs = [list(zip(_ports(number), PORTS, strict=True)) for number in (1, 2, 3, 4)]
        haproxy = "\n".join(
            f"listen p{own}\n  bind {FAR}:{own} backlog 4096\n  server t 10.2.0.10:{port}" for own, port in pairs[0]
        )
        stream = "".join(
            f"server {{ listen {FAR}:{own} backlog=4096; proxy_pass 10.2.0.10:{port}; proxy_timeout 1h; }}\n"
            for own, port in pairs[1]
        )
        listen = "TCP-LISTEN:{},bind={},fork,backlog=4096,reuseaddr"
        return [
            ("HAProxy", [["haproxy", "-db", "-f", self._file("haproxy.cfg", HAPROXY, servers=haproxy)]]),
            ("nginx stream", [["nginx", "-c", self._file("stream.conf", STREAM, name="stream", servers=stream)]]),
            ("socat", [["socat", listen.format(own, FAR), f"TCP:10.2.0.10:{port}"] for own, port in pairs[2]]),
            ("Envoy", [[str(envoy()), "--disable-hot-restart", "-l", "off", "-c", self._envoy(pairs[3])]]),
        ]

    def _envoy(self, pairs: Sequence[tuple[int, int]]) -> str:
        """Its configuration: a listener and a cluster for each port, and as many workers as there are processors."""
        listeners = [
            {
                "address": _address(FAR, own),
                "filter_chains": [
                    {"filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config": _to(port)}]}
                ],
            }
            for own, port in pairs
        ]
        clusters = [
            {
                "name": f"p{port}",
                "type": "STATIC",
                "load_assignment": {
                    "cluster_name": f"p{port}",
                    "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address("10.2.0.10", port)}}]}],
                },
            }
            for _, port in pairs
        ]
        return self._file("envoy.yaml", ENVOY, listeners=json.dumps(listeners), clusters=json.dumps(clusters))

    def _file(self, file_name: str, text: str, **values: object) -> str:
        file = self.place / file_name
        file.write_text(text.format(place=self.place, **values))
        return str(file)


def envoy() -> Path:
    """Envoy's program, from its wheel."""
    found = importlib.util.find_spec("envoy")
    assert found is not None and found.origin is not None, "need_programs has installed it"
    program = Path(found.origin).with_name("_bin") / "envoy"
    program.chmod(0o755)
    return program


def _address(address: str, port: int) -> dict[str, object]:
    return {"socket_address": {"address": address, "port_value": port}}


def _to(port: int) -> dict[str, str]:
    kind = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
    return {"@type": kind, "stat_prefix": f"p{port}", "cluster": f"p{port}", "idle_timeout": "3600s"}


def _vpc(id: str, host: str, addresses: Sequence[str], nodes: tuple[Node, ...] = ()) -> Vpc:
    hosts = (Host(id=host, address=HOST, prefix_length=24, router="10.0.0.1"),)
    place = ("10.0.0.0/16",)
    guarded: list[tuple[str, Literal["host", "door", "node"]]] = [(HOST, "host")]
    guarded += [(address, "door") for address in (*addresses, *(node.address for node in nodes))]
    guarded += [(node.address, "node") for node in nodes]
    return Vpc(
        id=id,
        cidrs=place,
        resolver=RESOLVER,
        hosts=hosts,
        addresses=tuple(addresses),
        nodes=nodes,
        filters=(Filter(id="sg", inward=ALL, outward=ALL),),
        guards=tuple(Guard(address=address, filter="sg", place=place) for address, place in guarded),
    )


def _ports(number: int) -> tuple[int, int, int]:
    return 8000 + 10 * number, 8001 + 10 * number, 8002 + 10 * number


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)
