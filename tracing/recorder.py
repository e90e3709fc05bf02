"""`StoreRecorder`: sorts events by trace and stores them in segments, in this process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

import msgspec

from storage import Container, StorageError, Throttled, Unavailable
from tracing.context import NewId, random_id
from tracing.draft import Telling
from tracing.event import Clock, Event, monotonic_clock
from tracing.hold import Hold
from tracing.intent import Intent, repair_abandoned
from tracing.keeper import RollupKeeper
from tracing.promotions import Promotions
from tracing.recording import WriterStats
from tracing.rollup import SAVE_SECONDS
from tracing.sink import Batch, TraceSink
from tracing.spanlog import SpanLog
from tracing.turnlog import packed

logger = logging.getLogger(__name__)

MAX_SEGMENT_EVENTS = 500
CHUNK_TRACES, MAX_CHUNKS = 1_000, 4
"""Traces that are written together, and how many such chunks are under way at a time. Embedded, a
chunk is one transaction, or up to three where it has traces that take more than one document."""
BREATH_TRACES = 50
"""Traces that are packed before the event loop may do something else."""
MAX_FLUSH = 10_000
"""Traces of one flush: an intent names them all."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds without any write after the store did not answer; doubled each time."""
PRESSED_SHARE = 5
"""A buffer that is full to one part in so many is written at once, however young its events."""
PRESSED_SECONDS = 0.002
MAX_BUFFERED = 100_000
HOLD_SECONDS = 60.0
"""How long an unsampled trace waits for a failure in it."""
POLL_SECONDS = 5.0
"""How often a writer asks which traces others have promoted."""
REPAIR_SECONDS = 60.0

Export = Callable[[Sequence[Event]], None]
"""Takes events of one trace that were stored. It neither blocks nor raises."""


class _Buffer(msgspec.Struct, gc=False):
    """Events of one trace that are not stored yet."""

    since: float
    logs: list[SpanLog] = msgspec.field(default_factory=list)
    size: int = 0

    def take(self, most: int) -> list[SpanLog]:
        """Return the oldest logs, with about `most` events at most."""
        number = size = 0
        for log in self.logs:
            if number and size + log.size > most:
                break
            number += 1
            size += log.size
        taken, self.logs = self.logs[:number], self.logs[number:]
        self.size -= size
        return taken


class StoreRecorder:
    """Buffers events and writes them, one segment per trace and flush.

    Everything happens in the event loop that called `start`. When the store does not answer, events
    wait in a bounded buffer.

    Args:
        export: is given what was stored, to send it elsewhere too.
        flush_interval: seconds after which a trace's oldest buffered event is written.
        max_buffered: events held at most, written ones excluded.
        hold_seconds: how long an unsampled trace waits for a failure in it.
        on_promotion: is told each unsampled trace that is kept from now on.
    """

    def __init__(
        self,
        container: Container,
        *,
        clock: Clock | None = None,
        new_id: NewId = random_id,
        export: Export | None = None,
        flush_interval: float = 0.5,
        max_buffered: int = MAX_BUFFERED,
        hold_seconds: float = HOLD_SECONDS,
        on_promotion: Callable[[str], None] | None = None,
    ) -> None:
        self._clock = clock or monotonic_clock()
        writer = new_id(4)
        self._container = container
        self._export = export
        self._sink = TraceSink(container, writer=writer)
        self._intent = Intent(container, writer=writer, clock=self._clock)
        self._rollups = RollupKeeper(container, writer=writer)
        self._promotions = Promotions(container, clock=self._clock, since_seconds=hold_seconds)
        self._hold = Hold(seconds=hold_seconds, max_events=max_buffered // 2)
        self.interval = flush_interval / 2
        self._flush_interval = flush_interval
        self._max_buffered = self.room = max_buffered
        self._buffers: dict[str, _Buffer] = {}
        self._due: deque[str] = deque()
        self._busy: set[str] = set()
        self._writing: set[asyncio.Task[None]] = set()
        self._buffered = 0
        self._promoted_at: dict[str, int] = {}
        self._open_at = 0.0
        self._pause = FIRST_PAUSE
        self._tasks: list[asyncio.Task[None]] = []
        self._dropped: Counter[str] = Counter()
        self._written = self._retries = self._promoted = self._repaired = 0
        self._last_flush = 0.0
        self._on_promotion = on_promotion

    def box(self) -> list[Telling]:
        return []

    def put(self, box: list[Telling], events: int) -> None:
        """Sort events by trace."""
        now = time.monotonic()
        logs = packed(box)
        self._rollups.count(logs)
        for log in logs:
            if log.sampled:
                self._keep(log, now)
            else:
                for kept in self._held_back(log, now):
                    self._keep(kept, now)
        self._make_room()

    def reject(self, events: int, error: Exception) -> None:
        self._dropped["rejected"] += events
        # The type only: a store's message may quote what it was sent.
        logger.warning("%d trace events were rejected (%s)", events, type(error).__name__)

    def is_promoted(self, trace_id: str) -> bool:
        return self._hold.is_promoted(trace_id)

    def stats(self) -> WriterStats:
        dropped = Counter(self._dropped)
        dropped["hold_overflow"] += self._hold.overflowed
        return WriterStats(
            buffered=self._buffered,
            held=self._hold.size,
            events_written=self._written,
            segments_written=self._sink.segments,
            bytes_written=self._sink.bytes,
            retries=self._retries,
            unsampled=self._hold.passed,
            promoted=self._promoted,
            repaired=self._repaired,
            dropped={reason: number for reason, number in dropped.items() if number},
            paused_seconds=max(0.0, self._open_at - time.monotonic()),
            last_flush_ms=self._last_flush * 1000,
        )

    def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._run(), name="trace recorder"),
            asyncio.create_task(self._look_around(), name="trace recorder, other writers"),
            asyncio.create_task(self._save_rollups(), name="trace recorder, rollups"),
        ]

    async def flush(self) -> None:
        started = time.monotonic()
        while self._buffers or self._writing:
            await self._until_open()
            await self._launch(float("inf"))
            if self._writing:
                await asyncio.wait(list(self._writing))
        self._last_flush = time.monotonic() - started
        while True:
            try:
                return await self._rollups.save()
            except Unavailable as error:
                self._rest(error)
                await self._until_open()
            except Exception as error:
                logger.warning("rollups were rejected (%s)", type(error).__name__)
                return None

    async def close(self, *, timeout: float = 10.0) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._open_at = 0.0
        with contextlib.suppress(TimeoutError, StorageError):
            async with asyncio.timeout(timeout):
                await self.flush()
                await self._intent.withdraw()
        left_over = list(self._writing)
        for task in left_over:
            task.cancel()
        await asyncio.gather(*left_over, return_exceptions=True)
        left = self._buffered
        # From here on nothing is taken, and nothing that is here counts as waiting.
        self._max_buffered = self._buffered = 0
        self._buffers.clear()
        self._make_room()
        if left:
            self._dropped["shutdown"] += left
            logger.warning("%d trace events could not be written before shutdown", left)

    async def _run(self) -> None:
        while True:
            # With much to write, waiting for more would only fill the buffer.
            pressed = self._buffered * PRESSED_SHARE > self._max_buffered and not self._resting
            await asyncio.sleep(PRESSED_SECONDS if pressed else self.interval)
            started = time.monotonic()
            self._hold.expire(started)
            self._make_room()
            await self._launch(float("inf") if pressed else started - self._flush_interval)
            if self._writing:
                # Not longer: another trace may become due while a slow write goes on.
                await asyncio.wait(list(self._writing), timeout=self._flush_interval)
                self._last_flush = time.monotonic() - started

    def _make_room(self) -> None:
        self.room = self._max_buffered - self._buffered - self._hold.size

    def _held_back(self, log: SpanLog, now: float) -> Sequence[SpanLog]:
        """Return what of an unsampled trace is to be written after these events of it."""
        known = self._hold.is_promoted(log.trace_id)
        kept = self._hold.add(log, now)
        if not known and self._hold.is_promoted(log.trace_id):
            self._promoted += 1
            self._promoted_at[log.trace_id] = self._clock()
            self._tell_promoted(log.trace_id)
        return kept

    def _tell_promoted(self, trace_id: str) -> None:
        if self._on_promotion is not None:
            self._on_promotion(trace_id)

    def _keep(self, log: SpanLog, now: float) -> None:
        buffer = self._buffers.get(log.trace_id)
        if buffer is None:
            buffer = self._buffers[log.trace_id] = _Buffer(now)
        size = log.size
        buffer.logs.append(log)
        buffer.size += size
        self._buffered += size

    async def _launch(self, due: float) -> None:
        """Start writing every trace whose oldest event came before `due`, or that is large."""
        chosen = [
            trace_id
            for trace_id, buffer in self._buffers.items()
            if buffer.since <= due or buffer.size >= MAX_SEGMENT_EVENTS
        ][:MAX_FLUSH]
        if not chosen or self._resting:
            return
        try:
            await self._intent.cover({*chosen, *self._busy})
        except Unavailable as error:
            self._rest(error)
            return
        except Exception as error:
            # Without an intent a crash may leave a wrong summary: worth less than the events.
            logger.warning("the trace recorder's intent was rejected (%s)", type(error).__name__)
        self._due = deque(chosen)
        self._fill()

    def _fill(self) -> None:
        """Write what is due: many traces together, and several such chunks at a time."""
        while self._due and len(self._writing) < MAX_CHUNKS:
            chunk: dict[str, list[SpanLog]] = {}
            while self._due and len(chunk) < CHUNK_TRACES:
                trace_id = self._due.popleft()
                buffer = self._buffers.get(trace_id)
                if trace_id in self._busy or buffer is None:
                    continue
                chunk[trace_id] = buffer.take(MAX_SEGMENT_EVENTS)
                if not buffer.logs:
                    del self._buffers[trace_id]
            if not chunk:
                return
            task = asyncio.create_task(self._write(chunk))
            self._writing.add(task)
            self._busy.update(chunk)
            task.add_done_callback(partial(self._done, chunk))

    def _done(self, chunk: Collection[str], task: asyncio.Task[None]) -> None:
        self._writing.discard(task)
        self._busy.difference_update(chunk)
        if not self._resting:
            self._fill()

    async def _write(self, chunk: dict[str, list[SpanLog]]) -> None:
        left = sum(log.size for logs in chunk.values() for log in logs)
        batches: list[Batch] = []
        try:
            for number, (trace_id, logs) in enumerate(chunk.items(), 1):
                if number % BREATH_TRACES == 0:
                    await asyncio.sleep(0)
                try:
                    promoted_ns = self._promoted_at.pop(trace_id, None)
                    batches.append(self._sink.batch(logs, promoted_ns=promoted_ns))
                except Exception as error:  # what nobody foresaw in one trace costs that one only
                    left -= self._reject(sum(log.size for log in logs), error)
            while batches:
                try:
                    errors = await self._store(batches)
                except Exception as error:  # a fault of ours or of the engine: never the work's
                    left -= sum(self._reject(batch.size, error) for batch in batches)
                    return
                again: list[Batch] = []
                for batch in batches:
                    problem = errors.get(batch.trace_id)
                    if isinstance(problem, Unavailable):
                        again.append(batch)
                    elif problem is not None:
                        # Trying again cannot help, and the work that is traced goes on.
                        left -= self._reject(batch.size, problem)
                    else:
                        left -= self._stored(batch)
                batches = again
                for problem in errors.values():
                    if isinstance(problem, Unavailable):
                        self._rest(problem)
                if again:
                    await self._until_open()
                else:
                    self._pause = FIRST_PAUSE
        except asyncio.CancelledError:
            self._buffered += left
            raise
        finally:
            self._buffered -= left

    async def _store(self, batches: Sequence[Batch]) -> Mapping[str, StorageError]:
        """Store batches; return the errors by trace."""
        try:
            # Again before each try: after a long outage the intent may have been removed.
            await self._intent.cover({*self._busy, *self._due})
        except Unavailable as error:
            return {batch.trace_id: error for batch in batches}
        except Exception as error:
            logger.warning("the trace recorder's intent was rejected (%s)", type(error).__name__)
        return await self._sink.store_many(batches)

    def _stored(self, batch: Batch) -> int:
        self._written += batch.size
        self._buffered -= batch.size
        self._make_room()
        if self._export is not None:
            self._export([event for log in batch.logs for event in log.events()])
        return batch.size

    def _reject(self, events: int, error: Exception) -> int:
        self.reject(events, error)
        self._buffered -= events
        self._make_room()
        return events

    @property
    def _resting(self) -> bool:
        return time.monotonic() < self._open_at

    def _rest(self, error: Unavailable) -> None:
        """Write nothing for a while; all traces wait together, so the store sees few attempts."""
        self._retries += 1
        now = time.monotonic()
        if isinstance(error, Throttled):
            self._open_at = max(self._open_at, now + error.retry_after)
        elif now >= self._open_at:
            self._open_at = now + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)

    async def _until_open(self) -> None:
        # In short steps, because closing ends the pause.
        while (left := self._open_at - time.monotonic()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(min(left, 0.2))

    async def _look_around(self) -> None:
        """Learn what other writers promoted, and put right what dead ones left."""
        repaired = time.monotonic() - REPAIR_SECONDS
        while True:
            try:
                if self._hold.size:
                    for trace_id in await self._promotions.latest():
                        if not self._hold.is_promoted(trace_id):
                            self._tell_promoted(trace_id)
                        for kept in self._hold.promote(trace_id):
                            self._keep(kept, time.monotonic())
                if time.monotonic() - repaired >= REPAIR_SECONDS:
                    repaired = time.monotonic()
                    self._repaired += await repair_abandoned(self._container, now_ns=self._clock())
            except Exception as error:  # as everywhere here: tracing goes on
                logger.info("the trace store cannot be asked (%s)", type(error).__name__)
            await asyncio.sleep(POLL_SECONDS)

    async def _save_rollups(self) -> None:
        while True:
            await asyncio.sleep(SAVE_SECONDS)
            try:
                await self._rollups.save()
            except Exception as error:
                logger.info("rollups wait for the store (%s)", type(error).__name__)
