"""`tieline key`: API keys for programs, with a role, projects and an end."""

from __future__ import annotations

from typing import Annotated

import typer

from tieline.cli.connection import Json, Key, NewName, connect
from tieline.cli.output import out, show
from tieline.cli.supplied import supplied
from tieline.client.rest import Client
from tieline.cloud.guard.roles import Role

app = typer.Typer(no_args_is_help=True, help="API keys: what programs log in with.")

COLUMNS = ("id", "name", "role", "projects", "expires")


@app.command()
@supplied(connect)
def create(
    client: Client,
    name: NewName,
    role: Annotated[Role, typer.Option(help="What the key may do.")] = Role.OPERATOR,
    project: Annotated[
        list[str] | None, typer.Option("--project", help="For these projects only; again for each.")
    ] = None,
    days: Annotated[int | None, typer.Option(help="After so many days it expires.")] = None,
    as_json: Json = False,
) -> None:
    """Create an API key."""
    made = client.create_key(name=name, role=role, projects=project or [], days=days)
    show(made, COLUMNS, as_json)
    if not as_json:
        out.print(f"key, shown once: {made.key}")


@app.command("list")
@supplied(connect)
def list_(client: Client, as_json: Json = False) -> None:
    """List the API keys, without their text."""
    show(client.keys(), COLUMNS, as_json)


@app.command()
@supplied(connect)
def revoke(client: Client, key: Key) -> None:
    """Revoke an API key: from now on it opens nothing."""
    client.revoke_key(key)
