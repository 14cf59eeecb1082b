"""`tieline down`: stop what runs on a state directory and remove all that it made in the kernel."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from tieline.cli.home import DEFAULT, Home
from tieline.cli.machine.inside import run_inside
from tieline.cli.output import complain, out
from tieline.client.rest import ClientError
from tieline.fabric.kernel import rootless
from tieline.fabric.kernel.driver import Kernel
from tieline.fabric.kernel.system.commands import KernelError, KernelUnavailable

STOP_SECONDS = 30.0


def down(
    state: Annotated[Path, typer.Option("--state", help="The directory that was given to tieline up.")] = DEFAULT,
) -> None:
    """Stop tieline and remove its namespaces, links, instances and passages. Records and keys stay."""
    home = Home(state)
    if not home.prefix:
        complain(ClientError("NO_STATE", f"nothing was ever started on {home.path}", "is this the right --state?"))
        raise typer.Exit(1)
    if rootless.needed():
        raise typer.Exit(_down_inside(home))
    try:
        take_down(home)
    except (KernelError, KernelUnavailable, TimeoutError) as error:
        complain(ClientError("DOWN", str(error), "run the command again"))
        raise typer.Exit(1) from None
    out.print(f"everything named {home.prefix}-* is gone; the records are still in {home.path}")


def _down_inside(home: Home) -> int:
    """Do it in the user's own world, and end the world; without one nothing is left to remove."""
    world = rootless.World(home.path)
    status = run_inside(home.path, "down", "--state", str(home.path), publish=False) if world.holder else 0
    world.end()
    return status


def take_down(home: Home) -> None:
    """End the process that runs on the directory, then remove everything that carries its prefix."""
    process = home.holder()
    if process is not None:
        _end(home, process)
    asyncio.run(Kernel(home.prefix, home.path).down())


def _end(home: Home, process: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while home.holder() is not None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"process {process}, which runs on {home.path}, does not end")
        time.sleep(0.05)
