"""Topic filters against the plainest reading of the standard, by random topics and filters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.integration.messages.topics import Index, covers, disjoint, filter_fault, matches, overlap, widest

LEVELS = st.sampled_from(["a", "b", "", "$SYS", "c d"])
TOPICS = st.lists(LEVELS, min_size=1, max_size=4).map("/".join).filter(bool)
FILTERS = (
    st.tuples(st.lists(st.one_of(LEVELS, st.just("+")), max_size=3), st.sampled_from(["#", "+", "a", "b", ""]))
    .map(lambda parts: "/".join([*parts[0], parts[1]]))
    .filter(bool)
)


def reference(filter: str, topic: str) -> bool:
    """MQTT 5, 4.7, word for word, by recursion."""
    if topic.startswith("$") and filter[0] in "+#":
        return False

    def match(wanted: list[str], levels: list[str]) -> bool:
        if wanted == ["#"]:
            return True
        if not wanted or not levels:
            return not wanted and not levels
        return wanted[0] in ("+", levels[0]) and match(wanted[1:], levels[1:])

    return match(filter.split("/"), topic.split("/"))


@given(FILTERS, TOPICS)
def test_matching_is_the_standard(filter: str, topic: str) -> None:
    assert matches(filter, topic) == reference(filter, topic)


@given(st.lists(FILTERS, max_size=8), TOPICS)
def test_the_index_finds_what_matches_in_order(filters: list[str], topic: str) -> None:
    found = Index([(filter, number) for number, filter in enumerate(filters)]).lookup(topic)
    assert found == tuple(number for number, filter in enumerate(filters) if reference(filter, topic))


@given(FILTERS, FILTERS, TOPICS)
def test_covering_and_overlapping_keep_their_word(one: str, other: str, topic: str) -> None:
    both = reference(one, topic) and reference(other, topic)
    if covers(one, other):
        assert reference(one, topic) >= reference(other, topic)
    if both:
        assert overlap(one, other)


@given(st.lists(FILTERS, max_size=6), TOPICS)
def test_the_widest_filters_are_enough(filters: list[str], topic: str) -> None:
    kept = widest(filters)
    assert any(reference(f, topic) for f in kept) == any(reference(f, topic) for f in filters)
    assert not any(covers(a, b) for a in kept for b in kept if a != b)


@pytest.mark.parametrize("filter", ["", "a#", "a/#/b", "a+/b", "a/b+", "a\0b", "x" * 65536])
def test_invalid_filters_are_told(filter: str) -> None:
    assert filter_fault(filter)


@given(FILTERS)
def test_valid_filters_pass(filter: str) -> None:
    assert filter_fault(filter) == ""


@given(st.lists(FILTERS, max_size=6), TOPICS)
def test_disjoint_filters_bring_every_message_once(filters: list[str], topic: str) -> None:
    kept = disjoint(filters)
    delivered = sum(reference(f, topic) for f in kept)
    assert delivered <= 1
    assert delivered >= any(reference(f, topic) for f in filters)
