"""Segments: packing loses nothing, and broken ones are recognised."""

from __future__ import annotations

import contextlib
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.builders import TRACE, event
from tracing import Event, Ref, RefKind, segment
from tracing.errors import UnreadableSegment
from tracing.registry import REGISTRY
from tracing.spanlog import logs_of

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


def stored(events: list[Event]) -> dict[str, Any]:
    """Return the segment of events as a store gives it back."""
    document = msgspec.json.encode(segment.encode("w-1", logs_of(events)))
    found: dict[str, Any] = msgspec.json.decode(document)
    return found


@given(st.lists(EVENTS, min_size=1, max_size=40).map(one_parent_each))
def test_decoding_gives_back_the_events_by_time(events: list[Event]) -> None:
    document = stored(events)
    decoded = segment.decode(document)
    assert decoded.unknown == 0
    assert decoded.events == sorted(events, key=lambda e: e.time_ns)


@given(st.lists(EVENTS, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_a_broken_segment_never_raises_anything_else(
    events: list[Event], source: random.Random
) -> None:
    document = stored(events)
    key = source.choice([key for key in document if key not in ("id", "trace_id", "k")])
    document[key] = source.choice([None, [], [9_999], "text", -1, {"a": 1}, [[1]], [None] * 3])
    with contextlib.suppress(UnreadableSegment):
        segment.decode(document)


def test_another_version_is_unreadable() -> None:
    document = stored([event("message:started")])
    with pytest.raises(UnreadableSegment, match="version 4"):
        segment.decode({**document, "v": 4})


def test_an_event_type_of_a_later_version_is_counted_and_the_rest_kept() -> None:
    document = stored([event("message:started"), event("message:completed", at=5)])
    document["L"][0][3][0][0] = 9_999
    decoded = segment.decode(document)
    assert decoded.unknown == 1
    assert [found.type for found in decoded.events] == ["message:completed"]


def test_numbers_stay_within_what_json_doubles_hold() -> None:
    document = stored([event("message:started", at=n) for n in range(3)])
    logs = document["L"]
    numbers = [document["t0"], *(log[2] for log in logs), *(log[3][0][1] for log in logs)]
    assert len(numbers) == 7
    assert all(number < 2**53 for number in numbers)


OLD: dict[str, Any] = {
    "id": "w-1",
    "trace_id": TRACE,
    "k": "g",
    "v": 1,
    "t0": 1_800_000_000_000_000,
    "P": [["0000000000000001", None, 4, 5], ["0000000000000002", 0, 6, 7]],
    "R": [[0, 8, "m1"], [3, 4, "actor-journals/000000000000"], [1, 4, "2"]],
    "S": [
        *("Clerk/1", "actor-journals", "Declined", "00ff00ff00ff00ff"),
        *("Order/1", "place", "Order/2", "charge", "run"),
    ],
    "c": [10, 11, 61, 43, 22],
    "s": [0, 0, 0, 1, 0],
    "t": [0, 2_000_000, 1_000_000, 1_000_000, 1_000_000],
    "a": [0, 1, 0, 1, 1],
    "n": [2, 1],
    "d": [1, 2_000_000, 4, 3],
    "e": [3, 2],
    "f": [3, 3],
    "r": [0, [0], 2, [1], 4, [0, 2]],
    "p": [1, 0],
}
"""A segment as version 1 stored it."""


def test_segments_of_the_version_before_are_read() -> None:
    message = Ref(RefKind.MESSAGE, "run", "m1")
    document = Ref(RefKind.DOCUMENT, "Order/1", "actor-journals/000000000000")
    events = [
        event("queue:enqueued", attempt=0, refs=(message,)),
        replace(event("queue:dequeued", at=2, duration_ns=2_000_000), peer="Clerk/1"),
        event("store:write", at=3, name="actor-journals", attempt=0, refs=(document,)),
        event(
            *("activity:failed", 2),
            parent=1,
            at=4,
            actor="Order/2",
            name="charge",
            error_type="Declined",
            fingerprint="00ff00ff00ff00ff",
        ),
        event(
            "message:completed",
            at=5,
            duration_ns=3,
            refs=(message, Ref(RefKind.ACTOR_STATE, "Order/1", "2")),
        ),
    ]
    assert segment.decode(OLD) == segment.Segment(events, 0)


def test_the_size_of_a_segment_is_known_without_decoding_it() -> None:
    document = stored([event("message:started", at=n) for n in range(3)])
    assert segment.size(document) == 3
    assert segment.size(OLD) == 5
    assert segment.size({"k": "s"}) == 0
