"""`tieline audit`: who changed what, from where, and what it was before."""

from __future__ import annotations

from typing import Annotated

import typer

from tieline.cli.connection import Json, connect
from tieline.cli.output import show
from tieline.cli.supplied import supplied
from tieline.client.rest import Client

COLUMNS = ("at", "who", "source", "action", "kind", "name", "before", "after")


@supplied(connect)
def audit(
    client: Client,
    who: Annotated[str, typer.Option(help="Changes of this user or key only.")] = "",
    kind: Annotated[str, typer.Option(help="Of this kind of record only, such as resource.")] = "",
    record: Annotated[str, typer.Option(help="Of the record of this id or name only.")] = "",
    limit: Annotated[int, typer.Option(help="So many of the newest.", min=1, max=1000)] = 20,
    as_json: Json = False,
) -> None:
    """Show the newest changes; secrets are shown as ******."""
    show(client.audit(who=who, kind=kind, record=record, limit=limit).entries, COLUMNS, as_json)
