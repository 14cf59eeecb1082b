"""`tieline retention`: how long the audit log, histories, counters and traffic are kept."""

from __future__ import annotations

from typing import Annotated

import typer

from tieline.cli.connection import Json, connect
from tieline.cli.output import details
from tieline.cli.supplied import given, supplied
from tieline.client.rest import Client

app = typer.Typer(no_args_is_help=True, help="How long things are kept; what is older goes by itself.")


@app.command("show")
@supplied(connect)
def show_(client: Client, as_json: Json = False) -> None:
    """Show how long things are kept; audit_days 0 is for ever."""
    details(client.retention(), as_json)


@app.command()
@supplied(connect)
def change(
    client: Client,
    audit_days: Annotated[int | None, typer.Option(help="Days of the audit log: 30 at least, or 0 for ever.")] = None,
    history_entries: Annotated[
        int | None, typer.Option(help="Entries of each deployment's and link's history.")
    ] = None,
    metrics_minutes: Annotated[int | None, typer.Option(help="Minutes of the counters of rules and actions.")] = None,
    traffic_minutes: Annotated[int | None, typer.Option(help="Minutes of what private links carry.")] = None,
    as_json: Json = False,
) -> None:
    """Keep things for another time; what is not named stays. What is too old by it goes at once, for ever."""
    changes = given(
        audit_days=audit_days,
        history_entries=history_entries,
        metrics_minutes=metrics_minutes,
        traffic_minutes=traffic_minutes,
    )
    details(client.change_retention(**changes), as_json)
