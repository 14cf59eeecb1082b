"""`tieline audit`: who changed what, from where, and what it was before."""

from __future__ import annotations

from typing import Annotated

import typer

from tieline.cli.connection import ApiKey, Json, State, Url, connect
from tieline.cli.output import show

COLUMNS = ("at", "who", "source", "action", "kind", "name", "before", "after")


def audit(
    who: Annotated[str, typer.Option(help="Changes of this user or key only.")] = "",
    kind: Annotated[str, typer.Option(help="Of this kind of record only, such as resource.")] = "",
    record: Annotated[str, typer.Option(help="Of the record of this id or name only.")] = "",
    limit: Annotated[int, typer.Option(help="So many of the newest.", min=1, max=1000)] = 20,
    as_json: Json = False,
    url: Url = "",
    api_key: ApiKey = "",
    state: State = None,
) -> None:
    """Show the newest changes; secrets are shown as ******."""
    with connect(url, api_key, state) as client:
        show(client.audit(who=who, kind=kind, record=record, limit=limit).entries, COLUMNS, as_json)
