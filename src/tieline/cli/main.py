"""The command `tieline`: its nouns and verbs, and one place where errors become words and exit statuses."""

from __future__ import annotations

import importlib
import importlib.util
import os
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
    "retention",
)  # modules with an `app`
VERBS = (
    "demo",
    "up",
    "down",
    "expose",
    "accept",
    "reject",
    "connect",
    "disconnect",
    "doctor",
    "apply",
    "attach",
    "detach",
    "audit",
)  # modules with a function of the same name
TRACEBACK = "TIELINE_TRACEBACK"  # in the environment: show where an unexpected error comes from
FAILED, INTERRUPTED = 1, 130  # 2 is the parser's, for a command line that it does not understand

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Private, one-way, consent-based links for MQTT deployments.",
    epilog="First steps: `tieline demo` shows everything at work; `tieline up` starts an installation of your own.",
)


@app.callback()
def tieline() -> None:
    """Keeps a lone verb a verb: without it, typer makes the only command the whole command line."""


def main() -> None:
    """Run the command line of this process."""
    assemble(sys.argv[1].replace("-", "_") if len(sys.argv) > 1 else "")
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # nobody reads any more, as after `tieline … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)
    except Exception as error:
        if TRACEBACK in os.environ or sys.argv[1:2] == ["agent"]:  # what an agent prints is its log
            raise
        _explain(error)
        sys.exit(FAILED)


def _explain(error: Exception) -> None:
    """Say to a person what went wrong; imported late, for the agent never needs it."""
    from tieline.cli.output import complain
    from tieline.cloud.client import ClientError

    if not isinstance(error, ClientError):
        hint = f"a fault of tieline's own: report it, with what the same command prints with {TRACEBACK}=1"
        error = ClientError("INTERNAL", f"{type(error).__name__}: {error}", hint)
    complain(error)


def assemble(asked: str = "") -> None:
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
