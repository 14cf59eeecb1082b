"""The configuration is JSON, and its forms describe exactly the fields that there are."""

from __future__ import annotations

import msgspec
import pytest

from tieline.integration import config
from tieline.integration.sinks import SINKS

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


def test_the_forms_are_the_fields() -> None:
    by_tag = {kind.__struct_config__.tag: kind for kind in SINKS}
    assert by_tag.keys() == config.RESOURCE_TYPES.keys()
    for tag, fields in config.RESOURCE_TYPES.items():
        known = {field.name: field for field in msgspec.structs.fields(by_tag[tag])}
        ssl = {f"ssl.{field.name}" for field in msgspec.structs.fields(config.Ssl)}
        assert {field.name for field in fields} == (known.keys() - {"id", "name", "ssl"}) | ssl
        for field in fields:
            if field.name in known:
                assert field.required == (known[field.name].default is msgspec.NODEFAULT)
                assert field.required or field.default == known[field.name].default
