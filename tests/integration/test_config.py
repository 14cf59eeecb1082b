"""The configuration is JSON, and its forms describe exactly the fields that there are."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import msgspec
import pytest

from tieline.integration.config import shapes as config
from tieline.integration.sinks import KINDS
from tieline.integration.sinks.base.kind import Kind

POSTGRESQL = config.PostgreSQL(id="pg", server="db:5432", database="d", username="u", password="p")


def test_a_configuration_survives_json() -> None:
    rule = config.Rule(
        id="r",
        sql='SELECT * FROM "t"',
        actions=(config.Sql(id="a", resource="pg", sql="select ${.}"), config.Republish(id="b", topic="x")),
    )
    whole = config.Config(version=3, resources=(POSTGRESQL,), rules=(rule,))
    assert config.decode(config.encode(whole)) == whole


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'{"resources": [{"type": "oracle", "id": "x"}]}', "$.resources"),
        (b'{"resources": [{"type": "postgresql", "id": "x"}]}', "server"),
        (b'{"rules": [{"id": "x"}]}', "sql"),
        (b'{"unknown": 1}', "unknown"),
    ],
)
def test_what_does_not_fit_is_named(text: bytes, said: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=said.replace("$", r"\$").replace("[", r"\[")):
        config.decode(text)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.type))
def test_the_forms_are_the_fields(kind: Kind) -> None:
    """A form's defaults make the same resource as leaving every field out that may be left out."""
    fields = {field.name: field for field in config.RESOURCE_TYPES[kind.type]}
    assert fields.keys() >= {f"ssl.{field.name}" for field in msgspec.structs.fields(config.Ssl)}
    assert kind.resource.ADDRESS in fields
    given = {"type": kind.type, "id": "r", **{name: "x:1" for name, field in fields.items() if field.required}}
    least = msgspec.convert(given, config.Resource)
    for name, field in fields.items():
        value: Any = least
        for key in name.split("."):
            value = getattr(value, key)
        assert field.label
        assert field.required or value == field.default


def test_reading_a_configuration_loads_no_client_library() -> None:
    script = "import sys; from tieline.integration.config import shapes; shapes.decode(b'{}'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"asyncpg.protocol", "lark", "tieline.integration.rules.compile.compile"}.intersection(
        done.stdout.split()
    )
