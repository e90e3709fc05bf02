"""Writing and asking for traces gives the same answers on every engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from msgspec import structs

from storage import Container, Store
from storage.cosmos import CosmosStore
from storage.memory import MemoryStore
from storage.sqlite import Database, SqliteStore
from tests.builders import event, trace_writer
from tests.cosmos_server import KEY
from tracing import (
    Event,
    FailureFilter,
    FailureOutcome,
    Ref,
    RefKind,
    TraceAnalytics,
    TraceFilter,
    TraceReader,
    TraceStatus,
    TraceWriter,
)
from tracing.containers import TRACE_EVENTS
from tracing.intent import ABANDONED_SECONDS, Intent, recount, repair_abandoned
from tracing.promotions import Promotions
from tracing.sink import TraceSink
from tracing.spanlog import logs_of

SECOND = 1_000_000_000
START = 1_800_000_000 * SECOND
ENGINES = ("memory", "sqlite", "cosmos")


@pytest.fixture(params=ENGINES)
async def traces(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Container]:
    store: Store
    if request.param == "memory":
        store = MemoryStore()
    elif request.param == "sqlite":
        store = SqliteStore(Database(tmp_path / "traces.db"))
    else:
        endpoint = request.getfixturevalue("cosmos_endpoint")
        store = CosmosStore(endpoint, KEY, f"traces-{uuid4().hex[:8]}")
    yield await store.container(TRACE_EVENTS)
    await store.close()


def trace_id(number: int) -> str:
    return f"{number:032x}"


def run(number: int, *, bad: bool = False, sampled: bool = True) -> list[Event]:
    """Return a run of one order and its shipment; a bad one fails at the shipment."""
    at, trace = number * 1_000, trace_id(number)
    correlation = f"run-{number}"
    actor, other = f"Order/{number}", f"Shipment/{number}"
    message = Ref(RefKind.MESSAGE, correlation, f"m{number}")
    took = (1 + number) * 10_000_000

    def one(type: str, span: int, after: int, **more: object) -> Event:
        made = event(type, span, at=at + after, trace=trace, **more)  # type: ignore[arg-type]
        return made if sampled else structs.replace(made, sampled=False)

    events = [
        one("queue:enqueued", 1, 0, actor=actor, name="place", attempt=0, refs=(message,)),
        one("queue:dequeued", 1, 1, actor=actor, name="place", duration_ns=1_000_000),
        one("message:started", 1, 2, actor=actor, name="place"),
        one("message:completed", 1, 3, actor=actor, name="place", duration_ns=took),
        one("queue:enqueued", 2, 4, parent=1, actor=other, name="ship", attempt=0),
        one("message:started", 2, 5, parent=1, actor=other, name="ship"),
    ]
    error = {"error_type": "NoTruck", "fingerprint": "f00d"}
    if bad:
        events += [
            one("message:failed", 2, 6, parent=1, actor=other, name="ship", **error),
            one("message:dead_lettered", 2, 7, parent=1, actor=other, name="ship", **error),
        ]
    else:
        after = 6 + 100 * number
        events.append(one("message:completed", 2, after, parent=1, actor=other, name="ship"))
    return events


async def write(container: Container, *runs: list[Event], **options: object) -> TraceWriter:
    """Write runs through one writer and close it."""
    writer = trace_writer(container, clock=lambda: START, **options)  # type: ignore[arg-type]
    writer.start()
    for events in runs:
        for found in events:
            writer.emit(found)
    await writer.close()
    return writer


async def numbers(reader: TraceReader, criteria: TraceFilter, limit: int = 2) -> list[int]:
    """Return the traces that match, from every page."""
    found: list[int] = []
    cursor: str | None = None
    while True:
        page = await reader.find_traces(criteria, cursor=cursor, limit=limit)
        assert len(page.traces) <= limit
        found += [int(trace.trace_id, 16) for trace in page.traces]
        cursor = page.cursor
        if cursor is None:
            return found


async def test_every_filter_of_the_traces_list(traces: Container) -> None:
    await write(traces, *(run(number, bad=number % 3 == 0) for number in range(1, 7)))
    reader = TraceReader(traces)
    at = [START + number * SECOND for number in range(8)]
    for criteria, wanted in (
        (TraceFilter(), [6, 5, 4, 3, 2, 1]),
        (TraceFilter(status=TraceStatus.FAILED), [6, 3]),
        (TraceFilter(started_from=at[2], started_to=at[5]), [4, 3, 2]),
        (TraceFilter(actor="Order/4"), [4]),
        (TraceFilter(correlation="run-5"), [5]),
        (TraceFilter(actor_type="Shipment", message_type="ship"), [6, 5, 4, 3, 2, 1]),
        (TraceFilter(actor_type="Ship"), []),
        (TraceFilter(message_type="sail"), []),
        (TraceFilter(error_type="NoTruck"), [6, 3]),
        (TraceFilter(shortest=400_000_000), [5, 4]),
        (TraceFilter(shortest=200_000_000, longest=420_000_000), [4, 2]),
        (
            TraceFilter(
                status=TraceStatus.COMPLETED,
                actor_type="Order",
                message_type="place",
                started_from=at[3],
                longest=450_000_000,
            ),
            [4],
        ),
    ):
        assert await numbers(reader, criteria) == wanted, criteria


async def test_every_filter_of_the_failures_list(traces: Container) -> None:
    await write(traces, *(run(number, bad=True) for number in range(1, 5)))
    reader = TraceReader(traces)
    for criteria, wanted in (
        (FailureFilter(), [4, 3, 2, 1]),
        (FailureFilter(fingerprint="f00d"), [4, 3, 2, 1]),
        (FailureFilter(fingerprint="beef"), []),
        (FailureFilter(actor_type="Shipment", message_type="ship", error_type="NoTruck"), None),
        (FailureFilter(outcome=FailureOutcome.DEAD_LETTERED), None),
        (FailureFilter(outcome=FailureOutcome.RETRYING), []),
        (FailureFilter(from_ns=START + 2 * SECOND, to_ns=START + 4 * SECOND), [3, 2]),
    ):
        found: list[int] = []
        cursor: str | None = None
        while True:
            page = await reader.find_failures(criteria, cursor=cursor, limit=3)
            found += [int(failure.trace_id, 16) for failure in page.failures]
            cursor = page.cursor
            if cursor is None:
                break
        assert found == ([4, 3, 2, 1] if wanted is None else wanted), criteria


async def test_statistics_are_those_of_the_messages(traces: Container) -> None:
    await write(traces, *(run(number, bad=number == 2) for number in range(1, 4)))
    await write(traces, run(70))
    analytics = TraceAnalytics(traces)
    for length in (1, 24):
        found = await analytics.statistics(START, START + length * 3_600 * SECOND)
        assert (found.total.handled, found.total.failed, found.total.dead_letters) == (8, 1, 1)
        assert [row.actor_type for row in found.actor_types] == ["Order", "Shipment"]
        (group,) = await analytics.with_first_seen(found.groups)
        assert (group.fingerprint, group.failures, group.dead_letters) == ("f00d", 1, 1)
        assert group.trace_id == trace_id(2)


async def test_an_unsampled_failure_is_promoted_and_other_writers_hear_of_it(
    traces: Container,
) -> None:
    runs = [run(number, bad=number == 2, sampled=False) for number in range(1, 4)]
    await write(traces, *runs)
    reader = TraceReader(traces)
    assert await numbers(reader, TraceFilter()) == [2]
    trace = await reader.get_trace(trace_id(2))
    assert trace is not None
    assert len(trace.events) == 8
    assert "was not sampled" in trace.notices[0]
    told = Promotions(traces, clock=lambda: START + SECOND, since_seconds=60)
    assert await told.latest() == [trace_id(2)]


async def test_what_a_dead_writer_left_is_put_right(traces: Container) -> None:
    intent = Intent(traces, writer="dead", clock=lambda: START)
    await intent.cover([trace_id(1), trace_id(2)])
    sink = TraceSink(traces, writer="dead")
    batch = sink.batch(logs_of(run(1, bad=True)))
    # It died after the segment and before anything that counts it.
    await traces.create(batch.document)
    reader = TraceReader(traces)
    assert await numbers(reader, TraceFilter()) == []
    assert await repair_abandoned(traces, now_ns=START + SECOND) == 0
    late = START + (ABANDONED_SECONDS + 1) * SECOND
    assert await repair_abandoned(traces, now_ns=late) == 1
    assert await numbers(reader, TraceFilter(status=TraceStatus.FAILED)) == [1]
    assert len((await reader.find_failures()).failures) == 1
    assert not await recount(traces, trace_id(1))
    assert await repair_abandoned(traces, now_ns=late) == 0
