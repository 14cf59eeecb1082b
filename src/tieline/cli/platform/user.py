"""`tieline user`: the people who may log in, their roles, projects and passwords."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tieline.cli.connection import Json, Key, NewName, connect
from tieline.cli.output import show
from tieline.cli.supplied import given, supplied
from tieline.client.rest import Client, ClientError
from tieline.cloud.guard.records import UserView
from tieline.cloud.guard.roles import Role

app = typer.Typer(no_args_is_help=True, help="The people who may log in.")

COLUMNS = ("id", "name", "role", "projects", "created")
Projects = Annotated[list[str] | None, typer.Option("--project", help="For these projects only; again for each.")]
Password = Annotated[
    str,
    typer.Option(envvar="TIELINE_PASSWORD", help="- reads it from standard input; asked for where it is missing."),
]


@app.command()
@supplied(connect)
def create(
    client: Client,
    name: NewName,
    role: Annotated[Role, typer.Option(help="What the user may do.")] = Role.OPERATOR,
    project: Projects = None,
    password: Password = "",
    as_json: Json = False,
) -> None:
    """Create a user."""
    made = client.create_user(name=name, role=role, projects=project or [], password=typed_password(password))
    show(made, COLUMNS, as_json)


@app.command("list")
@supplied(connect)
def list_(client: Client, as_json: Json = False) -> None:
    """List the users."""
    show(client.users(), COLUMNS, as_json)


@app.command()
@supplied(connect)
def change(
    client: Client,
    key: Key,
    role: Annotated[Role | None, typer.Option(help="The new role.")] = None,
    project: Projects = None,
    new_password: Annotated[bool, typer.Option("--new-password", help="Set another password.")] = False,
    password: Password = "",
    as_json: Json = False,
) -> None:
    """Change a user's role, projects or password; the sessions end."""
    changes = given(role=role, projects=project, password=typed_password(password) if new_password else None)
    show(client.change(UserView, "users", key, changes=changes), COLUMNS, as_json)


@app.command()
@supplied(connect)
def delete(client: Client, key: Key) -> None:
    """Delete a user; the sessions end at once."""
    client.delete_user(key)


def typed_password(text: str) -> str:
    """A password never stands on the command line of a careful person: it is typed, or comes by standard input."""
    if text == "-":
        return sys.stdin.readline().rstrip("\n")
    if not text and not sys.stdin.isatty():
        message = "a password is needed, and there is no terminal to ask for it"
        raise ClientError("NO_PASSWORD", message, "set TIELINE_PASSWORD, or give --password - and standard input")
    return text or str(typer.prompt("password", hide_input=True, confirmation_prompt=True))
