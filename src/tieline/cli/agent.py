"""`tieline agent`: the process inside a deployment that runs its broker and its rules."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Run a deployment's agent.", invoke_without_command=True)


@app.callback()
def agent(
    platform: Annotated[str, typer.Option(help="URL of the platform.")],
    join: Annotated[str, typer.Option(envvar="TIELINE_JOIN", help="The deployment's join token.", show_default=False)],
    state: Annotated[Path, typer.Option(help="Directory for the broker's and the agent's files.")],
) -> None:
    """Run the broker and the rules of one deployment, until the platform dismisses it."""
    from tieline.cloud.agent import main

    raise typer.Exit(main(platform, join, state))
