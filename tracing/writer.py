"""`TraceWriter`: takes events without ever getting in the way."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import replace

from tracing.context import NewId, TraceContext, random_id
from tracing.event import Clock, Event, monotonic_clock
from tracing.recorder import PRESSED_SECONDS, PRESSED_SHARE
from tracing.recording import Recorder, WriterStats
from tracing.sampling import Sampler
from tracing.spanlog import SpanLog


class TraceWriter:
    """Takes events, and hands them to a recorder every now and then.

    `emit` may be called from any thread and costs some microseconds. Everything else belongs
    to the event loop that called `start`. What the recorder has no room for is counted, never
    waited for.

    Args:
        sampler: which traces are kept even if nothing in them fails; without one, all.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        clock: Clock | None = None,
        new_id: NewId = random_id,
        sampler: Sampler | None = None,
    ) -> None:
        self.now = clock or monotonic_clock()
        self._recorder = recorder
        self._sampler = sampler or Sampler()
        self._new_id = new_id
        self._incoming: deque[SpanLog] = deque()
        self._listened: list[SpanLog] = []
        self._closed = False
        self._task: asyncio.Task[None] | None = None
        self._dropped: Counter[str] = Counter()

    def emit(self, event: Event) -> None:
        """Take an event. Never raises, blocks or awaits; what cannot be taken is counted."""
        try:
            log = SpanLog.of(event)
        except (AttributeError, TypeError, ValueError, KeyError):
            self.refuse()
        else:
            self.take(log)

    def take(self, log: SpanLog) -> None:
        """Take a sealed log of one event, as `emit` takes that event, for less of its cost."""
        if not log.entries[0].code:
            self.refuse()
        elif len(self._incoming) >= self._recorder.room:
            self._dropped["shutdown" if self._closed else "overflow"] += 1
        else:
            self._incoming.append(log)

    def listen(self, log: SpanLog) -> None:
        """Take the entries that a log will get, for a fraction of what `emit` costs for each.

        Only for code that runs in the event loop that called `start`. The writer seals the log
        when it looks what has come in; a sealed log, and one of `MAX_ENTRIES`, gets no more.
        """
        if not self._closed:
            self._listened.append(log)

    def refuse(self) -> None:
        """Count an event that is not one, as of a type that nobody has registered."""
        self._dropped["invalid"] += 1

    def create_root_trace(
        self, name: str | None = None, *, sampled: bool | None = None
    ) -> TraceContext:
        """Start a trace. Unless `sampled` says so, the sampler decides by the name."""
        trace_id = self._new_id(16)
        if sampled is None:
            sampled = self._sampler.keeps(trace_id, name)
        return TraceContext(trace_id, self._new_id(8), None, sampled)

    def create_child_span(self, parent: TraceContext) -> TraceContext:
        """Return a new span below `parent`; of a promoted trace, it is sampled from now on."""
        sampled = parent.sampled or self._recorder.is_promoted(parent.trace_id)
        return TraceContext(parent.trace_id, self._new_id(8), parent.span_id, sampled, parent.state)

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
        if late:
            self._dropped["shutdown"] += late

    async def _run(self) -> None:
        while True:
            pressed = self._fresh * PRESSED_SHARE > self._recorder.room > 0
            await asyncio.sleep(PRESSED_SECONDS if pressed else self._recorder.interval)
            self._hand_over()

    def _hand_over(self) -> None:
        """Give the recorder what came in, as far as it has room for it."""
        recorder = self._recorder
        taken = len(self._incoming)
        # Taken out of the room at once: other threads go on emitting meanwhile.
        recorder.room -= taken
        logs = [self._incoming.popleft() for _ in range(taken)]
        listened, self._listened = self._listened, []
        left = recorder.room
        for log in listened:
            log.sealed = True
            events = len(log.entries)
            if events > left:
                self._dropped["overflow"] += events
            elif events:
                left -= events
                logs.append(log)
        try:
            recorder.put(logs)
        except Exception as error:  # a fault of ours: never the work's that is traced
            recorder.reject(sum(len(log.entries) for log in logs), error)

    @property
    def _fresh(self) -> int:
        """How many events came in and are not with the recorder yet."""
        return len(self._incoming) + sum(len(log.entries) for log in self._listened)
