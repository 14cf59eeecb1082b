"""`tieline demo`: the whole guide on this machine, one line a step, with real packets."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from tieline.cli.home import Home
from tieline.cli.machine.down import take_down
from tieline.cli.machine.inside import run_inside
from tieline.cli.machine.supervisor import ANSWER_SECONDS, READY_SECONDS
from tieline.cli.output import complain, err, out
from tieline.client.rest import ClientError
from tieline.fabric.kernel import rootless
from tieline.fabric.kernel.system.commands import KernelUnavailable, require

HOST, REGION = "127.0.0.1", "us-east-1"
START_SECONDS = 2 * READY_SECONDS  # the fabric, then the platform


def demo(once: Annotated[bool, typer.Option("--once", help="Clean up and end after the last step.")] = False) -> None:
    """Perform the guide step by step, then stay up until Ctrl-C; everything is removed at the end."""
    try:
        if rootless.needed():
            raise typer.Exit(_in_a_world_of_its_own(once))
        require()
    except (KernelUnavailable, rootless.NoWorld) as error:
        complain(ClientError("DEMO", str(error)))
        raise typer.Exit(1) from None
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # clean up then, too
    began = time.monotonic()
    with _world() as (home, process, console_port, aws_port):
        passed = _perform(home, process, console_port, aws_port, once)
        verdict = Text(f"{'all steps passed' if passed else 'a step failed'}, {time.monotonic() - began:.1f} s")
        out.print(verdict, style="bold green" if passed else "bold red")
        if passed and not once:
            _stay(home, console_port, aws_port)
    raise typer.Exit(0 if passed else 1)


def _in_a_world_of_its_own(once: bool) -> int:
    """For an ordinary user: the same, in a user namespace that ends with it."""
    with tempfile.TemporaryDirectory(prefix="tieline-world-") as directory:
        try:
            return run_inside(Path(directory), "demo", *(["--once"] if once else []))
        finally:
            rootless.World(Path(directory)).end()


@contextmanager
def _world() -> Iterator[tuple[Home, subprocess.Popen[bytes], int, int]]:
    """A state directory of its own with `tieline up` in the background; both are gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="tieline-demo-"))
    home, process = Home(directory / "state"), None
    console_port, aws_port = _free(8080), _free(4566)
    try:
        home.make()
        process = _start(home, console_port, aws_port)
        yield home, process, console_port, aws_port
    finally:
        take_down(home)
        if process is not None:
            process.wait()
        shutil.rmtree(directory)


def _start(home: Home, console_port: int, aws_port: int) -> subprocess.Popen[bytes]:
    ports = ["--console-port", str(console_port), "--aws-port", str(aws_port), "--region", REGION]
    with (home.path / "up.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "tieline", "up", "--state", str(home.path), *ports],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _free(wanted: int) -> int:
    """The wanted loopback port, or any free one where somebody else has it."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            return found
    raise RuntimeError("no free loopback port")


def _perform(home: Home, process: subprocess.Popen[bytes], console_port: int, aws_port: int, once: bool) -> bool:
    """Run every step and print its line; False at the first that fails."""
    from tieline.demo.steps import GUIDE, Step
    from tieline.demo.witness import FAREWELL, PRIVACY, Place, Witnessed

    place = Place(home.path, home.prefix, f"http://{HOST}:{console_port}", f"http://{HOST}:{aws_port}", REGION)
    title = "tieline up: fabric with the AWS wire, platform with REST"
    if not _step(1, title, lambda: _until_up(home, process, place.rest)):
        return False
    with contextlib.closing(Witnessed(place)) as story:
        steps: list[Step[Any]] = [*GUIDE, *PRIVACY, *(FAREWELL if once else ())]
        return all(_step(number, step.title, partial(step.run, story)) for number, step in enumerate(steps, 2))


def _until_up(home: Home, process: subprocess.Popen[bytes], rest: str) -> str:
    import httpx

    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{rest}/healthz", timeout=ANSWER_SECONDS, trust_env=False).is_success:
                return f"REST at {rest}"
        time.sleep(0.05)
    raise RuntimeError(f"hop up: {(home.path / 'up.log').read_text()[-1000:]}")


def _step(number: int, title: str, run: Callable[[], str]) -> bool:
    began = time.monotonic()
    try:
        result = run()
    except Exception as error:
        took = f"{time.monotonic() - began:6.2f} s"
        out.print(Text.assemble((f"✗ {number:2} {took}  ", "bold red"), (title, "bold")))
        err.print(Text(f"      {error}", "red"))
        if isinstance(error, ClientError) and error.hint:
            err.print(Text(f"      hint: {error.hint}", "red"))
        return False
    took = f"{time.monotonic() - began:6.2f} s"
    out.print(Text.assemble((f"✓ {number:2} {took}  ", "green"), (title, "bold")))
    out.print(Text(f"      {result}", "dim"))
    return True


def _stay(home: Home, console_port: int, aws_port: int) -> None:
    """Print what there is to play with, and wait for Ctrl-C."""
    key = (home.path / "api-key").read_text().strip()
    lines = {
        "console": f"http://{HOST}:{console_port}, sign in with the API key {key}",
        "REST": f"http://{HOST}:{console_port}/api/v1, the same key, in {home.path / 'api-key'}",
        "AWS wire": f"http://{HOST}:{aws_port}, profiles platform and customer in {home.path / 'credentials'}",
        "try": f"tieline link list --state {home.path}",
        "end": "Ctrl-C removes everything",
    }
    for name, value in lines.items():
        out.print(Text.assemble((f"  {name:<9}", "bold"), value))
    try:
        signal.pause()
    except KeyboardInterrupt:
        out.print("cleaning up")
