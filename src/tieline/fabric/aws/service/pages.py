"""Pages of a list: opaque tokens that hold their place while items come and go, and keep nothing on the server."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any, TypeVar

from tieline.fabric.aws.protocol.errors import invalid_parameter_value, validation_error

T = TypeVar("T")
EC2_SIZES = range(5, 1001)  # MaxResults; a larger one is cut, a smaller one refused (aws.md, section 4.5)
ELB_SIZES = range(1, 401)  # PageSize
CHECK = 9  # bytes: a mistyped or foreign token is found out; it grants nothing, so it needs no secret
by_id: Callable[[Any], str] = attrgetter("id")


def page(
    items: Iterable[T],
    max_results: int | None,
    next_token: str | None,
    key: Callable[[T], str] = by_id,
    context: str = "",
) -> tuple[list[T], str | None]:
    """EC2's page: the items in order of `key` after the token, and the token of the next page or None.

    Without `max_results` all the rest is one page. `context`, the operation's name for instance, keeps a token from
    being used elsewhere. Raises InvalidParameterValue for a token that was not made here or a size below 5.
    """
    if max_results is not None and max_results < EC2_SIZES[0]:
        raise invalid_parameter_value("maxResults", max_results, f"be at least {EC2_SIZES[0]}")
    last = None
    if next_token:
        last = _last(next_token, context)
        if last is None:
            rule = "be the NextToken of an earlier answer to the same operation; leave it out to start again"
            raise invalid_parameter_value("nextToken", next_token, rule)
    size = None if max_results is None else min(max_results, EC2_SIZES[-1])
    return _cut(items, last, size, key, context)


def elb_page(
    items: Iterable[T],
    page_size: int | None,
    marker: str | None,
    key: Callable[[T], str] = by_id,
    context: str = "",
) -> tuple[list[T], str | None]:
    """ELBv2's page, of 400 items unless `page_size` says less; raises ValidationError for a bad marker or size."""
    if page_size is not None and page_size not in ELB_SIZES:
        raise validation_error(f"PageSize must be between {ELB_SIZES[0]} and {ELB_SIZES[-1]}, not {page_size}")
    last = None
    if marker:
        last = _last(marker, context)
        if last is None:
            raise validation_error("Marker must be the NextMarker of an earlier answer; leave it out to start again")
    return _cut(items, last, page_size or ELB_SIZES[-1], key, context)


def _cut(
    items: Iterable[T], last: str | None, size: int | None, key: Callable[[T], str], context: str
) -> tuple[list[T], str | None]:
    rest = sorted((item for item in items if last is None or key(item) > last), key=key)
    if size is None or len(rest) <= size:
        return rest, None
    return rest[:size], token(key(rest[size - 1]), context)


def token(last: str, context: str = "") -> str:
    """The token of the page behind the item whose key is `last`."""
    return base64.urlsafe_b64encode(_check(last.encode(), context) + last.encode()).decode("ascii")


def _check(last: bytes, context: str) -> bytes:
    return hashlib.blake2b(last, digest_size=CHECK, key=context.encode()[:64], person=b"tieline page").digest()


def _last(token: str, context: str) -> str | None:
    """The key that a token carries; None where it was not made by `token` for the same context."""
    try:
        raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        check, last = raw[:CHECK], raw[CHECK:]
        return last.decode() if check == _check(last, context) else None
    except (binascii.Error, ValueError):
        return None
