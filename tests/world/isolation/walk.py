"""A packet's walk through a topology: what the tables of its VPCs do to the first packet of a TCP flow.

Pure: it reads the very text that nft loads, and knows of nft only how a map is looked up; what it does not find is
dropped.
"""

from __future__ import annotations

import re

from tieline.fabric.core.topology import Topology, Vpc, Wire
from tieline.fabric.kernel.nft import rules
from tieline.fabric.kernel.system.names import wire_link

MAP = re.compile(r"^  map (\S+) \{\n(.*?)^  \}", re.MULTILINE | re.DOTALL)
CHAIN = re.compile(r"^  chain (to-\S+) \{\n(.*?)^  \}", re.MULTILINE | re.DOTALL)
TARGET = re.compile(r"(\d+\.\d+\.\d+\.\d+)(?::| \. )(\d+)")


class Walk:
    """The tables of a topology, read once."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._maps: dict[str, dict[str, dict[str, str]]] = {}
        self._chains: dict[str, dict[str, str]] = {}
        for vpc in topology.vpcs.values():
            text = rules.table(vpc, self._wires(vpc, "consumer"), self._wires(vpc, "provider"))
            self._maps[vpc.id] = {name: _elements(body) for name, body in MAP.findall(text)}
            self._chains[vpc.id] = dict(CHAIN.findall(text))

    def ends(self, vpc: str, address: str, port: int) -> set[tuple[str, str, int]]:
        """Where a flow that a host of this VPC aims at an address and port may end: VPC, address, port of a host."""
        key, maps = f"{address} . tcp . {port}", self._maps[vpc]
        if far := maps["endpoints"].get(key):
            return self._cross(vpc, far)
        if verdict := maps["listeners"].get(key):
            return self._targets(vpc, verdict)
        hosts = {host.address for host in self._topology.vpcs[vpc].hosts}
        return {(vpc, address, port)} if address in hosts else set()

    def _cross(self, vpc: str, far: str) -> set[tuple[str, str, int]]:
        """Over the wire that has the address at its other end: as the kernel, by the route that its /31 makes."""
        address, port = far.split(" . ")
        for wire in self._wires(self._topology.vpcs[vpc], "consumer"):
            if any(crossing.far == address for crossing in wire.crossings):
                key = f'"{wire_link(wire.id)}" . {address} . tcp . {port}'
                verdict = self._maps[wire.provider]["arrivals"].get(key)
                return self._targets(wire.provider, verdict) if verdict else set()
        return set()

    def _targets(self, vpc: str, verdict: str) -> set[tuple[str, str, int]]:
        body = self._chains[vpc][verdict.removeprefix("goto ")]
        hosts = {host.address for host in self._topology.vpcs[vpc].hosts}
        return {(vpc, address, int(port)) for address, port in TARGET.findall(body) if address in hosts}

    def _wires(self, vpc: Vpc, side: str) -> list[Wire]:
        return [wire for wire in self._topology.wires.values() if getattr(wire, side) == vpc.id]


def _elements(body: str) -> dict[str, str]:
    found = body.partition("elements = {")[2].partition("}")[0]
    pairs = (element.strip().partition(" : ") for element in found.split(",") if element.strip())
    return {key: value for key, _, value in pairs}
