"""The writer: never blocks, never raises, loses nothing uncounted, merges with other writers."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import Message
from actors.delivery import Delivered
from actors.telemetry import SpanEmitter, report_enqueued
from storage import Conflict, DocumentTooLarge, Throttled, Unavailable
from storage.memory import MemoryContainer
from tests.builders import TRACE, event, trace_writer
from tracing import Event, Summary, TraceContext, TraceReader, TraceStatus
from tracing.containers import TRACE_EVENTS
from tracing.draft import MAX_NOTES
from tracing.sink import TraceSink
from tracing.spanlog import logs_of


def run_of(messages: int = 3, *, fail: bool = False) -> list[Event]:
    """Return the events of a run in which `messages` are handled, the last one perhaps badly."""
    events = [event("workflow:started", 1, name="order", attempt=0)]
    for number in range(messages):
        span = 10 + number
        at = number * 10
        bad = fail and number == messages - 1
        events += [
            event("queue:enqueued", span, parent=1, at=at, attempt=0),
            event("message:started", span, parent=1, at=at + 1),
            event("message:failed", span, parent=1, at=at + 2, error_type="Boom", fingerprint="f")
            if bad
            else event("message:completed", span, parent=1, at=at + 2),
        ]
        if bad:
            events.append(
                event("message:dead_lettered", span, parent=1, at=at + 3, error_type="Boom")
            )
    events.append(
        event(
            "workflow:failed" if fail else "workflow:completed", 1, at=messages * 10, name="order"
        )
    )
    return events


class FlakyContainer(MemoryContainer):
    """Fails some writes: before they happen, or after, as a lost answer does."""

    def __init__(self, source: random.Random, share: float = 0.4) -> None:
        super().__init__(TRACE_EVENTS)
        self._source = source
        self._share = share

    async def _maybe(self, call: Any) -> Any:
        if self._source.random() < self._share:
            call.close()
            raise Unavailable("lost before")
        result = await call
        if self._source.random() < self._share:
            raise Unavailable("lost after")
        return result

    async def create(self, body: Any) -> Any:
        return await self._maybe(super().create(body))

    async def replace(self, body: Any, *, if_etag: str) -> Any:
        return await self._maybe(super().replace(body, if_etag=if_etag))


async def only_summary(container: MemoryContainer) -> Summary:
    (summary,) = (await TraceReader(container).find_traces()).traces
    return summary


async def test_what_is_emitted_is_read_back() -> None:
    container = MemoryContainer(TRACE_EVENTS)
    writer = trace_writer(container)
    writer.start()
    for found in run_of(fail=True):
        writer.emit(found)
    await writer.close()
    reader = TraceReader(container)
    trace = await reader.get_trace(TRACE)
    assert trace is not None
    assert trace.events == sorted(run_of(fail=True), key=lambda e: e.time_ns)
    assert trace.summary == await only_summary(container)
    assert trace.summary.status is TraceStatus.FAILED
    (failure,) = (await reader.find_failures()).failures
    assert (failure.error_type, failure.outcome.value) == ("Boom", "dead_lettered")
    assert [e.type for e in await reader.get_failures(TRACE)] == [
        "message:failed",
        "message:dead_lettered",
        "workflow:failed",
    ]
    assert len(await reader.get_events_by_type(TRACE, "message:started")) == 3


async def test_the_background_task_writes_without_being_asked() -> None:
    container = MemoryContainer(TRACE_EVENTS)
    writer = trace_writer(container, flush_interval=0.02)
    writer.start()
    writer.emit(event("queue:enqueued"))
    async with asyncio.timeout(5):
        while not writer.stats().events_written:
            await asyncio.sleep(0.01)
    await writer.close()
    assert (await only_summary(container)).events == 1


@pytest.mark.unregistered_types
async def test_an_unknown_event_type_and_an_overflow_are_counted_not_raised() -> None:
    writer = trace_writer(MemoryContainer(TRACE_EVENTS), max_buffered=3)
    writer.emit(event("no:such"))
    for _ in range(5):
        writer.emit(event("message:started"))
    assert writer.stats().dropped == {"invalid": 1, "overflow": 2}
    assert writer.stats().buffered == 3
    await writer.close()
    assert writer.stats().buffered == 0


async def test_a_span_goes_on_in_another_log_when_its_own_was_handed_over_or_is_full() -> None:
    container = MemoryContainer(TRACE_EVENTS)
    writer = trace_writer(container)
    span = SpanEmitter(writer, TraceContext(TRACE, "1" * 16), "Order/1", "place", 1)
    for number in range(MAX_NOTES + 20):
        span.emit("message:started", attempt=number)
    await writer.flush()
    span.emit("message:completed", attempt=MAX_NOTES + 20)
    await writer.close()
    trace = await TraceReader(container).get_trace(TRACE)
    assert trace is not None
    assert [each.attempt for each in trace.events] == list(range(MAX_NOTES + 21))
    assert trace.events[-1].type == "message:completed"


async def test_of_the_logs_of_spans_those_that_find_no_room_are_counted() -> None:
    container = MemoryContainer(TRACE_EVENTS)
    writer = trace_writer(container, max_buffered=3)
    for number in range(2):
        span = SpanEmitter(writer, TraceContext(TRACE, f"{number:016x}"), "Order/1", "place", 1)
        span.emit("message:started")
        span.emit("message:completed")
    assert writer.stats().buffered == 4
    await writer.close()
    assert (writer.stats().events_written, writer.stats().dropped) == (2, {"overflow": 2})


async def test_of_messages_in_their_mailboxes_those_that_find_no_room_are_counted() -> None:
    writer = trace_writer(MemoryContainer(TRACE_EVENTS), max_buffered=3)
    for number in range(5):
        message = Message.new(
            *(f"Order/{number}", "place", {}), trace=TraceContext(TRACE, f"{number:016x}")
        )
        report_enqueued(writer, Delivered([message], writer.ticks(), [True]), {})
    assert writer.stats().buffered == 5
    assert not writer.has_room(1)
    await writer.close()
    stats = writer.stats()
    assert (stats.events_written, stats.buffered, stats.dropped) == (3, 0, {"overflow": 2})


async def test_two_messages_of_one_span_are_both_told() -> None:
    container = MemoryContainer(TRACE_EVENTS)
    writer = trace_writer(container)
    for trace in (TRACE, "1" * 32):
        message = Message.new("Order/1", "place", {}, trace=TraceContext(trace, "1" * 16))
        report_enqueued(writer, Delivered([message], writer.ticks(), [True]), {})
    await writer.close()
    assert len((await TraceReader(container).find_traces()).traces) == 2


async def test_a_message_that_another_thread_enqueues_is_told_too() -> None:
    container = MemoryContainer(TRACE_EVENTS)
    writer = trace_writer(container)
    message = Message.new("Order/1", "place", {}, trace=TraceContext(TRACE, "1" * 16))
    delivered = Delivered([message], writer.ticks(), [True])
    await asyncio.to_thread(report_enqueued, writer, delivered, {})
    assert writer.posted_at("1" * 16) == 0
    await writer.close()
    assert (await only_summary(container)).messages == 1


class DeadContainer(MemoryContainer):
    async def create(self, body: Any) -> Any:
        raise Unavailable("never")


async def test_closing_with_a_store_that_never_answers_counts_what_is_lost() -> None:
    writer = trace_writer(DeadContainer(TRACE_EVENTS))
    writer.start()
    for found in run_of():
        writer.emit(found)
    await writer.close(timeout=0.05)
    assert writer.stats().dropped == {"shutdown": len(run_of())}


class RefusingContainer(MemoryContainer):
    async def create(self, body: Any) -> Any:
        raise DocumentTooLarge("for good")


async def test_what_the_store_will_never_take_is_counted_and_the_rest_goes_on() -> None:
    writer = trace_writer(RefusingContainer(TRACE_EVENTS))
    writer.emit(event("message:started"))
    await writer.close()
    assert writer.stats().dropped == {"rejected": 1}


class ThrottlingContainer(MemoryContainer):
    refusals = 3

    async def create(self, body: Any) -> Any:
        if self.refusals:
            self.refusals -= 1
            raise Throttled("slow down", 0.001)
        return await super().create(body)


async def test_a_throttled_write_is_repeated_after_the_pause_the_store_asks_for() -> None:
    container = ThrottlingContainer(TRACE_EVENTS)
    writer = trace_writer(container)
    writer.emit(event("message:started"))
    await writer.close()
    stats = writer.stats()
    assert (stats.events_written, stats.retries, stats.dropped) == (1, 3, {})


async def store_until_taken(sink: TraceSink, events: list[Event]) -> None:
    batch = sink.batch(logs_of(events))
    while True:
        try:
            await sink.store(batch)
        except Unavailable:
            continue
        return


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    writers=st.integers(1, 3),
    fail=st.booleans(),
    messages=st.integers(1, 6),
)
def test_writers_retries_and_lost_answers_give_the_totals_of_one_writer(
    seed: int, writers: int, fail: bool, messages: int
) -> None:
    source = random.Random(seed)
    events = run_of(messages, fail=fail)
    source.shuffle(events)
    shares: list[list[Event]] = [[] for _ in range(writers)]
    for found in events:
        source.choice(shares).append(found)

    async def main() -> tuple[Summary, Summary, int]:
        flaky = FlakyContainer(source)

        async def write(number: int, share: list[Event]) -> None:
            sink = TraceSink(flaky, writer=f"w{number}")
            while share:
                size = source.randint(1, len(share))
                batch, share = share[:size], share[size:]
                await store_until_taken(sink, batch)

        await asyncio.gather(*(write(n, share) for n, share in enumerate(shares)))
        plain = MemoryContainer(TRACE_EVENTS)
        await store_until_taken(
            TraceSink(plain, writer="one"), sorted(events, key=lambda e: e.time_ns)
        )
        trace = await TraceReader(flaky).get_trace(TRACE)
        assert trace is not None
        assert len(trace.events) == len(events)
        failures = (await TraceReader(flaky).find_failures()).failures
        assert [f.outcome.value for f in failures] == (["dead_lettered"] if fail else [])
        return await only_summary(flaky), await only_summary(plain), len(trace.events)

    merged, single, _ = asyncio.run(main())
    assert merged == single


async def test_the_same_batch_stored_twice_changes_nothing() -> None:
    container = MemoryContainer(TRACE_EVENTS)
    sink = TraceSink(container, writer="w")
    batch = sink.batch(logs_of(run_of()))
    await sink.store(batch)
    before = await only_summary(container)
    batch.segment_stored = False
    await sink.store(batch)
    assert await only_summary(container) == before


async def test_a_recovered_failure_keeps_its_error_and_its_time() -> None:
    container = MemoryContainer(TRACE_EVENTS)
    sink = TraceSink(container, writer="w")
    failed = event("message:failed", 5, at=10, error_type="Boom", fingerprint="f")
    recovered = event("message:completed", 5, at=900, attempt=2)
    for part in ([failed], [recovered]):
        await sink.store(sink.batch(logs_of(part)))
    (failure,) = (await TraceReader(container).find_failures()).failures
    assert failure.outcome.value == "recovered"
    assert (failure.error_type, failure.attempts) == ("Boom", 2)
    assert failure.at_ns == failed.time_ns


async def test_a_message_that_completes_at_once_is_no_failure() -> None:
    container = MemoryContainer(TRACE_EVENTS)
    sink = TraceSink(container, writer="w")
    await sink.store(sink.batch(logs_of(run_of())))
    assert (await TraceReader(container).find_failures()).failures == []


async def test_ids_and_clock_can_be_given() -> None:
    numbers = iter(range(1, 100))
    writer = trace_writer(
        MemoryContainer(TRACE_EVENTS),
        clock=lambda: 42,
        new_id=lambda size: f"{next(numbers):0{size * 2}x}",
    )
    root = writer.create_root_trace()
    child = writer.create_child_span(root)
    assert writer.now() == 42
    assert (len(root.trace_id), len(root.span_id)) == (32, 16)
    assert (child.trace_id, child.parent_span_id) == (root.trace_id, root.span_id)


async def test_a_conflict_on_a_segment_id_means_it_arrived() -> None:
    class Arrived(MemoryContainer):
        async def create(self, body: Any) -> Any:
            if body["k"] == "g":
                await super().create(body)
                raise Conflict("an earlier try did arrive")
            return await super().create(body)

    container = Arrived(TRACE_EVENTS)
    writer = trace_writer(container)
    writer.emit(event("message:started"))
    await writer.close()
    assert (await only_summary(container)).events == 1


@pytest.mark.parametrize("traces", [1, 50])
async def test_a_flush_writes_one_segment_per_trace(traces: int) -> None:
    container = MemoryContainer(TRACE_EVENTS)
    writer = trace_writer(container)
    for number in range(400):
        writer.emit(event("message:started", number, trace=f"{number % traces:032x}"))
    await writer.flush()
    assert writer.stats().segments_written == traces
    assert writer.stats().events_written == 400
    await writer.close()
