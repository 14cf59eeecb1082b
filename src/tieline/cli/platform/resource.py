"""`tieline resource`: the databases and services that rules write to, and their Test."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from tieline.cli.connection import (
    Cascade,
    DeploymentKey,
    Json,
    Key,
    NewName,
    connect,
    the_deployment,
    with_names,
)
from tieline.cli.output import details, out, print_json, show
from tieline.cli.supplied import given, supplied
from tieline.client.rest import Client, ClientError
from tieline.cloud.schemas.answers import ResourceAnswer

app = typer.Typer(no_args_is_help=True, help="Resources: what rules write to.")

COLUMNS = ("id", "name", "type", "server", "status", "reason")
Server = Annotated[
    str, typer.Option(help="host:port, or link:<name>:port behind a private link; for some types several, or a URL.")
]
Type = Annotated[str, typer.Option(help="Type of the resource.")]
Database = Annotated[str | None, typer.Option(help="Name of the database.")]
Username = Annotated[str | None, typer.Option(help="User to log in as.")]
Password = Annotated[
    str | None,
    typer.Option(envvar="TIELINE_PASSWORD", help="Password; - reads it from standard input.", show_default=False),
]
Options = Annotated[
    list[str] | None, typer.Option("--option", help="Another field of the type: name=value, value in JSON or text.")
]


@app.command()
@supplied(connect)
def create(
    client: Client,
    name: NewName,
    server: Server,
    database: Database = None,
    username: Username = None,
    password: Password = None,
    type: Type = "postgresql",
    option: Options = None,
    deployment: DeploymentKey = "",
    as_json: Json = False,
) -> None:
    """Create a resource."""
    wanted = _wanted(name, type, server, database, username, password, option)
    show(client.create_resource(the_deployment(client, deployment), **wanted), COLUMNS, as_json)


@app.command()
@supplied(connect)
def probe(
    client: Client,
    name: NewName,
    server: Server,
    database: Database = None,
    username: Username = None,
    password: Password = None,
    type: Type = "postgresql",
    option: Options = None,
    deployment: DeploymentKey = "",
    as_json: Json = False,
) -> None:
    """Test a resource before it is created; exit status 1 where the Test fails."""
    wanted = _wanted(name, type, server, database, username, password, option)
    client.probe_resource(the_deployment(client, deployment), **wanted)
    _passed(as_json)


@app.command()
@supplied(connect)
def change(
    client: Client,
    key: Key,
    name: Annotated[str | None, typer.Option(help="The new name; rules that use it follow.")] = None,
    server: Annotated[str | None, typer.Option(help="The new host:port, or link:<name>:port.")] = None,
    database: Database = None,
    username: Username = None,
    password: Password = None,
    option: Options = None,
    deployment: DeploymentKey = "",
    as_json: Json = False,
) -> None:
    """Change a resource; what is not named stays, and rules go on with what is new."""
    changes = _wanted(name, None, server, database, username, password, option)
    where = ("deployments", the_deployment(client, deployment), "resources", key)
    show(client.change(ResourceAnswer, *where, changes=changes), COLUMNS, as_json)


@app.command()
@supplied(connect)
def test(
    client: Client,
    key: Key,
    deployment: DeploymentKey = "",
    as_json: Json = False,
) -> None:
    """Test a resource with the statements of the rules that use it; exit status 1 where the Test fails."""
    client.probe_saved(the_deployment(client, deployment), key)
    _passed(as_json)


@app.command("list")
@supplied(connect)
def list_(client: Client, deployment: DeploymentKey = "", as_json: Json = False) -> None:
    """List the resources of a deployment, or of all where none is named."""
    found = client.resources(deployment) if deployment else client.all_resources()
    show(with_names(client, found, as_json), ("deployment", *COLUMNS), as_json)


@app.command("show")
@supplied(connect)
def show_(
    client: Client,
    key: Key,
    deployment: DeploymentKey = "",
    as_json: Json = False,
) -> None:
    """Show one resource."""
    details(client.resource(the_deployment(client, deployment), key), as_json)


@app.command()
@supplied(connect)
def delete(
    client: Client,
    key: Key,
    deployment: DeploymentKey = "",
    cascade: Cascade = False,
) -> None:
    """Delete a resource; refused while rules use it, unless --cascade."""
    client.delete_resource(the_deployment(client, deployment), key, cascade)


def _wanted(
    name: str | None,
    type: str | None,
    server: str | None,
    database: str | None,
    username: str | None,
    password: str | None,
    option: list[str] | None,
) -> dict[str, Any]:
    """The fields that were typed: not every type has all of them."""
    secret = sys.stdin.readline().rstrip("\n") if password == "-" else password
    fields = given(name=name, type=type, server=server, database=database, username=username, password=secret)
    return fields | dict(map(_option, option or []))


def _option(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ClientError("INVALID_OPTION", f"{text!r} is no name=value", "for example --option pool_size=4")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _passed(as_json: bool) -> None:
    if as_json:
        print_json({"passed": True})
    else:
        out.print("Test passed", style="green")
