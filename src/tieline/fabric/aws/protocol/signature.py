"""Signature Version 4: who signed a request, in its headers or in its query string.

Pure: no clock and no store.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from urllib.parse import quote_from_bytes, unquote_to_bytes

import msgspec

from tieline.fabric.aws.protocol import errors
from tieline.fabric.aws.protocol.claim import ALGORITHM, Claim, HttpRequest

SKEW = timedelta(minutes=15)  # both ways (AWS General Reference, "Signature Version 4 request elements")


class Credential(msgspec.Struct, frozen=True):
    """An access key and whose it is. A session's key has a token and an end."""

    access_key: str
    secret: str
    account: str  # 12 digits
    arn: str
    user_id: str
    name: str  # the account's, for people
    session_token: str | None = None
    expires: datetime | None = None

    def __repr__(self) -> str:
        return f"Credential({self.access_key}, {self.arn})"  # secrets stay out of logs


KeyLookup = Callable[[str], Credential | None]


def verify(request: HttpRequest, claim: Claim, lookup: KeyLookup, now: datetime) -> Credential:
    """The credential whose secret signed this very request; `claim` is what the request says of itself.

    Raises AwsError: an unknown key, another signature, a time more than 15 minutes away from `now`, a presigned
    request or a session that has expired, a session token that is not the key's.
    """
    credential = lookup(claim.access_key)
    if credential is None or not _same_token(credential, claim):
        raise errors.unknown_key(claim.service)
    _check_scope(claim)
    _check_time(claim, now)
    body_hash = hashlib.sha256(request.body).hexdigest()
    _check_body(request, claim, body_hash)
    text = "\n".join((ALGORITHM, claim.timestamp, claim.scope, _canonical_hash(request, claim, body_hash)))
    key = signing_key(credential.secret, claim.date, claim.region, claim.service)
    expected = hmac.digest(key, text.encode(), "sha256").hex()
    if not hmac.compare_digest(expected.encode(), claim.signature.encode()):
        raise errors.wrong_signature(claim.service)
    if credential.expires is not None and now >= credential.expires:
        raise errors.expired_token(claim.service)
    return credential


def _same_token(credential: Credential, claim: Claim) -> bool:
    ours, theirs = credential.session_token or "", claim.session_token or ""
    return hmac.compare_digest(ours.encode(), theirs.encode())


def _check_scope(claim: Claim) -> None:
    if claim.date != claim.timestamp[:8]:
        raise errors.wrong_signature(
            claim.service,
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP:"
            f" '{claim.date}' != '{claim.timestamp[:8]}', from '{claim.timestamp}'.",
        )


def _check_time(claim: Claim, now: datetime) -> None:
    signed = claim.signed_at
    until = signed + (SKEW if claim.expires is None else timedelta(seconds=claim.expires))
    if now > until:
        limit = "15 min." if claim.expires is None else f"{claim.expires} s"
        reason = (
            f"Signature expired: {_iso(until)} is now earlier than {_iso(now)} (signed {_iso(signed)}, for {limit})"
        )
        raise errors.request_expired(claim.service, f"{reason}. Check the client's clock.")
    if signed > now + SKEW:
        reason = f"Signature not yet current: {claim.timestamp} is still later than {_iso(now + SKEW)}"
        raise errors.request_expired(claim.service, f"{reason} ({_iso(now)} + 15 min.). Check the client's clock.")


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def _check_body(request: HttpRequest, claim: Claim, body_hash: str) -> None:
    declared = request.header(b"x-amz-content-sha256")
    if declared and declared != body_hash.encode():
        raise errors.wrong_signature(
            claim.service,
            "The value of x-amz-content-sha256 is not the SHA-256 of the body. Unsigned bodies are refused: sign it.",
        )


@lru_cache(maxsize=1024)
def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """The key derived for one day, region and service."""
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _canonical_hash(request: HttpRequest, claim: Claim, body_hash: str) -> str:
    lines = [
        request.method.encode(),
        canonical_path(request.path),
        canonical_query(request.query),
        *(name + b":" + request.folded(name) for name in claim.signed_headers),
        b"",
        b";".join(claim.signed_headers),
        body_hash.encode(),
    ]
    return hashlib.sha256(b"\n".join(lines)).hexdigest()


def canonical_path(path: bytes) -> bytes:
    """The path without dot segments and empty ones, encoded once more, as every service but S3 signs it."""
    if path in (b"", b"/"):
        return b"/"
    kept: list[bytes] = []
    for segment in path.split(b"/"):
        if segment == b"..":
            del kept[-1:]
        elif segment not in (b"", b"."):
            kept.append(segment)
    joined = b"/" + b"/".join(kept)
    if kept and path.endswith(b"/"):
        joined += b"/"
    return quote_from_bytes(joined, safe="/~").encode()


def canonical_query(query: bytes) -> bytes:
    """The pairs sorted and encoded in the one canonical way, without the signature itself."""
    if not query:
        return b""
    pairs = []
    for item in query.split(b"&"):
        name, _, value = item.partition(b"=")
        if item and name != b"X-Amz-Signature":
            pairs.append((_encoded(name), _encoded(value)))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs)).encode()


def _encoded(raw: bytes) -> str:
    return quote_from_bytes(unquote_to_bytes(raw.replace(b"+", b" ")), safe="-_.~")
