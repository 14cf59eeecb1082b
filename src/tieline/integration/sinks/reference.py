"""The reference page of resources, made of what the kinds of sinks say of themselves.

python -m tieline.integration.sinks.reference > docs/resources.md
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterable, Iterator
from typing import Final

from tieline.integration.sinks import ACTIONS, KINDS
from tieline.integration.sinks.base.kind import Action, Field, Kind, Resource, form
from tieline.integration.sinks.base.secrets import PREFIX
from tieline.integration.sinks.mqtt.broker import Republish

HEAD: Final = f"""\
# Resources and actions

Made by `python -m tieline.integration.sinks.reference`. A **resource** is what rules write to; EMQX 5 calls it a
connector. An **action** is what a rule does with each of its outputs there. Names and defaults are EMQX's, where EMQX
has the field.

A resource is made by `tieline resource create`, where `--option field=value` gives any field, by a document, over REST
or in the console. Where it is may be said as `server` for every type, and by the type's own name for it. Each server in
it may be `link:NAME:PORT`, in a list and in a URL alike.

**Secrets** are encrypted at rest and never shown. Instead of a secret a field may have `${{env:{PREFIX}NAME}}`: the
variable of that name in the agent's environment, where no platform sees it. Other variables cannot be named. With a
variable `{PREFIX}NAME_SERVERS` beside it, such as `db.example.com:5432`, the secret is told to these only.

A stored secret is told to the server that it was given for. A change of the server, of anything under `ssl`, of the
address map or of the way to log in, and a Test with such a change, needs each secret again: `******` is refused then.

**Values** for the columns of a SQL database, and what happens when a table changes, stand in [columns.md](columns.md).

**Test** walks the whole way from where the agent is: it resolves the name, connects, agrees on TLS, and then does what
each type says below, with the actions of the rules that use the resource. It changes nothing. It names the hop that
failed (`link`, `name`, `address`, `tcp`, `tls`, `login`, `database` or `statement`), the last low-level cause, and what
helps. The agent does the same every 15 seconds while nothing is written; while something is, the writes tell.

**Errors** of a write are of two kinds. Where the server can take nothing now, the same rows are tried again until they
are in, and the resource is `disconnected` with the reason. Rows that it will never take go to the dead letters, each
with what was said of it, and the others of their batch are written. A resource that rejects a hundred rows and takes
none between is `disconnected` as well. Rows are written at least once.
"""

LEFT_OUT: Final = """\
## What is left out

A resource is offered only when a test writes to a real server of its kind and reads back. For these no server could be
had from the package indexes that this project builds on:

| left out | why |
|---|---|
| MongoDB | its packages download a server, or are other programs that speak its protocol |
| InfluxDB 2 and 3 | no package; both also take the API of version 1 at `/write`, which is not tried |
| TimescaleDB | no package has the extension: PostgreSQL's type writes to it, and hypertables are not tried |
| MySQL itself | no package: its type is tried with MariaDB, by commands that both have |
| Cassandra, Oracle, SQL Server, TDengine and others of EMQX's list | nobody asked for them yet |

| MQTT 3.1.1 as a bridge's protocol | the client speaks MQTT 5 alone, whose answers say why a message is refused |
| Kafka's `snappy`, OAuth, Kerberos and MSK's IAM | a codec of its own, and no server to try them with |

And of EMQX's fields `properties_template` of RabbitMQ, CSV and ACLs of S3, `pool_type`, `enable_pipelining` and OAuth 2
of HTTP, `disable_prepared_statements` of PostgreSQL, and `tags` of every type. EMQX's `file://` secrets are variables
of the environment here.
"""


def page() -> str:
    """The page as Markdown."""
    common = (
        "## Every resource\n",
        *_table(form(Resource, Action)),
        "",
        "## Every action\n",
        *_table(form(Action, Resource)),
        "",
    )
    sections = [HEAD, "\n".join(common), *(_section(kind) for kind in KINDS), _republish(), LEFT_OUT]
    return "\n".join(sections)


def _section(kind: Kind) -> str:
    lines = [
        f"## {kind.label}: `{kind.type}`\n",
        f"{_said(kind.resource)}\n",
        *_table(_own(kind.resource, Resource)),
        "",
    ]
    for action in kind.actions:
        lines += [f"Action `{_tag(action)}`. {_said(action)}\n", *_table(_own(action, Action)), ""]
    lines += [f"*Test* {kind.test}.\n", f"*Tried with* {kind.tried}.\n"]
    return "\n".join(lines)


def _republish() -> str:
    lines = ["## The broker itself\n", f"Action `republish`, which needs no resource. {_said(Republish)}\n"]
    return "\n".join([*lines, *_table(_own(Republish, Action)), ""])


def _own(struct: type[Resource] | type[Action], base: type[Resource] | type[Action]) -> Iterator[Field]:
    """The entries that a struct adds to its base's, or has another default for."""
    known = {field.name: field for field in form(base, Action if base is Resource else Resource)}
    for field in form(struct, base):
        if known.get(field.name) != field:
            yield field


def _table(fields: Iterable[Field]) -> list[str]:
    rows = [f"| `{field.name}` | {_label(field)} | {_default(field)} |" for field in fields]
    return ["| field | meaning | default |", "|---|---|---|", *rows]


def _label(field: Field) -> str:
    choices = f": {', '.join(f'`{choice}`' for choice in field.choices)}" if field.choices else ""
    return f"{field.label}{choices}{', secret' * field.secret}".replace("|", "\\|")


def _default(field: Field) -> str:
    if field.required:
        return "required"
    shown = field.default if isinstance(field.default, str) else json.dumps(field.default)
    return f"`{shown}`" if shown else ""


def _said(struct: type) -> str:
    return " ".join((inspect.getdoc(struct) or "").split())


def _tag(action: type[Action]) -> str:
    return next(tag for tag, known in ACTIONS.items() if known is action)


if __name__ == "__main__":
    sys.stdout.write(page())
