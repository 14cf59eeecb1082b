"""The reference page of documents: what a file may say, made of the shapes that read it.

python -m tieline.client.documents.reference > docs/documents.md
"""

from __future__ import annotations

import json
import sys
from typing import Any

from pydantic import BaseModel

from tieline.cloud.api.common.document_shapes import FIXED, DeploymentDocument
from tieline.cloud.deployments.existing import ExistingNetwork
from tieline.cloud.deployments.listeners import GivenCertificate
from tieline.cloud.deployments.service import NewRemoteBroker
from tieline.cloud.links.service import NewLink
from tieline.cloud.resources.service import NewResource
from tieline.cloud.rules.service import NewRule
from tieline.cloud.store.retention import RetentionChange

HEAD = """\
# Documents

Made by `python -m tieline.client.documents.reference`; a test applies the example.

`tieline apply -f links.yaml` makes deployments, links, resources and rules what the file says. Documents have the
shapes that REST takes, and what `--json` prints can be applied. `tieline apply --schema` prints their JSON Schema,
which is also at `/api/v1/schema/documents`. `{from_env: NAME}` stands for the value of an environment variable, in
place of any text.

```yaml
deployments:
  - name: plant
    private_links:
      - {name: orders, service_name: com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0, ports: [5432]}
    resources:
      - name: db
        type: postgresql
        server: link:orders:5432
        database: plant
        username: writer
        password: {from_env: DB_PASSWORD}
    rules:
      - name: hot
        sql: SELECT payload.temp as temp FROM "sensors/#" WHERE payload.temp > 20
        actions: [{resource: db, sql: "insert into readings(temp) values (${temp})"}]
```

- `--diff` prints what would change and changes nothing: exit status 2 if anything would.
- `--prune` also deletes what the files do not name: in the sections that are there, and deployments that no file names.
  A section that is left out is not looked at.
- `retention`, beside `deployments`, is how long the platform keeps things; it is not looked at where it is left out.
- A secret is never shown and so cannot be compared: it is written with what else changes in its record, or with
  `--rotate`.
- A failed link is reconnected. What cannot be changed on a record that is there is refused before anything is changed.
"""
#: Each section of the page: its title, the shape that it tells of, and the section whose fixed fields are its own.
SHAPES: tuple[tuple[str, type[BaseModel], str], ...] = (
    ("A deployment", DeploymentDocument, "deployments"),
    ("`aws` of a deployment", ExistingNetwork, ""),
    ("`broker` of a deployment", NewRemoteBroker, ""),
    ("`certificate` of a deployment", GivenCertificate, ""),
    ("A private link", NewLink, "private_links"),
    ("A resource", NewResource, "resources"),
    ("A rule", NewRule, "rules"),
    ("`retention`", RetentionChange, ""),
)


def page() -> str:
    """The page as Markdown."""
    sections = [HEAD]
    for title, shape, section in SHAPES:
        made = shape.model_json_schema()
        required, fixed = set(made.get("required", ())), FIXED.get(section, frozenset())
        rows = [_row(name, field, name in required, name in fixed) for name, field in made["properties"].items()]
        sections.append("\n".join([f"## {title}\n", "| field | is | meaning |", "|---|---|---|", *rows, ""]))
    return "\n".join(sections)


def _row(name: str, field: dict[str, Any], required: bool, fixed: bool) -> str:
    notes = ["required"] * required + ["stays as it was made"] * fixed
    default, told = field.get("default"), {**field.get("anyOf", [{}])[0], **field}
    if default not in (None, "", [], {}):
        notes.append(f"default `{json.dumps(default)}`")
    meaning = "; ".join(filter(None, [told.get("description", ""), *notes])).replace("|", "\\|")
    return f"| `{name}` | {_type(field)} | {meaning} |"


def _type(field: dict[str, Any]) -> str:
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "$ref" in field:
        return str(field["$ref"].rpartition("/")[2])
    if "anyOf" in field:
        return " or ".join(_type(each) for each in field["anyOf"] if each.get("type") != "null")
    if field.get("type") == "array":
        return f"list of {_type(field.get('items', {}))}"
    return {"string": "text", "integer": "number", "number": "number", "boolean": "true or false"}.get(
        field.get("type", ""), "anything"
    )


if __name__ == "__main__":
    sys.stdout.write(page())
