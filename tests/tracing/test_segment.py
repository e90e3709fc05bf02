"""Segments: packing loses nothing, and broken ones are recognised."""

from __future__ import annotations

import contextlib
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.builders import TRACE, event
from tracing import Event, Ref, RefKind, segment
from tracing.errors import UnreadableSegment
from tracing.registry import REGISTRY

TEXT = st.text(max_size=12)
REFS = st.builds(Ref, st.sampled_from(list(RefKind)), TEXT, TEXT)
SPANS = st.integers(1, 6).map(lambda n: f"{n:016x}")
EVENTS = st.builds(
    Event,
    st.sampled_from(sorted(REGISTRY)),
    st.just(TRACE),
    SPANS,
    st.none() | SPANS,
    st.integers(1_600_000_000_000_000_000, 1_600_000_100_000_000_000),
    st.none() | TEXT,
    st.none() | TEXT,
    st.integers(0, 30),
    st.none() | st.integers(0, 10**12),
    st.none() | TEXT,
    st.none() | TEXT,
    st.lists(REFS, max_size=3).map(tuple),
    st.none() | TEXT,
)


def one_parent_each(events: list[Event]) -> list[Event]:
    """A span has one parent: give all of its events that of the earliest."""
    parents: dict[str, str | None] = {}
    for found in sorted(events, key=lambda e: e.time_ns):
        parents.setdefault(found.span_id, found.parent_span_id)
    return [replace(found, parent_span_id=parents[found.span_id]) for found in events]


@given(st.lists(EVENTS, min_size=1, max_size=40).map(one_parent_each))
def test_decoding_gives_back_the_events_by_time(events: list[Event]) -> None:
    document = json.loads(json.dumps(segment.encode("w-1", events)))
    decoded = segment.decode(document)
    assert decoded.unknown == 0
    assert decoded.events == sorted(events, key=lambda e: e.time_ns)


@given(st.lists(EVENTS, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_a_broken_segment_never_raises_anything_else(
    events: list[Event], source: random.Random
) -> None:
    document = segment.encode("w-1", events)
    key = source.choice([key for key in document if key not in ("id", "trace_id", "k")])
    document[key] = source.choice([None, [], [9_999], "text", -1, {"a": 1}, [[1]], [None] * 3])
    with contextlib.suppress(UnreadableSegment):
        segment.decode(document)


def test_another_version_is_unreadable() -> None:
    document = segment.encode("w-1", [event("message:started")])
    with pytest.raises(UnreadableSegment, match="version 2"):
        segment.decode({**document, "v": 2})


def test_an_event_type_of_a_later_version_is_counted_and_the_rest_kept() -> None:
    document = segment.encode("w-1", [event("message:started"), event("message:completed", at=5)])
    document["c"][0] = 9_999
    decoded = segment.decode(document)
    assert decoded.unknown == 1
    assert [found.type for found in decoded.events] == ["message:completed"]


def test_numbers_stay_within_what_json_doubles_hold() -> None:
    document = segment.encode("w-1", [event("message:started", at=n) for n in range(3)])
    numbers = [document["t0"], *document["t"]]
    assert all(number < 2**53 for number in numbers)
