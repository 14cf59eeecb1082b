"""How fast messages become rows, over a link: our pipeline beside what people use instead, in turns, every row counted.

./dev bench integration [--count 200000] [--rounds 3] [--burst 1000000] [--queue 1000000] [--json FILE] [--plot FILE]

Broker, publisher, database and sink share the machine. Rows per second are counted from the publisher's start to the
last committed row, by the database's own times of commit; CPU is user and system time of the sink's process alone,
without its start; the broker's share is of one core, and Mosquitto uses no more than one. `by hand` is the least that a
program can do for the same rows: no rules, no retries, one table. The script is paho-mqtt with batches of 500 rows or
200 ms into psycopg. Node-RED, where npm can bring it, has a flow of three nodes (`_node_red.py`); it gets an
eighth of the messages, the script a fifth, and Node-RED once half of them, as a burst. Ratios are of medians of one
run. A burst for us, and a queue that stands, take minutes: they run where they are asked for.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests")]

from bench import _node_red as node_red  # noqa: E402
from bench import sinks  # noqa: E402
from bench._chart import bars  # noqa: E402
from bench._integration_runs import (  # noqa: E402
    PIPELINE,
    evaluation,
    latency,
    middle,
    outage,
    through,
)
from bench._integration_way import Database, way, within  # noqa: E402

MANY_RULES = 1000
SLOW = 5  # times that the script is slower, about: it gets so many messages less
SLOWER = 8  # and Node-RED, which drops what it cannot write within ten seconds

Runs = dict[str, list[dict[str, Any]]]


class Figure(NamedTuple):
    """One line of the result."""

    name: str
    value: float
    unit: str
    goal: str
    reached: bool

    def line(self) -> str:
        digits = 0 if abs(self.value) >= 100 or self.value == int(self.value) else 2
        value = f"{self.value:,.{digits}f} {self.unit}".strip()
        return f"{self.name:68}{value:>18}   {self.goal:14}{'✓' if self.reached else '✗'}"


def node_red_command(database: Database) -> list[str]:
    """Node-RED with its files beside the database's, where its log is until the end."""
    return [str(HERE / "_node_red.py"), "PORT", *database.login, str(database.directory / "node-red")]


def compare(database: Database, count: int, rounds: int, with_node_red: bool) -> Runs:
    """Every contender once in each round."""
    ours = [PIPELINE, "PORT", *database.login]
    contenders: dict[str, tuple[list[str], int]] = {
        "by hand": ([str(HERE / "integration_by_hand.py"), "PORT", database.dsn, str(count)], count),
        "tieline": (ours, count),
        "1,000 rules": ([*ours, str(MANY_RULES)], count),
        "script": ([str(HERE / "integration_script.py"), "PORT", database.dsn], count // SLOW),
    }
    if with_node_red:
        contenders["Node-RED"] = (node_red_command(database), count // SLOWER)
    runs: Runs = {}
    for _ in range(rounds):
        for name, (command, messages) in contenders.items():
            runs.setdefault(name, []).append(through(command, database, messages))
    return runs


def of_runs(runs: Runs) -> list[Figure]:
    """The ratios of the table."""
    rate = {name: middle(those, "rows_per_second") for name, those in runs.items()}
    cpu = {name: middle(those, "cpu_us_per_row") for name, those in runs.items()}
    lost = sum(run["lost"] for name, those in runs.items() if name in ("tieline", "1,000 rules") for run in those)
    hand, script, many = (rate["tieline"] / rate[name] for name in ("by hand", "script", "1,000 rules"))
    dear = cpu["tieline"] / cpu["by hand"]
    figures = [
        Figure("rows/s ÷ the program by hand's", hand, "", "≥ 0.9", hand >= 0.9),
        Figure("CPU of our process per row", cpu["tieline"], "µs", "≤ 12 µs", cpu["tieline"] <= 12),
        Figure("CPU per row ÷ the program by hand's", dear, "", "≤ 2", dear <= 2),
        Figure("rows/s ÷ the batching paho + psycopg script's", script, "", "≥ 7.5", script >= 7.5),
        Figure("rows/s with 1,000 rules, one matching ÷ with one", 1 / many, "", "≥ 0.9", 1 / many >= 0.9),
        Figure("rows that we lost in these runs", lost, "", "0", lost == 0),
    ]
    if "Node-RED" in rate:
        node = rate["tieline"] / rate["Node-RED"]
        figures.insert(4, Figure("rows/s ÷ Node-RED's", node, "", "≥ 9", node >= 9))
    return figures


def table(runs: Runs) -> str:
    """A line for each contender: medians, and the spread of its rows per second."""
    lines = [f"{'sink':24}{'rows/s':>10}{'from':>10}{'to':>10}{'CPU µs/row':>12}{'broker':>8}{'lost':>8}{'doubles':>9}"]
    for name, those in runs.items():
        rates = [run["rows_per_second"] for run in those]
        lost, doubles = sum(run["lost"] for run in those), sum(run["doubles"] for run in those)
        spread = f"{middle(those, 'rows_per_second'):>10,.0f}{min(rates):>10,.0f}{max(rates):>10,.0f}"
        shares = f"{middle(those, 'cpu_us_per_row'):>12.1f}{middle(those, 'broker_share'):>8.0%}"
        lines.append(f"{name:24}{spread}{shares}{lost:>8,}{doubles:>9}")
    return "\n".join(lines)


def node_red_burst(database: Database, count: int) -> dict[str, Any]:
    """What Node-RED loses when more comes at once than it can write within its ten seconds."""
    burst = through(node_red_command(database), database, count, node_red.CLIENT)
    lost = f"{burst['lost']:,} rows lost, {burst['lost'] - burst['unacknowledged']:,} of which it had acknowledged"
    print(f"Node-RED, a burst of {count:,}: {burst['rows_per_second']:,.0f} rows/s, {lost}", flush=True)
    return {"count": count, **burst}


def measured(database: Database, options: argparse.Namespace, result: dict[str, Any]) -> list[Figure]:
    """All that happens between the broker and PostgreSQL."""
    with_node_red = not result["without Node-RED"]
    runs = result["runs"] = compare(database, options.count, options.rounds, with_node_red)
    print(table(runs), flush=True)
    if with_node_red:
        result["Node-RED burst"] = node_red_burst(database, options.count // 2)
    figures = of_runs(runs)
    found = result["latency"] = latency(database, 1000, 10)
    figures.append(
        Figure("publish to committed row at 1,000/s, p99", found["p99"], "ms", "≤ 25 ms", found["p99"] <= 25)
    )
    if options.burst:
        burst = result["burst"] = outage(database, options.burst, 30, "broker")
        name = f"burst of {options.burst:,}, database paused for 30 s: rows lost"
        figures.append(Figure(name, burst["lost"], "", "0", burst["lost"] == 0))
    if options.queue:
        for buffer in ("broker", "disk"):
            queue = result[f"queue, {buffer}"] = outage(database, options.queue, 0, buffer)
            name = f"standing queue of {options.queue:,} ({buffer}): memory of our process"
            figures.append(Figure(name, queue["memory_mb"], "MB", "≤ 512 MB", queue["memory_mb"] <= 512))
            lost = queue["lost"]
            figures.append(Figure(f"the same queue ({buffer}): rows lost", lost, "", "0", lost == 0))
    return figures


def others(options: argparse.Namespace, result: dict[str, Any]) -> list[Figure]:
    """The same way into other databases, on loopback."""
    figures = []
    for kind, server in {"mysql": sinks.Table, "redis": sinks.Hashes}.items():
        with server() as target:
            assert isinstance(target, sinks.Table | sinks.Hashes)
            runs = result[kind] = sinks.compare(kind, target, options.count // 2, 1)
        ratio = middle(runs["tieline"], "rows_per_second") / middle(runs["script"], "rows_per_second")
        figures.append(Figure(f"the same into {kind} ÷ a plain batching script", ratio, "", "≥ 5", ratio >= 5))
    return figures


def alone(result: dict[str, Any]) -> list[Figure]:
    """Rules without anything around them."""
    rates = {rules: statistics.median(evaluation(rules) for _ in range(5)) for rules in (1, MANY_RULES)}
    result["evaluation"] = rates
    one, ratio = rates[1], rates[MANY_RULES] / rates[1]
    return [
        Figure("rule evaluation alone, one core", one, "messages/s", "≥ 300,000", one >= 300_000),
        Figure("the same among 1,000 rules ÷ with one", ratio, "", "≥ 0.9", ratio >= 0.9),
    ]


def plot(runs: Runs) -> str:
    """The contenders as a chart."""
    rates = {name: middle(those, "rows_per_second") for name, those in runs.items()}
    cpu = {name: middle(those, "cpu_us_per_row") for name, those in runs.items()}
    return bars({"rows per second": rates, "CPU of the sink, µs per row": cpu}, "tieline")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--burst", type=int, default=0, help="messages of a burst with a database that pauses 30 s")
    parser.add_argument("--queue", type=int, default=0, help="messages that wait for a database that stands still")
    parser.add_argument("--loopback", action="store_true", help="no link, for machines without namespaces")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    result: dict[str, Any] = {"without Node-RED": node_red.install()}
    figures = alone(result)
    with way(not options.loopback) as (database, space):
        result["link"] = bool(space)
        print("over a link" if space else "on loopback: a link takes root", flush=True)
        figures += within(space, lambda: measured(database, options, result))
    figures += others(options, result)
    if why := result["without Node-RED"]:
        print(f"Node-RED is not part of this run: {why}")
    print("\n".join(figure.line() for figure in figures))
    result["figures"] = [figure._asdict() for figure in figures]
    if options.json:
        options.json.write_text(json.dumps(result, indent=2))
    if options.plot:
        options.plot.write_text(plot(result["runs"]))


if __name__ == "__main__":
    main()
