"""Rollups: what keepers save adds up to a count of the events, whatever the store answered."""

from __future__ import annotations

import asyncio
import math
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from storage import Document, DocumentTooLarge, Query, Unavailable, Where
from storage.container import Body
from storage.memory import MemoryContainer
from tests.builders import event
from tests.conftest import ManualClock
from tracing import Event, Statistics, TraceAnalytics, histogram
from tracing.analytics import Row
from tracing.containers import TRACE_EVENTS
from tracing.keeper import KEPT_BUCKETS, RollupKeeper
from tracing.rollup import MAX_CELLS, MAX_EDGES, MAX_GROUPS, OTHERS, Resolution, Rollup
from tracing.spanlog import SpanLog

NS = 1_000_000_000
START = 1_800_000_000 * NS
"""The beginning of a minute and of an hour."""
MINUTE, HOUR, DAY = 60 * NS, 3_600 * NS, 86_400 * NS
HANDLED = ("message:completed", "message:failed")


def told(
    type: str,
    at: float = 0.0,
    *,
    actor: str | None = "Order/1",
    name: str | None = "place",
    error: str = "Boom",
    peer: str | None = None,
    **more: Any,
) -> Event:
    """Return an event `at` seconds after the start; failures are alike by error, actor and name."""
    failed = type in ("message:failed", "message:dead_lettered")
    made = event(
        type,
        actor=actor,
        name=name,
        error_type=error if failed else None,
        fingerprint=f"{error} {actor and actor.partition('/')[0]} {name}" if failed else None,
        **more,
    )
    return replace(made, time_ns=START + int(at * NS), peer=peer)


def analytics(container: MemoryContainer, now_ns: int = START + DAY) -> TraceAnalytics:
    return TraceAnalytics(container, clock=lambda: now_ns)


async def saved(
    *events: Event, container: MemoryContainer | None = None, writer: str = "w"
) -> MemoryContainer:
    """Count events and save them."""
    container = container or MemoryContainer(TRACE_EVENTS)
    keeper = RollupKeeper(container, writer=writer)
    keeper.count(map(SpanLog.of, events))
    await keeper.save()
    return container


async def documents(container: MemoryContainer, resolution: Resolution) -> list[Document]:
    page = await container.query(
        Query((Where("resolution", "=", resolution),), order_by=("bucket",), limit=1_000)
    )
    return page.documents


async def counted(container: MemoryContainer, resolution: Resolution) -> int:
    return sum(document.body["events"] for document in await documents(container, resolution))


class Watched(MemoryContainer):
    """Lets a test decide what becomes of each write of a document."""

    def __init__(self) -> None:
        super().__init__(TRACE_EVENTS)

    async def passes(self, body: Body, write: Callable[[], Awaitable[Document]]) -> Document:
        """Do the write, or not."""
        return await write()

    async def create(self, body: Body) -> Document:
        return await self.passes(body, partial(super().create, body))

    async def replace(self, body: Body, *, if_etag: str) -> Document:
        return await self.passes(body, partial(super().replace, body, if_etag=if_etag))

    async def upsert(self, body: Body) -> Document:
        return await self.passes(body, partial(super().upsert, body))


class Answers(Watched):
    """Meets writes with what `answers` say: "lost" before, or "unseen" after they happen."""

    def __init__(self, answers: Iterable[str] = ()) -> None:
        super().__init__()
        self.answers = list(answers)
        self.writes = 0

    async def passes(self, body: Body, write: Callable[[], Awaitable[Document]]) -> Document:
        self.writes += 1
        answer = self.answers.pop(0) if self.answers else "done"
        if answer == "lost":
            raise Unavailable("lost before")
        document = await write()
        if answer == "unseen":
            raise Unavailable("lost after")
        return document


async def save_at_last(keeper: RollupKeeper) -> None:
    while True:
        try:
            return await keeper.save()
        except Unavailable:
            continue


# What a keeper saves


async def test_events_are_counted_by_the_minute_and_by_the_hour() -> None:
    container = await saved(
        *(told("message:completed", at=second) for second in (0, 59.999, 60, 3_599, 3_600))
    )
    for resolution, length, expected in (
        ("minute", 60, [(0, 2), (60, 1), (3_540, 1), (3_600, 1)]),
        ("hour", 3_600, [(0, 4), (3_600, 1)]),
    ):
        found = await documents(container, resolution)
        starts = [document.body["bucket"] - START // NS for document in found]
        assert list(zip(starts, (d.body["events"] for d in found), strict=True)) == expected
        assert all(start % length == 0 for start in starts)
        assert all(document.body["ttl"] > 0 for document in found)


async def test_saving_again_changes_nothing_and_writes_nothing() -> None:
    container = Answers()
    keeper = RollupKeeper(container, writer="w")
    keeper.count(map(SpanLog.of, [told("message:completed"), told("message:failed", at=70)]))
    await keeper.save()
    before, writes = await documents(container, "minute"), container.writes
    assert writes == 3
    for _ in range(3):
        await keeper.save()
    assert container.writes == writes
    assert await documents(container, "minute") == before
    keeper.count(map(SpanLog.of, [told("message:completed", at=80)]))
    await keeper.save()
    assert container.writes == writes + 2
    assert await counted(container, "minute") == await counted(container, "hour") == 3


async def test_saving_without_events_stores_nothing() -> None:
    container = Answers()
    await RollupKeeper(container, writer="w").save()
    assert container.writes == 0


@pytest.mark.parametrize("answer", ["lost", "unseen"])
@pytest.mark.parametrize("after", [0, 1, 2, 3])
async def test_a_save_that_failed_is_made_good_by_the_next(answer: str, after: int) -> None:
    container = Answers([*["done"] * after, answer])
    keeper = RollupKeeper(container, writer="w")
    keeper.count(map(SpanLog.of, [told("message:completed"), told("message:completed", at=60)]))
    if after < 3:
        with pytest.raises(Unavailable):
            await keeper.save()
    else:
        await keeper.save()
    keeper.count(map(SpanLog.of, [told("message:failed", at=61)]))
    await save_at_last(keeper)
    assert await counted(container, "minute") == await counted(container, "hour") == 3
    found = await analytics(container).statistics(START, START + 2 * MINUTE)
    assert (found.total.handled, found.total.failed) == (3, 1)


async def test_several_writers_add_up() -> None:
    container = MemoryContainer(TRACE_EVENTS)
    for number in range(3):
        await saved(
            told("message:completed", duration_ns=5_000_000),
            told("message:failed", at=number),
            container=container,
            writer=f"w{number}",
        )
    assert len(await documents(container, "minute")) == 3
    found = await analytics(container).statistics(START, START + MINUTE)
    assert (found.events, found.total.handled, found.total.failed) == (6, 6, 3)
    (group,) = found.groups
    assert (group.failures, group.first_ns, group.last_ns) == (3, START, START + 2 * NS)


async def test_an_event_for_a_minute_long_past_is_not_lost() -> None:
    container = MemoryContainer(TRACE_EVENTS)
    keeper = RollupKeeper(container, writer="w")
    minutes = KEPT_BUCKETS * 3
    for minute in range(minutes):
        keeper.count(map(SpanLog.of, [told("message:completed", at=60 * minute)]))
        await keeper.save()
    for late in (0, 0, 61, 3_600 * 5, 1):
        keeper.count(map(SpanLog.of, [told("message:completed", at=late)]))
        await keeper.save()
    found = await analytics(container).statistics(START, START + minutes * MINUTE)
    assert [slot.handled for slot in found.slots] == [4, 2, *[1] * (minutes - 2)]
    hours = await analytics(container).statistics(START, START + 6 * HOUR)
    assert [slot.handled for slot in hours.slots] == [minutes + 4, 0, 0, 0, 0, 1]


async def test_events_that_come_in_any_order_are_counted_where_they_belong() -> None:
    times = [at * 17 % 600 for at in range(600)]
    container = await saved(*(told("message:completed", at=at) for at in times))
    assert len(await documents(container, "minute")) == 10
    found = await analytics(container).statistics(START, START + 10 * MINUTE)
    assert [slot.handled for slot in found.slots] == [
        sum(at // 60 == minute for at in times) for minute in range(10)
    ]


async def test_what_is_counted_while_a_save_waits_is_in_the_next_one() -> None:
    class Slow(Watched):
        async def passes(self, body: Body, write: Callable[[], Awaitable[Document]]) -> Document:
            await asyncio.sleep(0)
            document = await write()
            await asyncio.sleep(0)
            return document

    container = Slow()
    keeper = RollupKeeper(container, writer="w")
    keeper.count(map(SpanLog.of, [told("message:completed")]))
    saving = asyncio.create_task(keeper.save())
    await asyncio.sleep(0)
    keeper.count(map(SpanLog.of, [told("message:completed", at=1)]))
    await saving
    await keeper.save()
    assert await counted(container, "minute") == await counted(container, "hour") == 2


async def test_what_is_counted_for_an_old_minute_while_a_save_ends_is_not_forgotten() -> None:
    late = [told("message:completed", at=0), told("message:completed", at=300)]

    class Busy(Watched):
        async def passes(self, body: Body, write: Callable[[], Awaitable[Document]]) -> Document:
            if body["bucket"] == START // NS + 300:
                keeper.count(map(SpanLog.of, late))
                late.clear()
            return await write()

    container = Busy()
    keeper = RollupKeeper(container, writer="w")
    keeper.count(SpanLog.of(told("message:completed", at=60 * minute)) for minute in range(6))
    await keeper.save()
    await keeper.save()
    assert await counted(container, "minute") == await counted(container, "hour") == 8


async def test_of_two_saves_at_once_the_later_counts_stay() -> None:
    class FirstIsSlow(Watched):
        """Does the first write only when it is let go."""

        def __init__(self) -> None:
            super().__init__()
            self.lets_go = asyncio.Event()
            self.writes = 0

        async def passes(self, body: Body, write: Callable[[], Awaitable[Document]]) -> Document:
            self.writes += 1
            if self.writes == 1:
                await self.lets_go.wait()
            return await write()

    container = FirstIsSlow()
    keeper = RollupKeeper(container, writer="w")
    keeper.count(map(SpanLog.of, [told("message:completed")]))
    one = asyncio.create_task(keeper.save())
    await asyncio.sleep(0)
    keeper.count(map(SpanLog.of, [told("message:completed", at=1)]))
    other = asyncio.create_task(keeper.save())
    for _ in range(5):
        await asyncio.sleep(0)
    container.lets_go.set()
    await asyncio.gather(one, other)
    await keeper.save()
    assert await counted(container, "minute") == await counted(container, "hour") == 2


async def test_a_save_that_is_cancelled_is_made_good_by_the_next() -> None:
    class Hanging(Watched):
        hangs = True

        async def passes(self, body: Body, write: Callable[[], Awaitable[Document]]) -> Document:
            if self.hangs:
                await asyncio.Event().wait()
            return await write()

    container = Hanging()
    keeper = RollupKeeper(container, writer="w")
    keeper.count(map(SpanLog.of, [told("message:completed")]))
    saving = asyncio.create_task(keeper.save())
    await asyncio.sleep(0)
    saving.cancel()
    await asyncio.gather(saving, return_exceptions=True)
    container.hangs = False
    await keeper.save()
    assert await counted(container, "minute") == 1


async def test_a_rollup_that_the_store_refuses_does_not_keep_others_from_being_saved() -> None:
    class Refusing(Watched):
        async def passes(self, body: Body, write: Callable[[], Awaitable[Document]]) -> Document:
            if body["bucket"] == START // NS and body["resolution"] == "minute":
                raise DocumentTooLarge("for good")
            return await write()

    container = Refusing()
    keeper = RollupKeeper(container, writer="w")
    refused = 0
    for minute in range(20):
        keeper.count(map(SpanLog.of, [told("message:completed", at=60 * minute)]))
        try:
            await keeper.save()
        except DocumentTooLarge:
            refused += 1
    assert await counted(container, "minute") == 19
    assert await counted(container, "hour") == 20
    # It is tried again for as long as its minute is one of the latest.
    assert 1 < refused <= KEPT_BUCKETS + 1


# Statistics against a count of the events


@dataclass
class Count:
    """A count of messages, made from events alone."""

    handled: int = 0
    failed: int = 0
    dead_letters: int = 0
    retried: int = 0
    durations: list[int] = field(default_factory=list)
    waits: list[int] = field(default_factory=list)

    def add(self, each: Event) -> None:
        if each.type in HANDLED:
            self.handled += 1
            self.failed += each.type == "message:failed"
            if each.duration_ns is not None:
                self.durations.append(each.duration_ns)
        self.dead_letters += each.type == "message:dead_lettered"
        self.retried += each.type == "message:retried"
        if each.type == "queue:dequeued" and each.attempt == 1 and each.duration_ns is not None:
            self.waits.append(each.duration_ns)

    def agrees(self, row: Row) -> None:
        """Assert that a row says the same."""
        assert (row.handled, row.failed) == (self.handled, self.failed)
        assert (row.dead_letters, row.retried) == (self.dead_letters, self.retried)
        assert row.failure_rate == (self.failed / self.handled if self.handled else 0.0)
        for share, found, durations in (
            (0.5, row.p50, self.durations),
            (0.95, row.p95, self.durations),
            (0.99, row.p99, self.durations),
            (0.5, row.waiting_p50, self.waits),
            (0.95, row.waiting_p95, self.waits),
        ):
            near(found, durations, share)


def near(found: int | None, durations: list[int], share: float) -> None:
    """Assert that a percentile is within an eighth of the exact one."""
    if not durations:
        assert found is None
        return
    exact = sorted(durations)[max(1, math.ceil(share * len(durations))) - 1] // 1_000
    assert found is not None
    assert abs(found // 1_000 - exact) <= exact / 8


def agree(found: Statistics, events: Sequence[Event]) -> None:
    """Assert that statistics are what a count of the events in their range gives."""
    events = [each for each in events if found.from_ns <= each.time_ns < found.to_ns]
    messages = [each for each in events if each.actor is not None]
    assert found.events == len(events)
    total: Count = Count()
    by_type: defaultdict[str, Count] = defaultdict(Count)
    by_message: defaultdict[tuple[str, str], Count] = defaultdict(Count)
    for each in messages:
        kind = type_of(each.actor)
        for count in (total, by_type[kind], by_message[kind, each.name or ""]):
            count.add(each)
    total.agrees(found.total)
    for row in found.actor_types:
        by_type.pop(row.actor_type).agrees(row)
    for row in found.message_types:
        assert row.message_type is not None
        by_message.pop((row.actor_type, row.message_type)).agrees(row)
    # What is not listed did nothing that is counted.
    assert all(count == Count() for count in (*by_type.values(), *by_message.values()))
    for rows in (found.actor_types, found.message_types):
        assert [row.handled for row in rows] == sorted((row.handled for row in rows), reverse=True)
    slots_agree(found, messages)
    groups_agree(found, messages)
    sent = Counter(
        (type_of(each.peer), type_of(each.actor))
        for each in messages
        if each.type == "queue:enqueued" and each.peer is not None
    )
    assert {(edge.source, edge.target): edge.messages for edge in found.edges} == sent
    assert [edge.messages for edge in found.edges] == sorted(sent.values(), reverse=True)


def slots_agree(found: Statistics, messages: Sequence[Event]) -> None:
    """Assert that the slots tile the range, and hold what happened in them."""
    length = found.slot_seconds * NS
    assert [slot.start_ns for slot in found.slots] == list(
        range(found.from_ns, found.to_ns, length)
    )
    for slot in found.slots:
        within = Count()
        for each in messages:
            if slot.start_ns <= each.time_ns < slot.start_ns + length:
                within.add(each)
        assert (slot.handled, slot.failed) == (within.handled, within.failed)
        latencies: dict[int, int] = {}
        for duration in within.durations:
            histogram.merge(latencies, {histogram.bucket_of(duration // 1_000): 1})
        assert slot.latencies == latencies
        for share, percentile in ((0.5, slot.p50), (0.95, slot.p95), (0.99, slot.p99)):
            near(percentile, within.durations, share)


def groups_agree(found: Statistics, messages: Sequence[Event]) -> None:
    """Assert that failures that are alike are counted together, over all and over time."""
    by_print: defaultdict[str, list[Event]] = defaultdict(list)
    for each in messages:
        if each.fingerprint is not None:
            by_print[each.fingerprint].append(each)
    assert {group.fingerprint for group in found.groups} == by_print.keys()
    last = [group.last_ns for group in found.groups]
    assert last == sorted(last, reverse=True)
    for group in found.groups:
        alike = by_print[group.fingerprint]
        failed = [each for each in alike if each.type == "message:failed"]
        assert group.failures == len(failed)
        assert group.dead_letters == len(alike) - len(failed)
        assert group.first_ns == min(micros(each) for each in alike)
        assert group.last_ns == max(micros(each) for each in alike)
        assert (group.trace_id, group.span_id) in {
            (each.trace_id, each.span_id) for each in alike if micros(each) == group.last_ns
        }
        assert (group.error_type, group.actor_type, group.message_type) == (
            alike[0].error_type,
            type_of(alike[0].actor),
            alike[0].name or "",
        )
        assert group.sparkline == tuple(
            sum(
                slot.start_ns <= each.time_ns < slot.start_ns + found.slot_seconds * NS
                for each in failed
            )
            for slot in found.slots
        )


def micros(each: Event) -> int:
    return each.time_ns // 1_000 * 1_000


def type_of(actor: str | None) -> str:
    return (actor or "").partition("/")[0]


ACTORS = st.sampled_from(["Order/1", "Order/2", "Stock/1", "Loan/a/b"])
EVENTS = st.lists(
    st.builds(
        told,
        st.sampled_from(
            [
                *("queue:enqueued", "queue:dequeued", "message:completed", "message:completed"),
                *("message:failed", "message:retried", "message:dead_lettered", "message:started"),
                *("workflow:failed", "activity:failed"),
            ]
        ),
        st.integers(0, 4 * 3_600) | st.floats(0, 300),
        actor=ACTORS | st.none(),
        name=st.sampled_from(["place", "reserve"]) | st.none(),
        error=st.sampled_from(["Boom", "Bang"]),
        peer=ACTORS | st.none(),
        span=st.integers(1, 20),
        attempt=st.integers(1, 3),
        duration_ns=st.none() | st.integers(0, 10**4) | st.integers(0, 10**11),
    ),
    max_size=60,
)
ANSWERS = st.lists(st.sampled_from(["done", "done", "lost", "unseen"]), max_size=30)


@settings(deadline=None)
@given(
    EVENTS,
    ANSWERS,
    st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=60, max_size=60),
    st.tuples(st.integers(0, 4 * HOUR), st.integers(0, 4 * HOUR)),
)
def test_statistics_are_what_a_count_of_the_events_gives(
    events: list[Event],
    answers: list[str],
    told_by: list[tuple[int, bool]],
    ends: tuple[int, int],
) -> None:
    async def main() -> None:
        container = Answers(answers)
        keepers = [RollupKeeper(container, writer=f"w{number}") for number in range(3)]
        for each, (number, saves) in zip(events, told_by, strict=False):
            keepers[number].count(map(SpanLog.of, [each]))
            if saves:
                with suppress(Unavailable):
                    await keepers[number].save()
        for keeper in keepers:
            await save_at_last(keeper)
        asked = analytics(container)
        start, end = sorted(START + at for at in ends)
        for from_ns, to_ns in (
            (start, end),
            (START, START + 5 * MINUTE),
            (START, START + 5 * HOUR),
        ):
            agree(await asked.statistics(from_ns, to_ns), events)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("start", "end", "slots", "seconds"),
    [
        (0, MINUTE, 1, 60),
        (1, MINUTE, 1, 60),
        (1, MINUTE + 1, 2, 60),
        (59 * NS, 61 * NS, 2, 60),
        (0, 0, 1, 60),
        (30 * NS, 30 * NS, 1, 60),
        (0, 3 * HOUR, 180, 60),
        (0, 3 * HOUR + 1, 4, 3_600),
        (1, 3 * HOUR + 1, 181, 60),
        (0, 7 * DAY, 7 * 24, 3_600),
    ],
)
async def test_a_range_is_widened_to_whole_slots_and_may_be_empty(
    start: int, end: int, slots: int, seconds: int
) -> None:
    container = MemoryContainer(TRACE_EVENTS)
    found = await analytics(container).statistics(START + start, START + end)
    assert found.slot_seconds == seconds
    assert len(found.slots) == slots
    assert found.from_ns <= START + start <= START + end <= found.to_ns
    assert found.to_ns - found.from_ns == slots * seconds * NS
    assert (found.events, found.total.handled, found.total.failure_rate) == (0, 0, 0.0)
    assert (found.actor_types, found.message_types, found.groups, found.edges) == ([], [], [], [])
    assert found.total.p50 is found.total.waiting_p95 is None
    assert all(slot.handled == 0 and slot.p50 is None for slot in found.slots)
    agree(found, [])


async def test_no_range_takes_more_slots_than_rollups_are_kept() -> None:
    found = await analytics(MemoryContainer(TRACE_EVENTS)).statistics(0, START)
    assert len(found.slots) == 90 * 24
    assert found.to_ns == START
    backwards = await analytics(MemoryContainer(TRACE_EVENTS)).statistics(START, 0)
    assert len(backwards.slots) == 1


async def test_a_short_range_of_long_ago_is_read_by_the_hour() -> None:
    """Minutes are kept for two days, and hours for ninety."""
    clock = ManualClock(START / NS)
    container = MemoryContainer(TRACE_EVENTS, clock=clock)
    await saved(told("message:completed"), told("message:failed", at=70), container=container)
    asked = TraceAnalytics(container, clock=lambda: int(clock.now * NS))
    found = await asked.statistics(START, START + 15 * MINUTE)
    assert (found.slot_seconds, found.total.handled) == (60, 2)
    for days in (1, 1, 30, 50):
        clock.advance(days * 86_400)
        found = await asked.statistics(START, START + 15 * MINUTE)
        assert (found.total.handled, found.total.failed) == (2, 1)
    assert found.slot_seconds == 3_600
    clock.advance(10 * 86_400)
    assert (await asked.statistics(START, START + 15 * MINUTE)).events == 0


async def test_failures_that_are_alike_are_one_group_whoever_tells_of_them_and_when() -> None:
    times = (50, 10, 70, 5, 69, 11_000, 12, 3_700)
    events = [told("message:failed", at=at, span=at) for at in times]
    container = MemoryContainer(TRACE_EVENTS)
    for number in range(3):
        await saved(*events[number::3], container=container, writer=f"w{number}")
    for hours, last in ((1, 70), (3, 3_700), (4, 11_000)):
        found = await analytics(container).statistics(START, START + hours * HOUR)
        agree(found, events)
        (group,) = found.groups
        assert (group.first_ns, group.last_ns) == (START + 5 * NS, START + last * NS)
        assert group.span_id == f"{last:016x}"


async def test_rollups_are_read_however_many_they_are() -> None:
    container = MemoryContainer(TRACE_EVENTS)
    rollup = rollup_of([told("message:completed")])
    for number in range(1_100):
        bucket = START // NS + number % 100 * 60
        await container.create(rollup.to_document(f"minute-{number}", "minute", bucket))
    found = await analytics(container).statistics(START, START + 100 * MINUTE)
    assert found.total.handled == 1_100
    assert {slot.handled for slot in found.slots} == {11}


async def test_a_group_knows_its_oldest_failure_that_is_still_stored() -> None:
    container = await saved(told("message:failed", at=7_200), told("message:failed", at=7_260))
    asked = analytics(container)
    (group,) = (await asked.statistics(START + 2 * HOUR, START + 3 * HOUR)).groups
    assert group.first_ns == START + 2 * HOUR
    assert await asked.with_first_seen([group]) == [group]
    for number, at in enumerate((5, 3, 9_000)):
        failure = {
            "id": f"f-{number}",
            "trace_id": f"{number:032x}",
            "k": "f",
            "fingerprint": group.fingerprint if at != 3 else "another",
            "failedAt": START // 1_000 + at * 1_000_000,
        }
        await container.create(failure)
    (known,) = await asked.with_first_seen([group])
    assert known.first_ns == START + 5 * NS
    assert known.last_ns == group.last_ns


# Bounds


async def test_actor_types_beyond_the_bound_are_counted_together() -> None:
    events = [
        told(type, actor=f"Type{number}/1", duration_ns=1_000_000)
        for number in range(MAX_CELLS + 50)
        for type in HANDLED
    ]
    container = await saved(*events)
    (document,) = await documents(container, "minute")
    assert len(document.body["cells"]) == MAX_CELLS + 1
    found = await analytics(container).statistics(START, START + MINUTE)
    assert len(found.actor_types) == len(found.message_types) == MAX_CELLS + 1
    assert found.total.handled == len(events)
    others = found.actor_types[0]
    assert (others.actor_type, others.handled, others.failed) == (OTHERS, 100, 50)
    assert found.slots[0].handled == len(events)


async def test_pairs_of_actor_types_beyond_the_bound_are_counted_together() -> None:
    container = await saved(
        *(told("queue:enqueued", peer=f"Type{number}/1") for number in range(MAX_EDGES + 20))
    )
    found = await analytics(container).statistics(START, START + MINUTE)
    assert len(found.edges) == MAX_EDGES + 1
    first = found.edges[0]
    assert (first.source, first.target, first.messages) == (OTHERS, OTHERS, 20)


async def test_groups_of_failures_beyond_the_bound_are_counted_together() -> None:
    events = [
        told(type, at=number / 10, name=f"message{number}")
        for number in range(MAX_GROUPS + 30)
        for type in ("message:failed", "message:dead_lettered")
    ]
    container = await saved(*events)
    (document,) = await documents(container, "minute")
    assert len(document.body["groups"]) == MAX_GROUPS + 1
    found = await analytics(container).statistics(START, START + MINUTE)
    assert len(found.groups) == MAX_GROUPS + 1
    assert sum(group.failures for group in found.groups) == MAX_GROUPS + 30
    others = found.groups[0]
    assert (others.fingerprint, others.error_type, others.actor_type) == (OTHERS, OTHERS, OTHERS)
    assert (others.failures, others.dead_letters, others.sparkline) == (30, 30, (30,))
    assert others.last_ns == events[-1].time_ns


async def test_the_bounds_hold_over_many_writers_and_slots() -> None:
    container = MemoryContainer(TRACE_EVENTS)
    each = 150
    for writer in range(5):
        await saved(
            *(
                told("message:failed", at=60 * writer, actor=f"Type{writer * each + number}/1")
                for number in range(each)
            ),
            container=container,
            writer=f"w{writer}",
        )
    found = await analytics(container).statistics(START, START + 5 * MINUTE)
    assert found.total.failed == 5 * each
    assert len(found.message_types) == MAX_CELLS + 1
    assert len(found.groups) == MAX_GROUPS + 1
    assert sum(group.failures for group in found.groups) == 5 * each
    for group in found.groups:
        assert sum(group.sparkline) == group.failures
    assert [slot.failed for slot in found.slots] == [each] * 5


ROLLUPS = EVENTS.map(lambda events: rollup_of(events))


def rollup_of(events: Iterable[Event]) -> Rollup:
    rollup = Rollup()
    for each in events:
        rollup.add(SpanLog.of(each))
    return rollup


def merged(*parts: Rollup) -> Rollup:
    total = Rollup()
    for part in parts:
        total.merge(part)
    return total


@given(EVENTS)
def test_a_rollup_is_read_back_as_it_was_stored(events: list[Event]) -> None:
    rollup = rollup_of(events)
    assert Rollup.from_document(rollup.to_document("id", "minute", START // NS)) == rollup


@settings(max_examples=50)
@given(ROLLUPS, ROLLUPS, ROLLUPS)
def test_rollups_add_up_in_any_order(one: Rollup, two: Rollup, three: Rollup) -> None:
    assert without_samples(merged(one, two)) == without_samples(merged(two, one))
    left, right = merged(merged(one, two), three), merged(one, merged(two, three))
    assert without_samples(left) == without_samples(right)
    assert merged(one, Rollup()) == one


def without_samples(rollup: Rollup) -> Rollup:
    """Leave out which of several last failures at the same time stands for its group."""
    for group in rollup.groups.values():
        group.trace_id = group.span_id = ""
    return rollup


@given(ROLLUPS, ROLLUPS)
def test_adding_a_rollup_does_not_change_it(one: Rollup, other: Rollup) -> None:
    before = other.to_document("id", "hour", 0)
    total = merged(other, one)
    total.merge(one)
    assert other.to_document("id", "hour", 0) == before
