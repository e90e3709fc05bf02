"""Any interleaving of writers, crashes, retries and ambiguous time-outs gives exactly the summary
that a recount of the events gives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import permutations
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from storage import Document, DocumentTooLarge, Query, StorageError, Unavailable, Write
from storage.container import Body, Page
from storage.memory import MemoryContainer
from storage.writes import one_write
from tests.builders import TRACE, event, trace_writer
from tracing import Event, FailureOutcome, Ref, RefKind, TraceReader
from tracing import recorder as recorder_module
from tracing import segment as segments
from tracing.containers import FAILURE, SEGMENT, SUMMARY, TRACE_EVENTS
from tracing.failure import Failure, failures_in
from tracing.intent import ABANDONED_SECONDS, Intent, recount, repair_abandoned
from tracing.registry import REGISTRY
from tracing.sink import MAX_HELD_EVENTS, Batch, TraceSink
from tracing.spanlog import logs_of
from tracing.tally import Tally

START = 1_800_000_000_000_000_000
SECOND = 1_000_000_000
TRACES = tuple(f"{number:032x}" for number in (1, 2))


class Fate(Enum):
    """What becomes of a call to the store."""

    HAPPENS = "it happens, and its answer arrives"
    LOST = "it fails before it happened"
    UNSEEN = "it happens, and its answer is lost"


class Waiting:
    """Awaited by a call to the store: whoever drives the coroutine sends in the call's fate."""

    def __await__(self) -> Generator[None, Fate, Fate]:
        return (yield)


class Gate:
    """A container in which every single call waits for its fate."""

    spec = TRACE_EVENTS

    def __init__(self, container: MemoryContainer) -> None:
        self._container = container

    async def _call(self, call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        fate = await Waiting()
        if fate is Fate.LOST:
            raise Unavailable("lost before")
        try:
            result = await call()
        except StorageError:
            if fate is Fate.HAPPENS:
                raise
        else:
            if fate is Fate.HAPPENS:
                return result
        raise Unavailable("lost after")

    async def create(self, body: Body) -> Any:
        return await self._call(lambda: self._container.create(body))

    async def read(self, id: str, partition: str) -> Any:
        return await self._call(lambda: self._container.read(id, partition))

    async def read_many(self, keys: Sequence[tuple[str, str]]) -> Any:
        return await self._call(lambda: self._container.read_many(keys))

    async def replace(self, body: Body, *, if_etag: str) -> Any:
        return await self._call(lambda: self._container.replace(body, if_etag=if_etag))

    async def write_many(self, writes: Sequence[Write]) -> Any:
        return [await one_write(self, write) for write in writes]  # type: ignore[arg-type]

    async def upsert(self, body: Body) -> Any:
        return await self._call(lambda: self._container.upsert(body))

    async def delete(self, id: str, partition: str, *, if_etag: str | None = None) -> Any:
        return await self._call(lambda: self._container.delete(id, partition, if_etag=if_etag))

    async def query(self, query: Query) -> Any:
        return await self._call(lambda: self._container.query(query))


class Run:
    """A coroutine that is driven by hand, from one call to the store to the next."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], since_ns: int = START) -> None:
        self._coroutine = coroutine
        self.since_ns = since_ns
        self.done = False
        self.failed = False
        self.result: Any = None
        self._step(None)

    def goes_on(self, fate: Fate = Fate.HAPPENS) -> None:
        """Let the call that waits meet its fate, and go on to the next one, unless it has ended."""
        if not self.done:
            self._step(fate)

    def ends(self, fate: Fate = Fate.HAPPENS, then: Fate = Fate.HAPPENS) -> Any:
        """Go on to the end; return its result. `then` is the fate of all calls but the first."""
        while not self.done:
            self.goes_on(fate)
            fate = then
        return self.result

    def dies(self) -> None:
        """Stop where it is: the call that waits has not happened."""
        self._coroutine.close()
        self.done = self.failed = True

    def _step(self, fate: Fate | None) -> None:
        try:
            self._coroutine.send(fate)
        except StopIteration as end:
            self.done, self.result = True, end.value
        except Unavailable:
            self.done = self.failed = True


def at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run what never waits."""
    run = Run(coroutine)
    assert run.done
    return run.result


class ManualNanoseconds:
    """A clock that stands still until it is moved. Nanoseconds since the epoch."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)


class Writer:
    """What a `TraceWriter` does to the store: its intent, then batches of different traces."""

    def __init__(self, gate: Any, name: str, clock: Callable[[], int], written: int) -> None:
        self.name = name
        self.sink = TraceSink(gate, writer=name)
        self.intent = Intent(gate, writer=name, clock=clock)
        self.batches: list[Batch] = []
        self.run: Run | None = None
        self._clock = clock
        for _ in range(written):
            self.sink.batch(logs_of([event("message:started")]))

    @property
    def idle(self) -> bool:
        return not self.batches

    @property
    def waits(self) -> bool:
        """Whether it has a batch that no call is under way for."""
        return bool(self.batches) and self.run is None

    def takes(self, batches: Iterable[tuple[list[Event], int | None]]) -> None:
        """Take events, each list of one trace, with the time at which a failure promoted it."""
        self.batches = [self.sink.batch(logs_of(events), promoted_ns=at) for events, at in batches]

    def starts(self) -> None:
        """Begin to store what was taken; also to retry it."""
        self._follow(Run(self._store(), self._clock()))

    def goes_on(self, fate: Fate = Fate.HAPPENS) -> None:
        if self.run is not None:
            self.run.goes_on(fate)
            self._follow(self.run)

    def ends(self, fate: Fate = Fate.HAPPENS, then: Fate = Fate.HAPPENS) -> None:
        if self.run is not None:
            self.run.ends(fate, then)
            self._follow(self.run)

    def _follow(self, run: Run) -> None:
        self.run = None if run.done else run

    async def _store(self) -> None:
        await self.intent.cover({batch.trace_id for batch in self.batches})
        errors = await self.sink.store_many(self.batches)
        assert all(isinstance(error, Unavailable) for error in errors.values())
        self.batches = [batch for batch in self.batches if batch.trace_id in errors]


@dataclass
class Stored:
    """A trace as its documents stand."""

    events: list[Event] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    marks: dict[str, int] = field(default_factory=dict)
    summary: Document | None = None
    failures: list[Failure] = field(default_factory=list)


def stored(container: MemoryContainer, trace_id: str) -> Stored:
    """Return what is stored of a trace, with a tally of its segments' events."""
    found = Stored()
    page: Page = at_once(container.query(Query(partition=trace_id, limit=1_000)))
    assert page.cursor is None
    for document in page.documents:
        body = document.body
        held = segments.held_by(body)
        if held is not None:
            writer, _, sequence = held["id"].rpartition("-")
            found.marks[writer] = max(found.marks.get(writer, 0), int(sequence))
            decoded = segments.decode(held)
            found.events += decoded.events
            found.tally.merge(Tally(promoted=decoded.promoted))
        if body["k"] == SUMMARY:
            found.summary = document
        elif body["k"] != SEGMENT:
            assert body["k"] == FAILURE
            found.failures.append(Failure.from_document(body))
    found.events.sort(key=lambda each: each.time_ns)
    found.tally.add(logs_of(found.events))
    return found


def check(container: MemoryContainer, trace_id: str) -> None:
    """Assert that a trace's summary and failures are what its events say."""
    found = stored(container, trace_id)
    if not found.events:
        assert found.summary is None
        assert found.failures == []
        return
    assert found.summary is not None
    assert Tally.from_document(found.summary.body) == found.tally
    held = found.summary.body.get("segment")
    assert found.summary.body == found.tally.to_document(trace_id, found.marks, held)
    by_span = {failure.span_id: failure for failure in found.failures if failure.error_type}
    told = failures_in(logs_of(found.events))
    assert by_span == {span: failure for span, failure in told.items() if failure.error_type}


# Events


_OUTCOMES = ("message:failed", "message:completed", "message:dead_lettered")
_OTHERS = tuple(sorted(REGISTRY.keys() - set(_OUTCOMES)))
KINDS = st.sampled_from(
    ("fails", "fails", "completes", "completes", "dies", "is lost", "queue:enqueued")
) | st.sampled_from(_OTHERS)
FATES = st.sampled_from((Fate.HAPPENS, Fate.HAPPENS, Fate.HAPPENS, Fate.UNSEEN, Fate.LOST))


@dataclass
class Story:
    """A message that workers handle: attempts that fail, and perhaps an end."""

    span: int
    attempt: int = 1
    over: bool = False

    def goes_on(self, kind: str) -> tuple[str, int] | None:
        """Return the event type and the attempt that tell of what happens next; None: nothing."""
        attempt = self.attempt
        if kind == "is lost":
            # The worker of that attempt died, and told nothing.
            self.attempt += 1
            return None
        if kind == "fails":
            self.attempt += 1
            return "message:failed", attempt
        if kind == "dies":
            self.over = True
            return "message:dead_lettered", max(1, attempt - 1)
        if kind == "completes":
            self.over = True
            return "message:completed", attempt
        return kind, attempt


class Summaries(RuleBasedStateMachine):
    """Writers that share a container, and a choice at every call of who goes on, and how."""

    def __init__(self) -> None:
        super().__init__()
        self.container = MemoryContainer(TRACE_EVENTS)
        self.gate = Gate(self.container)
        self.clock = ManualNanoseconds()
        self.started = 0
        self.spans = 0
        self.writers: list[Writer] = []
        self.stories: dict[str, Story] = {}
        self.repairs: list[Run] = []
        self.in_doubt: set[str] = set()
        """Traces that a writer was in the middle of when it died."""
        self.told: dict[str, list[Event]] = {trace_id: [] for trace_id in TRACES}
        for written in (0, 7, 8):
            self._new_writer(written)

    # What happens

    @precondition(lambda self: any(writer.idle for writer in self.writers))
    @rule(
        pick=st.integers(0, 2),
        parts=st.lists(
            st.tuples(st.sampled_from(TRACES), st.lists(KINDS, min_size=1, max_size=4)),
            min_size=1,
            max_size=2,
            unique_by=lambda part: part[0],
        ),
        look=st.integers(0, 999),
        promoted=st.booleans(),
    )
    def a_writer_takes_events(
        self, pick: int, parts: list[tuple[str, list[str]]], look: int, promoted: bool
    ) -> None:
        writer = chosen([writer for writer in self.writers if writer.idle], pick)
        batches = []
        for trace_id, kinds in parts:
            events = [
                told
                for number, kind in enumerate(kinds)
                if (told := self._event(trace_id, kind, look + number)) is not None
            ]
            if events:
                self.told[trace_id] += events
                batches.append((events, self.clock() if promoted else None))
        writer.takes(batches)
        if batches:
            writer.starts()

    @precondition(lambda self: any(writer.waits for writer in self.writers))
    @rule(pick=st.integers(0, 2))
    def a_writer_tries_again(self, pick: int) -> None:
        chosen([writer for writer in self.writers if writer.waits], pick).starts()

    @precondition(lambda self: self._under_way())
    @rule(calls=st.lists(st.tuples(st.integers(0, 4), FATES), min_size=1, max_size=9))
    def calls_meet_their_fates(self, calls: list[tuple[int, Fate]]) -> None:
        for pick, fate in calls:
            under_way = self._under_way()
            if under_way:
                chosen(under_way, pick).goes_on(fate)

    @precondition(lambda self: not all(writer.idle for writer in self.writers))
    @rule(pick=st.integers(0, 2), written=st.integers(0, 12))
    def a_writer_dies_and_another_starts(self, pick: int, written: int) -> None:
        writer = chosen([writer for writer in self.writers if not writer.idle], pick)
        self.in_doubt |= {batch.trace_id for batch in writer.batches}
        if writer.run is not None:
            writer.run.dies()
        self.writers.remove(writer)
        self._new_writer(written)

    @rule(seconds=st.sampled_from((5, 20, 45, 90)), fate=st.sampled_from((Fate.LOST, Fate.UNSEEN)))
    def time_passes(self, seconds: int, fate: Fate) -> None:
        self.clock.advance(seconds)
        # An intent is renewed before each try, and no try lasts as long as half of its age.
        for writer in self.writers:
            run = writer.run
            if run is not None and self.clock() - run.since_ns >= ABANDONED_SECONDS * SECOND // 2:
                writer.ends(fate, then=Fate.LOST)

    @precondition(lambda self: sum(not repair.done for repair in self.repairs) < 2)
    @rule()
    def a_repair_begins(self) -> None:
        self._begin(repair_abandoned(self.gate, now_ns=self.clock()))  # type: ignore[arg-type]

    @precondition(lambda self: sum(not repair.done for repair in self.repairs) < 2)
    @rule(trace_id=st.sampled_from(TRACES))
    def a_trace_is_counted_again(self, trace_id: str) -> None:
        self._begin(recount(self.gate, trace_id))  # type: ignore[arg-type]

    @precondition(lambda self: any(not repair.done for repair in self.repairs))
    @rule()
    def a_repair_dies(self) -> None:
        chosen([repair for repair in self.repairs if not repair.done], 0).dies()

    # What holds

    @invariant()
    def nothing_was_told_twice(self) -> None:
        for trace_id, told in self.told.items():
            events = stored(self.container, trace_id).events
            assert len(set(events)) == len(events)
            assert set(events) <= set(told)

    @rule(repaired=st.booleans())
    def everything_ends_and_is_counted(self, repaired: bool) -> None:
        self._settle()
        if repaired:
            self._repair()
        self._check()

    def teardown(self) -> None:
        self._settle()
        self._check()
        self._repair()
        self._check()
        assert not any(at_once(recount(self.container, trace_id)) for trace_id in TRACES)
        assert not at_once(self.container.query(Query(order_by=("intentAt",)))).documents

    # How

    def _check(self) -> None:
        """Assert that all is exact but what a dead writer left and nobody has repaired."""
        for trace_id in TRACES:
            if trace_id not in self.in_doubt:
                check(self.container, trace_id)
                assert len(stored(self.container, trace_id).events) == len(self.told[trace_id])

    def _repair(self) -> None:
        """Put right what dead writers left."""
        self.clock.advance(ABANDONED_SECONDS + 1)
        at_once(repair_abandoned(self.container, now_ns=self.clock()))
        for trace_id in self.in_doubt:
            # What died with its writer is lost for good.
            self.told[trace_id] = stored(self.container, trace_id).events
        self.in_doubt.clear()

    def _new_writer(self, written: int) -> None:
        self.started += 1
        name = f"w{self.started}"
        self.writers.append(Writer(self.gate, name, self.clock, written))

    def _event(self, trace_id: str, kind: str, look: int) -> Event | None:
        """Return the next event of the trace, whoever tells of it."""
        story = self.stories.get(trace_id)
        if story is None or story.over:
            self.spans += 1
            story = self.stories[trace_id] = Story(self.spans)
        told = story.goes_on(kind)
        self.clock.now += 700
        if told is None:
            return None
        type, attempt = told
        failed = REGISTRY[type].failed
        return Event(
            type,
            trace_id,
            f"{story.span:016x}",
            None,
            self.clock(),
            actor=("Order/1", "Stock/2", "Loan/3", None)[look % 4],
            name=("place", "reserve", None)[look % 3],
            attempt=attempt,
            error_type=("Boom", "Bang")[look % 2] if failed else None,
            fingerprint=("b00", None)[look % 2] if failed else None,
            refs=(Ref(RefKind.MESSAGE, f"correlation-{look}", "m"),) if look % 5 else (),
        )

    def _under_way(self) -> list[Writer | Run]:
        self.repairs = [repair for repair in self.repairs if not repair.done]
        return [*(writer for writer in self.writers if writer.run is not None), *self.repairs]

    def _begin(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self.repairs.append(Run(coroutine))

    def _settle(self) -> None:
        """Let everything that is under way happen, one call of each in turn."""
        while True:
            for writer in self.writers:
                if writer.waits:
                    writer.starts()
            under_way = self._under_way()
            if not under_way:
                return
            for one in under_way:
                one.goes_on(Fate.HAPPENS)


def chosen(among: Sequence[Any], pick: int) -> Any:
    return among[pick % len(among)]


# One thing at a time


RUN = [
    event("workflow:started", 1, at=1, attempt=0, name="order"),
    event("queue:enqueued", 2, parent=1, at=2, attempt=0),
    event("message:failed", 2, parent=1, at=3, error_type="Boom", fingerprint="b00"),
    event("message:dead_lettered", 2, parent=1, at=4, error_type="Boom", fingerprint="b00"),
]


@dataclass
class Scene:
    """A container, its gate and a clock."""

    container: MemoryContainer = field(default_factory=lambda: MemoryContainer(TRACE_EVENTS))
    clock: ManualNanoseconds = field(default_factory=ManualNanoseconds)

    def __post_init__(self) -> None:
        self.gate: Any = Gate(self.container)

    def writer(self, name: str = "w", *, written: int = 0) -> Writer:
        return Writer(self.gate, name, self.clock, written)

    def store(self, events: list[Event], writer: Writer | None = None) -> None:
        """Store events in one go."""
        writer = writer or self.writer()
        writer.takes([(events, None)])
        writer.starts()
        writer.ends()

    def dies_after(self, calls: int, events: list[Event], writer: Writer | None = None) -> bool:
        """Store events until so many calls have happened, and no more; return whether it ended."""
        writer = writer or self.writer()
        writer.takes([(events, None)])
        writer.starts()
        for _ in range(calls):
            writer.goes_on()
        if writer.run is None:
            return True
        writer.run.dies()
        return False

    def repair(self) -> int:
        mended: int = at_once(repair_abandoned(self.container, now_ns=self.clock()))
        return mended

    def intents(self) -> list[str]:
        """Return the names of the traces that any intent holds."""
        page = at_once(self.container.query(Query(order_by=("intentAt",))))
        return [trace_id for document in page.documents for trace_id in document.body["traces"]]


def test_a_writer_may_die_after_any_of_its_calls() -> None:
    calls, ended = 0, False
    mended = []
    while not ended:
        scene = Scene()
        scene.store(RUN[:1], scene.writer("before"))
        ended = scene.dies_after(calls, RUN[1:], scene.writer("dead"))
        scene.clock.advance(ABANDONED_SECONDS + 1)
        mended.append(scene.repair())
        check(scene.container, TRACE)
        assert scene.repair() == 0
        assert scene.intents() == []
        calls += 1
    # The intent, the segment and a failure go before the summary: four calls and its conflict.
    assert mended == [0, 0, 1, 1, 1, 1, 0]


WHOLE = [
    event("queue:enqueued", 2, at=2, attempt=0),
    event("message:started", 2, at=3),
    event("message:completed", 2, at=4),
]
MORE = [event("queue:enqueued", 3, at=5, attempt=0), event("message:completed", 3, at=6)]


def kinds(scene: Scene) -> list[str]:
    page = at_once(scene.container.query(Query(partition=TRACE)))
    return sorted(document.body["k"] for document in page.documents)


def test_a_small_trace_that_is_told_whole_is_one_document() -> None:
    scene = Scene()
    scene.store(WHOLE)
    assert kinds(scene) == [SUMMARY]
    check(scene.container, TRACE)
    trace = at_once(TraceReader(scene.container).get_trace(TRACE))
    assert (trace.events, trace.summary.events) == (WHOLE, 3)


def test_what_is_told_of_a_trace_after_it_was_one_document_is_added_to_it() -> None:
    scene = Scene()
    writer = scene.writer()
    scene.store(WHOLE, writer)
    scene.store(MORE, writer)
    scene.store(RUN[:1], scene.writer("other"))
    assert kinds(scene) == [SEGMENT, SEGMENT, SUMMARY]
    check(scene.container, TRACE)
    assert not at_once(recount(scene.container, TRACE))
    trace = at_once(TraceReader(scene.container).get_trace(TRACE))
    assert trace.events == [*RUN[:1], *WHOLE, *MORE]


def test_a_recount_keeps_the_events_that_a_summary_holds() -> None:
    scene = Scene()
    scene.store(WHOLE)
    scene.dies_after(4, MORE, scene.writer("dead"))
    scene.clock.advance(ABANDONED_SECONDS + 1)
    assert scene.repair() == 1
    check(scene.container, TRACE)
    trace = at_once(TraceReader(scene.container).get_trace(TRACE))
    assert (trace.events, trace.summary.messages) == ([*WHOLE, *MORE], 2)


def test_a_trace_in_one_document_whose_answer_was_lost_is_counted_once() -> None:
    scene = Scene()
    writer = scene.writer()
    writer.takes([(WHOLE, None)])
    writer.starts()
    writer.goes_on()
    writer.ends(Fate.UNSEEN)
    assert writer.waits
    scene.store(MORE, scene.writer("other"))
    writer.starts()
    writer.ends()
    assert writer.idle
    assert kinds(scene) == [SEGMENT, SUMMARY]
    check(scene.container, TRACE)


def test_a_trace_in_one_document_that_a_replica_does_not_show_yet_is_not_stored_twice() -> None:
    class Lagging(MemoryContainer):
        async def read_many(self, keys: Sequence[tuple[str, str]]) -> Any:
            return {} if lags else await super().read_many(keys)

    lags = True
    scene = Scene(Lagging(TRACE_EVENTS))
    writer = scene.writer()
    writer.takes([(WHOLE, None)])
    for fates in ((Fate.HAPPENS, Fate.UNSEEN), (Fate.HAPPENS, Fate.HAPPENS)):
        writer.starts()
        for fate in fates:
            writer.goes_on(fate)
        writer.ends()
        assert writer.waits
    lags = False
    writer.starts()
    writer.ends()
    assert writer.idle
    assert kinds(scene) == [SUMMARY]
    check(scene.container, TRACE)


def test_a_trace_whose_segment_may_be_a_document_is_not_stored_as_one() -> None:
    scene = Scene()
    scene.store(RUN[:1], scene.writer("other"))
    summary = at_once(scene.container.read(TRACE, TRACE))
    writer = scene.writer()
    writer.takes([(WHOLE, None)])
    writer.starts()
    # The intent, a conflict, what is in its way, and the segment, whose answer is lost.
    for fate in (Fate.HAPPENS, Fate.HAPPENS, Fate.HAPPENS, Fate.UNSEEN):
        writer.goes_on(fate)
    writer.ends(Fate.LOST, Fate.LOST)
    at_once(scene.container.delete(TRACE, TRACE, if_etag=summary.etag))
    assert writer.waits
    # As long as what is known of the trace may be forgotten.
    writer.sink._known.clear()
    writer.starts()
    writer.ends()
    assert kinds(scene) == [SEGMENT, SEGMENT, SUMMARY]
    assert "segment" not in at_once(scene.container.read(TRACE, TRACE)).body


def test_a_segment_that_is_there_twice_is_counted_once() -> None:
    scene = Scene()
    scene.store(WHOLE)
    held = segments.held_by(at_once(scene.container.read(TRACE, TRACE)).body)
    at_once(scene.container.create({**(held or {}), "k": SEGMENT}))
    scene.dies_after(4, MORE, scene.writer("dead"))
    scene.clock.advance(ABANDONED_SECONDS + 1)
    assert scene.repair() == 1
    trace = at_once(TraceReader(scene.container).find_traces()).traces[0]
    assert (trace.messages, trace.events) == (2, 5)


def test_of_two_writers_that_tell_a_trace_whole_both_are_counted() -> None:
    scene = Scene()
    one, other = scene.writer("one"), scene.writer("other")
    for writer, events in ((one, WHOLE), (other, MORE)):
        writer.takes([(events, None)])
        writer.starts()
        writer.goes_on()
    one.ends()
    other.ends()
    assert kinds(scene) == [SEGMENT, SUMMARY]
    check(scene.container, TRACE)


def test_a_trace_in_one_document_needs_no_repair_wherever_its_writer_dies() -> None:
    calls, ended = 0, False
    while not ended:
        scene = Scene()
        ended = scene.dies_after(calls, WHOLE)
        scene.clock.advance(ABANDONED_SECONDS + 1)
        assert scene.repair() == 0
        check(scene.container, TRACE)
        calls += 1
    assert calls == 3


@pytest.mark.parametrize(
    "events",
    [
        WHOLE[:2],
        WHOLE[1:],
        [*WHOLE[:1], *RUN[2:3], event("message:completed", 2, at=5, attempt=2)],
        [*WHOLE, *(event("message:started", 2, at=9, attempt=n) for n in range(MAX_HELD_EVENTS))],
    ],
    ids=["it goes on", "it began elsewhere", "it failed before", "it is large"],
)
def test_any_other_trace_has_a_segment_of_its_own(events: list[Event]) -> None:
    scene = Scene()
    scene.store(events)
    assert SEGMENT in kinds(scene)
    check(scene.container, TRACE)


def test_of_a_summary_that_holds_what_is_no_segment_the_trace_says_so() -> None:
    scene = Scene()
    scene.store(WHOLE)
    scene.store(MORE, scene.writer("other"))
    summary = at_once(scene.container.read(TRACE, TRACE))
    broken = {**summary.body, "segment": [1]}
    at_once(scene.container.replace(broken, if_etag=summary.etag))
    trace = at_once(TraceReader(scene.container).get_trace(TRACE))
    assert trace.events == MORE
    assert trace.notices == ["1 segment cannot be read; the events there are missing"]


def test_what_a_dead_writer_left_is_repaired_once_it_counts_as_dead() -> None:
    scene = Scene()
    scene.dies_after(2, RUN)
    assert stored(scene.container, TRACE).summary is None
    scene.clock.advance(ABANDONED_SECONDS)
    assert scene.repair() == 0
    assert scene.intents() == [TRACE]
    scene.clock.advance(1)
    assert scene.repair() == 1
    check(scene.container, TRACE)
    (failure,) = stored(scene.container, TRACE).failures
    assert failure.outcome is FailureOutcome.DEAD_LETTERED


def test_a_repair_may_die_after_any_of_its_calls() -> None:
    calls, ended = 0, False
    while not ended:
        scene = Scene()
        scene.dies_after(2, RUN)
        scene.clock.advance(ABANDONED_SECONDS + 1)
        dying = Run(repair_abandoned(scene.gate, now_ns=scene.clock()))
        for _ in range(calls):
            dying.goes_on()
        ended = dying.done
        dying.dies()
        scene.repair()
        check(scene.container, TRACE)
        assert scene.intents() == []
        calls += 1
    assert calls > 6


def test_two_repairs_at_once_agree() -> None:
    for first in range(1, 9):
        scene = Scene()
        scene.dies_after(2, RUN)
        scene.clock.advance(ABANDONED_SECONDS + 1)
        one, other = (Run(repair_abandoned(scene.gate, now_ns=scene.clock())) for _ in range(2))
        for _ in range(first):
            one.goes_on()
        other.ends()
        one.ends()
        check(scene.container, TRACE)
        assert not one.failed
        assert not other.failed


@pytest.mark.parametrize("before", range(6))
def test_a_repair_and_a_live_writer_may_interleave(before: int) -> None:
    """The writer does so many calls, then the repair some, then the writer all of its others."""
    for during in range(8):
        scene = Scene()
        scene.dies_after(2, RUN[:2], scene.writer("dead"))
        scene.clock.advance(ABANDONED_SECONDS + 1)
        live = scene.writer("live")
        live.takes([(RUN[2:], None)])
        live.starts()
        repair = Run(repair_abandoned(scene.gate, now_ns=scene.clock()))
        for run, calls in ((live, before), (repair, during)):
            for _ in range(calls):
                run.goes_on(Fate.HAPPENS)
        live.ends()
        assert repair.ends() == 1
        check(scene.container, TRACE)
        assert scene.intents() == [TRACE]


def test_a_repair_leaves_the_intent_of_a_writer_that_lives_after_all() -> None:
    scene = Scene()
    slow = scene.writer("slow")
    slow.takes([(RUN, None)])
    slow.starts()
    slow.goes_on()
    slow.ends(Fate.LOST, then=Fate.LOST)
    scene.clock.advance(ABANDONED_SECONDS + 1)
    repair = Run(repair_abandoned(scene.gate, now_ns=scene.clock()))
    repair.goes_on()
    # Meanwhile the writer tries again, gets as far as its segment, and dies.
    slow.starts()
    for _ in range(2):
        slow.goes_on()
    assert slow.run is not None
    slow.run.dies()
    repair.ends()
    assert scene.intents() == [TRACE]
    scene.clock.advance(ABANDONED_SECONDS + 1)
    scene.repair()
    check(scene.container, TRACE)


def test_an_intent_that_may_or_may_not_be_stored_is_stored_again() -> None:
    scene = Scene()
    intent = Intent(scene.gate, writer="w", clock=scene.clock)
    Run(intent.cover({TRACES[0]})).ends()
    assert Run(intent.cover({TRACES[1]})).ends(Fate.UNSEEN) is None
    Run(intent.cover({TRACES[0]})).ends()
    assert scene.intents() == [TRACES[0]]


def test_an_intent_is_stored_again_when_it_grows_old_or_does_not_hold_all() -> None:
    scene = Scene()
    intent = Intent(scene.gate, writer="w", clock=scene.clock)
    assert not Run(intent.cover(TRACES)).done
    Run(intent.cover(TRACES)).ends()
    assert Run(intent.cover(TRACES[:1])).done
    scene.clock.advance(ABANDONED_SECONDS / 2)
    renewed = Run(intent.cover(TRACES[:1]))
    assert not renewed.done
    renewed.ends()
    assert scene.intents() == [TRACES[0]]
    assert not Run(intent.cover(TRACES[1:])).done
    Run(intent.withdraw()).ends()
    assert scene.intents() == []


def test_many_dead_writers_are_repaired_in_turn() -> None:
    scene = Scene()
    for number in range(45):
        events = [event("message:started", trace=f"{number:032x}")]
        scene.dies_after(2, events, scene.writer(f"w{number}"))
    scene.clock.advance(ABANDONED_SECONDS + 1)
    assert [scene.repair() for _ in range(4)] == [20, 20, 5, 0]
    for number in range(45):
        check(scene.container, f"{number:032x}")


def test_a_recount_takes_segments_in_order_of_their_time() -> None:
    """Segments are found by id, and "w-10" comes before "w-8"."""
    scene = Scene()
    writer = scene.writer(written=7)
    for number, type in enumerate(("message:failed", "message:failed", "message:completed")):
        error = "Boom" if type == "message:failed" else None
        told = event(type, 5, at=number, attempt=number + 1, error_type=error)
        scene.dies_after(2, [told], writer)
    assert at_once(recount(scene.container, TRACE))
    check(scene.container, TRACE)
    (failure,) = stored(scene.container, TRACE).failures
    assert (failure.outcome, failure.attempts) == (FailureOutcome.RECOVERED, 3)


def test_a_recount_keeps_what_is_counted_of_segments_that_cannot_be_read() -> None:
    """They may be of a later version, stored and counted by a process that is a release ahead."""
    scene = Scene()
    scene.store(RUN[:2], scene.writer("ahead"))
    scene.store(RUN[2:3], scene.writer("other"))
    newer = at_once(scene.container.read("ahead-1", TRACE))
    at_once(scene.container.replace({**newer.body, "v": 99}, if_etag=newer.etag))
    scene.dies_after(2, RUN[3:], scene.writer("dead"))
    assert at_once(recount(scene.container, TRACE))
    found = stored_summary(scene.container)
    assert found == Tally.from_document(counted(RUN).to_document(TRACE, {}))
    assert not at_once(recount(scene.container, TRACE))


def test_a_segment_under_a_strange_id_does_not_keep_a_repair_from_going_on() -> None:
    scene = Scene()
    scene.dies_after(2, RUN)
    strange = segments.encode("by-hand", logs_of([event("message:started", 9, at=9)]))
    at_once(scene.container.create(strange))
    scene.clock.advance(ABANDONED_SECONDS + 1)
    assert scene.repair() == 1
    assert stored_summary(scene.container).dead_letters == 1
    assert scene.intents() == []


def stored_summary(container: MemoryContainer) -> Tally:
    return Tally.from_document(at_once(container.read(TRACE, TRACE)).body)


def counted(events: Sequence[Event]) -> Tally:
    tally = Tally()
    tally.add(logs_of(events))
    return tally


TestSummaries = Summaries.TestCase
TestSummaries.settings = settings(deadline=None, max_examples=150, stateful_step_count=50)


# Whoever tells of it, and when


FAILED_ONCE = event("message:failed", 5, at=10, attempt=1, error_type="Boom")
FAILED_TWICE = event("message:failed", 5, at=20, attempt=2, error_type="Bang")
RECOVERED = event("message:completed", 5, at=30, attempt=3)


def test_attempts_that_different_writers_store_give_one_failure_in_any_order() -> None:
    """A message is tried again by any worker, and their writers store when they come to it."""
    wrong = []
    for order in permutations((FAILED_ONCE, FAILED_TWICE, RECOVERED)):
        scene = Scene()
        for number, told in enumerate(order):
            scene.store([told], scene.writer(f"w{number}"))
        found = stored(scene.container, TRACE)
        if found.failures != list(failures_in(logs_of(found.events)).values()):
            wrong.append([told.attempt for told in order])
    assert wrong == []


def test_a_failure_that_is_written_again_leaves_its_recovery_as_it_is() -> None:
    scene = Scene()
    slow = scene.writer("slow")
    slow.takes([([replace(FAILED_ONCE, time_ns=FAILED_ONCE.time_ns + 1)], None)])
    slow.starts()
    for fate in (Fate.HAPPENS, Fate.HAPPENS, Fate.UNSEEN):
        slow.goes_on(fate)
    scene.store([RECOVERED], scene.writer("quick"))
    slow.starts()
    slow.ends()
    (failure,) = stored(scene.container, TRACE).failures
    assert failure.outcome is FailureOutcome.RECOVERED


def test_of_two_roots_in_the_same_microsecond_the_same_one_names_the_trace() -> None:
    one, other = (counted([event("queue:enqueued", name=name)]) for name in ("place", "pay"))
    names = set()
    for first, second in ((one, other), (other, one)):
        tally = Tally()
        tally.merge(first)
        tally.merge(second)
        names.add(tally.root)
    assert len(names) == 1


class Failing(MemoryContainer):
    """Does not take new documents of the kinds that `refused` names."""

    def __init__(self, error: StorageError) -> None:
        super().__init__(TRACE_EVENTS)
        self.error = error
        self.refused: set[str] = set()

    async def create(self, body: Body) -> Document:
        if body["k"] in self.refused:
            raise self.error
        return await super().create(body)


async def test_what_was_refused_and_counted_by_a_repair_is_not_counted_again() -> None:
    container = Failing(DocumentTooLarge("for once"))
    sink = TraceSink(container, writer="w")
    container.refused = {SUMMARY}
    await sink.store(sink.batch(logs_of(RUN[:2])))
    container.refused = set()
    await recount(container, TRACE)
    await sink.store(sink.batch(logs_of(RUN[2:])))
    check(container, TRACE)


async def test_a_writer_that_dies_after_an_outage_is_repaired_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The store was away for longer than the age at which an intent counts as left behind."""
    monkeypatch.setattr(recorder_module, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(recorder_module, "LONGEST_PAUSE", 0.01)
    container, clock = Failing(Unavailable("not now")), ManualNanoseconds()
    container.refused = {SEGMENT}
    others = asyncio.all_tasks()
    writer = trace_writer(container, clock=clock, flush_interval=0.01)
    writer.start()
    for told in RUN:
        writer.emit(told)
    async with asyncio.timeout(10):
        while not writer.stats().retries:
            await asyncio.sleep(0.005)
        clock.advance(ABANDONED_SECONDS + 1)
        await repair_abandoned(container, now_ns=clock())
        container.refused = {SUMMARY}
        while not (await TraceReader(container).get_trace(TRACE)):
            await asyncio.sleep(0.005)
    dying = asyncio.all_tasks() - others
    for task in dying:
        task.cancel()
    await asyncio.gather(*dying, return_exceptions=True)
    container.refused = set()
    clock.advance(ABANDONED_SECONDS + 1)
    assert await repair_abandoned(container, now_ns=clock()) == 1
    assert stored_summary(container) == counted(RUN)
