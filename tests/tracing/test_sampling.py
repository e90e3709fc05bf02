"""Sampling: a share of all traces, every one in which something fails, and counts of the rest."""

from __future__ import annotations

import asyncio
import math
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from actors import Actor, NonRetryable, activity, handler
from storage import Query
from storage.memory import MemoryContainer
from tests.actors.world import FAST, World
from tests.builders import event, remembering_writer, trace_writer
from tests.cosmos_server import ROOT
from tracing import (
    Event,
    FailureOutcome,
    Sampler,
    TraceAnalytics,
    TraceContext,
    TraceReader,
    TraceWriter,
)
from tracing import hold as hold_module
from tracing import recorder as recorder_module
from tracing.containers import FAILURE, SEGMENT, SUMMARY, TRACE_EVENTS
from tracing.hold import PROMOTING, Hold
from tracing.promotions import Promotions
from tracing.registry import BY_CODE, CODES, REGISTRY
from tracing.sink import TraceSink
from tracing.spanlog import SpanLog

START = event("message:started").time_ns
IDS = st.integers(0, 2**128 - 1).map(lambda number: f"{number:032x}")
RATES = st.floats(0, 1)


def random_ids(count: int, seed: int = 7) -> list[str]:
    source = random.Random(seed)
    return [f"{source.getrandbits(128):032x}" for _ in range(count)]


# Which traces are kept


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5, 0.99])
def test_about_its_share_is_kept(rate: float) -> None:
    sampler, ids = Sampler(rate), random_ids(50_000)
    kept = sum(map(sampler.keeps, ids))
    deviation = math.sqrt(len(ids) * rate * (1 - rate))
    assert abs(kept - rate * len(ids)) < 4 * deviation


def test_all_or_nothing_is_kept_when_asked_for() -> None:
    ids = [*random_ids(1_000), "0" * 32, "f" * 32]
    assert Sampler().keeps_all
    assert all(map(Sampler().keeps, ids))
    assert not any(map(Sampler(0.0).keeps, ids))


@given(IDS, RATES, RATES)
def test_what_is_kept_at_a_rate_is_kept_at_every_higher_one(
    trace_id: str, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    assert Sampler(high).keeps(trace_id) >= Sampler(low).keeps(trace_id)


@given(IDS, IDS, RATES)
def test_the_last_56_bits_alone_decide(trace_id: str, other: str, rate: float) -> None:
    sampler = Sampler(rate)
    assert sampler.keeps(trace_id) == sampler.keeps(other[:18] + trace_id[18:])


def test_every_process_keeps_the_same_traces() -> None:
    code = (
        "import sys\n"
        "from tracing.sampling import Sampler\n"
        "sampler = Sampler(0.3, {'pay': 0.6})\n"
        "for line in sys.stdin:\n"
        "    print(int(sampler.keeps(line.strip())), int(sampler.keeps(line.strip(), 'pay')))\n"
    )
    ids = random_ids(500)
    sampler = Sampler(0.3, {"pay": 0.6})
    expected = [[str(int(sampler.keeps(each, name))) for name in (None, "pay")] for each in ids]
    for seed in ("0", "1"):
        answer = subprocess.run(
            [sys.executable, "-c", code],
            input="\n".join(ids),
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert [line.split() for line in answer.stdout.splitlines()] == expected


def test_a_rate_may_be_set_by_name() -> None:
    sampler = Sampler(0.0, {"pay": 1.0})
    ids = random_ids(100)
    assert all(sampler.keeps(each, "pay") for each in ids)
    assert not any(sampler.keeps(each, "place") for each in ids)
    assert not any(sampler.keeps(each) for each in ids)
    writer = trace_writer(MemoryContainer(TRACE_EVENTS), sampler=sampler)
    assert writer.create_root_trace("pay").sampled
    assert not writer.create_root_trace("place").sampled
    assert not writer.create_root_trace().sampled
    assert writer.create_root_trace("place", sampled=True).sampled


@pytest.mark.parametrize("rate", [-0.1, 1.1, math.nan, math.inf])
def test_what_is_no_share_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="share from 0 to 1"):
        Sampler(rate)
    with pytest.raises(ValueError, match="share from 0 to 1"):
        Sampler(rates={"pay": rate})


# What continues a trace


def test_a_child_has_its_parents_flag_whatever_the_rate() -> None:
    for rate, sampled in ((1.0, False), (0.0, True)):
        writer = trace_writer(MemoryContainer(TRACE_EVENTS), sampler=Sampler(rate))
        span = writer.create_root_trace(sampled=sampled)
        for _ in range(5):
            child = writer.create_child_span(span)
            assert (child.sampled, child.trace_id) == (sampled, span.trace_id)
            assert child.parent_span_id == span.span_id
            span = child


@pytest.mark.parametrize("flags", ["00", "01", "02", "03"])
def test_the_flag_of_a_callers_traceparent_is_honoured(flags: str) -> None:
    caller = TraceContext.from_traceparent(f"00-{random_ids(1)[0]}-00f067aa0ba902b7-{flags}")
    assert caller is not None
    for rate in (0.0, 1.0):
        writer = trace_writer(MemoryContainer(TRACE_EVENTS), sampler=Sampler(rate))
        child = writer.create_child_span(caller)
        assert child.sampled == (flags in ("01", "03"))
        assert child.traceparent().endswith("-01" if child.sampled else "-00")


async def test_what_follows_a_failure_in_an_unsampled_trace_is_sampled() -> None:
    writer = trace_writer(MemoryContainer(TRACE_EVENTS), sampler=Sampler(0.0))
    root = writer.create_root_trace()
    writer.emit(of(root, "message:failed"))
    await writer.flush()
    assert writer.create_child_span(root).sampled
    assert not writer.create_child_span(writer.create_root_trace()).sampled
    await writer.close()


# Hold


def unsampled(type: str, trace: int, at: int = 0) -> SpanLog:
    return SpanLog.of(unsampled_event(type, trace, at))


def unsampled_event(type: str, trace: int, at: int = 0) -> Event:
    error = "Boom" if REGISTRY[type].failed else None
    told = event(type, trace * 1_000 + at, trace=f"{trace:032x}", at=at, error_type=error)
    return replace(told, sampled=False)


def name(trace: int) -> str:
    return f"{trace:032x}"


def test_what_led_to_a_failure_comes_back_in_order_and_what_follows_at_once() -> None:
    hold = Hold(seconds=60, max_events=100)
    before = [unsampled("message:started", 1, at) for at in range(5)]
    for at, told in enumerate(before):
        assert hold.add(told, now=float(at)) == ()
        assert hold.add(unsampled("message:started", 2, at), now=float(at)) == ()
    failed = unsampled("message:failed", 1, 5)
    assert list(hold.add(failed, now=5.0)) == [*before, failed]
    assert hold.is_promoted(name(1))
    assert not hold.is_promoted(name(2))
    assert hold.size == 5
    after = unsampled("message:completed", 1, 6)
    assert list(hold.add(after, now=6.0)) == [after]
    assert (hold.size, hold.passed, hold.overflowed) == (5, 0, 0)


def test_every_type_that_reports_a_failure_promotes_its_trace() -> None:
    failed = {type for type, kind in REGISTRY.items() if kind.failed}
    promoting = {BY_CODE[code].name for code in PROMOTING}
    assert {*failed, "activity:retried"} <= promoting
    usual = {"workflow:started", "workflow:completed", "http:request", "message:sent"}
    assert not promoting & {*usual, *ENDINGS["completes"]}
    for type in REGISTRY:
        hold = Hold(seconds=60, max_events=100)
        hold.add(unsampled("message:started", 1), now=0.0)
        kept = hold.add(unsampled(type, 1, 1), now=0.0)
        assert len(kept) == (2 if type in promoting else 0)
        assert hold.is_promoted(name(1)) == (type in promoting)


def test_a_trace_is_let_go_when_its_first_event_was_held_long_enough() -> None:
    hold = Hold(seconds=60, max_events=100)
    hold.add(unsampled("message:started", 1), now=0.0)
    hold.add(unsampled("message:started", 2), now=30.0)
    hold.add(unsampled("message:started", 1, 1), now=59.0)
    hold.expire(59.9)
    assert hold.size == 3
    hold.expire(60.0)
    assert (hold.size, hold.passed) == (1, 2)
    # What comes after that is held anew, and what it led to is no longer known.
    late = unsampled("message:started", 1, 2)
    assert hold.add(late, now=61.0) == ()
    hold.expire(90.0)
    assert (hold.size, hold.passed) == (1, 3)
    failed = unsampled("message:failed", 1, 3)
    assert list(hold.add(failed, now=91.0)) == [late, failed]


def test_a_full_hold_lets_the_oldest_traces_go() -> None:
    hold = Hold(seconds=60, max_events=10)
    for trace in range(4):
        for at in range(3):
            hold.add(unsampled("message:started", trace, at), now=float(trace))
    assert (hold.size, hold.overflowed, hold.passed) == (9, 3, 0)
    assert len(hold.add(unsampled("message:failed", 0, 9), now=5.0)) == 1
    assert len(hold.add(unsampled("message:failed", 3, 9), now=5.0)) == 4


def test_one_trace_larger_than_the_hold_does_not_fill_it() -> None:
    hold = Hold(seconds=60, max_events=10)
    for at in range(100):
        hold.add(unsampled("message:started", 1, at), now=0.0)
        assert hold.size <= 10
    assert hold.size + hold.overflowed == 100


def test_a_trace_that_others_promoted_comes_back_whole() -> None:
    hold = Hold(seconds=60, max_events=10)
    held = [unsampled("message:started", 1, at) for at in range(3)]
    for told in held:
        hold.add(told, now=0.0)
    assert list(hold.promote(name(1))) == held
    assert list(hold.promote(name(1))) == []
    assert list(hold.promote(name(2))) == []
    after = unsampled("message:started", 2)
    assert list(hold.add(after, now=0.0)) == [after]
    assert hold.size == 0


def test_promoted_traces_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold_module, "MAX_PROMOTED", 3)
    hold = Hold(seconds=60, max_events=10)
    for trace in range(5):
        hold.add(unsampled("message:failed", trace), now=0.0)
    assert [hold.is_promoted(name(trace)) for trace in range(5)] == [False, False, True, True, True]
    # Its next failure promotes it again.
    assert hold.add(unsampled("message:started", 0, 1), now=0.0) == ()
    assert len(hold.add(unsampled("message:failed", 0, 2), now=0.0)) == 2


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["add", "add", "add", "fail", "promote", "expire"]),
            st.integers(0, 5),
        ),
        max_size=80,
    )
)
def test_a_hold_accounts_for_every_event_and_keeps_its_bound(steps: list[tuple[str, int]]) -> None:
    hold = Hold(seconds=10, max_events=6)
    given_in = given_out = 0
    for now, (step, trace) in enumerate(steps):
        if step == "expire":
            hold.expire(float(now))
        elif step == "promote":
            given_out += len(hold.promote(name(trace)))
        else:
            type = "message:failed" if step == "fail" else "message:started"
            given_in += 1
            given_out += len(hold.add(unsampled(type, trace, now), float(now)))
        assert 0 <= hold.size <= 6
        assert given_in == given_out + hold.size + hold.passed + hold.overflowed


# A writer


def of(
    context: TraceContext, type: str, *, at: int = 0, attempt: int = 1, actor: str = "Order/1"
) -> Event:
    """Return an event of a span, `at` milliseconds after the start."""
    failed = REGISTRY[type].failed or type == "activity:retried"
    return Event(
        type,
        context.trace_id,
        context.span_id,
        context.parent_span_id,
        START + at * 1_000_000,
        actor,
        "place",
        attempt,
        duration_ns=2_000_000 if type in ("message:completed", "message:failed") else None,
        error_type="Boom" if failed else None,
        fingerprint="b00" if failed else None,
        sampled=context.sampled,
    )


ENDINGS = {
    "completes": ("message:completed",),
    "recovers": ("message:failed", "message:retried", "message:started", "message:completed"),
    "dies": ("message:failed", "message:dead_lettered"),
    "loses an activity": (
        "activity:scheduled",
        "activity:started",
        "activity:failed",
        "message:completed",
    ),
    "retries an activity": (
        "activity:scheduled",
        "activity:started",
        "activity:retried",
        "activity:started",
        "activity:completed",
        "message:completed",
    ),
}


def story(
    writer: TraceWriter, ending: str, at: int, *, below: TraceContext | None = None
) -> list[Event]:
    """Return the events of a run of one message, in a trace of its own or below another span."""
    root = writer.create_root_trace("place") if below is None else writer.create_child_span(below)
    message = writer.create_child_span(root)
    work = writer.create_child_span(message)
    types = (
        *("workflow:started", "queue:enqueued", "queue:dequeued", "message:started"),
        *ENDINGS[ending],
        "workflow:failed" if ending == "dies" else "workflow:completed",
    )
    told: list[Event] = []
    attempt = 1
    for number, type in enumerate(types):
        if type.startswith("activity:"):
            context = work
        else:
            context = root if type.startswith("workflow:") else message
        attempt += type == "message:started" and "message:failed" in types[:number]
        told.append(of(context, type, at=at + number, attempt=attempt))
    return told


def interleaved(stories: Iterable[Sequence[Event]], seed: int = 7) -> list[Event]:
    """Return all events, each story's in order, as many workers would tell of them."""
    source = random.Random(seed)
    left = [list(reversed(each)) for each in stories]
    mixed = []
    while left:
        at = source.randrange(len(left))
        mixed.append(left[at].pop())
        if not left[at]:
            left[at] = left[-1]
            left.pop()
    return mixed


def as_stored(events: Iterable[Event]) -> list[Event]:
    return sorted((replace(each, sampled=True) for each in events), key=lambda each: each.time_ns)


async def read(container: MemoryContainer, trace_id: str) -> list[Event]:
    trace = await TraceReader(container).get_trace(trace_id)
    return [] if trace is None else trace.events


async def kinds_of(container: MemoryContainer, trace_id: str) -> set[str]:
    """Return which kinds of document are stored of a trace."""
    page = await container.query(Query(partition=trace_id))
    return {document.body["k"] for document in page.documents}


async def test_every_failing_trace_is_stored_whole_and_the_others_are_counted() -> None:
    container = MemoryContainer(TRACE_EVENTS)
    source = random.Random(7)
    writer = trace_writer(
        container,
        sampler=Sampler(0.01),
        new_id=lambda length: f"{source.getrandbits(8 * length):0{2 * length}x}",
    )
    # One in five fails: first or last, in each of the ways.
    plan = [tuple(ENDINGS)[1 + n // 5 % 4] if n % 5 == 0 else "completes" for n in range(1_000)]
    stories = [story(writer, ending, at=10 * n) for n, ending in enumerate(plan)]
    for number, told in enumerate(interleaved(stories)):
        writer.emit(told)
        if not number % 1_000:
            await writer.flush()
    await writer.close()

    sampled = [each[0].sampled for each in stories]
    assert 0 < sum(sampled) < 40
    for ending, kept, each in zip(plan, sampled, stories, strict=True):
        trace_id = each[0].trace_id
        if ending == "completes" and not kept:
            assert await kinds_of(container, trace_id) == set()
            continue
        assert await read(container, trace_id) == as_stored(each)
        documents = {SEGMENT, SUMMARY} | ({FAILURE} if ending in ("recovers", "dies") else set())
        assert await kinds_of(container, trace_id) == documents

    failing = [(ending, each) for ending, each in zip(plan, stories, strict=True) if ending != "c"]
    failed = {each[1].span_id: ending for ending, each in failing if ending in ("recovers", "dies")}
    page = await TraceReader(container).find_failures(limit=1_000)
    assert {failure.span_id: failure.outcome for failure in page.failures} == {
        span: FailureOutcome.RECOVERED if ending == "recovers" else FailureOutcome.DEAD_LETTERED
        for span, ending in failed.items()
    }
    assert len(page.failures) == 100

    stats = writer.stats()
    promoted = sum(
        not kept for ending, kept in zip(plan, sampled, strict=True) if ending != plan[1]
    )
    assert stats.promoted == promoted
    assert stats.dropped == {}

    statistics = await TraceAnalytics(container, clock=lambda: START).statistics(
        START, START + 60_000_000_000
    )
    events = [told for each in stories for told in each]
    assert statistics.events == len(events)
    assert statistics.total.handled == sum(told.type == "message:completed" for told in events) + (
        statistics.total.failed
    )
    assert statistics.total.failed == sum(told.type == "message:failed" for told in events) == 100
    assert statistics.total.dead_letters == plan.count("dies") == 50
    (group,) = statistics.groups
    assert (group.failures, group.dead_letters) == (100, 50)


async def test_a_promoted_trace_says_since_when_it_is_kept_and_a_sampled_one_does_not() -> None:
    container = MemoryContainer(TRACE_EVENTS)
    clock = iter(range(START, START + 10**12, 1_000_000))
    writer = trace_writer(container, clock=lambda: next(clock))
    contexts = [writer.create_root_trace(sampled=sampled) for sampled in (False, True)]
    for context in contexts:
        for type in ("message:started", "message:failed", "message:completed"):
            writer.emit(of(context, type, at=3, attempt=2))
    await writer.close()
    reader = TraceReader(container)
    summaries = {each.trace_id: each for each in (await reader.find_traces()).traces}
    promoted, sampled = (summaries[context.trace_id] for context in contexts)
    assert promoted.promoted_ns is not None
    assert START <= promoted.promoted_ns < START + 10**12
    assert sampled.promoted_ns is None
    for context, notices in zip(contexts, (1, 0), strict=True):
        trace = await reader.get_trace(context.trace_id)
        assert trace is not None
        assert len(trace.notices) == notices
        assert trace.summary == summaries[context.trace_id]


UNSAMPLED = st.lists(
    st.builds(unsampled_event, st.sampled_from(sorted(REGISTRY)), st.integers(0, 3)),
    max_size=40,
).map(lambda told: [replace(e, time_ns=START + n * 1_000) for n, e in enumerate(told)])


@settings(deadline=None)
@given(UNSAMPLED, st.sets(st.integers(0, 40)))
def test_any_failure_keeps_all_of_its_trace_and_of_no_other(
    told: list[Event], flushes: set[int]
) -> None:
    container = MemoryContainer(TRACE_EVENTS)

    async def main() -> None:
        writer = trace_writer(container)
        for number, each in enumerate(told):
            writer.emit(each)
            if number in flushes:
                await writer.flush()
        await writer.close()
        by_trace: defaultdict[str, list[Event]] = defaultdict(list)
        for each in told:
            by_trace[each.trace_id].append(each)
        kept = 0
        for trace_id, events in by_trace.items():
            if any(CODES[each.type] in PROMOTING for each in events):
                assert await read(container, trace_id) == as_stored(events)
                kept += len(events)
            else:
                assert await kinds_of(container, trace_id) == set()
        stats = writer.stats()
        assert (stats.events_written, stats.held) == (kept, len(told) - kept)

    asyncio.run(main())


async def test_what_nothing_failed_in_is_let_go_in_time() -> None:
    writer = trace_writer(
        MemoryContainer(TRACE_EVENTS), sampler=Sampler(0.0), flush_interval=0.01, hold_seconds=0
    )
    writer.start()
    for told in story(writer, "completes", at=0):
        writer.emit(told)
    await until(lambda: writer.stats().unsampled == 6)
    assert writer.stats().held == 0
    await writer.close()
    assert writer.stats().events_written == 0


async def until(condition: Callable[[], bool]) -> None:
    """Wait until it holds; fail after a time that no correct run needs."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


# Two writers


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have writers look around as often as they can."""
    monkeypatch.setattr(recorder_module, "POLL_SECONDS", 0.01)


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("first_fails", [False, True])
async def test_a_writer_that_holds_half_of_a_trace_stores_it_when_another_keeps_the_trace(
    first_fails: bool,
) -> None:
    container = MemoryContainer(TRACE_EVENTS)
    one, other = (
        trace_writer(container, sampler=Sampler(0.0), flush_interval=0.01) for _ in range(2)
    )
    one.start()
    other.start()
    told = story(one, "dies", at=0)
    quiet = story(one, "completes", at=0)
    halves = (told[:4], told[4:])
    for writer, half in zip((other, one) if first_fails else (one, other), halves, strict=True):
        for each in half:
            writer.emit(each)
    for number, each in enumerate(quiet):
        (one, other)[number % 2].emit(each)
    await until(lambda: one.stats().held + other.stats().held == len(quiet))
    await one.close()
    await other.close()
    assert await read(container, told[0].trace_id) == as_stored(told)
    assert await kinds_of(container, quiet[0].trace_id) == set()
    summaries = (await TraceReader(container).find_traces()).traces
    assert [each.events for each in summaries] == [len(told)]
    assert summaries[0].promoted_ns is not None
    assert one.stats().promoted + other.stats().promoted == 1


@pytest.mark.usefixtures("often")
async def test_what_a_writer_hears_of_a_trace_after_another_kept_it_is_stored_too() -> None:
    container = MemoryContainer(TRACE_EVENTS)
    one, other = (
        trace_writer(container, sampler=Sampler(0.0), flush_interval=0.01) for _ in range(2)
    )
    one.start()
    other.start()
    told = story(one, "dies", at=0)
    for each in told[:5]:
        one.emit(each)
    await until(lambda: one.stats().events_written == 5)
    # It was promoted before the other had anything to ask about.
    for each in told[5:6]:
        other.emit(each)
    await until(lambda: other.stats().events_written == 1)
    for each in told[6:]:
        other.emit(each)
    await one.close()
    await other.close()
    assert await read(container, told[0].trace_id) == as_stored(told)


@pytest.mark.usefixtures("often")
async def test_two_writers_that_both_see_a_failure_keep_the_trace_once() -> None:
    container = MemoryContainer(TRACE_EVENTS)
    writers = [trace_writer(container, sampler=Sampler(0.0)) for _ in range(2)]
    root = writers[0].create_root_trace()
    told, again = (
        story(writer, "recovers", at=at, below=root)
        for writer, at in zip(writers, (0, 50), strict=True)
    )
    for writer, events in zip(writers, (told, again), strict=True):
        for each in events:
            writer.emit(each)
        await writer.close()
    assert await read(container, told[0].trace_id) == as_stored([*told, *again])
    (summary,) = (await TraceReader(container).find_traces()).traces
    assert (summary.events, summary.errors) == (len(told) * 2, 2)


async def test_a_promotion_is_heard_of_however_long_its_writer_had_to_wait_for_the_store() -> None:
    """After an outage a writer may pause for longer than the others, who ask meanwhile."""
    container, now = MemoryContainer(TRACE_EVENTS), [START]
    promotions = Promotions(container, clock=lambda: now[0], since_seconds=60)
    sink = TraceSink(container, writer="w")
    batch = sink.batch([unsampled("message:failed", 1)], promoted_ns=now[0])
    now[0] += int(recorder_module.LONGEST_PAUSE * 1e9)
    assert await promotions.latest() == []
    await sink.store(batch)
    assert await promotions.latest() == [name(1)]


# Actors


class Refused(NonRetryable):
    pass


tries: defaultdict[str, int] = defaultdict(int)


@activity
async def weigh(what: str, idempotency_key: str) -> int:
    tries[idempotency_key] += 1
    if what == "slips" and tries[idempotency_key] == 1:
        raise ValueError("only the first time")
    return 1


class Scales(Actor):
    @handler
    async def put(self, payload: dict[str, str]) -> None:
        await self.call_activity(weigh, what=payload["what"])
        if payload["what"] == "refused":
            raise Refused("always")
        if payload["what"] == "stumbles":
            tries[self.actor_id] += 1
            if tries[self.actor_id] == 1:
                raise ValueError("only the first time")
        self.update_state(what=payload["what"])


class Sampled(World):
    """A world that keeps one trace in a hundred, and remembers all events."""

    def __init__(self) -> None:
        super().__init__()
        self.writer = remembering_writer(self.traces, Sampler(0.01))
        self.store = type(self.store)()
        self.runtime = self.new_runtime()


async def test_actors_that_fail_are_traced_whole_at_any_rate() -> None:
    tries.clear()
    world = Sampled()
    kinds = ["fine"] * 7 + ["slips", "stumbles", "refused"]
    sent = {}
    async with world.serve(Scales, retry_policy=FAST):
        for number in range(100):
            kind = kinds[number % 10]
            message = await world.send(f"Scales/{number}", "put", {"what": kind})
            assert message.trace is not None
            sent[message.trace.trace_id] = kind
        await world.settled()
    await world.writer.close()
    told: defaultdict[str, list[Event]] = defaultdict(list)
    for found in world.writer.emitted:
        told[found.trace_id].append(found)
    assert told.keys() == sent.keys()
    stored = {each for each in sent if await kinds_of(world.traces, each)}
    assert {each for each, kind in sent.items() if kind != "fine"} <= stored
    assert len(stored) < 50
    for trace_id in stored:
        assert await read(world.traces, trace_id) == as_stored(told[trace_id])
    page = await TraceReader(world.traces).find_failures(limit=100)
    outcomes = [(sent[failure.trace_id], failure.outcome) for failure in page.failures]
    assert sorted(outcomes) == [
        *[("refused", FailureOutcome.DEAD_LETTERED)] * 10,
        *[("stumbles", FailureOutcome.RECOVERED)] * 10,
    ]
