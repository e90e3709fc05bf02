"""`TraceWriter`: takes events without ever getting in the way."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from itertools import islice

from tracing.context import NewId, TraceContext, random_id
from tracing.draft import Draft, Telling
from tracing.event import Clock, Event
from tracing.recording import Recorder, WriterStats
from tracing.sampling import Sampler


class TraceWriter:
    """Takes events, and hands them to a recorder every now and then.

    `emit` may be called from any thread and costs some microseconds. Everything else belongs
    to the event loop that called `start`. What the recorder has no room for is counted, never
    waited for.

    Args:
        sampler: which traces are kept even if nothing in them fails; without one, all.

    Attributes:
        listen: takes the notes that a draft will get, for a fraction of what `emit` costs for each.
            Only for code that runs in the event loop that called `start`. When the writer looks
            what has come in it seals the draft, unless that is of a turn which is not over yet.
        ticks: its clock, which never goes back; nanoseconds since `epoch_ns`.
        epoch_ns: nanoseconds since the epoch.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        clock: Clock | None = None,
        new_id: NewId = random_id,
        sampler: Sampler | None = None,
    ) -> None:
        self.ticks = clock or time.monotonic_ns
        self.epoch_ns = 0 if clock is not None else time.time_ns() - time.monotonic_ns()
        self._recorder = recorder
        self._sampler = None if sampler is None or sampler.keeps_all else sampler
        self._new_id = new_id
        self._incoming: deque[Telling] = deque()
        self._listened: list[Draft] = []
        self.listen: Callable[[Draft], None] = self._listened.append
        self._closed = False
        self._task: asyncio.Task[None] | None = None
        self._dropped: Counter[str] = Counter()

    def emit(self, event: Event) -> None:
        """Take an event. Never raises, blocks or awaits; what cannot be taken is counted."""
        try:
            draft = Draft.of(event)
        except (AttributeError, TypeError, ValueError, KeyError):
            self.refuse()
        else:
            if draft.notes[0][0]:
                self.take(draft)
            else:
                self.refuse()

    def take(self, told: Telling) -> None:
        """Take one event, as `emit` does, for less of its cost."""
        if len(self._incoming) < self._recorder.room:
            self._incoming.append(told)
        else:
            self._dropped["shutdown" if self._closed else "overflow"] += 1

    def now(self) -> int:
        """Return nanoseconds since the epoch, by a clock that never goes back."""
        return self.ticks() + self.epoch_ns

    def refuse(self) -> None:
        """Count an event that is not one, as of a type that nobody has registered."""
        self._dropped["invalid"] += 1

    def create_root_trace(
        self, name: str | None = None, *, sampled: bool | None = None
    ) -> TraceContext:
        """Start a trace. Unless `sampled` says so, the sampler decides by the name."""
        trace_id = self._new_id(16)
        if sampled is None:
            sampled = self._sampler is None or self._sampler.keeps(trace_id, name)
        # A span's id is its own within its trace: what is random in the trace's is good for one.
        return TraceContext(trace_id, trace_id[16:], None, sampled)

    def create_child_span(self, parent: TraceContext, span_id: str | None = None) -> TraceContext:
        """Return a new span below `parent`; of a promoted trace, it is sampled from now on."""
        return TraceContext(
            parent.trace_id,
            span_id or self._new_id(8),
            parent.span_id,
            parent.sampled or self._recorder.is_promoted(parent.trace_id),
            parent.state,
        )

    def has_room(self, events: int) -> bool:
        """Return whether that many events would be taken now."""
        return self._fresh + events <= self._recorder.room

    def stats(self) -> WriterStats:
        """Return the counters of the writer and its recorder."""
        found = self._recorder.stats()
        return replace(
            found,
            buffered=found.buffered + self._fresh,
            dropped=dict(Counter(found.dropped) + self._dropped),
        )

    def start(self) -> None:
        """Begin writing in the background of the running event loop."""
        self._recorder.start()
        self._task = asyncio.create_task(self._run(), name="trace writer")

    async def flush(self) -> None:
        """Store everything that was emitted before the call, however long the store takes.

        Events of unsampled traces go on waiting for a failure.
        """
        self._hand_over()
        await self._recorder.flush()

    async def close(self, *, timeout: float = 10.0) -> None:
        """Flush within `timeout` seconds, count what was not written, and stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._hand_over()
        await self._recorder.close(timeout=timeout)
        self._closed = True
        late = self._fresh
        self._incoming.clear()
        self._listened.clear()
        self.listen = _deaf
        if late:
            self._dropped["shutdown"] += late

    async def _run(self) -> None:
        while True:
            looked = self.ticks()
            await asyncio.sleep(self._recorder.interval)
            self._hand_over(looked)

    def _hand_over(self, begun_before: int | None = None) -> None:
        """Give the recorder what came in, as far as it has room for it.

        Turns that go on and began at that tick or later are left for the next time: most of them
        are over by then, and need not be told in two parts.
        """
        recorder = self._recorder
        taken = len(self._incoming)
        # Taken out of the room at once: other threads go on emitting meanwhile.
        recorder.room -= taken
        given: list[Telling] = list(islice(iter(self._incoming.popleft, None), taken))
        listened = self._listened.copy()
        self._listened.clear()
        left = recorder.room
        for draft in listened:
            if not draft.sealed:
                turn = draft.turn
                if turn is None or turn.over:
                    draft.seal()
                else:
                    self.listen(draft)
                    young = begun_before is not None and draft.began >= begun_before
                    if young or not draft.size:
                        continue
                    draft = draft.so_far()
            events = draft.events
            if events > left:
                self._dropped["overflow"] += events
            elif events:
                left -= events
                given.append(draft)
        try:
            recorder.put(given)
        except Exception as error:  # a fault of ours: never the work's that is traced
            recorder.reject(sum(told.events for told in given), error)

    @property
    def _fresh(self) -> int:
        """How many events came in and are not with the recorder yet."""
        return len(self._incoming) + sum(draft.size for draft in self._listened)


def _deaf(draft: Draft) -> None:
    """Take nothing any more: its writer is closed."""
