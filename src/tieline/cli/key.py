"""`tieline key`: API keys for programs, with a role, projects and an end."""

from __future__ import annotations

from typing import Annotated

import typer

from tieline.cli.connection import ApiKey, Json, State, Url, connect
from tieline.cli.output import out, show
from tieline.cloud.guard.roles import Role

app = typer.Typer(no_args_is_help=True, help="API keys: what programs log in with.")

COLUMNS = ("id", "name", "role", "projects", "expires")


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Letters, digits, - and _.")],
    role: Annotated[Role, typer.Option(help="What the key may do.")] = Role.OPERATOR,
    project: Annotated[
        list[str] | None, typer.Option("--project", help="For these projects only; again for each.")
    ] = None,
    days: Annotated[int | None, typer.Option(help="After so many days it expires.")] = None,
    as_json: Json = False,
    url: Url = "",
    api_key: ApiKey = "",
    state: State = None,
) -> None:
    """Create an API key."""
    with connect(url, api_key, state) as client:
        made = client.create_key(name=name, role=role, projects=project or [], days=days)
    show(made, COLUMNS, as_json)
    if not as_json:
        out.print(f"key, shown once: {made.key}")


@app.command("list")
def list_(as_json: Json = False, url: Url = "", api_key: ApiKey = "", state: State = None) -> None:
    """List the API keys, without their text."""
    with connect(url, api_key, state) as client:
        show(client.keys(), COLUMNS, as_json)


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="Id or name.")], url: Url = "", api_key: ApiKey = "", state: State = None
) -> None:
    """Revoke an API key: from now on it opens nothing."""
    with connect(url, api_key, state) as client:
        client.revoke_key(key)
