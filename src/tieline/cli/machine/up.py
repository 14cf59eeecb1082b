"""`tieline up`: everything on one machine, in the foreground."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from tieline.base import hostport, private
from tieline.base.http.hosts import check_name
from tieline.base.shutdown import cancelled
from tieline.cli.home import DEFAULT, Home, NoHome, Taken
from tieline.cli.machine.inside import run_inside
from tieline.cli.machine.supervisor import PROFILES, NotReady, Part, Supervisor
from tieline.cli.output import complain, out
from tieline.client.rest import ClientError
from tieline.fabric.kernel import rootless
from tieline.fabric.kernel.system.commands import KernelUnavailable, require

HOST = "127.0.0.1"
REGION = re.compile(r"[a-z]{2,}(-[a-z0-9]+)+")  # as AWS names them, and clients put them into host names


def parts(
    home: Home,
    console_port: int,
    aws_port: int,
    region: str,
    fabrics: Sequence[str] = (),
    more: Sequence[str] = (),
    readable: Sequence[Path] = (),
) -> list[Part]:
    """The fabric, and the platform that reaches it by the AWS SDK; `fabrics` and `more` are options of one alone.

    `readable` is what the platform may read besides its state and what every program needs.
    """
    state, fabric, platform = str(home.path), f"http://{HOST}:{aws_port}", f"http://{HOST}:{console_port}"
    fabric_options = ["--state", state, "--prefix", home.prefix, "--port", str(aws_port), "--region", region]
    fabric_options += fabrics
    platform_options = ["--state", state, "--port", str(console_port), "--aws-endpoint", fabric]
    platform_options += ["--credentials", f"{state}/credentials", "--profile", "platform", "--region", region, *more]
    return [
        Part("fabric", ["tieline.fabric", *fabric_options], f"{fabric}/healthz", home.path / "fabric.log"),
        Part(
            "platform",
            ["tieline.console", *platform_options],
            f"{platform}/healthz",
            home.path / "platform.log",
            confined=True,
            readable=tuple(readable),
        ),
    ]


def up(
    state: Annotated[Path, typer.Option("--state", help="Directory for records, keys and logs.")] = DEFAULT,
    console_port: Annotated[
        int, typer.Option("--console-port", min=1, max=65535, help="Console and REST, on loopback.")
    ] = 8080,
    aws_port: Annotated[int, typer.Option("--aws-port", min=1, max=65535, help="The AWS wire, on loopback.")] = 4566,
    region: Annotated[str, typer.Option("--region", help="The region that the fabric is.")] = "us-east-1",
    allow_address: Annotated[
        list[str] | None, typer.Option("--allow-address", help="What resources may name besides links: CIDR or NAME.")
    ] = None,
    aws_profile: Annotated[
        list[str] | None, typer.Option("--aws-profile", help="AWS profile that deployments may name; repeatable.")
    ] = None,
    tls: Annotated[str, typer.Option("--tls", help="HOST:PORT to serve console and REST on with TLS, too.")] = "",
    tls_name: Annotated[list[str] | None, typer.Option("--tls-name", help="In the certificate made here.")] = None,
    tls_chain: Annotated[Path | None, typer.Option("--tls-chain", help="PEM file: a certificate of yours.")] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", help="PEM file: its key.")] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option("--allow-host", help="NAME that clients ask by, besides the machine's own.")
    ] = None,
    instances: Annotated[bool, typer.Option(help="Whether accounts may run instances, that is code.")] = True,
) -> None:
    """Run the fabric and the platform until Ctrl-C. What they made lives on; `tieline down` removes it."""
    home = Home(state)
    more = [
        *_each("--allow-address", allow_address),
        *_each("--aws-profile", aws_profile),
        *_each("--allow-host", allow_host),
        *_tls(tls, tls_name, tls_chain, tls_key),
    ]
    fabrics = [] if instances else ["--no-instances"]
    private.harden()
    try:
        _check_hosts(allow_host or ())
        _check_options(console_port, aws_port, region, tls, bool(tls_chain or tls_key or tls_name))
        if rootless.needed():
            ports = ("--console-port", str(console_port), "--aws-port", str(aws_port))
            raise typer.Exit(_in_own_world(home, tls, (*ports, "--region", region, *fabrics, *more)))
        require()
        _check_free(console_port, "--console-port")
        _check_free(aws_port, "--aws-port")
        home.make()
        home.take()
        fabrics += _each("--allow-host", allow_host)
        readable = [*_beside(tls_chain, tls_key), *(_profiles() if aws_profile else ())]
        started = parts(home, console_port, aws_port, region, fabrics, more, readable)
        asyncio.run(_run(home, console_port, aws_port, started))
    except (KernelUnavailable, rootless.NoWorld, NoHome, Taken, NotReady) as error:
        complain(ClientError("UP", str(error)))
        raise typer.Exit(1) from None


def _in_own_world(home: Home, tls: str, options: Sequence[str]) -> int:
    """For an ordinary user: the same in a user namespace, and its exit status. Raises NotReady."""
    if tls:
        raise NotReady("--tls needs root: put a proxy with TLS before the console's port")
    home.make()
    return run_inside(home.path, "up", "--state", str(home.path), *options)


def _beside(*files: Path | None) -> list[Path]:
    """The directories of files that are replaced while we run, and of what these are links to."""
    return [found for file in files if file for found in (file.absolute().parent, file.resolve().parent)]


def _profiles() -> list[Path]:
    """Where profiles of AWS are, see boto3's "Configuration"."""
    named = [Path(found).expanduser() for name in PROFILES if (found := os.environ.get(name))]
    return [Path("~/.aws").expanduser(), *_beside(*named)]


def _check_options(console_port: int, aws_port: int, region: str, tls: str, certificate: bool) -> None:
    """Raises NotReady for what the parts would trip over later, in words of their own."""
    if console_port == aws_port:
        raise NotReady(f"--console-port and --aws-port are both {console_port}: give different ones")
    if not REGION.fullmatch(region):
        raise NotReady(f"{region!r} is no region's name: for example --region us-east-1")
    try:
        hostport.read(tls or "0.0.0.0:8443")
    except ValueError as error:
        raise NotReady(f"{tls!r} is no HOST:PORT, for example --tls 0.0.0.0:8443: {error}") from error
    if certificate and not tls:
        raise NotReady("--tls-name, --tls-chain and --tls-key are for the listener of --tls: give --tls HOST:PORT, too")


def _check_hosts(names: Sequence[str]) -> None:
    for name in names:
        try:
            check_name(name)
        except ValueError as error:
            raise NotReady(f"--allow-host: {error}") from error


def _check_free(port: int, option: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise NotReady(f"port {port} of {HOST} cannot be used ({error.strerror}): give another {option}") from None


def _each(option: str, values: Sequence[str] | None) -> list[str]:
    return [word for value in values or () for word in (option, value)]


def _tls(address: str, names: Sequence[str] | None, chain: Path | None, key: Path | None) -> list[str]:
    files = {"--tls-chain": chain, "--tls-key": key}
    given = [word for option, file in files.items() if file for word in (option, str(file.resolve()))]
    return [*_each("--tls", [address] if address else []), *_each("--tls-name", names), *given]


async def _run(home: Home, console_port: int, aws_port: int, started: list[Part]) -> None:
    supervisor = Supervisor(started)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    starting, ending = asyncio.create_task(supervisor.start()), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({starting, ending}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
            _announce(home, console_port, aws_port)
            await ending
    finally:
        await cancelled(starting, ending)
        await supervisor.stop()


def _announce(home: Home, console_port: int, aws_port: int) -> None:
    lines = {
        "console": f"http://{HOST}:{console_port}   (sign in with the key)",
        "REST": f"http://{HOST}:{console_port}/api/v1   (key: {home.path / 'api-key'})",
        "AWS wire": f"http://{HOST}:{aws_port}   (profiles platform and customer: {home.path / 'credentials'})",
        "remove all": f"tieline down --state {home.path}",
    }
    out.print(Text("tieline is up", "bold green"))
    for name, value in lines.items():
        out.print(Text.assemble((f"  {name:<11}", "bold"), value))
