"""Finding traces and failures: filters, order, pages, and traces that are damaged."""

from __future__ import annotations

import pytest

from storage import InvalidQuery
from storage.memory import MemoryContainer
from tests.builders import TRACE, event
from tracing import FailureFilter, TraceFilter, TraceReader, TraceStatus
from tracing.containers import TRACE_EVENTS
from tracing.sink import TraceSink
from tracing.spanlog import logs_of

MILLISECOND = 1_000_000


@pytest.fixture
async def container() -> MemoryContainer:
    """Thirty traces, one per second; every third failed, even ones of Order, odd of Loan."""
    container = MemoryContainer(TRACE_EVENTS)
    sink = TraceSink(container, writer="w")
    for n in range(30):
        actor = f"{'Loan' if n % 2 else 'Order'}/{n}"
        trace, at = f"{n:032x}", n * 1_000
        events = [event("queue:enqueued", n, trace=trace, at=at, actor=actor, attempt=0)]
        if n % 3:
            events.append(event("message:completed", n, trace=trace, at=at + 5, actor=actor))
        else:
            error = "Boom" if n % 2 else "Bang"
            for kind in ("message:failed", "message:dead_lettered"):
                events.append(
                    event(
                        kind,
                        n,
                        trace=trace,
                        at=at + 5,
                        actor=actor,
                        error_type=error,
                        fingerprint=error.lower(),
                    )
                )
        await sink.store(sink.batch(logs_of(events)))
    return container


async def found(reader: TraceReader, criteria: TraceFilter, limit: int = 7) -> list[int]:
    numbers: list[int] = []
    cursor: str | None = None
    while True:
        page = await reader.find_traces(criteria, cursor=cursor, limit=limit)
        numbers += [int(trace.trace_id, 16) for trace in page.traces]
        cursor = page.cursor
        if cursor is None:
            return numbers


async def test_traces_come_newest_first_on_every_page(container: MemoryContainer) -> None:
    assert await found(TraceReader(container), TraceFilter()) == list(range(29, -1, -1))


async def test_filters_narrow_and_combine(container: MemoryContainer) -> None:
    reader = TraceReader(container)
    epoch = 1_800_000_000_000 * MILLISECOND
    assert await found(reader, TraceFilter(status=TraceStatus.FAILED)) == list(range(27, -1, -3))
    assert await found(reader, TraceFilter(actor_type="Loan")) == list(range(29, 0, -2))
    assert await found(reader, TraceFilter(actor="Loan/7")) == [7]
    between = TraceFilter(
        started_from=epoch + 5_000 * MILLISECOND, started_to=epoch + 8_000 * MILLISECOND
    )
    assert await found(reader, between) == [7, 6, 5]
    both = TraceFilter(status=TraceStatus.FAILED, actor_type="Order")
    assert await found(reader, both) == [24, 18, 12, 6, 0]
    assert await found(reader, TraceFilter(actor_type="Nobody")) == []


async def test_failures_come_newest_first_across_traces(container: MemoryContainer) -> None:
    reader = TraceReader(container)
    page = await reader.find_failures(limit=4)
    assert [failure.actor for failure in page.failures] == [
        "Loan/27",
        "Order/24",
        "Loan/21",
        "Order/18",
    ]
    rest = await reader.find_failures(cursor=page.cursor, limit=50)
    assert len(rest.failures) == 6
    assert rest.cursor is None
    boom = await reader.find_failures(FailureFilter(error_type="Boom"))
    assert {failure.actor for failure in boom.failures} == {
        "Loan/27",
        "Loan/21",
        "Loan/15",
        "Loan/9",
        "Loan/3",
    }
    assert (await reader.find_failures(FailureFilter(fingerprint="bang"))).failures
    assert len((await reader.find_failures(FailureFilter(actor_type="Order"))).failures) == 5


async def test_a_foreign_cursor_is_refused(container: MemoryContainer) -> None:
    with pytest.raises(InvalidQuery):
        await TraceReader(container).find_traces(cursor="abc")


@pytest.mark.parametrize("trace_id", ["", "nope", "0" * 31, "A" * 32, "f" * 32, "../../etc"])
async def test_a_trace_that_is_not_there_is_none(container: MemoryContainer, trace_id: str) -> None:
    assert await TraceReader(container).get_trace(trace_id) is None


async def test_a_damaged_segment_costs_its_own_events_and_is_said(
    container: MemoryContainer,
) -> None:
    trace_id = f"{1:032x}"
    await container.create(
        {"id": "w-broken", "trace_id": trace_id, "k": "g", "v": 1, "t0": 0, "c": [10]}
    )
    trace = await TraceReader(container).get_trace(trace_id)
    assert trace is not None
    assert len(trace.events) == 2
    assert any("cannot be read" in notice for notice in trace.notices)


async def test_a_summary_that_was_never_merged_is_recounted_from_events() -> None:
    container = MemoryContainer(TRACE_EVENTS)
    sink = TraceSink(container, writer="w")
    batch = sink.batch(
        logs_of([event("queue:enqueued", 1, attempt=0), event("message:completed", 1, at=4)])
    )
    await container.create(batch.document)
    trace = await TraceReader(container).get_trace(TRACE)
    assert trace is not None
    assert trace.summary.status is TraceStatus.COMPLETED
    assert trace.summary.events == 2
