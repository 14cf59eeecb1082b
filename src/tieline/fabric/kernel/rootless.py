"""A world of an ordinary user's own: a user and network namespace in which the fabric is root, and its published ports.

The world is held by one sleeping process, so that links and instances outlive a daemon that dies. What listens on its
loopback is published on the machine's loopback, at the same port.
"""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tieline.fabric.kernel.relay.forwarder import BACKLOG, Forwarder

NEW_USER, NEW_NET = 0x10000000, 0x40000000  # linux/sched.h
LOOPBACK = "127.0.0.1"
RETRY_SECONDS = 10.0  # after a port could not be published
END_SECONDS = 30.0  # for a process that was told to end; it only lacks the processor's time
POLL_SECONDS = 0.01
LISTENING = "0A"  # of /proc/net/tcp (net/tcp_states.h)
HOLDER = "world"  # the file in the state directory that names the holding process
MAKE = ("unshare", "--user", "--map-root-user", "--map-auto", "--mount", "--net", "--propagation", "private")
# /run is where namespaces get their names, and /dev/net or a proxy's settings are nobody's business here.
FURNISH = "mount -t tmpfs -o mode=0755 tmpfs /run && ip link set lo up && echo ready && exec sleep infinity"
ADVICE = (
    "give this user subordinate ids (/etc/subuid, /etc/subgid; apt install uidmap) and set "
    "kernel.unprivileged_userns_clone=1 or kernel.apparmor_restrict_unprivileged_userns=0 where these exist"
)
_libc = ctypes.CDLL(None, use_errno=True)


class NoWorld(Exception):
    """This user cannot have a world here; the message says what is missing and what to do."""


def needed() -> bool:
    """Whether this process needs a world: it is not root, not even in a namespace of its own."""
    return os.geteuid() != 0


class World:
    """The world that belongs to a state directory."""

    def __init__(self, state: Path) -> None:
        self._file = state / HOLDER

    @property
    def holder(self) -> int | None:
        """The process that holds the world, or None where there is none."""
        with suppress(OSError, ValueError):
            pid, born = self._file.read_text().split()
            if _born(int(pid)) == born:
                return int(pid)
        return None

    def ensure(self) -> None:
        """Have a world; raises NoWorld."""
        if self.holder is not None:
            return
        if missing := [
            name for name in ("unshare", "newuidmap", "nsenter", "ip") if not shutil.which(name, path=_path())
        ]:
            raise NoWorld(
                f"without root, {', '.join(missing)} is needed (apt install uidmap util-linux iproute2); or use sudo"
            )
        holder = subprocess.Popen(
            [*MAKE, "sh", "-c", FURNISH],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "PATH": _path()},
        )
        assert holder.stdout is not None and holder.stderr is not None
        if holder.stdout.readline() != "ready\n":
            holder.kill()
            raise NoWorld(_advice(holder.stderr.read().strip()))
        self._file.write_text(f"{holder.pid} {_born(holder.pid)}")

    def entering(self, *argv: str) -> list[str]:
        """The command that runs another as root of the world."""
        assert self.holder is not None, "the world has been made"
        target = ["nsenter", "--target", str(self.holder), "--user", "--mount", "--net", f"--wd={Path.cwd()}"]
        return [*target, "--", *argv]

    def listening(self) -> set[int]:
        """The ports that something in the world listens on, on its loopback."""
        with suppress(OSError):
            lines = Path(f"/proc/{self.holder}/net/tcp").read_text().splitlines()[1:]
            here = f"{int.from_bytes(socket.inet_aton(LOOPBACK), 'little'):08X}"
            places = (line.split()[1].split(":") for line in lines if line.split()[3] == LISTENING)
            return {int(port, 16) for address, port in places if address == here}
        return set()

    def end(self) -> None:
        """End the holder, and return once it has ended; the world goes with the last process in it."""
        holder, deadline = self.holder, time.monotonic() + END_SECONDS
        if holder is not None:
            os.kill(holder, signal.SIGTERM)
        while self.holder is not None and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        self._file.unlink(missing_ok=True)


class Publisher:
    """Keeps one forwarder for each port that the world listens on."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._forwarders: dict[int, subprocess.Popen[bytes]] = {}
        self._tried: dict[int, float] = {}

    def follow(self) -> None:
        """Publish what is new, and stop publishing what is gone. A port that is taken here is tried again."""
        wanted = self._world.listening()
        for port in [port for port in self._forwarders if port not in wanted]:
            self._forwarders.pop(port).terminate()
        for port in wanted:
            running = self._forwarders.get(port)
            due = time.monotonic() > self._tried.get(port, -RETRY_SECONDS) + RETRY_SECONDS
            if due and (running is None or running.poll() is not None):
                self._tried[port] = time.monotonic()
                command = [sys.executable, "-m", __name__, str(self._world.holder), str(port)]
                self._forwarders[port] = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def close(self) -> None:
        """Stop publishing."""
        for forwarder in self._forwarders.values():
            forwarder.terminate()
        for forwarder in self._forwarders.values():
            forwarder.wait()


def forward(holder: int, port: int) -> None:
    """Listen on the machine's loopback and connect in the world's: the body of a forwarder's process."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed))
    listener = socket.create_server((LOOPBACK, port), backlog=BACKLOG)
    listener.setblocking(False)
    for kind, flag in (("user", NEW_USER), ("net", NEW_NET)):
        with Path(f"/proc/{holder}/ns/{kind}").open() as namespace:
            if _libc.setns(namespace.fileno(), flag) != 0:
                raise OSError(ctypes.get_errno(), f"cannot enter the world's {kind} namespace")
    Forwarder(listener, (LOOPBACK, port)).run()


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin:/sbin:/bin"


def _born(pid: int) -> str:
    """When a process that has not ended started, in ticks since boot: with its id, what tells it from a later one."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]


def _advice(said: str) -> str:
    return (
        f"without root a user namespace is needed, and the system refuses one ({said or 'no reason given'}): "
        f"use sudo, or have an administrator {ADVICE}"
    )


def _arguments() -> Iterator[int]:
    return (int(argument) for argument in sys.argv[1:3])


if __name__ == "__main__":
    try:
        forward(*_arguments())
    except OSError as failure:
        sys.exit(f"port {sys.argv[2]} cannot be published outside and is tried again: {failure.strerror}")
