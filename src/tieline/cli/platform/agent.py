"""`tieline agent`: the process inside a deployment that runs its broker and its rules."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from tieline.base import private

app = typer.Typer(help="Run a deployment's agent.", invoke_without_command=True)


@app.callback()
def agent(
    join: Annotated[str, typer.Option(envvar="TIELINE_JOIN", help="The deployment's join token.", show_default=False)],
    platform: Annotated[
        str, typer.Option(envvar="TIELINE_URL", help="URL of the platform, https where it is another machine.")
    ] = "http://127.0.0.1:8080",
    state: Annotated[Path, typer.Option(help="Directory for the broker's and the agent's files.")] = Path("agent"),
    authority: Annotated[
        Path | None, typer.Option(help="PEM file to verify the platform with; the system's own where none is given.")
    ] = None,
) -> None:
    """Run the broker and the rules of one deployment, until the platform dismisses it.

    Without the platform it works from its last configuration, and dials again for ever.
    """
    _check(platform, authority)
    try:
        private.directory(state.resolve())
    except private.NotPrivate as error:
        raise typer.BadParameter(str(error), param_hint="--state") from None
    except OSError as error:
        raise typer.BadParameter(
            f"no directory can be made at {state}: {error.strerror}", param_hint="--state"
        ) from None
    from tieline.agent.main import main

    raise typer.Exit(main(platform, join, state, authority))


def _check(platform: str, authority: Path | None) -> None:
    """The token is a secret: it crosses no network in the clear."""
    parts = urlsplit(platform)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise typer.BadParameter(
            f"{platform} is no URL, for example https://tieline.example.com", param_hint="--platform"
        )
    if parts.scheme == "http" and not _here(parts.hostname):
        raise typer.BadParameter("the token would cross the network in the clear: use https", param_hint="--platform")
    if authority is not None and not authority.is_file():
        raise typer.BadParameter(f"there is no file {authority}", param_hint="--authority")


def _here(host: str) -> bool:
    """Whether this is the machine's own loopback."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
