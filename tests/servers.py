"""Real servers for tests: PostgreSQL and Mosquitto, each in its own directory on a free loopback port.

    with PostgreSQL() as database, Mosquitto() as broker:
        database.dsn, broker.port

`kill` is SIGKILL of the whole server and `start` brings it back on the same port with the same data. Leaving the `with`
block stops the server and removes its directory. Servers run as an ordinary user where the test itself is root.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from psycopg.rows import TupleRow

from programs import program, require

START_SECONDS = 60.0  # what is there in one second may take many on a machine that others use as well
SERVER_PORTS = range(10_000, 32_000)  # below those that Linux gives to outgoing connections (ip_local_port_range)
PREFIX = "tl-test-"


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody uses, and that no outgoing connection takes before it is listened on."""
    while True:
        port = SERVER_PORTS.start + secrets.randbelow(len(SERVER_PORTS))
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def as_ordinary_user(command: Sequence[str]) -> list[str]:
    """The command run by `nobody` where we are root: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return list(command)
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *command]


def private_directory() -> Path:
    """A new short directory under /tmp (socket paths are limited to 107 bytes) that the servers' user owns."""
    directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir="/tmp"))
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(directory, nobody.pw_uid, nobody.pw_gid)
    return directory


def wait_until(ready: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> None:
    """Ask every few milliseconds until `ready`; raises TimeoutError naming `what`."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.01)


def accepts(port: int) -> bool:
    """Whether something accepts a TCP connection on this loopback port."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def family(pid: int) -> list[int]:
    """A process and all below it, whatever groups they made for themselves; empty where it is gone."""
    found = [pid] if Path(f"/proc/{pid}").exists() else []
    for place in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found += [below for child in place.read_text().split() for below in family(int(child))]
    return found


def runs(pid: int) -> bool:
    """Whether a process is there, and not merely its exit status."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


class Server:
    """A process group with a directory and a port that survive its restarts."""

    stop_signal = signal.SIGTERM
    programs: tuple[str, ...] = ()  # without which its tests are skipped, saying what to install
    start_seconds = START_SECONDS
    ordinary = True  # whether it runs as an ordinary user where we are root

    def __init__(self) -> None:
        self.directory = private_directory()
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def ready(self) -> bool:
        return accepts(self.port)

    def prepare(self) -> None:
        """Write configuration or data before the first start."""

    def write(self, name: str, text: str) -> Path:
        """A file that only the server may read, such as a key."""
        path = self.directory / name
        path.write_text(text)
        path.chmod(0o600)
        if os.geteuid() == 0:
            shutil.chown(path, "nobody", "nogroup")
        return path

    def start(self) -> None:
        """Start the server and wait until it answers."""
        command = as_ordinary_user(self.command()) if self.ordinary else self.command()
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        wait_until(self._ready_or_dead, f"{type(self).__name__} on port {self.port}", self.start_seconds)

    def _ready_or_dead(self) -> bool:
        if self.process is not None and self.process.poll() is not None:
            raise RuntimeError(f"{type(self).__name__} ended:\n{self.log()}")
        return self.ready()

    def log(self) -> str:
        """What the server wrote so far."""
        return (self.directory / "log").read_text(errors="replace")

    def signal(self, number: int) -> list[int]:
        """Send a signal to every process of the server, its parents first; which those are."""
        if self.process is None:
            return []
        members = family(self.process.pid) if self.process.poll() is None else []
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
        for pid in members:  # PostgreSQL's have groups of their own
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return members

    def kill(self) -> None:
        """End the server at once, as a power cut would, and reap it."""
        self.signal(signal.SIGSTOP)  # who stands makes no further process while they are found
        killed = self.signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()
        self.process = None
        wait_until(lambda: not any(map(runs, killed)), "the end of its processes")

    def stop(self) -> None:
        """Ask the server to end, and insist after a few seconds."""
        if self.process is None:
            return
        self.process.send_signal(self.stop_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        self.kill()

    def __enter__(self) -> Self:
        try:
            require(self.programs)
            self.prepare()
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


class PostgreSQL(Server):
    """A cluster with the database `app`, its owner `app`, and password authentication over TCP."""

    programs = ("postgres", "initdb")
    user = "app"
    options: tuple[str, ...] = ()  # settings, as in postgresql.conf
    password = "app-secret"
    database = "app"
    stop_signal = signal.SIGQUIT  # at once, without a checkpoint, but giving its shared memory back

    def command(self) -> list[str]:
        return [
            program("postgres"),
            *("-D", str(self.directory / "data"), "-k", str(self.directory), "-p", str(self.port)),
            *("-c", "listen_addresses=127.0.0.1", "-c", "max_connections=50"),
            *(part for option in self.options for part in ("-c", option)),
        ]

    def prepare(self) -> None:
        initdb = [program("initdb"), "-D", str(self.directory / "data"), "-U", "postgres"]
        options = ["--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync", "--encoding=UTF8", "--locale=C"]
        subprocess.run(as_ordinary_user([*initdb, *options]), check=True, capture_output=True)

    def ready(self) -> bool:
        try:
            with psycopg.connect(self._admin_dsn("postgres"), autocommit=True) as connection:
                connection.execute("select 1")
        except psycopg.OperationalError:
            return False
        return True

    def start(self) -> None:
        for stale in self.directory.glob(".s.PGSQL.*"):
            stale.unlink()
        super().start()

    def __enter__(self) -> Self:
        super().__enter__()
        with psycopg.connect(self._admin_dsn("postgres"), autocommit=True) as connection:
            connection.execute(f"create role {self.user} login password '{self.password}'")
            connection.execute(f"create database {self.database} owner {self.user}")
        return self

    def _admin_dsn(self, database: str) -> str:
        return f"host={self.directory} port={self.port} user=postgres dbname={database}"

    @property
    def server(self) -> str:
        """`host:port`, as a resource names it."""
        return f"127.0.0.1:{self.port}"

    @property
    def dsn(self) -> str:
        """The URI that an application would use."""
        return f"postgresql://{self.user}:{self.password}@{self.server}/{self.database}"

    def execute(self, statement: str) -> list[TupleRow]:
        """Run one statement as the owner and return its rows, none where it has no result."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


class Mosquitto(Server):
    """A broker that keeps sessions on disk, holds any number of messages, and lets anybody in."""

    programs = ("mosquitto",)

    def __init__(self, *extra: str) -> None:
        super().__init__()
        self.extra = extra

    def command(self) -> list[str]:
        return [program("mosquitto"), "-c", str(self.directory / "mosquitto.conf")]

    def prepare(self) -> None:
        lines = [
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous true",
            "persistence true",
            f"persistence_location {self.directory}/",
            "max_inflight_messages 0",  # the client's receive maximum is the limit
            "max_queued_messages 0",
            "set_tcp_nodelay true",
            *self.extra,
        ]
        (self.directory / "mosquitto.conf").write_text("\n".join(lines) + "\n")
