"""`tieline apply`: makes deployments, links, resources and rules what files say."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from tieline.cli.connection import ApiKey, Json, State, Url, connect
from tieline.cli.files import text
from tieline.cli.output import out, print_json
from tieline.cli.progress import Progress
from tieline.client.documents.apply import apply as make
from tieline.client.documents.apply import observe
from tieline.client.documents.diff import Change, diff
from tieline.client.documents.read import read
from tieline.client.rest import ClientError
from tieline.cloud.api.common.document_shapes import schema
from tieline.cloud.model.problems import PlatformError

DIFFERS = 2  # exit status of --diff where something would change, as of diff tools
MARKS = {"create": ("+", "green"), "update": ("~", "yellow"), "reconnect": ("~", "yellow"), "delete": ("-", "red")}


def apply(
    files: Annotated[list[Path] | None, typer.Option("--file", "-f", help="YAML or JSON; - reads stdin.")] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Also delete what the files do not name.")] = False,
    only_diff: Annotated[bool, typer.Option("--diff", help="Print what would change; then exit status 2.")] = False,
    rotate: Annotated[bool, typer.Option("--rotate", help="Write every secret, for it cannot be compared.")] = False,
    wait: Annotated[float, typer.Option("--wait", help="Seconds to wait for what a change rests on.")] = 60,
    print_schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of a document.")] = False,
    as_json: Json = False,
    url: Url = "",
    api_key: ApiKey = "",
    state: State = None,
) -> None:
    """Make the records what the files say; run again, nothing is left to do."""
    if print_schema:
        print_json(schema())
        return
    if not files:
        raise ClientError("NO_FILE", "no file is named", "name one with --file, or - for standard input")
    try:
        wanted = read([(str(file), _text(file)) for file in files], os.environ)
        with connect(url, api_key, state) as client:
            changes = diff(wanted, observe(client), prune, rotate, client.retention())
            if only_diff:
                _show(changes, as_json)
                raise typer.Exit(DIFFERS if changes else 0)
            with Progress(as_json) as progress:
                make(client, changes, lambda doing: progress.begin("apply", doing), wait)
    except PlatformError as error:
        raise ClientError(error.code, error.message, error.hint, error.status, error.extra) from error
    if as_json:
        _show(changes, as_json)
    elif not changes:
        out.print("nothing is to be done")


def _show(changes: tuple[Change, ...], as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {"action": one.action, "section": one.section, "deployment": one.deployment, "name": one.name}
                | {"fields": list(one.fields)}
                for one in changes
            ]
        )
        return
    for one in changes:
        mark, style = MARKS[one.action]
        out.print(Text.assemble((f"{mark} ", style), str(one)))
    if not changes:
        out.print("nothing is to be done")


def _text(file: Path) -> str:
    if str(file) == "-":
        return sys.stdin.read()
    return text(file, "--file")
