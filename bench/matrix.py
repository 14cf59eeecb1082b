"""Generated values × types of columns × ways of writing, for PostgreSQL, MariaDB and ClickHouse: right, or a letter.

python bench/matrix.py [--examples 5000] [--seed 1] [--server postgresql]

Each value is written between two good rows and read back. Whatever is neither right nor refused with its row named is
printed, and makes the run fail. The suite runs the same with a few hundred values.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:1] = [str(HERE.parent), str(HERE.parent / "tests")]  # not this directory, whose integration.py is another

from hypothesis import HealthCheck, Phase, given, seed, settings  # noqa: E402

from databases import ClickHouse, MariaDB  # noqa: E402
from integration.sinks import matrix, test_matrix  # noqa: E402
from servers import PostgreSQL  # noqa: E402

SERVERS: dict[str, tuple[type[Any], Callable[[Any], matrix.Server]]] = {
    "postgresql": (PostgreSQL, test_matrix.of_postgresql),
    "mariadb": (MariaDB, test_matrix.of_mariadb),
    "clickhouse": (ClickHouse, test_matrix.of_clickhouse),
}


def run(server: matrix.Server, examples: int, start: int) -> Counter[str]:
    """What was neither right nor a letter, with how often."""
    chosen, wrong = random.Random(start), Counter[str]()

    @seed(start)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(matrix.VALUES)
    def tried(value: Any) -> None:
        way, column = chosen.choice([*server.ways]), chosen.choice(server.columns)
        try:
            server.check(way, column, value)
        except Exception as error:
            wrong[f"{way}, {column.type}: {type(error).__name__} {error}"] += 1

    tried()
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--examples", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--server", choices=SERVERS)
    arguments = parser.parse_args()
    failed = 0
    for name in [arguments.server] if arguments.server else SERVERS:
        kind, made = SERVERS[name]
        with kind() as database:
            server = made(database)
            wrong = run(server, arguments.examples, arguments.seed)
            server.close()
        print(f"{name}: {server.accepted} right, {server.refused} letters, {wrong.total()} neither", flush=True)
        for what, count in wrong.most_common(40):
            print(f"  {count} × {what}")
        failed += wrong.total()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
