"""The command `tieline`: its nouns and verbs, and one place where errors become words and exit statuses."""

from __future__ import annotations

import importlib
import importlib.util
import sys

import typer

from tieline.cli import agent, deployment, link, resource, rule
from tieline.cli.output import complain
from tieline.cloud.client import ClientError

VERBS = ("up", "down", "demo")  # each a module of this package with a function of the same name
FAILED, INTERRUPTED = 1, 130  # 2 is the parser's, for a command line that it does not understand

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Private, one-way, consent-based links for MQTT deployments.",
)
for noun in (deployment, link, resource, rule, agent):
    app.add_typer(noun.app, name=noun.__name__.rpartition(".")[2])


def main() -> None:
    """Run the command line of this process."""
    for verb in VERBS:
        _add(verb)
    try:
        app()
    except ClientError as error:
        complain(error)
        sys.exit(FAILED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _add(verb: str) -> None:
    """Add a verb if this installation has it, and import it only where it is asked for or listed."""
    module = f"tieline.cli.{verb}"
    wanted = len(sys.argv) < 2 or sys.argv[1] == verb or sys.argv[1].startswith("-")
    if wanted and importlib.util.find_spec(module) is not None:
        app.command(verb)(getattr(importlib.import_module(module), verb))
