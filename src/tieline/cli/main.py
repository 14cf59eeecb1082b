"""The command `tieline`: its nouns and verbs, and one place where errors become words and exit statuses."""

from __future__ import annotations

import importlib
import importlib.util
import sys

import typer

NOUNS = (
    "deployment",
    "link",
    "resource",
    "rule",
    "letter",
    "agent",
    "user",
    "key",
    "mqtt_user",
    "account",
    "service",
    "aws",
    "alert",
)  # modules with an `app`
VERBS = (
    "audit",
    "up",
    "down",
    "demo",
    "expose",
    "accept",
    "reject",
    "connect",
    "disconnect",
    "doctor",
    "apply",
    "attach",
    "detach",
)  # modules with a function of the same name
FAILED, INTERRUPTED = 1, 130  # 2 is the parser's, for a command line that it does not understand

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Private, one-way, consent-based links for MQTT deployments.",
)


@app.callback()
def tieline() -> None:
    """Keeps a lone verb a verb: without it, typer makes the only command the whole command line."""


def main() -> None:
    """Run the command line of this process."""
    _assemble(sys.argv[1].replace("-", "_") if len(sys.argv) > 1 else "")
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        if not _explained(error):
            raise
        sys.exit(FAILED)


def _explained(error: Exception) -> bool:
    """Whether the error is one for people, and has been printed; imported late, for the agent never needs it."""
    from tieline.cli.output import complain
    from tieline.cloud.client import ClientError

    if isinstance(error, ClientError):
        complain(error)
        return True
    return False


def _assemble(asked: str) -> None:
    """Add the noun or verb that is asked for, all of them where none is: each import costs every start."""
    known = (*NOUNS, *VERBS)
    for name in [asked] if asked in known else known:
        if importlib.util.find_spec(f"tieline.cli.{name}") is None:
            continue
        module = importlib.import_module(f"tieline.cli.{name}")
        if name in NOUNS:
            app.add_typer(module.app, name=name.replace("_", "-"))
        else:
            app.command(name)(getattr(module, name))
