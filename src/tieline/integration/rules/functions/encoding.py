"""Hashes, encodings, compression and bits."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
import zlib
from typing import Any, Final

import orjson

from tieline.integration.rules.errors import RuleFailure
from tieline.integration.rules.functions.registry import function, octets, text, whole
from tieline.integration.rules.values import to_json

HASHES: Final = "Hashes"
ENCODING: Final = "Encoding"
COMPRESSION: Final = "Compression"
BITS: Final = "Bits"
MAX_BYTES: Final = 16 << 20  # that decompression may give
_HASHES: Final = ("md4", "md5", "ripemd160", "sha", "sha224", "sha256", "sha384", "sha512")


def readable(data: bytes) -> str | bytes:
    """Bytes as a text where they are UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


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
    """The hash of this kind (md5, sha, sha224, sha256, sha384 or sha512) in hexadecimal digits."""
    if kind not in _HASHES:
        raise RuleFailure(f"{kind!r} is none of {', '.join(_HASHES)}")
    return hashlib.new("sha1" if kind == "sha" else kind, octets(x), usedforsecurity=False).hexdigest()


@function(ENCODING, ("base64_encode('some val')", "'c29tZSB2YWw='"))
def base64_encode(x: Any) -> str:
    """A text or bytes in Base64."""
    return base64.b64encode(octets(x)).decode()


@function(ENCODING, ("base64_decode('c29tZSB2YWw=')", "'some val'"))
def base64_decode(x: Any) -> str | bytes:
    """What Base64 holds: a text where it is UTF-8, else bytes."""
    try:
        return readable(base64.b64decode(text(x), validate=True))
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
        return orjson.loads(octets(x))
    except orjson.JSONDecodeError as error:
        raise RuleFailure(f"this is no JSON: {error}") from None


@function(ENCODING, ("bin2hexstr('hello')", "'68656C6C6F'"))
def bin2hexstr(x: Any) -> str:
    """A text's UTF-8 bytes, or bytes, in hexadecimal digits."""
    return octets(x).hex().upper()


@function(ENCODING, ("hexstr2bin('68656C6C6F')", "'hello'"))
def hexstr2bin(x: Any) -> str | bytes:
    """What hexadecimal digits hold: a text where it is UTF-8, else bytes. An odd first digit counts as one byte."""
    digits = text(x)
    try:
        return readable(bytes.fromhex(digits if len(digits) % 2 == 0 else f"0{digits}"))
    except ValueError:
        raise RuleFailure("these are no hexadecimal digits") from None


def _deflated(x: Any, window: int) -> bytes:
    compressor = zlib.compressobj(wbits=window)
    return compressor.compress(octets(x)) + compressor.flush()


def _inflated(x: Any, window: int) -> str | bytes:
    try:
        decompressor = zlib.decompressobj(wbits=window)
        data = decompressor.decompress(octets(x), MAX_BYTES)
    except zlib.error as error:
        raise RuleFailure(f"these bytes cannot be decompressed: {error}") from None
    if not decompressor.eof:
        full = len(data) >= MAX_BYTES
        raise RuleFailure(
            f"these bytes hold more than {MAX_BYTES} bytes" if full else "the end of these bytes is missing"
        )
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


@function(
    BITS,
    ("subbits('abc', 8)", "97"),
    ("subbits('abc', 9, 8)", "98"),
    ("subbits('abc', 9, 16, 'integer', 'signed', 'little')", "25442"),
)
def subbits(
    x: Any, first: Any, length: Any = None, kind: Any = "integer", sign: Any = "unsigned", order: Any = "big"
) -> Any:
    """Bits as a number: the first so many, or so many from a place, counted from 1. The kind is `integer`, `float` (32
    or 64 bits) or `bits` (bytes), the sign `unsigned` or `signed`, the order `big` or `little`. NULL beyond the end.
    """
    start, size = (0, whole(first)) if length is None else (whole(first) - 1, whole(length))
    data = octets(x)
    if start < 0 or size < 0 or start + size > 8 * len(data):
        return None
    _checked(kind, sign, order)
    value = int.from_bytes(data) >> (8 * len(data) - start - size) & ((1 << size) - 1)
    if kind == "bits":
        return readable((value << (-size % 8)).to_bytes((size + 7) // 8))
    raw = _ordered(value, size, order)
    if kind == "float":
        if size not in (32, 64):
            raise RuleFailure("a float has 32 or 64 bits")
        return struct.unpack(">f" if size == 32 else ">d", raw.to_bytes(size // 8))[0]
    return raw - (1 << size) if sign == "signed" and raw >> (size - 1) & 1 and size else raw


def _checked(kind: Any, sign: Any, order: Any) -> None:
    for value, choices in (
        (kind, ("integer", "float", "bits")),
        (sign, ("unsigned", "signed")),
        (order, ("big", "little")),
    ):
        if value not in choices:
            raise RuleFailure(f"{' or '.join(choices)} is needed, not {value!r}")


def _ordered(value: int, size: int, order: str) -> int:
    if order == "big":
        return value
    if size % 8:
        raise RuleFailure("little-endian numbers have whole bytes")
    return int.from_bytes(value.to_bytes(size // 8, "big"), "little")
