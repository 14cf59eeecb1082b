"""Properties of merging and of pages."""

from __future__ import annotations

from typing import ClassVar

from hypothesis import given
from hypothesis import strategies as st

from tieline.cloud.model.pages import Page, cut
from tieline.cloud.model.records import Stored
from tieline.cloud.store.edits import merged

plain = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=8,
)


def without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    return value


@given(plain, plain)
def test_a_patch_done_twice_is_done_once(target: object, patch: object) -> None:
    once = merged(target, patch)
    assert merged(once, patch) == once


@given(plain)
def test_an_empty_patch_changes_no_object(target: object) -> None:
    if isinstance(target, dict):
        assert merged(target, {}) == target
    assert merged(target, target) == without_nulls(target) or not isinstance(target, dict)


class Thing(Stored):
    kind: ClassVar[str] = "thing"


@given(st.sets(st.text(min_size=1, max_size=4)), st.integers(1, 5))
def test_pages_hold_everything_once(ids: set[str], limit: int) -> None:
    things = [Thing(id=id) for id in sorted(ids)]
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page, cursor = cut(things, Page(limit=limit, cursor=cursor))
        seen += [thing.id for thing in page]
    assert seen == sorted(ids)
