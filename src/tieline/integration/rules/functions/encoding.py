"""Hashes, encodings and compression."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import zlib
from typing import Any, Final

from tieline.integration.messages import json_text
from tieline.integration.rules.registry import function, octets, readable, subject, text
from tieline.integration.rules.values.bounds import MAX_VALUE, spend
from tieline.integration.rules.values.errors import RuleFailure, Unfit
from tieline.integration.rules.values.values import Bits, to_json

HASHES: Final = "Hashes"
ENCODING: Final = "Encoding"
COMPRESSION: Final = "Compression"
#: Names of hashes in Erlang's crypto and what Python calls them, where that differs.
_HASHES: Final = {
    **dict.fromkeys(("md4", "md5", "ripemd160", "sha224", "sha256", "sha384", "sha512", "blake2b", "blake2s"), ""),
    **dict.fromkeys(("sha3_224", "sha3_256", "sha3_384", "sha3_512"), ""),
    "sha": "sha1",
    "sha1": "sha1",
}
_HEXADECIMAL: Final = re.compile("[0-9a-fA-F]*")
NO_PADDING: Final = "no_padding"  # options of Base64
URL_SAFE: Final = "urlsafe"
_WHITE: Final = bytes.maketrans(b"", b""), b" \t\r\n"  # that Base64 may have inside


@function(HASHES, ("md5('some val')", "'1b68352b3e9c2de52ffd322e30bffcc4'"))
def md5(x: Any) -> str:
    """The MD5 hash in hexadecimal digits. Not for passwords."""
    return hashlib.md5(octets(x), usedforsecurity=False).hexdigest()


@function(HASHES, ("sha('some val')", "'f85ba28ff5ea84a0cbfa118319acb0c5e58ee2b9'"))
def sha(x: Any) -> str:
    """The SHA-1 hash in hexadecimal digits. Not for signatures."""
    return hashlib.sha1(octets(x), usedforsecurity=False).hexdigest()


@function(HASHES, ("sha256('some val')", "'67f97635d8a0e064f60ba6e8846a0ac0be664f18f0c1dc6445cd3542d2b71993'"))
def sha256(x: Any) -> str:
    """The SHA-256 hash in hexadecimal digits."""
    return hashlib.sha256(octets(x)).hexdigest()


@function(HASHES, ("hash('sha256', 'a') = sha256('a')", "true"), name="hash")
def hash_of(kind: Any, x: Any) -> str:
    """The hash of this kind (md5, sha, sha1, sha224, sha256, sha384, sha512, sha3_256, blake2b …) in hexadecimal
    digits.
    """
    if not isinstance(kind, str) or kind not in _HASHES:
        raise Unfit(f"{kind!r} is none of {', '.join(_HASHES)}")
    data = octets(subject(x) if isinstance(x, bool) else x)
    try:
        return hashlib.new(_HASHES[kind] or kind, data, usedforsecurity=False).hexdigest()
    except ValueError:
        raise RuleFailure(f"{kind} is not known to the OpenSSL of this machine") from None


@function(
    ENCODING,
    ("base64_encode('some val')", "'c29tZSB2YWw='"),
    ("base64_encode('a?>', 'urlsafe', 'no_padding')", "'YT8-'"),
)
def base64_encode(x: Any, first: Any = "", second: Any = "") -> str:
    """A text or bytes in Base64. Options: `urlsafe` has `-` and `_` for `+` and `/`, `no_padding` no `=` at the end.
    Others change nothing, as in EMQX.
    """
    encode = base64.urlsafe_b64encode if URL_SAFE in (first, second) else base64.b64encode
    written = encode(octets(x)).decode()
    return written.rstrip("=") if NO_PADDING in (first, second) else written


@function(
    ENCODING,
    ("base64_decode('c29tZSB2YWw=')", "'some val'"),
    ("base64_decode('YT8-', 'urlsafe')", "'a?>'"),
)
def base64_decode(x: Any, first: Any = "", second: Any = "") -> str | bytes:
    """What Base64 holds: a text where it is UTF-8, else bytes. Options: `urlsafe` and `no_padding`, as in
    `base64_encode`.
    """
    written = octets(text(x)).translate(*_WHITE)
    if URL_SAFE in (first, second):
        written = written.translate(bytes.maketrans(b"-_+/", b"+/-_"))
    if NO_PADDING in (first, second):
        written = written.rstrip(b"=") + b"=" * (-len(written.rstrip(b"=")) % 4)
    try:
        return readable(base64.b64decode(written, validate=True))
    except binascii.Error:
        raise RuleFailure("this is no Base64") from None


@function(ENCODING, ("json_encode([1, 'a', true])", "'[1,\"a\",true]'"))
def json_encode(x: Any) -> str:
    """A value as JSON."""
    return to_json(x)


@function(ENCODING, ("json_decode('[1, 2]')", "[1, 2]"))
def json_decode(x: Any) -> Any:
    """The value of a JSON text."""
    try:
        return json_text.decode(octets(x))
    except json_text.NOT_JSON as error:
        raise RuleFailure(f"this is no JSON: {error}") from None


@function(ENCODING, ("bin2hexstr('hello')", "'68656C6C6F'"), ("bin2hexstr('a', '0x')", "'0x61'"), telling=True)
def bin2hexstr(x: Any, prefix: Any = "") -> str:
    """A text's UTF-8 bytes, or bytes, or bits, in hexadecimal digits, behind a prefix where one is given."""
    if isinstance(x, Bits):
        return f"{text(prefix)}{int.from_bytes(x) >> (-x.size % 8):0{(x.size + 3) // 4}X}"
    return text(prefix) + octets(x).hex().upper()


@function(ENCODING, ("sqlserver_bin2hexstr('a')", "'0x61'"))
def sqlserver_bin2hexstr(x: Any) -> str:
    """A text's UTF-8 bytes, or bytes, as a binary constant of SQL Server."""
    return "0x" + octets(x).hex().upper()


@function(ENCODING, ("hexstr2bin('68656C6C6F')", "'hello'"), ("hexstr2bin('0x61', '0x')", "'a'"))
def hexstr2bin(x: Any, prefix: Any = "") -> str | bytes:
    """What hexadecimal digits hold behind a prefix, where one is given: a text where it is UTF-8, else bytes. An odd
    first digit counts as one byte.
    """
    digits = text(x)
    if not digits.startswith(text(prefix)):
        raise RuleFailure(f"these digits do not begin with {prefix}")
    digits = digits.removeprefix(prefix)
    if not _HEXADECIMAL.fullmatch(digits):
        raise RuleFailure("these are no hexadecimal digits")
    return readable(bytes.fromhex(digits if len(digits) % 2 == 0 else f"0{digits}"))


def _deflated(x: Any, window: int) -> bytes:
    compressor = zlib.compressobj(wbits=window)
    return compressor.compress(octets(x)) + compressor.flush()


def _inflated(x: Any, window: int) -> str | bytes:
    try:
        decompressor = zlib.decompressobj(wbits=window)
        data = decompressor.decompress(octets(x), MAX_VALUE)
    except zlib.error as error:
        raise RuleFailure(f"these bytes cannot be decompressed: {error}") from None
    if not decompressor.eof:
        full = len(data) >= MAX_VALUE
        raise RuleFailure(
            f"these bytes hold more than {MAX_VALUE} bytes" if full else "the end of these bytes is missing"
        )
    spend(len(data))
    return readable(data)


@function(COMPRESSION, ("gunzip(gzip('hello'))", "'hello'"))
def gzip(x: Any) -> bytes:
    """Compressed, with gzip's header."""
    return _deflated(x, 31)


@function(COMPRESSION, ("gunzip(hexstr2bin('1F8B0800000000000203CB48CDC9C9070086A6103605000000'))", "'hello'"))
def gunzip(x: Any) -> str | bytes:
    """What gzip holds: a text where it is UTF-8, else bytes."""
    return _inflated(x, 31)


@function(COMPRESSION, ("bin2hexstr(zip('hello world'))", "'CB48CDC9C95728CF2FCA490100'"), name="zip")
def zip_(x: Any) -> bytes:
    """Compressed, without a header."""
    return _deflated(x, -15)


@function(COMPRESSION, ("unzip(zip('hello'))", "'hello'"))
def unzip(x: Any) -> str | bytes:
    """What was compressed without a header: a text where it is UTF-8, else bytes."""
    return _inflated(x, -15)


@function(COMPRESSION, ("bin2hexstr(zip_compress('hello world'))", "'789CCB48CDC9C95728CF2FCA4901001A0B045D'"))
def zip_compress(x: Any) -> bytes:
    """Compressed, with zlib's header."""
    return _deflated(x, 15)


@function(COMPRESSION, ("zip_uncompress(zip_compress('hello'))", "'hello'"))
def zip_uncompress(x: Any) -> str | bytes:
    """What zlib holds: a text where it is UTF-8, else bytes."""
    return _inflated(x, 15)
