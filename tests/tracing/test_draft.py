"""Drafts: whenever the writer looks, each event of a turn is told once, with its time and order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors import Message
from actors.delivery import Delivered
from actors.failure import Failure
from actors.journal import EntryType, JournalEntry, JournalRecord, record_id
from actors.telemetry import ActivityReporter, TurnSpan, report_enqueued
from storage.memory import MemoryContainer
from tests.builders import TRACE, spelled_out
from tracing import Event, StoreRecorder, TraceContext, TraceWriter
from tracing.containers import TRACE_EVENTS
from tracing.draft import MAX_NOTES, Draft, Telling
from tracing.registry import CODES
from tracing.writer import HANDFUL

STEPS = 14
"""How many steps `Turn` has between its message's delivery and its end, not counting its notes."""


WROTE = CODES["cosmosdb:write"]
FAILURE = Failure("OSError", "no", (), "f", retryable=True)


class Listener(StoreRecorder):
    """Remembers what it was given, in the form in which another process would have got it."""

    def __init__(self) -> None:
        super().__init__(MemoryContainer(TRACE_EVENTS))
        self.given: list[Telling] = []

    def put(self, box: list[Telling], events: int) -> None:
        for each in box:
            if isinstance(each, Draft):
                assert each.sealed
                assert each.events == each.size
        assert events == sum(each.events for each in box)
        self.given += msgspec.msgpack.decode(msgspec.msgpack.encode(box), type=list[Telling])

    @property
    def events(self) -> list[Event]:
        assert all(log.entries for log in spelled_out(self.given))
        events = [event for log in spelled_out(self.given) for event in log.events()]
        return sorted(events, key=lambda event: (event.time_ns, event.span_id))


def record(index: int) -> JournalRecord:
    entry = JournalEntry(EntryType.TURN_COMPLETED, {})
    return JournalRecord("Order/1", index, "m", 0, (entry,))


class Turn:
    """Tells a turn of three activities, one step after the other."""

    span: TurnSpan

    def __init__(self, tracer: TraceWriter, notes: int) -> None:
        self.tracer = tracer
        self.context = TraceContext(TRACE, "1" * 16)
        self.message = Message.new(
            "Order/1", "place", {}, message_id="m", sender="Cart/1", trace=self.context
        )
        below = tracer.create_child_span(self.context)
        self.sent = Message.new(
            "Stock/1", "take", {}, message_id="n", sender=self.message.actor_id, trace=below
        )
        self.notes = notes
        self.activities: list[ActivityReporter] = []
        report_enqueued(tracer, Delivered([self.message], tracer.ticks(), [True]), {})

    def step(self, number: int) -> None:
        if number == 0:
            leased_ns = self.message.metadata.sent_ns + 5
            self.span = TurnSpan(self.tracer, self.message, self.context, 1, leased_ns)
        turn, now = self.span.turn, self.span.ticks()
        match number:
            case 1:
                turn.locked = now
            case 2:
                turn.version, turn.activated = 4, now
                turn.started = self.span.ticks()
            case 3 | 4 | 5:
                self.activities.append(self.span.note_activity("pay", f"key-{number}"))
            case 6:
                for note in range(self.notes):
                    self.span.emit("store:write", attempt=note)
            case 7:
                self.journaled(1, 1, now)
            case 8:
                self.activities[0].retried(1, OSError())
                self.activities[0].started(2)
            case 9:
                self.activities[0].note.attempts = 2
                self.journaled(0, 2, now)
                self.activities[2].failed(FAILURE, record(3))
            case 10:
                turn.wrote = (WROTE, now - 7, now, 3, 1)
            case 11:
                codes = {self.sent.message_id: CODES["message:sent"]}
                self.span.note_sent(Delivered([self.sent], now, [True]), codes, record(3))
            case 12:
                turn.before = 0
                turn.completed = now
            case 13:
                turn.released = now

    def journaled(self, activity: int, index: int, at: int) -> None:
        self.activities[activity].note.wrote = (WROTE, at - 7, at, index, 1)


def told(looks: Sequence[bool], notes: int, patient: bool) -> tuple[list[Event], TraceWriter]:
    """Tell a turn, with the writer looking before the steps that `looks` says.

    A patient one leaves what began since it looked last for the next time.
    """
    recorder, ids = Listener(), count(1)
    ticks = count(1_000_000, 1_000)
    tracer = TraceWriter(
        recorder, clock=lambda: next(ticks), new_id=lambda size: f"{next(ids):0{2 * size}x}"
    )
    looked = tracer.ticks()
    turn = Turn(tracer, notes)
    for number, look in enumerate(looks):
        now = tracer.ticks()
        if look:
            tracer.hand_over(looked if patient else None)
            looked = now
        turn.step(number)
    turn.span.end()
    tracer.hand_over()
    return recorder.events, tracer


@given(st.lists(st.booleans(), min_size=STEPS, max_size=STEPS), st.integers(0, 3), st.booleans())
def test_whenever_the_writer_looks_each_event_is_told_once_and_as_it_would_have_been(
    looks: list[bool], notes: int, patient: bool
) -> None:
    whole, _ = told([False] * STEPS, notes, patient)
    found, tracer = told(looks, notes, patient)
    assert found == whole
    assert len(found) == 25 + notes
    assert [(e.type, e.attempt, e.peer) for e in found[:1]] == [("queue:enqueued", 0, "Cart/1")]
    assert tracer.stats().buffered == 0
    assert tracer.stats().dropped == {}


def test_the_writes_of_a_turns_records_are_events_of_its_span() -> None:
    found, _ = told([False] * STEPS, 0, True)
    writes = [event for event in found if event.type == "cosmosdb:write"]
    assert [str(event.refs[0].id) for event in writes] == [
        f"actor-journals/{record_id(index)}" for index in (1, 2, 3)
    ]
    assert {(e.span_id, e.name, e.attempt, e.duration_ns) for e in writes} == {
        ("1" * 16, "actor-journals", 0, 7)
    }


def test_a_turn_with_more_to_tell_than_a_draft_holds_hands_it_on() -> None:
    found, _ = told([False] * STEPS, 3 * MAX_NOTES, True)
    assert [e.attempt for e in found if e.type == "store:write"] == list(range(3 * MAX_NOTES))
    assert len(found) == 25 + 3 * MAX_NOTES


def test_what_is_told_of_a_turn_after_its_end_is_told_as_well() -> None:
    recorder = Listener()
    tracer = TraceWriter(recorder)
    turn = Turn(tracer, 0)
    turn.step(0)
    turn.span.end()
    tracer.hand_over()
    turn.span.emit("store:write")
    tracer.hand_over()
    types = [e.type for e in recorder.events]
    assert types == ["queue:enqueued", "queue:dequeued", "store:write"]


def test_a_turn_that_has_told_everything_so_far_costs_its_writer_no_draft() -> None:
    recorder = Listener()
    tracer = TraceWriter(recorder)
    turn = Turn(tracer, 0)
    turn.step(0)
    for _ in range(3):
        tracer.hand_over()
    assert len(recorder.given) == 1
    turn.step(1)
    turn.span.end()
    tracer.hand_over()
    types = [e.type for e in recorder.events]
    assert types == ["queue:enqueued", "queue:dequeued", "lock:acquired", "message:received"]


def test_an_activity_that_outlives_its_turn_does_not_fail_for_what_was_told_of_it() -> None:
    recorder = Listener()
    tracer = TraceWriter(recorder)
    turn = Turn(tracer, 0)
    turn.step(0)
    early = turn.span.note_activity("pay", "early").note
    turn.span.end()
    tracer.hand_over()
    turn.span.emit("store:write")
    late = turn.span.note_activity("pay", "late").note
    early.wrote = late.wrote = (WROTE, 1, 2, 1, 1)
    tracer.hand_over()
    types = [event.type for event in recorder.events]
    assert types.count("activity:scheduled") == 2
    assert types.count("activity:completed") == 1


@pytest.mark.parametrize("others", [0, HANDFUL])
def test_an_activity_that_begins_after_its_turns_end_is_told(others: int) -> None:
    recorder = Listener()
    tracer = TraceWriter(recorder)
    turn = Turn(tracer, 0)
    turn.step(0)
    turn.span.end()
    for _ in range(others):
        tracer.end(Draft(TRACE, "2" * 16, None, None, None, 0, True, 0, 0))
    turn.span.note_activity("pay", "late")
    tracer.hand_over()
    assert [event.type for event in recorder.events] == [
        *("queue:enqueued", "queue:dequeued", "activity:scheduled", "activity:started")
    ]


async def test_what_a_turn_tells_while_its_writer_closes_is_lost_once() -> None:
    class Closing(Listener):
        async def close(self, *, timeout: float) -> None:
            turn.step(1)
            await super().close(timeout=timeout)

    tracer = TraceWriter(Closing())
    turn = Turn(tracer, 0)
    turn.step(0)
    await tracer.close(timeout=0.05)
    turn.span.end()
    assert (tracer.stats().buffered, tracer.stats().dropped) == (0, {"shutdown": 2})
