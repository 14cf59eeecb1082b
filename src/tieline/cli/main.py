"""The command `tieline`: its nouns and verbs, and one place where errors become words and exit statuses."""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import dataclass
from types import ModuleType

import typer


@dataclass(frozen=True)
class Command:
    """A noun or a verb: its module below this package, and its line in `tieline --help`, which loads no module."""

    module: str
    help: str


#: Modules with an `app`.
NOUNS = {
    "deployment": Command("platform.deployment", "MQTT deployments: broker, rules, and their network."),
    "link": Command("privatelink.link", "Private links: services of other VPCs at own addresses."),
    "resource": Command("platform.resource", "Resources: what rules write to."),
    "rule": Command("platform.rule", "Rules: which messages are taken, and where they go."),
    "letter": Command("platform.letter", "Dead letters: messages that could not be used."),
    "agent": Command("platform.agent", "Run a deployment's agent."),
    "user": Command("platform.user", "The people who may log in."),
    "key": Command("platform.key", "API keys: what programs log in with."),
    "mqtt_user": Command("platform.mqtt_user", "MQTT users: who may connect to a deployment's broker."),
    "account": Command("machine.account", "AWS accounts of the fabric."),
    "service": Command("privatelink.service", "Endpoint services, from their provider's side."),
    "aws": Command("platform.aws", "IAM policies of least privilege."),
    "alert": Command("platform.alert", "Webhooks that hear of changes."),
    "retention": Command("platform.retention", "How long things are kept; what is older goes by itself."),
}
#: Modules with a function of the same name.
VERBS = {
    "demo": Command("machine.demo", "Perform the guide step by step with real packets."),
    "up": Command("machine.up", "Run the fabric and the platform until Ctrl-C."),
    "down": Command("machine.down", "Stop tieline and remove what it made in the kernel."),
    "expose": Command("privatelink.expose", "Expose backends of a VPC as an endpoint service."),
    "accept": Command("privatelink.accept", "Accept the connection that waits for consent."),
    "reject": Command("privatelink.reject", "Reject a connection that waits, or one that is live."),
    "connect": Command("privatelink.connect", "Connect a deployment to backends of another VPC."),
    "disconnect": Command("privatelink.disconnect", "Delete a link, and what was exposed for it."),
    "doctor": Command("privatelink.doctor", "Check every hop of a private link."),
    "apply": Command("platform.apply", "Make the records what the files say."),
    "attach": Command("machine.attach", "Put a container, a NIC or a VLAN into a subnet."),
    "detach": Command("machine.detach", "Take out again what was attached."),
    "audit": Command("platform.audit", "Show the newest changes."),
}
TRACEBACK = "TIELINE_TRACEBACK"  # in the environment: show where an unexpected error comes from
FAILED, INTERRUPTED = 1, 130  # 2 is the parser's, for a command line that it does not understand

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
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
    from tieline.client.rest import ClientError

    if not isinstance(error, ClientError):
        hint = f"a fault of tieline's own: report it, with what the same command prints with {TRACEBACK}=1"
        error = ClientError("INTERNAL", f"{type(error).__name__}: {error}", hint)
    complain(error)


def assemble(asked: str = "") -> None:
    """Add the noun or verb that is asked for; where none is, a line for each: a module costs every start its time."""
    if asked not in NOUNS | VERBS:
        for name, command in sorted((NOUNS | VERBS).items()):
            app.command(name.replace("_", "-"), help=command.help)(lambda: None)
    elif asked in NOUNS:
        app.add_typer(load(NOUNS[asked]).app, name=asked.replace("_", "-"))
    else:
        app.command(asked)(getattr(load(VERBS[asked]), asked))


def load(command: Command) -> ModuleType:
    """The module of a noun or verb."""
    return importlib.import_module(f"tieline.cli.{command.module}")
