"""`tieline alert`: the webhooks that hear of links and resources that change."""

from __future__ import annotations

from typing import Annotated

import typer

from tieline.cli.connection import ApiKey, Json, State, Url, connect
from tieline.cli.output import show

app = typer.Typer(no_args_is_help=True, help="Webhooks that hear of changes.")

COLUMNS = ("id", "name", "url", "projects", "signed", "created")


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Letters, digits, - and _.")],
    to: Annotated[str, typer.Option(help="URL that takes a POST of JSON.")],
    secret: Annotated[
        str, typer.Option(envvar="TIELINE_ALERT_SECRET", help="Signs each alert.", show_default=False)
    ] = "",
    project: Annotated[list[str] | None, typer.Option(help="To hear of; again for more; none: all of yours.")] = None,
    as_json: Json = False,
    url: Url = "",
    api_key: ApiKey = "",
    state: State = None,
) -> None:
    """Send alerts to a webhook."""
    with connect(url, api_key, state) as client:
        show(client.create_alert(name=name, url=to, secret=secret, projects=project or []), COLUMNS, as_json)


@app.command("list")
def list_(as_json: Json = False, url: Url = "", api_key: ApiKey = "", state: State = None) -> None:
    """List the webhooks."""
    with connect(url, api_key, state) as client:
        show(client.alerts(), COLUMNS, as_json)


@app.command()
def delete(
    key: Annotated[str, typer.Argument(help="Id or name.")], url: Url = "", api_key: ApiKey = "", state: State = None
) -> None:
    """Send no more alerts to a webhook."""
    with connect(url, api_key, state) as client:
        client.delete_alert(key)
