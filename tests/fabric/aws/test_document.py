"""The json protocol against botocore's own serializer and parser, and whatever else may be in a body."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import given
from hypothesis import strategies as st

from tieline.fabric.aws.protocol import document
from tieline.fabric.aws.protocol.errors import AwsError

OPERATION = ServiceModel(Loader().load_service_model("cloudwatch", "service-2")).operation_model("GetMetricData")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
METRIC = {"Namespace": "n", "MetricName": "m", "Dimensions": [{"Name": "d", "Value": "v"}]}
QUERY = {"Id": "a", "MetricStat": {"Metric": METRIC, "Period": 60, "Stat": "Sum"}, "ReturnData": True}
ASKED = {"MetricDataQueries": [QUERY], "StartTime": NOW, "EndTime": NOW}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*ASKED, "Id", "x"]), inner, max_size=3)
    ),
)


def test_what_botocore_writes_is_read() -> None:
    written = create_serializer("json").serialize_to_request(ASKED, OPERATION)["body"]
    assert document.compile_input(OPERATION)(document.decode(written)) == ASKED


def test_what_is_written_botocore_reads() -> None:
    values: dict[str, Any] = {
        "MetricDataResults": [{"Id": "a", "Label": "m", "Timestamps": [NOW], "Values": [1.5], "StatusCode": "Complete"}]
    }
    body = document.compile_output(OPERATION)(values, "r")
    assert OPERATION.output_shape is not None
    parsed = create_parser("json").parse({"status_code": 200, "headers": {}, "body": body}, OPERATION.output_shape)
    assert parsed["MetricDataResults"] == values["MetricDataResults"]


@given(st.dictionaries(st.sampled_from([*ASKED, "ScanBy", "x"]), JSON, max_size=4))
def test_any_other_document_is_refused_or_read_and_nothing_else_comes_out(body: dict[str, Any]) -> None:
    try:
        found = document.compile_input(OPERATION)(document.decode(json.dumps(body).encode()))
    except AwsError as error:
        assert error.status == 400
    else:
        assert isinstance(found["StartTime"], datetime)


@pytest.mark.parametrize("body", [b"[]", b"{", b"\xff", b'"x"'])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(AwsError, match="SerializationException"):
        document.decode(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"Namespace": "a", "Namespace": "b"}',
        b'{"MetricDataQueries": [{"Id": "a", "Id": "b"}]}',
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": ' + b"9" * 10_000 + b"}",
        '{"a": 1}'.encode("utf-16"),
        b"\xef\xbb\xbf{}",
        b"[]",
        b"null",
        b'"text"',
        b"\xff",
        b'{"a": 1} {}',
    ],
)
def test_a_body_means_one_thing_or_is_refused(body: bytes) -> None:
    with pytest.raises(AwsError) as refused:
        document.decode(body)
    assert (refused.value.code, refused.value.status) == ("SerializationException", 400)
