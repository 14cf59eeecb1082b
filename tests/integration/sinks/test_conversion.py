"""Values become what a SQL parameter wants, or are refused; nothing is rounded or cut in silence."""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.integration.sinks.sql.conversion import TYPES, Misfit, row_converter

UTC = datetime.UTC
NOON = datetime.datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
ID = "6f1c1b1e-8f0e-4d0b-9d55-0a9b3e1c2d3f"


def convert(type_name: str, value: Any, undefined: bool = False) -> Any:
    return row_converter([type_name], [("x",)], undefined)([{"x": value}])[0][0]


@pytest.mark.parametrize(
    ("type_name", "value", "expected"),
    [
        ("text", "a", "a"),
        ("varchar", 21.5, "21.5"),
        ("text", 7, "7"),
        ("text", True, "true"),
        ("text", {"a": [1]}, '{"a":[1]}'),
        ("text", None, None),
        ("int4", 7, 7),
        ("int4", 7.0, 7),
        ("int4", "7", 7),
        ("int4", "7.0", 7),
        ("int4", True, 1),
        ("int8", 2**63 - 1, 2**63 - 1),
        ("float8", 1, 1.0),
        ("float8", "1.5", 1.5),
        ("numeric", 21.5, decimal.Decimal("21.5")),
        ("numeric", "0.1", decimal.Decimal("0.1")),
        ("bool", True, True),
        ("bool", "false", False),
        ("bool", 1, True),
        ("timestamptz", 1700000000000, NOON),
        ("timestamptz", "2023-11-14T22:13:20Z", NOON),
        ("timestamptz", "2023-11-14 22:13:20", NOON),
        ("timestamp", "2023-11-15T00:13:20+02:00", NOON.replace(tzinfo=None)),
        ("date", 1700000000000, NOON.date()),
        ("jsonb", {"a": 1}, '{"a":1}'),
        ("json", "a", '"a"'),
        ("bytea", "é", "é".encode()),
        ("bytea", b"\xff", b"\xff"),
        ("uuid", ID, uuid.UUID(ID)),
        ("int4[]", [1, "2", None], [1, 2, None]),
        ("text[]", [1, "a"], ["1", "a"]),
        ("other", "10.0.0.1", "10.0.0.1"),
        ("other", {"a": 1}, '{"a":1}'),
        ("int4[]", [[1], ["2"]], [[1], [2]]),
        ("float4", 1.5, 1.5),
        ("int8", "9007199254740993.0", 9007199254740993),
        ("numeric", 2**80, decimal.Decimal(2**80)),
        ("jsonb", ' {"a": 1}', ' {"a": 1}'),
        ("jsonb", "{a", '"{a"'),
    ],
)
def test_what_fits(type_name: str, value: Any, expected: Any) -> None:
    actual = convert(type_name, value)
    assert (actual, type(actual)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("type_name", "value"),
    [
        ("text", "a\0b"),
        ("int4", 7.5),
        ("int4", "seven"),
        ("int2", 40000),
        ("int4", 2**31),
        ("int8", 2**63),
        ("int4", [1]),
        ("int4", "nan"),
        ("int4", "1_0"),
        ("int4", "٣"),
        ("float8", "inf"),
        ("float8", "1_0"),
        ("float8", "1e400"),
        ("float8", "-0.1e-400"),
        ("float8", 10**400),
        ("float4", 1e39),
        ("float4", 1e-50),
        ("numeric", float("nan")),
        ("numeric", "1e999999999"),
        ("text", b"\xff"),
        ("name", "é" * 32),
        ("float8", "warm"),
        ("float8", [1.0]),
        ("numeric", "x"),
        ("bool", 2),
        ("bool", "yes"),
        ("timestamptz", "yesterday"),
        ("timestamptz", "1710101000000"),  # milliseconds as a text, which Python reads as a day in 1710
        ("timestamp", "1710101000000.5"),
        ("date", "171010100000000"),
        ("timestamptz", "2023-11-14x22"),
        ("timestamptz", True),
        ("timestamptz", 1e30),
        ("bytea", 1),
        ("uuid", "x"),
        ("uuid", 5),
        ("int4[]", 1),
        ("int4[]", [1.5]),
    ],
)
def test_what_does_not_fit(type_name: str, value: Any) -> None:
    with pytest.raises(Misfit):
        convert(type_name, value)


def test_a_missing_value_is_null_unless_the_action_wants_the_word() -> None:
    assert convert("text", None, undefined=True) == "undefined"
    assert convert("float8", None, undefined=True) is None


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.lists(st.integers(), max_size=2)
)


@given(st.sampled_from(sorted(TYPES)), VALUES)
def test_whole_numbers_and_texts_are_kept_or_refused(type_name: str, value: Any) -> None:
    """No value raises anything but Misfit, and a number that is taken is equal to what was given."""
    try:
        converted = convert(type_name, value)
    except Misfit:
        return
    if type_name.startswith("int") and not isinstance(value, str) and value is not None:
        assert converted == value
    if type_name == "text" and isinstance(value, str):
        assert converted == value
