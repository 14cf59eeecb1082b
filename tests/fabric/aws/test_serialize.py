"""Answers and errors as bytes, and the mistakes of an operation that must not pass."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from botocore.parsers import create_parser
from hypothesis import given
from hypothesis import strategies as st

from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.aws.protocol.model import ServiceName, services
from tieline.fabric.aws.protocol.serialize import escape, serialize_error


def written(service: ServiceName, operation: str, values: dict[str, Any]) -> str:
    text = services()[service].operation(operation).serialize(values, "r-1").decode()
    return text.removeprefix('<?xml version="1.0" encoding="UTF-8"?>\n')


def test_ec2_answers_without_members_say_true() -> None:
    assert written("ec2", "DeleteVpc", {}) == (
        '<DeleteVpcResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r-1</requestId>'
        "<return>true</return></DeleteVpcResponse>"
    )


def test_query_answers_always_have_their_result() -> None:
    assert written("elbv2", "AddTags", {}) == (
        '<AddTagsResponse xmlns="http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/"><AddTagsResult></AddTagsResult>'
        "<ResponseMetadata><RequestId>r-1</RequestId></ResponseMetadata></AddTagsResponse>"
    )


def test_lists_are_written_where_they_are_missing_and_left_out_where_they_are_none() -> None:
    text = written("ec2", "DescribeVpcEndpoints", {"VpcEndpoints": [{"VpcEndpointId": "vpce-1", "Groups": None}]})
    assert "<vpcEndpointSet><item><vpcEndpointId>vpce-1</vpcEndpointId>" in text
    assert "<routeTableIdSet/>" in text
    assert "<subnetIdSet/>" in text
    assert "groupSet" not in text
    assert "nextToken" not in text
    assert "<vpcEndpointSet/>" in written("ec2", "DescribeVpcEndpoints", {})


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05.000Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 6789, tzinfo=timezone(timedelta(hours=2))), "2026-01-02T01:04:05.006Z"),
    ],
)
def test_times_are_in_utc_with_milliseconds(moment: datetime, text: str) -> None:
    answer = {"VpcEndpoints": [{"CreationTimestamp": moment}]}
    assert f"<creationTimestamp>{text}</creationTimestamp>" in written("ec2", "DescribeVpcEndpoints", answer)


@pytest.mark.parametrize(
    ("values", "mistake"),
    [
        ({"VpcEndpoint": []}, KeyError),
        ({"VpcEndpoints": [{"vpcEndpointId": "x"}]}, KeyError),
        ({"VpcEndpoints": [{"VpcEndpointId": "x", "Colour": None}]}, KeyError),
        ({"VpcEndpoints": "vpce-1"}, TypeError),
        ({"VpcEndpoints": {"VpcEndpointId": "x"}}, TypeError),
        ({"VpcEndpoints": iter([])}, TypeError),
        ({"VpcEndpoints": [{"VpcEndpointId": 1}]}, TypeError),
        ({"VpcEndpoints": [{"VpcEndpointId": None, "SubnetIds": [None]}]}, TypeError),
        ({"VpcEndpoints": [{"PrivateDnsEnabled": "true"}]}, TypeError),
        ({"VpcEndpoints": [{"PrivateDnsEnabled": 1}]}, TypeError),
        ({"VpcEndpoints": [{"CreationTimestamp": datetime(2026, 1, 1)}]}, TypeError),
    ],
)
def test_the_mistakes_of_an_operation_do_not_pass(values: dict[str, Any], mistake: type[Exception]) -> None:
    with pytest.raises(mistake):
        written("ec2", "DescribeVpcEndpoints", values)


def test_an_operation_without_output_can_answer_nothing() -> None:
    with pytest.raises(KeyError):
        written("ec2", "DeleteVpc", {"Return": True})
    with pytest.raises(TypeError):
        written("ec2", "DescribeSubnets", {"Subnets": [{"AvailableIpAddressCount": True}]})


@given(st.text())
def test_any_text_arrives_without_the_characters_that_xml_forbids(value: str) -> None:
    body = written("ec2", "DescribeVpcs", {"NextToken": value}).encode()
    read = ET.fromstring(body).findtext(f"{{{services()['ec2'].namespace}}}nextToken")
    forbidden = {*map(chr, range(32)), "\ufffe", "\uffff"} - set("\t\n\r")
    assert read == "".join(character for character in value if character not in forbidden)


def test_lone_surrogates_are_dropped() -> None:
    assert escape("a\ud800b") == "ab"


@pytest.mark.parametrize(
    ("service", "status", "kind"), [("ec2", 400, ""), ("elbv2", 400, "Sender"), ("sts", 500, "Receiver")]
)
def test_botocore_reads_our_errors(service: ServiceName, status: int, kind: str) -> None:
    served = services()[service]
    error = AwsError("Some.Code", "a <message> & more", status)
    body = serialize_error(error, served.protocol, served.namespace, "r-1")
    read = create_parser(served.protocol).parse(
        {"body": body, "headers": {}, "status_code": status},
        None,  # type: ignore[arg-type]  # errors have no shape
    )
    assert read["Error"]["Code"] == "Some.Code"
    assert read["Error"]["Message"] == "a <message> & more"
    assert read["Error"].get("Type", "") == kind
    assert read["ResponseMetadata"]["RequestId"] == "r-1"
