"""`tieline account`: the AWS accounts of a running fabric, their keys, and who may assume their role."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from pydantic import BaseModel

from tieline.cli.connection import Json
from tieline.cli.home import DEFAULT
from tieline.cli.output import out, show
from tieline.client.rest import ClientError
from tieline.fabric.daemon import control
from tieline.fabric.daemon.control import Command, Create, Delete, Listing, Rotate, Trust

app = typer.Typer(no_args_is_help=True, help="AWS accounts of the fabric.")

COLUMNS = ("id", "name", "owns", "keys", "trusted")
HOUR = 3600
Key = Annotated[str, typer.Argument(help="Name, or its twelve digits.")]
State = Annotated[Path, typer.Option("--state", envvar="TIELINE_STATE", help="Directory given to tieline up.")]
All = Annotated[bool, typer.Option("--cascade", help="Delete all that it owns, too: links end at once, data is lost.")]
Principal = Annotated[str, typer.Argument(help="ARN of an account's root, a user or a role.")]


class AccountView(BaseModel):
    """An account as it is printed."""

    id: str
    name: str
    role: str
    trusted: tuple[str, ...]
    keys: tuple[str, ...]
    owns: int


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits, - and _; also the profile's name.")],
    test_key: Annotated[
        bool,
        typer.Option("--test-key", help="Key and secret are 'test', as awslocal and tflocal sign: no secret at all."),
    ] = False,
    as_json: Json = False,
    state: State = DEFAULT,
) -> None:
    """Create an account with a user and a key; the key is in the credentials file."""
    show(_ask(state, Create(name, test_key)), COLUMNS, as_json)
    _where(state, as_json)


@app.command("list")
def list_(as_json: Json = False, state: State = DEFAULT) -> None:
    """List all accounts."""
    show(_ask(state, Listing()), COLUMNS, as_json)


@app.command()
def rotate(
    key: Key,
    grace: Annotated[int, typer.Option(min=0, help="Seconds that present keys and sessions still work.")] = HOUR,
    as_json: Json = False,
    state: State = DEFAULT,
) -> None:
    """Give an account a new key; what it has ends after the grace."""
    show(_ask(state, Rotate(key, grace)), COLUMNS, as_json)
    _where(state, as_json)


@app.command()
def trust(key: Key, principal: Principal, as_json: Json = False, state: State = DEFAULT) -> None:
    """Let a principal of another account assume this account's role."""
    show(_ask(state, Trust(key, principal)), COLUMNS, as_json)


@app.command()
def distrust(key: Key, principal: Principal, as_json: Json = False, state: State = DEFAULT) -> None:
    """Let it no longer; its present sessions end."""
    show(_ask(state, Trust(key, principal, withdraw=True)), COLUMNS, as_json)


@app.command()
def delete(key: Key, cascade: All = False, as_json: Json = False, state: State = DEFAULT) -> None:
    """Delete an account that owns nothing, with its keys; with --cascade all that it owns, its links first."""
    show(_ask(state, Delete(key, cascade)), COLUMNS, as_json)


def _ask(state: Path, command: Command) -> list[AccountView]:
    """The accounts that a command concerned; raises ClientError where it was refused or nobody listens."""
    try:
        outcome = control.ask(state, command)
    except OSError as error:
        hint = "start it with tieline up, or give its --state; account commands need its owner's rights"
        raise ClientError("NO_FABRIC", f"no fabric can be asked at {state}: {error.strerror}", hint) from error
    if outcome.code:
        raise ClientError(outcome.code, outcome.message, outcome.hint)
    return [AccountView(**msgspec.structs.asdict(view)) for view in outcome.accounts]


def _where(state: Path, as_json: bool) -> None:
    if not as_json:
        out.print(f"its key is in {state / 'credentials'}")
