"""Whole turns: a segment stores their times, and a reader gets every event that was told."""

from __future__ import annotations

import contextlib
import itertools
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import TRACE, event, spelled_out
from tracing import Event, segment
from tracing.draft import ActivityNote, Draft, EnqueuedNote, TurnNote
from tracing.errors import UnreadableSegment
from tracing.failure import failures_in
from tracing.registry import CODES
from tracing.rollup import Rollup
from tracing.spanlog import SpanLog, logs_of
from tracing.tally import Tally
from tracing.turnlog import TurnLog, packed

JOURNAL = "actor-journals/{:012d}"
WROTE = CODES["store:write"]
EPOCH_NS = 1_800_000_000_000_000_000
UP_FOR_YEARS = 2**56
"""Ticks of a machine that was last started two years ago: more than a JSON number holds."""


def whole_turn(
    began: int,
    gaps: list[int],
    *,
    activities: int = 3,
    activated: bool = True,
    version: int = 4,
    before: int = 4,
    attempt: int = 1,
    message: tuple[str, str] = ("m1", "run"),
    epoch_ns: int = EPOCH_NS,
    waited: int | None = None,
    sender: str | None = None,
) -> Draft:
    """Return a turn that told everything; `gaps` are the ticks between what happened.

    It tells that its message was enqueued, too, when that was `waited` ticks before.
    """
    times = itertools.accumulate([began, *gaps])
    turn = TurnNote(next(times), 1_234)
    if waited is not None:
        turn.enqueued, turn.sender = began - waited, sender
    turn.locked = next(times)
    if activated:
        turn.activated, turn.version = next(times), version
    turn.started = next(times)
    notes = []
    for number in range(activities):
        note = ActivityNote("charge", f"key-{number}", next(times), attempts=number + 1)
        note.wrote = (WROTE, next(times), next(times), 2 * number, 2)
        notes.append(note)
    turn.wrote = (WROTE, next(times), next(times), 2 * activities, 1)
    turn.before, turn.completed, turn.released = before, next(times), next(times)
    draft = Draft(
        *(TRACE, "1" * 16, None, "Order/1", "place", attempt, True, began, epoch_ns, message, turn),
        activities=notes,
        journal=JOURNAL,
    )
    draft.seal()
    assert draft.whole
    assert draft.events == draft.size
    return draft


TURNS = st.builds(
    whole_turn,
    st.integers(5_001, UP_FOR_YEARS),
    st.lists(st.integers(1, 10**12), min_size=20, max_size=20),
    activities=st.integers(0, 4),
    activated=st.booleans(),
    version=st.integers(0, 9),
    before=st.integers(-1, 9),
    attempt=st.integers(1, 3),
    message=st.tuples(st.sampled_from(["m1", "m2"]), st.sampled_from(["run", "other"])),
    epoch_ns=st.integers(EPOCH_NS, EPOCH_NS + 10**6),
    waited=st.none() | st.integers(0, 5_000),
    sender=st.none() | st.just("Account/1"),
)
TURN = whole_turn(1_000, [500] * 20)


def stored(*told: Draft | EnqueuedNote) -> dict[str, Any]:
    """Return the segment of what was told as a store gives it back."""
    document = msgspec.json.encode(segment.encode("w-1", packed(told)))
    found: dict[str, Any] = msgspec.json.decode(document)
    return found


def in_order(logs: list[SpanLog]) -> list[Event]:
    return sorted((e for log in logs for e in log.events()), key=lambda e: (e.time_ns, e.type))


@given(st.lists(TURNS, min_size=1, max_size=4))
def test_what_is_read_of_turns_is_what_they_told(turns: list[Draft]) -> None:
    document = stored(*turns)
    assert len(document["T"]) == len(turns)
    assert document["L"] == []
    decoded = segment.decode(document)
    assert in_order(decoded.logs) == in_order(spelled_out(turns))
    assert sorted(decoded.events, key=lambda e: (e.time_ns, e.type)) == in_order(decoded.logs)
    assert decoded.unknown == 0


@given(TURNS)
def test_a_turn_counts_as_its_events_would(turn: Draft) -> None:
    (log,) = packed([turn])
    assert isinstance(log, TurnLog)
    every = turn.spelled_out()
    assert log.size == sum(each.size for each in every)
    assert in_order([log]) == in_order(every)
    assert failures_in([log]) == failures_in(every)
    ours, theirs = Tally(), Tally()
    ours.add([log])
    theirs.add(every)
    assert ours == theirs
    rollups = Rollup(), Rollup()
    rollups[0].add(log)
    for each in every:
        rollups[1].add(each)
    assert rollups[0] == rollups[1]


@given(TURNS)
def test_numbers_of_turns_stay_within_what_json_doubles_hold(turn: Draft) -> None:
    def numbers(value: object) -> list[int]:
        if isinstance(value, list):
            return [number for each in value for number in numbers(each)]
        return [value] if isinstance(value, int) else []

    found = numbers(stored(turn)["T"])
    assert len(found) > 15
    assert all(abs(number) < 2**53 for number in found)


def test_what_a_turn_told_in_parts_or_beside_the_usual_is_stored_event_by_event() -> None:
    parts = whole_turn(1_000, [500] * 20)
    open_one = Draft(*(TRACE, "1" * 16, None, "Order/1", "place", 1, True, 1, EPOCH_NS))
    open_one.turn = TurnNote(5, 0)
    first = open_one.so_far()
    assert not first.whole
    noted = msgspec.structs.replace(parts, notes=[(CODES["turn:large"], 1_500, None, (), None)])
    noted.whole = False
    noted.seal()
    assert not noted.whole
    document = stored(first, noted)
    assert document["T"] == []
    assert segment.size(document) == 1 + noted.events


def test_the_order_of_a_turn_and_what_came_before_it_is_that_of_time() -> None:
    sent = EnqueuedNote(
        *(TRACE, "1" * 16, None, True, "Order/1", "place", "m1", "run", None, 400, EPOCH_NS)
    )
    decoded = segment.decode(stored(TURN, sent))
    assert [e.type for e in decoded.events][:3] == [
        *("queue:enqueued", "queue:dequeued", "lock:acquired")
    ]
    assert len({e.span_id for e in decoded.events}) == 4


STORED: dict[str, Any] = {
    "id": "w-1",
    "trace_id": TRACE,
    "k": "g",
    "v": 3,
    "t0": 1_800_000_000_000_001,
    "H": [["1111111111111111", None, "Order/1", "place", "m1", None]],
    "L": [],
    "T": [
        [
            *(0, 1, 0, "999", "actor-journals/{:012d}"),
            [1, 1234, 501, 1001, 4, 1501, [61, 3501, 4001, 2, 1], 4501, 4, 5001, 0, 0, None],
            [["charge", "key-0", 2001, 1, [61, 2501, 3001, 0, 2], False]],
        ]
    ],
    "C": "run",
}
"""A turn as version 3 stores it."""


def test_the_layout_of_a_turn_is_what_it_was() -> None:
    turn = whole_turn(1_000, [500] * 20, activities=1)
    assert stored(turn) == STORED
    assert in_order(segment.decode(STORED).logs) == in_order(turn.spelled_out())


def test_a_turn_stored_without_when_its_message_was_enqueued_is_read() -> None:
    document = stored(TURN)
    del document["T"][0][5][-2:]
    assert segment.decode(document).events == segment.decode(stored(TURN)).events


def test_a_turn_that_tells_when_its_message_was_enqueued_begins_with_that() -> None:
    document = stored(whole_turn(1_000, [500] * 20, waited=999, sender="Cart/1"))
    assert document["T"][0][5][-2:] == [2, "Cart/1"]
    events = segment.decode(document).events
    assert [(e.type, e.attempt, e.peer) for e in events[:2]] == [
        *(("queue:enqueued", 0, "Cart/1"), ("queue:dequeued", 1, None))
    ]
    assert events[1].time_ns - events[0].time_ns == 999


def test_the_size_of_turns_is_known_without_spelling_them_out() -> None:
    assert segment.size(stored(TURN)) in range(TURN.events - 1, TURN.events + 2)


def test_an_event_of_a_turn_of_a_type_of_a_later_version_is_counted_and_the_rest_kept() -> None:
    document = stored(TURN)
    document["T"][0][5][6][0] = 9_999
    decoded = segment.decode(document)
    assert decoded.unknown == 1
    assert len(decoded.events) == TURN.events - 1


@given(st.randoms(use_true_random=False))
def test_a_broken_turn_never_raises_anything_else(source: random.Random) -> None:
    document = stored(TURN)
    row = document["T"][0]
    place = source.choice([row, row[5], row[5][6], row[6], row[6][0]])
    place[source.randrange(len(place))] = source.choice(
        [None, [], 9_999, "text", -1, {"a": 1}, [1], [None] * 3, 2**62, "9" * 5_000]
    )
    with contextlib.suppress(UnreadableSegment):
        segment.decode(document)


@pytest.mark.parametrize("journal", ["{:>999999999999}", "a/{0.__class__}", "a/{:012d}{:012d}"])
def test_what_stands_for_a_journal_formats_nothing_but_an_index(journal: str) -> None:
    document = stored(TURN)
    document["T"][0][4] = journal
    with pytest.raises(UnreadableSegment):
        segment.decode(document)


def test_segments_of_the_version_before_turns_are_read() -> None:
    events = [event("queue:dequeued", attempt=1), event("message:completed", at=3)]
    document = msgspec.json.decode(msgspec.json.encode(segment.encode("w-1", logs_of(events))))
    del document["T"]
    assert segment.decode({**document, "v": 2}).events == events
