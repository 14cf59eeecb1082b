"""`tieline doctor`: names the hop at which a private link stops, with the evidence and what to do."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from tieline.cli import connection
from tieline.cli.connection import ApiKey, DeploymentKey, Json, State, Url, the_deployment
from tieline.cli.privatelink.diagnosis import show_diagnosis, show_host
from tieline.cli.provider import Credentials, Endpoint, Profile, Region, account
from tieline.client.connect.connect import examine
from tieline.client.rest import ClientError
from tieline.cloud.aws.client import Aws
from tieline.fabric.kernel.host import look


def doctor(
    link: Annotated[str, typer.Argument(help="Id or name of a private link.", show_default=False)] = "",
    deployment: DeploymentKey = "",
    as_json: Json = False,
    profile: Profile = "",
    credentials: Credentials = None,
    endpoint: Endpoint = "",
    region: Region = "",
    url: Url = "",
    api_key: ApiKey = "",
    state: State = None,
    host: Annotated[
        bool, typer.Option("--host", help="Look at this machine instead: what its instances are kept by.")
    ] = False,
) -> None:
    """Check every hop of a private link; with the provider's --profile also those that only the provider can see.

    Exit status 1 where a hop fails. `tieline doctor --host` tells which parts of the border around instances this
    machine gives, and how to get the others.
    """
    if host == bool(link):
        raise ClientError("WHAT", "say what to look at, and one thing only", "name a private link, or give --host")
    if host:
        show_host(look(), as_json)
        return
    with connection.connect(url, api_key, state) as client:
        aws = _provider(profile, credentials, endpoint, region, state)
        found = asyncio.run(examine(client, the_deployment(client, deployment), link, aws))
    show_diagnosis(found, as_json)
    if found.failing:
        raise typer.Exit(1)


def _provider(profile: str, credentials: Path | None, endpoint: str, region: str, state: Path | None) -> Aws | None:
    """The provider's account, only where the caller names it."""
    return account(profile, credentials, endpoint, region, state) if profile or credentials else None
