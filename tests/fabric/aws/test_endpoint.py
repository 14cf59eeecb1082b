"""Well-signed nonsense: whatever a known key signs, the answer is a success or the sender's fault."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from tieline.fabric.aws.protocol.claim import HttpRequest
from tieline.fabric.aws.protocol.signature import Credential
from tieline.fabric.aws.service.endpoint import Answer, Endpoint, Request

KNOWN = Credential("AKIA1", "s3cret", "111122223333", "arn:aws:iam::111122223333:root", "111122223333", "customer")
VERSIONS = {"ec2": "2016-11-15", "elasticloadbalancing": "2015-12-01", "sts": "2011-06-15"}


def nothing(request: Request) -> Mapping[str, Any]:
    return {}


def ask(service: str, body: bytes, *, method: str = "POST", content_type: str = "") -> Answer:
    headers = {"Content-Type": content_type} if content_type else {}
    request = AWSRequest(method, "http://h/", headers, body)
    SigV4Auth(Credentials(KNOWN.access_key, KNOWN.secret), service, "us-east-1").add_auth(request)
    arrived = ((b"host", b"h"), *((name.lower().encode(), value.encode()) for name, value in request.headers.items()))
    endpoint = Endpoint(nothing, {KNOWN.access_key: KNOWN}.get, lambda: datetime.now(UTC), lambda: "r-1")
    return endpoint.answer(HttpRequest(method, b"/", b"", arrived, body))


def form(service: str, action: str) -> bytes:
    return f"Action={action}&Version={VERSIONS[service]}".encode()


def test_takes_both_forms_of_the_content_type() -> None:
    for kind in ("", "application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=utf-8"):
        assert ask("ec2", form("ec2", "DescribeVpcs"), content_type=kind).status == 200
    answer = ask("ec2", form("ec2", "DescribeVpcs"), content_type="application/json")
    assert (answer.status, answer.code) == (400, "MalformedQueryString")


def test_says_what_is_missing_or_unknown_about_the_operation() -> None:
    assert ask("ec2", b"").code == "MissingAction"
    assert ask("ec2", b"Action=DescribeVpcs").code == "NoSuchVersion"
    assert ask("ec2", b"Action=DescribeVpcs&Version=2009-04-04").code == "NoSuchVersion"
    unknown = ask("sts", form("sts", "Nothing"))
    assert unknown.code == "InvalidAction"
    assert b"<Message>The action Nothing is not valid for this web service.</Message>" in unknown.body
    assert ask("ec2", form("ec2", "DescribeVpcs"), method="PUT").status == 405


def test_answers_json_to_clients_that_speak_it() -> None:
    answer = ask("dynamodb", b"{}", content_type="application/x-amz-json-1.0")
    assert answer.content_type == b"application/json"
    assert answer.body.startswith(b'{"__type":"UnsupportedOperation"')


actions = st.sampled_from(
    ["DescribeVpcs", "RunInstances", "CreateVpcEndpoint", "CreateListener", "AddTags", "AssumeRole"]
)
tails = st.lists(
    st.tuples(
        st.lists(st.sampled_from(["Filter", "1", "Tags", "member", "Name", "Tag", "%00"]), min_size=1).map(".".join),
        st.text("a1&=%é\x00", max_size=6),
    ).map("=".join),
    max_size=6,
).map("&".join)


@settings(max_examples=150, deadline=None)
@given(
    service=st.sampled_from(sorted(VERSIONS)),
    body=st.one_of(st.binary(max_size=100), st.tuples(actions, tails)),
)
def test_nonsense_is_the_senders_fault(service: str, body: bytes | tuple[str, str]) -> None:
    raw = body if isinstance(body, bytes) else form(service, body[0]) + b"&" + body[1].encode()
    answer = ask(service, raw)
    assert answer.status < 500
    assert answer.body.startswith(b"<?xml")
