"""What a request says of its own signature: key, scope, time and signed headers, before anything of it is believed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from tieline.fabric.aws.protocol.errors import incomplete_signature
from tieline.fabric.aws.protocol.form import decode

ALGORITHM = "AWS4-HMAC-SHA256"
TIMESTAMP = "%Y%m%dT%H%M%SZ"
STAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z", re.ASCII)
LONGEST = 604_800  # seconds that a presigned request may live (AWS General Reference)
MAX_SIGNED_HEADERS = 64
PRESIGNED = "X-Amz-"
AMZ = b"x-amz-"
ONCE = frozenset({b"authorization", b"host", b"content-type"})


class HttpRequest(msgspec.Struct, frozen=True):
    """A request as it arrived: raw bytes, header names in lower case, `path` and `query` still percent-encoded."""

    method: str
    path: bytes
    query: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes = b""

    def header(self, name: bytes) -> bytes:
        """The first header of that name, or nothing."""
        return next((value for key, value in self.headers if key == name), b"")

    def folded(self, name: bytes) -> bytes:
        """All headers of that name as they are signed: trimmed, inner spaces folded, joined by commas."""
        return b",".join(b" ".join(value.split()) for key, value in self.headers if key == name)


class Claim(msgspec.Struct, frozen=True):
    """Who a request says it comes from. Nothing here is verified."""

    access_key: str
    date: str
    region: str
    service: str
    signed_headers: tuple[bytes, ...]
    signature: str
    timestamp: str
    signed_at: datetime
    session_token: str | None = None
    expires: int | None = None  # seconds, presigned requests only

    @property
    def scope(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def claim_of(request: HttpRequest) -> Claim | None:
    """The request's claim, from its Authorization header or its query string; None where it is not signed at all.

    Raises IncompleteSignature for a signature of another version or one that lacks a part, MalformedQueryString.
    """
    _check_once(request)
    authorization = request.header(b"authorization")
    presigned = b"X-Amz-Signature=" in request.query or b"X-Amz-Credential=" in request.query
    if authorization and presigned:
        raise incomplete_signature("Sign in the Authorization header or in the query string, not in both.")
    if not (authorization or presigned):
        return None
    claim = _from_header(request, authorization.decode("latin-1")) if authorization else _from_query(request)
    _check_covered(request, claim.signed_headers)
    return claim


def _check_once(request: HttpRequest) -> None:
    """Of two headers of one name, which would be meant?"""
    if len(dict(request.headers)) == len(request.headers):
        return
    names = [name for name, _ in request.headers if name in ONCE or name.startswith(AMZ)]
    if len(set(names)) < len(names):
        name = min(name for name in names if names.count(name) > 1).decode("latin-1")
        raise incomplete_signature(f"The header '{name[:60]}' is given more than once.")


def _check_covered(request: HttpRequest, signed: tuple[bytes, ...]) -> None:
    """What is signed is there, and what an operation is read from is signed (AWS: host and every x-amz-* header)."""
    if list(signed) != sorted(set(signed)):
        raise incomplete_signature("SignedHeaders must be sorted, and each in it once.")
    present = dict(request.headers).keys()
    for name in signed:
        if name not in present:
            raise incomplete_signature(f"The signed header '{name.decode()[:60]}' is not among those of the request.")
    for name in present:
        if name.startswith(AMZ) and name not in signed:
            raise incomplete_signature(f"'{name.decode('latin-1')[:60]}' must be a 'SignedHeader' in the signature.")


def _from_header(request: HttpRequest, authorization: str) -> Claim:
    algorithm, _, rest = authorization.partition(" ")
    if algorithm != ALGORITHM:
        raise incomplete_signature(f"Unsupported AWS 'algorithm': '{algorithm[:40]}'. Sign with {ALGORITHM}.")
    pairs = [part.strip().partition("=")[::2] for part in rest.split(",")]
    parts = dict(pairs)
    if len(parts) < len(pairs):
        raise incomplete_signature("Authorization header has a parameter more than once.")
    for name in ("Credential", "Signature", "SignedHeaders"):
        if not parts.get(name):
            raise incomplete_signature(f"Authorization header requires '{name}' parameter.")
    timestamp = request.header(b"x-amz-date").decode("latin-1")
    if not timestamp:
        raise incomplete_signature("Authorization header requires existence of an 'X-Amz-Date' header.")
    token = request.header(b"x-amz-security-token").decode("latin-1")
    return _claim(parts["Credential"], parts["SignedHeaders"], parts["Signature"], timestamp, token, None)


def _from_query(request: HttpRequest) -> Claim:
    pairs = decode(request.query).items()
    parts = {name.removeprefix(PRESIGNED): value for name, value in pairs if name.startswith(PRESIGNED)}
    if parts.get("Algorithm") != ALGORITHM:
        raise incomplete_signature(f"Unsupported AWS 'algorithm'. Sign with X-Amz-Algorithm={ALGORITHM}.")
    for name in ("Credential", "Date", "Expires", "SignedHeaders", "Signature"):
        if not parts.get(name):
            raise incomplete_signature(f"AWS query-string parameters must include '{PRESIGNED}{name}'.")
    expires = _lifetime(parts)
    token = parts.get("Security-Token", "")
    return _claim(parts["Credential"], parts["SignedHeaders"], parts["Signature"], parts["Date"], token, expires)


def _lifetime(parts: Mapping[str, str]) -> int:
    text = parts["Expires"]
    if not re.fullmatch(r"[0-9]{1,6}", text, re.ASCII) or not 1 <= int(text) <= LONGEST:
        raise incomplete_signature(f"X-Amz-Expires must be a number of seconds between 1 and {LONGEST}.")
    return int(text)


def _claim(credential: str, signed: str, signature: str, timestamp: str, token: str, expires: int | None) -> Claim:
    scope = credential.rsplit("/", 4)
    if len(scope) != 5 or scope[4] != "aws4_request" or not all(scope):
        raise incomplete_signature(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/aws4_request,"
            f" got '{credential[:100]}'.",
        )
    headers = tuple(name.lower().encode(errors="replace") for name in signed.split(";"))
    if len(headers) > MAX_SIGNED_HEADERS:
        raise incomplete_signature(f"SignedHeaders must not name more than {MAX_SIGNED_HEADERS} headers.")
    for name in (b"host",) if expires is not None else (b"host", b"x-amz-date"):
        if name not in headers:
            raise incomplete_signature(f"'{name.decode()}' must be a 'SignedHeader' in the AWS Authorization.")
    access_key, date, region, service, _ = scope
    return Claim(
        access_key, date, region, service, headers, signature, timestamp, _moment(timestamp), token or None, expires
    )


def _moment(timestamp: str) -> datetime:
    try:
        if STAMP.fullmatch(timestamp):
            return datetime.strptime(timestamp, TIMESTAMP).replace(tzinfo=UTC)
    except ValueError:
        pass
    raise incomplete_signature(
        f"Date must be in ISO-8601 'basic format'. Got '{timestamp[:40]}', expected for instance 20260131T120000Z.",
    )
