"""Running ip, nft and their like: each command is logged as an operator would type it, and a failure says all."""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import shutil
from collections.abc import Awaitable
from pathlib import Path
from typing import BinaryIO, TypeVar

PROGRAMS = {  # and their Debian packages
    "ip": "iproute2",
    "nft": "nftables",
    "conntrack": "conntrack",
    "dnsmasq": "dnsmasq-base",
    "nsenter": "util-linux",
    "sysctl": "procps",
}
CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21}  # linux/capability.h
SECONDS = 30.0  # far above any command's time on a loaded machine: past it the command is stuck
SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"  # a daemon's PATH may lack the sbin directories

log = logging.getLogger(__name__)
T = TypeVar("T")


class KernelError(Exception):
    """A command that the kernel or its program refused. Retrying helps only once its cause is gone."""

    def __init__(self, command: str, status: int, stderr: str) -> None:
        super().__init__(f"`{command}` failed with status {status}: {stderr or 'it printed nothing'}")
        self.command, self.status, self.stderr = command, status, stderr


class KernelUnavailable(Exception):
    """This machine or this user cannot hold a fabric; the message says what is missing and how to get it."""


async def read(*argv: str, stdin: str = "", accept: tuple[int, ...] = (0,)) -> str:
    """The output of a command that changes nothing; raises KernelError for a status outside `accept`."""
    log.debug("%s", _typed(argv, stdin))
    return await _run(argv, stdin, accept)


async def write(*argv: str, stdin: str = "", accept: tuple[int, ...] = (0,), seconds: float | None = SECONDS) -> str:
    """Run a command that changes something, and return its output; raises KernelError as `read` does."""
    log.info("%s", _typed(argv, stdin))
    return await _run(argv, stdin, accept, seconds)


async def remove_tree(path: Path) -> None:
    """Remove a directory with all in it, if it is there; what instances write is of any size, and nested at will."""
    if path.exists():
        await write("rm", "-rf", "--", str(path), seconds=None)


async def together(*work: Awaitable[T]) -> list[T]:
    """The results of work that is done at once; raises the first error once all of it has ended.

    What another call does to the same objects then meets nothing that is still under way.
    """
    found = await asyncio.gather(*work, return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return found  # type: ignore[return-value]


async def batch(namespace: str, lines: list[str]) -> bool:
    """Run lines of `ip` in a namespace by one process; False where there are none."""
    if lines:
        await write("ip", "-n", namespace, "-batch", "-", stdin="\n".join(lines) + "\n")
    return bool(lines)


def entering(namespace: str, *argv: str) -> tuple[str, ...]:
    """The command that runs another inside a named namespace; unlike `ip netns exec` it mounts nothing."""
    return ("nsenter", f"--net=/run/netns/{namespace}", "--", *argv)


def require() -> None:
    """Raise KernelUnavailable unless this process may make namespaces and every program is there."""
    held = _effective_capabilities()
    lacking = [name for name, bit in CAPABILITIES.items() if not held >> bit & 1]
    if os.geteuid() != 0 or lacking:
        raise KernelUnavailable(
            f"the fabric makes network namespaces, which needs root with {' and '.join(lacking or CAPABILITIES)}: "
            "run it as root (sudo), or give the container these capabilities"
        )
    packages = [package for program, package in PROGRAMS.items() if not shutil.which(program, path=SYSTEM_PATH)]
    if packages:
        raise KernelUnavailable(f"programs are missing: apt install {' '.join(packages)}")


def _typed(argv: tuple[str, ...], stdin: str) -> str:
    return f"{shlex.join(argv)} <<'END'\n{stdin.rstrip()}\nEND" if stdin else shlex.join(argv)


def _effective_capabilities() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("CapEff:")), 16)


def _file(text: str) -> BinaryIO:
    """The text as an open file: a program that ends before it has read its input then breaks no pipe."""
    file = os.fdopen(os.memfd_create("stdin"), "w+b")
    file.write(text.encode())
    file.seek(0)
    return file


async def _run(argv: tuple[str, ...], stdin: str, accept: tuple[int, ...], seconds: float | None = SECONDS) -> str:
    environment = {"PATH": f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}", "LC_ALL": "C"}
    pipe = asyncio.subprocess.PIPE
    with _file(stdin) as source:
        process = await asyncio.create_subprocess_exec(*argv, stdin=source, stdout=pipe, stderr=pipe, env=environment)
    try:
        async with asyncio.timeout(seconds):
            out, err = await process.communicate()
    except TimeoutError:
        raise KernelError(shlex.join(argv), -1, f"no end within {seconds} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    status = process.returncode or 0
    if status not in accept:
        raise KernelError(shlex.join(argv), status, err.decode(errors="replace").strip())
    return out.decode(errors="replace")
