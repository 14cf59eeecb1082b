"""The reference page of the REST interface, made of its own description.

python -m tieline.cloud.api.reference > docs/api.md
"""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import Any

from tieline.cloud.api.app import PREFIX, interface
from tieline.cloud.guard.roles import PERMITTED, Role

HEAD = """\
# REST

Made by `python -m tieline.cloud.api.reference`. The interface describes itself at `/api/v1/openapi.json` (OpenAPI 3.1,
an example for every body), which tests hold it to: generated requests get no 5xx and no answer that is not described.
All paths below begin with `/api/v1`. Python programs use `tieline.client.rest.Client`, tested against the same
description.

- **Who asks.** `Authorization: Bearer KEY`, or the cookie of `POST /session`. Roles are administrator, operator and
  auditor, each for some projects or for all; a deployment belongs to one project, and what is in a foreign project is
  not found. Who fails to prove who they are, and who asks more than 1,000 times at once and 200 times a second after
  that, gets 429 with `Retry-After`.
- **What went wrong.** Every error is `{code, message, hint}`, some with further fields, such as `dependants` or `hop`.
  4xx is the caller's, 502 AWS's refusal of the platform, 503 no answer from AWS: try again.
- **Lists** come in pages: `limit`, and `cursor` with `next_cursor` of the page before.
- **Edits.** Reads tell an `ETag`; an edit with `If-Match` is refused with 412 where somebody else was faster, and
  nothing is lost. `PATCH` is a JSON merge patch (RFC 7396).
- **Repetition.** A `POST` with `Idempotency-Key` that is sent again within a day gets the first answer again, with
  `Idempotency-Replayed: true`. `DELETE` may be repeated.
- **Audit.** Every change is in `GET /audit`: who, by which key or login, from where, before and after; secrets as
  `******`. They are encrypted at rest with the key in `secret.key` of the state directory, and never shown.
"""


def page() -> str:
    """The page as Markdown."""
    areas: dict[str, list[str]] = defaultdict(list)
    for path, methods in sorted(interface().openapi()["paths"].items()):
        for method, operation in methods.items():
            if path.startswith(PREFIX):
                areas[operation["tags"][0]].append(_row(method.upper(), path.removeprefix(PREFIX), operation))
    sections = [HEAD]
    for area, rows in sorted(areas.items()):
        sections.append("\n".join([f"## {area}\n", "| operation | who | what |", "|---|---|---|", *rows, ""]))
    return "\n".join(sections)


def _row(method: str, path: str, operation: dict[str, Any]) -> str:
    what = " ".join(operation.get("description", operation["summary"]).split()).replace("|", "\\|")
    return f"| `{method} {path}` | {_who(operation['operationId'])} | {what} |"


def _who(operation: str) -> str:
    roles = PERMITTED.get(operation)
    if roles is None:
        return "anybody"
    return "every role" if roles == frozenset(Role) else ", ".join(sorted(roles))


if __name__ == "__main__":
    sys.stdout.write(page())
