"""Signatures that botocore's own signers made, and every way in which they can be wrong."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import botocore.auth
import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tieline.fabric.aws.protocol.claim import HttpRequest, claim_of
from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.aws.protocol.signature import Credential, canonical_path, canonical_query, signing_key, verify

NOW = datetime(2026, 5, 6, 12, 0, tzinfo=UTC)
OURS = Credential("AKIA1", "s3cret/+=", "111122223333", "arn:aws:iam::111122223333:root", "111122223333", "customer")
SESSION = Credential(
    "ASIA1", "s3cret", "111122223333", "arn:aws:sts::111122223333:assumed-role/r/s", "AROA1:s", "customer",
    session_token="token//+==", expires=NOW + timedelta(hours=1),
)  # fmt: skip
KEYS = {credential.access_key: credential for credential in (OURS, SESSION)}
URL = "http://127.0.0.1:4566/"
BODY = b"Action=DescribeVpcs&Version=2016-11-15"
# Go's SDK signs these as well (aws.md, section 4.6).
GO_HEADERS = {
    "Amz-Sdk-Invocation-Id": "0f6c1d5e-0000-4000-8000-000000000000",
    "Amz-Sdk-Request": "attempt=1;  max=25",
    "Content-Length": str(len(BODY)),
    "X-Amz-Meta":  "  a   b  ",
}  # fmt: skip


def signed(
    service: str = "ec2",
    *,
    url: str = URL,
    body: bytes = BODY,
    headers: Mapping[str, str] | None = None,
    key: Credential = OURS,
    secret: str = "",
    at: datetime = NOW,
    presigned: int = 0,
) -> HttpRequest:
    """A request as botocore signs it at the given time and as it then arrives."""
    credentials = Credentials(key.access_key, secret or key.secret, key.session_token)
    request = AWSRequest("GET" if presigned else "POST", url, dict(headers or {}), b"" if presigned else body)
    request.context["payload_signing_enabled"] = True
    signer = (
        SigV4QueryAuth(credentials, service, "us-east-1", expires=presigned)
        if presigned
        else SigV4Auth(credentials, service, "us-east-1")
    )
    with mock.patch.object(botocore.auth, "get_current_datetime", lambda: at.replace(tzinfo=None)):
        signer.add_auth(request)
    parts = urlsplit(str(request.url))
    arrived = [(b"host", parts.netloc.encode())]
    arrived += [(name.lower().encode(), str(value).encode()) for name, value in request.headers.items()]
    return HttpRequest(
        request.method or "", parts.path.encode(), parts.query.encode(), tuple(arrived), b"" if presigned else body
    )


def check(request: HttpRequest, now: datetime = NOW) -> Credential:
    claim = claim_of(request)
    assert claim is not None
    return verify(request, claim, KEYS.get, now)


def code(request: HttpRequest, now: datetime = NOW) -> tuple[str, int]:
    with pytest.raises(AwsError) as caught:
        check(request, now)
    return caught.value.code, caught.value.status


def changed(request: HttpRequest, header: bytes, value: bytes | None) -> HttpRequest:
    """The request with a header of another value, or without it."""
    headers = tuple((name, value if name == header else old) for name, old in request.headers)
    kept = tuple((name, new) for name, new in headers if new is not None)
    return HttpRequest(request.method, request.path, request.query, kept, request.body)


@pytest.mark.parametrize("service", ["ec2", "elasticloadbalancing", "sts"])
@pytest.mark.parametrize("key", [OURS, SESSION])
@pytest.mark.parametrize("presigned", [0, 900])
def test_knows_who_signed(service: str, key: Credential, presigned: int) -> None:
    assert check(signed(service, key=key, presigned=presigned)) == key


@pytest.mark.parametrize(
    "url", [URL, URL + "a%20b//c/../d/", URL + "?b=2&a=1&a=%2F&c", URL + "?Tag.1=%20x~y&Empty="], ids=range(4)
)
def test_knows_any_address(url: str) -> None:
    assert check(signed(url=url)) == OURS


def test_knows_headers_as_go_signs_them_and_folds_them() -> None:
    request = signed(headers=GO_HEADERS)
    assert b"content-length" in dict(request.headers)[b"authorization"]
    assert check(request) == OURS
    assert check(changed(request, b"amz-sdk-request", b"attempt=1; max=25  ")) == OURS
    assert code(changed(request, b"amz-sdk-request", b"attempt=2; max=25")) == ("AuthFailure", 401)


def test_joins_repeated_headers() -> None:
    request = signed(headers={"Meta": "a,b"})
    others = tuple(item for item in request.headers if item[0] != b"meta")
    headers = (*others, (b"meta", b"a"), (b"meta", b" b "))
    assert check(HttpRequest(request.method, request.path, request.query, headers, request.body)) == OURS


WRONG = [("ec2", ("AuthFailure", 401)), ("sts", ("SignatureDoesNotMatch", 403))]


@pytest.mark.parametrize(("service", "expected"), WRONG)
def test_refuses_what_another_secret_signed_or_what_was_changed(service: str, expected: tuple[str, int]) -> None:
    request = signed(service)
    assert code(signed(service, secret="another")) == expected
    assert code(signed(service, secret="another", presigned=60)) == expected
    assert code(changed(request, b"host", b"elsewhere")) == expected
    assert (
        code(HttpRequest(request.method, request.path, request.query, request.headers, BODY + b"&DryRun=1")) == expected
    )
    assert code(HttpRequest(request.method, b"/x", request.query, request.headers, request.body)) == expected
    assert code(HttpRequest(request.method, request.path, b"DryRun=1", request.headers, request.body)) == expected
    assert code(HttpRequest("GET", request.path, request.query, request.headers, request.body)) == expected
    presigned = signed(service, presigned=60)
    query = presigned.query.replace(b"X-Amz-Expires=60", b"X-Amz-Expires=61")
    assert code(HttpRequest(presigned.method, presigned.path, query, presigned.headers)) == expected


@pytest.mark.parametrize(("service", "expected"), WRONG)
def test_holds_the_client_to_the_hash_that_it_declares(service: str, expected: tuple[str, int]) -> None:
    request = signed(service, headers={"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"})
    assert code(request) == expected


UNKNOWN = [("ec2", ("AuthFailure", 401)), ("sts", ("InvalidClientTokenId", 403))]


@pytest.mark.parametrize(("service", "expected"), UNKNOWN)
def test_refuses_unknown_keys_and_other_peoples_tokens(service: str, expected: tuple[str, int]) -> None:
    nobody = Credential("AKIA2", "x", "1", "a", "u", "n")
    assert code(signed(service, key=nobody)) == expected
    request = signed(service, key=SESSION)
    assert code(changed(request, b"x-amz-security-token", b"another")) == expected
    assert code(changed(request, b"x-amz-security-token", None)) == ("IncompleteSignature", 400)
    borrowed = Credential("AKIA1", OURS.secret, "1", "a", "u", "n", session_token="token")
    assert code(signed(service, key=borrowed)) == expected


@pytest.mark.parametrize(
    ("service", "expected"), [("ec2", ("RequestExpired", 400)), ("sts", ("SignatureDoesNotMatch", 403))]
)
def test_refuses_a_clock_that_is_off(service: str, expected: tuple[str, int]) -> None:
    request = signed(service)
    for minutes in (-15, 15):
        assert check(request, NOW + timedelta(minutes=minutes)) == OURS
    for minutes in (-20, 20):
        assert code(request, NOW + timedelta(minutes=minutes)) == expected
    presigned = signed(service, presigned=3600)
    assert check(presigned, NOW + timedelta(minutes=60)) == OURS
    assert code(presigned, NOW + timedelta(minutes=61)) == expected
    assert code(presigned, NOW - timedelta(minutes=20)) == expected


@pytest.mark.parametrize(("service", "expected"), [("ec2", ("RequestExpired", 400)), ("sts", ("ExpiredToken", 403))])
def test_refuses_a_session_that_is_over(service: str, expected: tuple[str, int]) -> None:
    later = NOW + timedelta(hours=1)
    assert check(signed(service, key=SESSION, at=later), later - timedelta(seconds=1)) == SESSION
    assert code(signed(service, key=SESSION, at=later), later) == expected


def test_refuses_the_scope_of_another_day() -> None:
    request = signed()
    scoped = dict(request.headers)[b"authorization"].replace(b"/20260506/", b"/20260505/")
    assert code(changed(request, b"authorization", scoped)) == ("AuthFailure", 401)


def test_without_a_signature_there_is_no_claim() -> None:
    assert claim_of(HttpRequest("GET", b"/", b"Action=X", ())) is None


GOOD = "AWS4-HMAC-SHA256 Credential=AK/20260506/us-east-1/ec2/aws4_request, SignedHeaders=host;x-amz-date, Signature=00"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
        ("AWS4-HMAC-SHA256 ", "Bearer "),
        ("Credential=", "Credentials="),
        ("/aws4_request", ""),
        ("/aws4_request", "/aws3_request"),
        ("AK/", "/"),
        ("SignedHeaders=host;x-amz-date, ", ""),
        ("host;", ""),
        (";x-amz-date", ""),
        ("host;", "host;" * 100),
        (", Signature=00", ""),
        ("Signature=00", "Signature="),
    ],
)
def test_says_what_an_incomplete_signature_lacks(old: str, new: str) -> None:
    assert old in GOOD
    headers = ((b"authorization", GOOD.replace(old, new).encode()), (b"x-amz-date", b"20260506T120000Z"))
    with pytest.raises(AwsError) as caught:
        claim_of(HttpRequest("POST", b"/", b"", headers))
    assert caught.value.code == "IncompleteSignature"


@pytest.mark.parametrize(
    "date", ["", "20260506", "20261306T120000Z", "Wed, 06 May 2026 12:00:00 GMT", "٢0260506T120000Z"]
)
def test_needs_a_date_in_basic_format(date: str) -> None:
    headers = ((b"authorization", GOOD.encode()), (b"x-amz-date", date.encode()))
    with pytest.raises(AwsError) as caught:
        claim_of(HttpRequest("POST", b"/", b"", headers))
    assert caught.value.code == "IncompleteSignature"


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"X-Amz-Expires=60", b"X-Amz-Expires=0"), (b"X-Amz-Expires=60", b"X-Amz-Expires=604801"),
     (b"X-Amz-Expires=60", b"X-Amz-Expires=x"), (b"X-Amz-Expires=60&", b""), (b"X-Amz-Algorithm", b"X-Amz-Algo"),
     (b"X-Amz-SignedHeaders=host", b"X-Amz-SignedHeaders=%C3%A4")],
)  # fmt: skip
def test_says_what_an_incomplete_presigned_request_lacks(old: bytes, new: bytes) -> None:
    request = signed(presigned=60)
    assert old in request.query
    with pytest.raises(AwsError) as caught:
        claim_of(HttpRequest("GET", b"/", request.query.replace(old, new), request.headers))
    assert caught.value.code == "IncompleteSignature"


def test_canonical_forms() -> None:
    assert canonical_path(b"") == b"/"
    assert canonical_path(b"/a%20b/./c/../d/") == b"/a%2520b/d/"
    assert canonical_path(b"/../..") == b"/"
    assert canonical_query(b"b=1&a=x+y&&X-Amz-Signature=0&A") == b"A=&a=x%20y&b=1"


def test_keeps_secrets_out_of_logs() -> None:
    shown: list[Any] = [repr(SESSION), str(SESSION), f"{SESSION!r}"]
    assert not any("s3cret" in text or "token" in text for text in shown)


def test_derives_a_key_once() -> None:
    before = signing_key.cache_info().hits
    for _ in range(3):
        check(signed(body=b"Action=Other"))
    assert signing_key.cache_info().hits >= before + 2


def with_headers(request: HttpRequest, *more: tuple[bytes, bytes]) -> HttpRequest:
    return HttpRequest(request.method, request.path, request.query, (*request.headers, *more), request.body)


@pytest.mark.parametrize("name", ["Authorization", "Host", "Content-Type", "X-Amz-Date", "X-Amz-Target", "X-Amz-Any"])
@pytest.mark.parametrize("first", [True, False])
def test_a_header_that_counts_is_given_once(name: str, first: bool) -> None:
    request = signed(headers={"X-Amz-Target": "a", "X-Amz-Any": "a", "Content-Type": "a"})
    known = dict(request.headers)
    extra = (name.lower().encode(), known[name.lower().encode()])
    rest = with_headers(request, extra)
    if first:
        rest = HttpRequest(rest.method, rest.path, rest.query, (extra, *request.headers), rest.body)
    assert code(rest) == ("IncompleteSignature", 400)


@pytest.mark.parametrize("presigned", [0, 60])
@pytest.mark.parametrize("name", [b"x-amz-target", b"x-amz-security-token", b"x-amz-content-sha256", b"x-amz-anything"])
def test_what_an_operation_is_read_from_is_signed(name: bytes, presigned: int) -> None:
    request = signed(presigned=presigned)
    assert check(request) == OURS
    assert code(with_headers(request, (name, b"x"))) == ("IncompleteSignature", 400)


def test_a_signed_header_is_there() -> None:
    request = signed(headers={"X-Amz-Target": "a"})
    left = tuple(pair for pair in request.headers if pair[0] != b"x-amz-target")
    assert (
        code(HttpRequest(request.method, request.path, request.query, left, request.body))[0] == "IncompleteSignature"
    )


@pytest.mark.parametrize("signed_headers", ["host;host;x-amz-date", "x-amz-date;host", "host;;x-amz-date"])
def test_the_list_of_signed_headers_has_one_spelling(signed_headers: str) -> None:
    request = signed()
    changed = tuple(
        (name, value.replace(b"SignedHeaders=host;x-amz-date", f"SignedHeaders={signed_headers}".encode()))
        for name, value in request.headers
    )
    assert changed != request.headers
    with pytest.raises(AwsError, match=r"SignedHeaders must be sorted|not among those"):
        claim_of(HttpRequest(request.method, request.path, request.query, changed, request.body))


@pytest.mark.parametrize("part", ["Credential", "SignedHeaders", "Signature", "Other"])
def test_a_part_of_the_authorization_is_given_once(part: str) -> None:
    request = signed()
    more = f", {part}=x" if part != "Other" else ", Other=x, Other=y"
    changed = tuple((n, v + more.encode() if n == b"authorization" else v) for n, v in request.headers)
    assert code(HttpRequest(request.method, request.path, request.query, changed, request.body))[0] == (
        "IncompleteSignature"
    )


def test_one_signature_is_enough() -> None:
    request, presigned = signed(), signed(presigned=60)
    both = HttpRequest("POST", b"/", presigned.query, request.headers, request.body)
    with pytest.raises(AwsError, match="not in both"):
        check(both)
