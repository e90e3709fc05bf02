"""`TraceWriter`: takes events without ever getting in the way."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from operator import attrgetter
from threading import get_ident
from typing import Any, Protocol

from tracing.context import NewId, TraceContext, random_id, trace_id_at
from tracing.draft import Draft, EnqueuedNote, Telling
from tracing.event import Clock, Event
from tracing.recording import Box, Recorder, WriterStats
from tracing.sampling import Sampler

HANDFUL = 16
"""Turns that are looked at together when they have ended, and tellings that go into the box
together, which costs little more than a single one: what does it is in the processor's cache after
the first. With a whole box, what was told would not be there any more: misses of a cache of 2 MiB
were a third more."""


class Posted(Protocol):
    """That a message was put into its actor's mailbox, at that tick."""

    at: int

    def told(self) -> EnqueuedNote: ...


class TraceWriter:
    """Takes events, and hands them to a recorder every now and then.

    `emit` may be called from any thread and costs some microseconds. Everything else belongs
    to the event loop that called `start`. What the recorder has no room for is counted, never
    waited for.

    Args:
        sampler: which traces are kept even if nothing in them fails; without one, all.

    Attributes:
        listen: takes the notes that a draft will get, for a fraction of what `emit` costs for each.
            Only for code that runs in the event loop that called `start`. A draft of a turn is
            sealed with others after its `end`; any other when the writer looks what has come in.
        ticks: its clock, which never goes back; nanoseconds since `epoch_ns`.
        epoch_ns: nanoseconds since the epoch.
    """

    def __init__(
        self,
        recorder: Recorder[Any],
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
        self._thread = get_ident()
        self._box: Box = recorder.box()
        self._handful: list[Telling] = []
        """What comes into the box next."""
        self._boxed = 0
        """Events in both."""
        self._elsewhere: deque[Telling] = deque()
        """What other threads told; it comes into the box when the writer looks."""
        self._posted: dict[str, Posted] = {}
        """Messages in their mailboxes that are told with their turns, by span."""
        self._open: set[Draft] = set()
        self._ended: list[Draft] = []
        """Those of them to which nothing is added any more."""
        self.listen: Callable[[Draft], None] = self._open.add
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
            if draft.notes and draft.notes[0][0]:
                self.take(draft)
            else:
                self.refuse()

    def take(self, told: Telling) -> None:
        """Take what was told, sealed, as `emit` does, for less of its cost."""
        boxed, room = self._boxed + told.events, self._recorder.room
        if boxed > room:
            self._drop(told.events)
        elif get_ident() == self._thread:
            self._boxed = boxed
            handful = self._handful
            handful.append(told)
            if len(handful) == HANDFUL:
                self._pack()
        elif boxed + len(self._elsewhere) <= room:
            self._elsewhere.append(told)
        else:
            self._drop(told.events)

    def post(self, span_id: str, posted: Posted) -> None:
        """Take that a message was put into its actor's mailbox.

        It is told with the message's turn, which costs a fraction, where that begins here before
        the writer looks what has come in.
        """
        waiting = self._posted
        if (
            get_ident() == self._thread
            and span_id not in waiting
            and self._recorder.room > self._boxed + len(waiting)
        ):
            waiting[span_id] = posted
        else:
            self.take(posted.told())

    def posted_at(self, span_id: str) -> int:
        """Return when a message was put into its mailbox, which its turn has to tell from now on;
        0 where that is told already, or by somebody else."""
        posted = self._posted.pop(span_id, None)
        return 0 if posted is None else posted.at

    def _pack(self) -> None:
        """Put what is at hand into the box."""
        handful, self._handful = self._handful, []
        try:
            self._box.extend(handful)
        except Exception:  # of one of them: the others must not suffer
            for told in handful:
                try:
                    self._box.extend((told,))
                except Exception as error:  # values that no event should have: no fault of the work
                    self._boxed -= told.events
                    self._recorder.reject(told.events, error)

    def end(self, draft: Draft) -> None:
        """Take a draft to which its turn adds nothing any more, with the next ones that end."""
        ended = self._ended
        ended.append(draft)
        if len(ended) >= HANDFUL:
            self._take_ended()

    def _take_ended(self) -> None:
        ended, self._ended = self._ended, []
        for draft in ended:
            self._take_open(draft)

    def _take_open(self, draft: Draft) -> None:
        """Take a draft, and listen no more."""
        try:
            self._open.remove(draft)
        except KeyError:
            return  # it was open when the writer closed, and is counted as lost already
        draft.seal()
        if draft.events:
            self.take(draft)

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
        trace_id = trace_id_at(self.ticks() + self.epoch_ns, self._new_id)
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
        self._thread = get_ident()
        self._recorder.start()
        self._task = asyncio.create_task(self._run(), name="trace writer")

    async def flush(self) -> None:
        """Store everything that was emitted before the call, however long the store takes.

        Events of unsampled traces go on waiting for a failure.
        """
        self.hand_over()
        await self._recorder.flush()

    async def close(self, *, timeout: float = 10.0) -> None:
        """Flush within `timeout` seconds, count what was not written, and stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self.hand_over()
        await self._recorder.close(timeout=timeout)
        self._closed = True
        late = self._fresh
        self._box, self._handful, self._boxed = self._recorder.box(), [], 0
        self._elsewhere.clear()
        self._posted.clear()
        self._open.clear()
        self._ended.clear()
        self.listen = _deaf
        if late:
            self._dropped["shutdown"] += late

    async def _run(self) -> None:
        while True:
            looked = self.ticks()
            await asyncio.sleep(self._recorder.interval)
            self.hand_over(looked)

    def hand_over(self, begun_before: int | None = None) -> None:
        """Give the recorder what came in, as far as it has room for it.

        The writer does so by itself every `interval` seconds of its recorder. Turns that go on and
        began at that tick or later are left for the next time: most of them are over by then, and
        need not be told in two parts.
        """
        self._take_ended()
        for draft in sorted(self._open, key=_BEGAN):
            if draft.turn is None:
                self._take_open(draft)
            elif draft.size and (begun_before is None or draft.began < begun_before):
                self.take(draft.so_far())
        for _ in range(len(self._elsewhere)):
            self.take(self._elsewhere.popleft())
        for posted in self._posted.values():
            self.take(posted.told())
        self._posted.clear()
        self._pack()
        recorder = self._recorder
        box, events = self._box, self._boxed
        # Out of the room before it is out of the box: other threads look at both.
        recorder.room -= events
        self._box, self._boxed = recorder.box(), 0
        if not events:
            return
        try:
            recorder.put(box, events)
        except Exception as error:  # a fault of ours: never the work's that is traced
            recorder.reject(events, error)

    @property
    def _fresh(self) -> int:
        """How many events came in and are not with the recorder yet."""
        told = self._boxed + sum(told.events for told in self._elsewhere.copy())
        return told + len(self._posted) + sum(draft.size for draft in self._open)

    def _drop(self, events: int) -> None:
        self._dropped["shutdown" if self._closed else "overflow"] += events


_BEGAN = attrgetter("began")


def _deaf(draft: Draft) -> None:
    """Take nothing any more: its writer is closed."""
