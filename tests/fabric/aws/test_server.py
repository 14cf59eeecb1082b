"""The endpoint as real clients meet it: boto3 and raw bytes over a loopback socket."""

from __future__ import annotations

import http.client
import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import pytest
import urllib3
from botocore.config import Config
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tieline.fabric.aws.protocol.form import MAX_BYTES

if TYPE_CHECKING:
    from fabric.aws.conftest import Running

SCOPE = "20260101/us-east-1/ec2/aws4_request"


def refusal(call: Any, **parameters: Any) -> tuple[str, int, str]:
    """Code, HTTP status and message of a call that must fail."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Message"]


def status_of(answer: bytes) -> int:
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    assert found, answer[:80]
    return int(found[1])


def test_a_network_lives_and_goes(running: Running) -> None:
    ec2 = running.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]
    assert vpc["CidrBlock"] == "10.0.0.0/16"
    assert vpc["CidrBlockAssociationSet"] == []
    assert vpc["VpcId"] in [found["VpcId"] for found in ec2.describe_vpcs()["Vpcs"]]
    ec2.delete_vpc(VpcId=vpc["VpcId"])
    assert vpc["VpcId"] not in running.cloud.vpcs
    code, status, message = refusal(ec2.delete_vpc, VpcId=vpc["VpcId"])
    assert (code, status) == ("InvalidVpcID.NotFound", 400)
    assert vpc["VpcId"] in message


def test_the_caller_is_the_owner_of_the_key(running: Running) -> None:
    identity = running.client("sts").get_caller_identity()
    assert identity["Account"] == "111122223333"
    session = running.client(
        "sts", aws_access_key_id="ASIATESTTESTTESTTEST", aws_session_token="token/with+signs=="
    ).get_caller_identity()
    assert session["Arn"] == identity["Arn"]
    assert running.cloud.calls[-1].region == "us-east-1"


def test_pages_through_a_paginator(running: Running) -> None:
    ec2 = running.client("ec2")
    made = {ec2.create_vpc(CidrBlock=f"10.{number}.0.0/16")["Vpc"]["VpcId"] for number in range(12)}
    pages = list(ec2.get_paginator("describe_vpcs").paginate(PaginationConfig={"PageSize": 5}))
    found = [vpc["VpcId"] for page in pages for vpc in page["Vpcs"]]
    assert len(pages) == 3
    assert made <= set(found)
    assert len(found) == len(set(found))
    assert refusal(ec2.describe_vpcs, NextToken="nonsense")[0] == "InvalidParameterValue"
    for id in made:
        ec2.delete_vpc(VpcId=id)


def test_a_dry_run_changes_nothing(running: Running) -> None:
    before = dict(running.cloud.vpcs)
    code, status, _ = refusal(running.client("ec2").create_vpc, CidrBlock="10.0.0.0/16", DryRun=True)
    assert (code, status) == ("DryRunOperation", 412)
    assert running.cloud.vpcs == before


def test_refuses_in_the_query_protocol(running: Running) -> None:
    elbv2 = running.client("elbv2")
    expected = ("TargetGroupNotFound", 400, "One or more target groups not found")
    assert refusal(elbv2.describe_target_groups, Names=["none"]) == expected
    answer = elbv2.add_tags(ResourceArns=["arn"], Tags=[{"Key": "a", "Value": "b"}])
    assert set(answer) == {"ResponseMetadata"}


def test_checks_what_the_client_does_not(running: Running) -> None:
    unchecked = Config(parameter_validation=False, retries={"total_max_attempts": 1})
    ec2, elbv2 = running.client("ec2", config=unchecked), running.client("elbv2", config=unchecked)
    missing = ("MissingParameter", 400, "The request must contain the parameter VpcId")
    assert refusal(ec2.delete_vpc) == missing
    code, _, message = refusal(elbv2.create_target_group, Name="a", HealthCheckIntervalSeconds=301)
    assert code == "ValidationError"
    assert "'301' at 'HealthCheckIntervalSeconds'" in message
    code, _, message = refusal(ec2.describe_vpcs, MaxResults=4)
    assert code == "InvalidParameterValue"
    assert "MaxResults" in message


@pytest.mark.parametrize(("service", "code"), [("ec2", "InternalError"), ("elbv2", "InternalFailure")])
def test_hides_its_own_mistakes_and_logs_them(
    running: Running, caplog: pytest.LogCaptureFixture, service: str, code: str
) -> None:
    client = running.client(service)
    call = client.describe_regions if service == "ec2" else client.describe_load_balancers
    found, status, message = refusal(call)
    assert (found, status) == (code, 500)
    assert "secret" not in message
    assert "Traceback" not in message
    assert ("the secret reason" if service == "ec2" else "has no member LoadBalancer") in caplog.text
    operation = "ec2 DescribeRegions" if service == "ec2" else "elbv2 DescribeLoadBalancers"
    assert f"while serving {operation} to arn:aws:iam::111122223333:root" in caplog.text


@pytest.mark.parametrize(
    ("service", "call", "parameters"),
    [
        ("s3", "list_buckets", {}),
        ("iam", "list_users", {}),
        ("dynamodb", "list_tables", {}),
        ("lambda", "list_functions", {}),
    ],
)
def test_names_what_is_served_to_clients_of_other_services(
    running: Running, service: str, call: str, parameters: dict[str, Any]
) -> None:
    code, status, message = refusal(getattr(running.client(service), call), **parameters)
    assert (code, status) == ("UnsupportedOperation", 400)
    assert "ec2, elasticloadbalancing (version 2015-12-01), monitoring (JSON) and sts" in message


def test_refuses_classic_load_balancers(running: Running) -> None:
    code, _, message = refusal(running.client("elb").describe_load_balancers)
    assert code == "InvalidAction"
    assert "elbv2" in message


def test_refuses_what_is_modelled_and_not_served(running: Running) -> None:
    assert refusal(running.client("ec2").describe_fleets)[:2] == ("InvalidAction", 400)


def test_refuses_unsigned_federation(running: Running) -> None:
    call = running.client("sts").assume_role_with_web_identity
    code, status, message = refusal(
        call, RoleArn="arn:aws:iam::111122223333:role/r", RoleSessionName="me", WebIdentityToken="token"
    )
    assert (code, status) == ("UnsupportedOperation", 400)
    assert "AssumeRole" in message


@pytest.mark.parametrize(
    ("service", "code", "status"), [("ec2", "AuthFailure", 401), ("sts", "InvalidClientTokenId", 403)]
)
def test_refuses_an_unknown_key(running: Running, service: str, code: str, status: int) -> None:
    client = running.client(service, aws_access_key_id="AKIANOBODY")
    call = client.describe_vpcs if service == "ec2" else client.get_caller_identity
    assert refusal(call)[:2] == (code, status)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_presigned_address_needs_no_client(running: Running, method: str) -> None:
    url = running.client("sts").generate_presigned_url("get_caller_identity", HttpMethod=method)
    response = urllib3.request(method, url)
    assert response.status == 200
    assert b"<Account>111122223333</Account>" in response.data


def test_health_and_headers(running: Running) -> None:
    response = urllib3.request("GET", f"{running.url}/healthz")
    assert (response.status, response.json()) == (200, {"status": "ok"})
    refused = urllib3.request("POST", running.url, fields={"Action": "DescribeVpcs", "Version": "2016-11-15"})
    assert refused.status == 400  # multipart is not a form that AWS takes
    unsigned = urllib3.request("POST", running.url, body="Action=DescribeVpcs&Version=2016-11-15")
    assert unsigned.status == 403
    root = ET.fromstring(unsigned.data)
    assert root.tag == "Response"
    assert root.findtext("Errors/Error/Code") == "MissingAuthenticationToken"
    assert root.findtext("RequestID") == unsigned.headers["x-amzn-RequestId"]
    assert unsigned.headers["Content-Type"] == "text/xml;charset=UTF-8"
    assert len(unsigned.headers.getlist("Date")) == 1
    assert abs(parsedate_to_datetime(unsigned.headers["Date"]) - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_body_that_is_too_long_is_refused_without_being_kept(running: Running) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
    connection.request(
        "POST", "/", b"a" * (MAX_BYTES + 1), {"Authorization": authorization(), "X-Amz-Date": "20260101T000000Z"}
    )
    response = connection.getresponse()
    assert response.status == 413
    assert b"RequestEntityTooLarge" in response.read()
    connection.close()


def test_answers_a_client_that_waits_before_it_sends_the_body(running: Running) -> None:
    body = b"Action=AssumeRoleWithSAML&Version=2011-06-15"
    head = "POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nConnection: close\r\n"
    answer = running.raw(f"{head}Content-Length: {len(body)}\r\n".encode() + b"\r\n" + body)
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400 ")
    assert b"AssumeRoleWithSAML is not served here" in answer


def authorization(scope: str = SCOPE) -> str:
    return f"AWS4-HMAC-SHA256 Credential=AK/{scope}, SignedHeaders=host;x-amz-date, Signature={'0' * 64}"


quick = settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))


@quick
@given(st.binary(max_size=300))
def test_raw_bytes_never_break_the_server(running: Running, data: bytes) -> None:
    answer = running.raw(data)
    assert not answer or status_of(answer) < 500


@quick
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "HEAD"]),
    path=st.text("/ab%2.?&=+", max_size=20),
    header=st.one_of(
        st.just(authorization()), st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=90)
    ),
    date=st.sampled_from(["20260101T000000Z", "20261301T000000Z", "now", ""]),
    body=st.one_of(st.binary(max_size=200), st.text("ActionVersion=&.%1", max_size=60).map(str.encode)),
)
def test_broken_requests_are_the_senders_fault(
    running: Running, method: str, path: str, header: str, date: str, body: bytes
) -> None:
    head = f"{method} /{path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {header}\r\nX-Amz-Date: {date}\r\n"
    head += f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    answer = running.raw(head.encode("latin-1") + body)
    assert 400 <= status_of(answer) < 500
