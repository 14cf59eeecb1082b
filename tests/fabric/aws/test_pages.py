"""Pages of a list that changes while it is read."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.aws.service.pages import elb_page, page, token


class Item(NamedTuple):
    id: str


def items(*ids: str) -> list[Item]:
    return [Item(id) for id in ids]


ids = st.sets(st.text("abc", min_size=1, max_size=4), max_size=40)


@given(kept=ids, removed=ids, added=ids, size=st.integers(5, 12))
def test_every_item_that_stays_is_seen_once(kept: set[str], removed: set[str], added: set[str], size: int) -> None:
    removed, added = removed - kept, added - kept - removed
    before, after = items(*kept, *removed), items(*kept, *added)
    seen, next_token = page(before, size, None)
    while next_token:
        more, next_token = page(after, size, next_token)
        assert len(more) <= size
        seen += more
    found = [item.id for item in seen]
    assert len(found) == len(set(found))
    assert kept <= set(found)


def test_the_last_page_has_no_token() -> None:
    ten = items(*"abcdefghij")
    first, next_token = page(ten, 5, None)
    assert [item.id for item in first] == list("abcde")
    assert page(ten, 5, next_token) == (ten[5:], None)
    assert page(ten, None, next_token) == (ten[5:], None)
    assert page(ten, None, None) == (ten, None)
    assert page(ten, 10, None) == (ten, None)


def test_cuts_a_page_of_more_than_a_thousand() -> None:
    shown, next_token = page(items(*(f"{number:05}" for number in range(1200))), 5000, None)
    assert len(shown) == 1000
    assert next_token


def test_load_balancers_come_in_pages_of_400() -> None:
    many = items(*(f"{number:05}" for number in range(500)))
    shown, marker = elb_page(many, None, None)
    assert len(shown) == 400
    assert elb_page(many, None, marker) == (many[400:], None)
    assert len(elb_page(many, 1, None)[0]) == 1


@pytest.mark.parametrize(
    "bad", ["x", "AAAA", "é", "AAAAAAAAAAAAAAAAAAAAAAAA", token("a")[:-4], token("a", "other"), "=" * 8]
)
def test_refuses_a_token_from_elsewhere(bad: str) -> None:
    with pytest.raises(AwsError) as caught:
        page(items("a"), None, bad, context="this")
    assert caught.value.code == "InvalidParameterValue"
    with pytest.raises(AwsError) as caught:
        elb_page(items("a"), None, bad, context="this")
    assert caught.value.code == "ValidationError"


@pytest.mark.parametrize("size", [-1, 0, 4])
def test_refuses_a_page_that_is_too_small(size: int) -> None:
    with pytest.raises(AwsError) as caught:
        page(items("a"), size, None)
    assert caught.value.code == "InvalidParameterValue"


@pytest.mark.parametrize("size", [0, 401])
def test_refuses_a_load_balancer_page_out_of_range(size: int) -> None:
    with pytest.raises(AwsError) as caught:
        elb_page(items("a"), size, None)
    assert caught.value.code == "ValidationError"
