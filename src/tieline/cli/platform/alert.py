"""`tieline alert`: the webhooks that hear of links and resources that change."""

from __future__ import annotations

from typing import Annotated

import typer

from tieline.cli.connection import Json, Key, NewName, connect
from tieline.cli.output import show
from tieline.cli.supplied import supplied
from tieline.client.rest import Client

app = typer.Typer(no_args_is_help=True, help="Webhooks that hear of changes.")

COLUMNS = ("id", "name", "url", "projects", "signed", "created")


@app.command()
@supplied(connect)
def create(
    client: Client,
    name: NewName,
    to: Annotated[str, typer.Option(help="URL that takes a POST of JSON.")],
    secret: Annotated[
        str, typer.Option(envvar="TIELINE_ALERT_SECRET", help="Signs each alert.", show_default=False)
    ] = "",
    project: Annotated[list[str] | None, typer.Option(help="To hear of; again for more; none: all of yours.")] = None,
    as_json: Json = False,
) -> None:
    """Send alerts to a webhook."""
    show(client.create_alert(name=name, url=to, secret=secret, projects=project or []), COLUMNS, as_json)


@app.command("list")
@supplied(connect)
def list_(client: Client, as_json: Json = False) -> None:
    """List the webhooks."""
    show(client.alerts(), COLUMNS, as_json)


@app.command()
@supplied(connect)
def delete(client: Client, key: Key) -> None:
    """Send no more alerts to a webhook."""
    client.delete_alert(key)
