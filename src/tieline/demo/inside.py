"""Looking at the demo's worlds from inside: commands in an instance, scans from its network, the machine's links."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

# Connects to every address and port given on standard input and prints those that answered, with or without consent.
SCAN = r"""
import asyncio, json, sys
async def knock(gate, address, port, seconds):
    async with gate:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), seconds)
        except ConnectionRefusedError:
            return [address, port, "refused"]
        except (OSError, asyncio.TimeoutError):
            return None
        writer.close()
        return [address, port, "open"]
async def main():
    wanted = json.load(sys.stdin)
    gate = asyncio.Semaphore(400)
    doors = [knock(gate, a, p, wanted["seconds"]) for a in wanted["addresses"] for p in wanted["ports"]]
    print(json.dumps([found for found in await asyncio.gather(*doors) if found]))
asyncio.run(main())
"""
COMMAND_SECONDS = 60


class Inside:
    """The namespaces of one fabric, by the prefix of their names. Needs root, as the fabric does."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def run(self, instance: str, *argv: str) -> str:
        """The output of a command that runs in an instance's own root and network."""
        pids = _output("ip", "netns", "pids", f"{self._prefix}-{instance}").split()
        if not pids:
            raise RuntimeError(f"hop instance: {instance} does not run")
        first = min(pids, key=int)
        return _output("nsenter", "--target", first, *_spaces(first), "--", *argv)

    def scan(self, instance: str, addresses: list[str], ports: list[int], seconds: float = 0.5) -> set[tuple[str, int]]:
        """Every address and port that answered in any way, seen from an instance's network."""
        wanted = json.dumps({"addresses": addresses, "ports": ports, "seconds": seconds})
        namespace = f"--net=/run/netns/{self._prefix}-{instance}"
        found = json.loads(_output("nsenter", namespace, "--", sys.executable, "-c", SCAN, stdin=wanted))
        return {(address, port) for address, port, _ in found}

    def links_of_machine(self) -> list[str]:
        """The machine's own interfaces whose other end is in one of the fabric's namespaces."""
        links = json.loads(_output("ip", "-j", "link"))
        return [link["ifname"] for link in links if str(link.get("link_netns", "")).startswith(f"{self._prefix}-")]


def _spaces(pid: str) -> list[str]:
    """The namespaces of an instance to enter: that of users only where it has one of its own."""
    users = Path("/proc/self/ns/user").readlink() != Path(f"/proc/{pid}/ns/user").readlink()
    return [*(["--user"] if users else []), "--net", "--mount"]


def _output(*argv: str, stdin: str = "") -> str:
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"`{' '.join(argv[:6])}` failed: {done.stderr.strip()[-500:]}")
    return done.stdout
