"""`tieline letter`: messages that a rule or its database refused: seen, corrected, tried again, exported, discarded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated
from urllib.parse import urlencode

import typer

from tieline.cli.connection import DeploymentKey, Json, connect, the_deployment
from tieline.cli.output import out, print_json, show
from tieline.cli.supplied import supplied
from tieline.cloud.answers import Letter, Letters, Replayed
from tieline.cloud.client import Client, ClientError

app = typer.Typer(no_args_is_help=True, help="Dead letters: messages that could not be used.")

COLUMNS = ("id", "error")
Rule = Annotated[str, typer.Option(help="Only those of this rule, by id or name.")]
Ids = Annotated[list[str] | None, typer.Argument(help="Ids; none: all, or all of a rule.")]


@app.command("list")
@supplied(connect)
def list_(
    client: Client,
    rule: Rule = "",
    deployment: DeploymentKey = "",
    as_json: Json = False,
) -> None:
    """List dead letters, the oldest first."""
    show(list(_every(client, the_deployment(client, deployment), rule)), COLUMNS, as_json)


@app.command()
@supplied(connect)
def export(client: Client, rule: Rule = "", deployment: DeploymentKey = "") -> None:
    """Print dead letters as JSON lines."""
    for letter in _every(client, the_deployment(client, deployment), rule):
        out.print(letter.model_dump_json(), markup=False)


@app.command()
@supplied(connect)
def correct(
    client: Client,
    letter: Annotated[str, typer.Argument(help="Id.")],
    payload: Annotated[str, typer.Option(help="The message's payload from now on.")],
    deployment: DeploymentKey = "",
) -> None:
    """Change the payload of a letter's message, to be tried again."""
    parts = ("deployments", the_deployment(client, deployment), "dead-letters", letter)
    found = client.ask(Letter, "PATCH", *parts, body={"message": {"payload": payload}})
    print_json(found.model_dump(mode="json"))


@app.command()
@supplied(connect)
def replay(
    client: Client,
    ids: Ids = None,
    rule: Rule = "",
    deployment: DeploymentKey = "",
) -> None:
    """Give letters, or all of them, to their rules once more, as these are now; exit status 1 where one stays."""
    parts = ("deployments", the_deployment(client, deployment), "dead-letters", "replay")
    found = client.ask(Replayed, "POST", *parts, body={"ids": ids or [], "rule": rule})
    print_json(found.model_dump(mode="json"))
    if found.staying:
        raise typer.Exit(1)


@app.command()
@supplied(connect)
def discard(
    client: Client,
    ids: Ids = None,
    rule: Rule = "",
    everything: Annotated[bool, typer.Option("--all", help="All of them, or with --rule all of the rule.")] = False,
    deployment: DeploymentKey = "",
) -> None:
    """Forget letters."""
    if not ids and not everything:
        raise ClientError("NOTHING_CHOSEN", "no letter is named", "name ids, or say --all")
    place = the_deployment(client, deployment)
    known = [letter.id for letter in _every(client, place, rule)]
    if unknown := set(ids or ()).difference(known):
        message = f"there is no dead letter {sorted(unknown)[0]!r}"
        raise ClientError("NOT_FOUND", message, "nothing was discarded: tieline letter list shows what there is")
    chosen = ids or known
    client.discard_letters(place, chosen)
    out.print(f"{len(chosen)} discarded")


def _every(client: Client, deployment: str, rule: str) -> Iterator[Letter]:
    cursor: str | None = ""
    while cursor is not None:
        query = f"?{urlencode({'cursor': cursor, 'rule': rule})}"
        found = client.ask(Letters, "GET", "deployments", deployment, "dead-letters", query=query)
        yield from found.letters
        cursor = found.next_cursor
