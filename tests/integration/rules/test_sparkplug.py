"""Sparkplug B payloads, against one that another implementation wrote and against whatever bytes."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.integration.rules.functions.sparkplug import spb_decode, spb_encode
from tieline.integration.rules.values.errors import RuleFailure

#: The sample of EMQX's documentation of spb_decode: five counters.
SAMPLE = base64.b64decode(
    "CPHh67HrMBIqChxjb3VudGVyX2dyb3VwMS9jb3VudGVyMV8xc2VjGPXh67HrMCACUKgDEikKHGNvdW50ZXJfZ3JvdXAxL2NvdW50ZXIxXzVzZWMY"
    "9eHrseswIAJQVBIqCh1jb3VudGVyX2dyb3VwMS9jb3VudGVyMV8xMHNlYxj14eux6zAgAlAqEigKG2NvdW50ZXJfZ3JvdXAxL2NvdW50ZXIxX3J1"
    "bhj14eux6zAgBVABEioKHWNvdW50ZXJfZ3JvdXAxL2NvdW50ZXIxX3Jlc2V0GPXh67HrMCAFUAAYWA=="
)


def test_a_payload_of_somebody_else() -> None:
    found = spb_decode(SAMPLE)
    assert (found["timestamp"], found["seq"], len(found["metrics"])) == (1678094561521, 88, 5)
    run = {"timestamp": 1678094561525, "name": "counter_group1/counter1_run", "int_value": 1, "datatype": 5}
    assert found["metrics"][3] == run
    assert spb_decode(spb_encode(found)) == found


EVERYTHING: dict[str, Any] = {
    "seq": 0,
    "uuid": "u",
    "body": "text",
    "metrics": [
        {"alias": 2**64 - 1, "is_null": True, "metadata": {"size": 3, "md5": "x"}, "properties": {}},
        {"name": "d", "double_value": 0.1, "properties": {"keys": ["k"], "values": [{"type": 3, "int_value": 1}]}},
        {"name": "f", "float_value": 73.1, "is_historical": False},
        {"name": "b", "bytes_value": b"\xff\x00"},
        {"name": "set", "dataset_value": {"columns": ["a"], "types": [3], "rows": [{"elements": [{"long_value": 9}]}]}},
        {"name": "t", "template_value": {"metrics": [{"name": "inner", "boolean_value": True}], "is_definition": True}},
    ],
}


def test_every_kind_of_value_survives() -> None:
    assert spb_decode(spb_encode(EVERYTHING)) == EVERYTHING


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"metrics": [{"nome": "x"}]}, "Metric has no field 'nome'"),
        ({"seq": -1}, "seq cannot be a number like -1"),
        ({"seq": "1"}, "seq cannot be a text like '1'"),
        ({"metrics": 3}, "metrics cannot be a number like 3"),
        ({"metrics": ["x"]}, "a map is needed, not a text"),
        ("x", "a map is needed"),
    ],
)
def test_what_cannot_be_encoded_is_said(fields: Any, said: str) -> None:
    with pytest.raises(RuleFailure, match=said):
        spb_encode(fields)


def test_what_is_null_is_left_out() -> None:
    assert spb_encode({"seq": None, "metrics": None}) == b""


@given(st.binary(max_size=60) | st.integers(0, len(SAMPLE)).map(lambda end: SAMPLE[:end]))
def test_any_bytes_are_decoded_or_refused(data: bytes) -> None:
    try:
        found = spb_decode(data)
    except RuleFailure as refused:
        assert "no Sparkplug B payload" in str(refused)
    else:
        assert isinstance(found, dict)
