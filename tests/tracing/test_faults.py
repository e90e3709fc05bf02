"""What tracing does while its store fails: the work goes on, memory stays bounded, what is lost is
counted, and afterwards everything else is stored, once, without a restart.

The store is the Cosmos server behind a proxy that fails on demand.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from math import ceil
from typing import Any
from uuid import uuid4

import pytest
from msgspec import structs

from actors import Actor, InMemoryStateStore, NonRetryable, handler
from storage import Container, Document, Query, Throttled, Unavailable, Where, Write
from storage.cosmos import CosmosStore
from storage.memory import MemoryContainer
from tests.actors.world import Calls, World
from tests.builders import RememberingWriter, event, remembering_writer
from tests.cosmos_server import KEY
from tests.fault_proxy import NO_ANSWER, FaultProxy, Mode, fault_proxy
from tracing import Event, Failure, TraceReader, TraceWriter
from tracing import recorder as recorder_module
from tracing.containers import TRACE_EVENTS
from tracing.failure import failures_in
from tracing.intent import recount
from tracing.spanlog import logs_of

KINDS = ("add", "add", "add", "stumble", "add", "add", "add", "refuse")
MESSAGES = 6 * len(KINDS)
TIMEOUT = 0.4
"""Seconds after which the store's client gives an answer up."""
SAVE_SECONDS = 0.1
"""Seconds between two attempts to save the rollups, of which the first to fail ends an attempt."""
AT_A_TIME = 64
"""Requests that the store sends side by side for writes that come together."""
PATIENCE = 600.0
"""Seconds of a timeout or a pause that no test waits for."""

calls = Calls()


@pytest.fixture(autouse=True)
def nothing_is_raised(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Check that no task died and nothing was worth an error in the log."""
    yield
    errors = [record for record in caplog.get_records("call") if record.levelno >= logging.ERROR]
    assert errors == []


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    calls.seen.clear()
    monkeypatch.setattr(recorder_module, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(recorder_module, "LONGEST_PAUSE", 0.1)
    monkeypatch.setattr(recorder_module, "SAVE_SECONDS", SAVE_SECONDS)


class Refused(NonRetryable):
    pass


class Till(Actor):
    @handler
    async def add(self, payload: dict[str, int]) -> None:
        self.update_state(sum=self.state.get("sum", 0) + payload["amount"])

    @handler
    async def stumble(self, payload: dict[str, int]) -> None:
        if calls(self.actor_id) == 1:
            raise ValueError("only the first time")
        self.update_state(sum=payload["amount"])

    @handler
    async def refuse(self, payload: dict[str, int]) -> None:
        raise Refused("always")


def remembering(container: Container, **options: Any) -> RememberingWriter:
    return remembering_writer(container, **{"flush_interval": 0.02, **options})


def accounted(writer: TraceWriter) -> int:
    """Return of how many events the statistics say what became of them."""
    stats = writer.stats()
    kept = stats.buffered + stats.held + stats.events_written + stats.unsampled
    return kept + sum(stats.dropped.values())


class Shop(World):
    """A world whose traces go to `writer`, and everything else to memory."""

    def __init__(self, writer: TraceWriter) -> None:
        super().__init__(traced=False)
        self.writer = writer
        self.store = InMemoryStateStore()
        self.runtime = self.new_runtime()

    async def work(self, messages: int = MESSAGES) -> None:
        """Send messages to a few actors, and check that all were handled as without tracing.

        Most succeed, some at the second attempt, and some end as dead letters.
        """
        kinds = [KINDS[number % len(KINDS)] for number in range(messages)]
        async with self.serve(Till) as worker:
            for number, kind in enumerate(kinds):
                actor = uuid4().hex if kind == "stumble" else number % 5
                await self.send(f"Till/{actor}", kind, {"amount": number})
            await self.settled()
        stumbled, refused = kinds.count("stumble"), kinds.count("refuse")
        stats = worker.stats()
        assert (stats.handled, stats.failed) == (messages - refused, stumbled + refused)
        assert stats.abandoned == 0


@dataclass
class Traced:
    """Writers whose store is behind the proxy, and a view of the store past it."""

    proxy: FaultProxy
    behind: Container
    patient: Container
    """Behind the proxy as well, for a client that waits for its answers."""
    direct: Container
    writers: list[RememberingWriter] = field(default_factory=list)

    def writer(self, container: Container | None = None, **options: Any) -> RememberingWriter:
        """Return a started writer; it is closed after the test."""
        made = remembering(container or self.behind, **options)
        made.start()
        self.writers.append(made)
        return made

    async def stores(self, events: Iterable[Event]) -> None:
        """Wait until nothing is buffered; check that exactly these events are stored, once."""
        await until(lambda: not any(writer.stats().buffered for writer in self.writers))
        emitted: defaultdict[str, list[Event]] = defaultdict(list)
        for each in events:
            emitted[each.trace_id].append(each)
        stored = await self._copy()
        reader = TraceReader(stored)
        summaries = (await reader.find_traces(limit=1_000)).traces
        assert {summary.trace_id for summary in summaries} == emitted.keys()
        for summary in summaries:
            trace = await reader.get_trace(summary.trace_id)
            assert trace is not None
            assert ordered(trace.events) == ordered(emitted[summary.trace_id])
            assert trace.notices == []
            assert summary == trace.summary
            assert not await recount(stored, summary.trace_id)
        failed = [
            failure for of in emitted.values() for failure in failures_in(logs_of(of)).values()
        ]
        found = (await reader.find_failures(limit=1_000)).failures
        # As they are stored, with microseconds.
        assert ordered(found) == ordered(
            Failure.from_document(each.to_document()) for each in failed if each.error_type
        )
        # Whoever wrote them can read them as well.
        some = summaries[0].trace_id
        assert await TraceReader(self.behind).get_trace(some) == await reader.get_trace(some)

    async def counts(self, events: int) -> None:
        """Wait until the rollups say that there were so many events."""
        async with asyncio.timeout(30):
            while await self._rolled_up() != events:
                await asyncio.sleep(0.02)

    async def _rolled_up(self) -> int:
        query = Query((Where("resolution", "=", "minute"),), order_by=("bucket",), limit=1_000)
        page = await self.direct.query(query)
        return sum(document.body["events"] for document in page.documents)

    async def _copy(self) -> MemoryContainer:
        """Return everything that is stored, in memory, where many questions cost little."""
        copy = MemoryContainer(TRACE_EVENTS)
        token: str | None = None
        while (page := await self.direct.changes(token)).documents:
            token = page.token
            for document in page.documents:
                await copy.create(document.body)
        return copy


@pytest.fixture
async def traced(cosmos_endpoint: str) -> AsyncIterator[Traced]:
    """Tracing whose store can be made to fail: `traced.proxy.mode`."""
    database = f"faults-{uuid4().hex[:8]}"
    async with fault_proxy(cosmos_endpoint) as proxy:
        stores = [
            CosmosStore(proxy.endpoint, KEY, database, retries=0, timeout=TIMEOUT),
            CosmosStore(proxy.endpoint, KEY, database, retries=0, timeout=PATIENCE),
            CosmosStore(cosmos_endpoint, KEY, database),
        ]
        behind, patient, direct = [await store.container(TRACE_EVENTS) for store in stores]
        opened = Traced(proxy, behind, patient, direct)
        # Before its first write a client asks how the container is partitioned: here as in a
        # process that has traced for a while, it knows.
        for number, container in enumerate((behind, patient)):
            await container.upsert({"id": f"first-{number}", "trace_id": "first"})
        proxy.seen.clear()
        yield opened
        for made in opened.writers:
            await made.close(timeout=0.1)
        for store in stores:
            await store.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until it holds; fail after a time that no correct run needs."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.002)


def started(traces: int, each: int = 1, *, first: int = 1) -> list[Event]:
    """Return events of `traces` traces, `each` of every one."""
    return [
        event("message:started", at + 1, at=at, trace=f"{number:032x}")
        for at in range(each)
        for number in range(first, first + traces)
    ]


def ordered(things: Iterable[Any]) -> list[Any]:
    return sorted(things, key=repr)


# Down, hanging, slow


@pytest.mark.parametrize("refuses", [False, True], ids=["closes", "refuses"])
async def test_work_goes_on_without_a_store_and_its_traces_are_complete_when_it_is_back(
    traced: Traced, refuses: bool
) -> None:
    writer = traced.writer()
    traced.proxy.mode = Mode.DOWN
    if refuses:
        await traced.proxy.refuse()
    await Shop(writer).work()
    await until(lambda: writer.stats().retries >= 3)
    stats = writer.stats()
    assert (stats.events_written, stats.buffered) == (0, len(writer.emitted))
    assert stats.dropped == {}
    traced.proxy.mode = Mode.UP
    if refuses:
        await traced.proxy.listen()
    await traced.stores(writer.emitted)
    await traced.counts(len(writer.emitted))
    assert writer.stats().dropped == {}


async def test_all_messages_are_handled_while_the_store_answers_nothing(traced: Traced) -> None:
    traced.proxy.mode = Mode.HANG
    writer = traced.writer()
    await Shop(writer).work()
    await until(lambda: traced.proxy.arrived(writes=True) > 0)
    assert traced.proxy.answered() == 0
    assert writer.stats().buffered == accounted(writer) == len(writer.emitted)
    traced.proxy.mode = Mode.UP
    await traced.stores(writer.emitted)
    assert writer.stats().dropped == {}


async def test_all_messages_are_handled_while_every_answer_comes_too_late(traced: Traced) -> None:
    """The store does what it is asked, but only after its client gave up."""
    traced.proxy.mode, traced.proxy.delay = Mode.SLOW, 2.5 * TIMEOUT
    writer = traced.writer()
    await Shop(writer).work()
    await until(lambda: writer.stats().retries >= 2)
    assert (traced.proxy.answered(), writer.stats().events_written) == (0, 0)
    traced.proxy.mode = Mode.UP
    await traced.stores(writer.emitted)
    assert writer.stats().dropped == {}


async def test_a_store_that_is_merely_slow_gets_everything_at_the_first_attempt(
    traced: Traced,
) -> None:
    traced.proxy.mode, traced.proxy.delay = Mode.SLOW, 0.05
    writer = traced.writer(traced.patient)
    await Shop(writer).work()
    await traced.stores(writer.emitted)
    assert (writer.stats().dropped, writer.stats().retries) == ({}, 0)


async def test_a_store_that_fails_in_the_midst_of_writing_has_everything_in_the_end(
    traced: Traced,
) -> None:
    """One shop works on while the store fails in one way after another."""
    writer = traced.writer()
    shop = Shop(writer)
    traced.proxy.retry_after = 0.05
    for mode in (Mode.UP, Mode.HANG, Mode.UP, Mode.DOWN, Mode.LOSE, Mode.THROTTLE, Mode.UP):
        traced.proxy.mode = mode
        arrived = traced.proxy.arrived()
        await shop.work(len(KINDS))
        await until(lambda arrived=arrived: traced.proxy.arrived() > arrived)
    await traced.stores(writer.emitted)
    await traced.counts(len(writer.emitted))
    assert writer.stats().dropped == {}


# Throttled


@pytest.mark.parametrize("retries", [0, 2])
async def test_a_throttled_request_is_repeated_as_often_as_asked_for(
    traced: Traced, retries: int
) -> None:
    proxy = traced.proxy
    store = CosmosStore(proxy.endpoint, KEY, f"faults-{uuid4().hex[:8]}", retries=retries)
    container = await store.container(TRACE_EVENTS)
    proxy.mode, proxy.retry_after = Mode.THROTTLE, 0.02
    with pytest.raises(Throttled) as caught:
        await container.create({"id": "1", "trace_id": "a"})
    assert proxy.counts() == {("POST", 429): 1 + retries}
    assert caught.value.retry_after == proxy.retry_after
    await store.close()


@pytest.mark.parametrize("mode", [Mode.THROTTLE, Mode.DOWN])
async def test_of_many_writes_few_are_sent_to_a_store_that_refuses_them(
    traced: Traced, mode: Mode
) -> None:
    writes = [Write({"id": str(number), "trace_id": str(number)}) for number in range(300)]
    traced.proxy.mode = mode
    results = await traced.patient.write_many(writes)
    assert {type(result) for result in results} <= {Throttled, Unavailable}
    assert len(results) == len(writes)
    assert traced.proxy.arrived() <= AT_A_TIME
    traced.proxy.mode = Mode.UP
    results = await traced.patient.write_many(writes)
    assert [result.body["id"] for result in results if isinstance(result, Document)] == [
        write.body["id"] for write in writes
    ]


async def test_a_throttled_writer_asks_the_store_once_per_pause(traced: Traced) -> None:
    proxy = traced.proxy
    proxy.mode, proxy.retry_after = Mode.THROTTLE, 0.1
    writer = traced.writer(traced.patient)
    await Shop(writer).work()
    await until(lambda: writer.stats().retries >= 5)
    assert writer.stats().paused_seconds <= proxy.retry_after
    # One asks whether anything may be written yet; besides, the rollups are tried now and then.
    pauses = proxy.elapsed() / proxy.retry_after + 1
    saves = proxy.elapsed() / SAVE_SECONDS + 1
    assert proxy.arrived(writes=True) <= pauses + saves
    assert proxy.counts().keys() <= {("POST", 429), ("QUERY", 429)}
    proxy.mode = Mode.UP
    await traced.stores(writer.emitted)
    await traced.counts(len(writer.emitted))
    assert writer.stats().dropped == {}


async def test_what_is_under_way_when_throttling_begins_is_not_asked_again_and_again(
    traced: Traced,
) -> None:
    proxy, writer = traced.proxy, traced.writer(traced.patient)
    for each in started(400):
        writer.emit(each)
    await until(lambda: proxy.answered(writes=True) > 20)
    proxy.mode, proxy.retry_after = Mode.THROTTLE, 0.3
    proxy.seen.clear()
    await until(lambda: proxy.elapsed() > 4 * proxy.retry_after)
    chunks = ceil(400 / recorder_module.CHUNK_TRACES)
    pauses = proxy.elapsed() / proxy.retry_after + 1
    # Of each chunk some segments, and some summaries of traces whose segments were stored before.
    assert proxy.counts()["POST", 429] <= pauses * chunks * 2 * AT_A_TIME
    assert writer.stats().retries > 0
    proxy.mode = Mode.UP
    await traced.stores(writer.emitted)
    assert writer.stats().dropped == {}


# Lost answers


async def test_many_lost_answers_leave_no_event_out_and_none_twice(traced: Traced) -> None:
    proxy, writer = traced.proxy, traced.writer()
    proxy.mode, proxy.share = Mode.LOSE, 0.5
    shop = Shop(writer)
    for _ in range(3):
        await shop.work(2 * len(KINDS))
    await traced.stores(writer.emitted)
    lost = sum(number for (_, status), number in proxy.counts().items() if status == NO_ANSWER)
    assert lost > 30
    assert writer.stats().retries > 0
    await traced.counts(len(writer.emitted))
    assert writer.stats().events_written == len(writer.emitted)


async def test_summaries_that_change_again_and_again_count_no_event_twice(
    traced: Traced,
) -> None:
    """Each flush replaces the summaries of the same traces, and most answers are lost."""
    proxy, writer = traced.proxy, traced.writer()
    proxy.mode, proxy.share = Mode.LOSE, 0.6
    for at in range(8):
        for number in range(1, 6):
            writer.emit(event("message:started", at + 1, at=at, trace=f"{number:032x}"))
        await until(lambda: not writer.stats().buffered)
    assert proxy.counts()["PUT", NO_ANSWER] > 0
    await traced.stores(writer.emitted)
    assert writer.stats().events_written == len(writer.emitted)


# Rejecting


@pytest.mark.parametrize("status", [400, 413])
async def test_what_the_store_rejects_is_counted_and_later_events_are_stored(
    traced: Traced, status: int
) -> None:
    proxy, writer = traced.proxy, traced.writer()
    proxy.mode, proxy.reject_status = Mode.REJECT, status
    shop = Shop(writer)
    await shop.work()
    await until(lambda: not writer.stats().buffered)
    rejected = len(writer.emitted)
    assert writer.stats().dropped == {"rejected": rejected}
    assert writer.stats().events_written == 0
    proxy.mode = Mode.UP
    await shop.work()
    await traced.stores(writer.emitted[rejected:])
    assert writer.stats().dropped == {"rejected": rejected}
    # What happened is counted also where its events could not be kept.
    await traced.counts(len(writer.emitted))


@pytest.mark.parametrize("status", [401, 403, 500, 503])
async def test_what_a_refused_or_broken_account_does_not_take_waits_for_it(
    traced: Traced, status: int
) -> None:
    """A key that was changed or a firewall rule says nothing about the events."""
    proxy, writer = traced.proxy, traced.writer()
    proxy.mode, proxy.reject_status = Mode.REJECT, status
    await Shop(writer).work(len(KINDS))
    await until(lambda: writer.stats().retries >= 3)
    assert writer.stats().buffered == accounted(writer) == len(writer.emitted)
    proxy.mode = Mode.UP
    await traced.stores(writer.emitted)
    assert writer.stats().dropped == {}


# Bounds


async def test_what_does_not_fit_is_counted_and_the_rest_is_written_afterwards(
    traced: Traced,
) -> None:
    traced.proxy.mode = Mode.DOWN
    writer = traced.writer(max_buffered=100)
    events = started(25, 10)
    for each in events:
        writer.emit(each)
        assert writer.stats().buffered <= 100
        await asyncio.sleep(0)
    await until(lambda: writer.stats().retries >= 3)
    assert writer.stats().buffered == 100
    assert writer.stats().dropped == {"overflow": 150}
    traced.proxy.mode = Mode.UP
    await traced.stores(events[:100])
    later = started(25, first=1_000)
    for each in later:
        writer.emit(each)
    await traced.stores(events[:100] + later)
    assert writer.stats().dropped == {"overflow": 150}


@pytest.mark.parametrize("mode", [Mode.DOWN, Mode.HANG])
async def test_a_flood_of_events_never_fills_more_than_the_buffer(
    traced: Traced, mode: Mode
) -> None:
    bound, flood = 5_000, 50_000
    traced.proxy.mode = mode
    writer = traced.writer(max_buffered=bound)
    fullest = 0
    for number, each in enumerate(started(flood // 100, 100), start=1):
        # Every fourth trace is not sampled: its events are held in the same room.
        writer.emit(each if int(each.trace_id, 16) % 4 else structs.replace(each, sampled=False))
        if not number % 100:
            stats = writer.stats()
            fullest = max(fullest, stats.buffered + stats.held)
            assert accounted(writer) == number
            await asyncio.sleep(0)
    assert fullest == bound
    assert writer.stats().events_written == 0
    assert set(writer.stats().dropped) <= {"overflow", "hold_overflow"}
    traced.proxy.mode = Mode.UP
    await until(lambda: not writer.stats().buffered)
    assert accounted(writer) == flood
    assert writer.stats().events_written > 0


# Shutdown


@pytest.mark.parametrize("mode", [Mode.DOWN, Mode.HANG, Mode.THROTTLE, Mode.LOSE])
async def test_closing_does_not_wait_for_a_store_that_fails_and_counts_what_is_lost(
    traced: Traced, mode: Mode
) -> None:
    proxy, writer = traced.proxy, remembering(traced.patient)
    writer.start()
    proxy.mode, proxy.retry_after = mode, PATIENCE
    await Shop(writer).work()
    await until(lambda: proxy.arrived(writes=True) > 0)
    async with asyncio.timeout(30):
        await writer.close(timeout=0.1)
    assert writer.stats().dropped == {"shutdown": len(writer.emitted)}


@pytest.mark.parametrize("mode", [Mode.DOWN, Mode.HANG, Mode.THROTTLE, Mode.LOSE])
async def test_closing_in_the_midst_of_writing_counts_what_was_not_confirmed(
    traced: Traced, mode: Mode
) -> None:
    proxy, writer = traced.proxy, remembering(traced.patient)
    writer.start()
    first = started(20)
    for each in first:
        writer.emit(each)
    await until(lambda: not writer.stats().buffered)
    for each in started(300, first=100):
        writer.emit(each)
    answered = proxy.answered(writes=True)
    await until(lambda: proxy.answered(writes=True) > answered + 20)
    proxy.mode, proxy.retry_after = mode, PATIENCE
    async with asyncio.timeout(30):
        await writer.close(timeout=0.1)
    stats = writer.stats()
    assert stats.events_written >= len(first)
    assert stats.dropped == {"shutdown": len(writer.emitted) - stats.events_written}
