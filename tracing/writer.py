"""`TraceWriter`: takes events without ever getting in the way, and stores them in segments."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from storage import Container, StorageError, Throttled, Unavailable
from tracing.context import NewId, TraceContext
from tracing.event import Clock, Event, monotonic_clock
from tracing.registry import REGISTRY
from tracing.sink import Batch, TraceSink

logger = logging.getLogger(__name__)

MAX_SEGMENT_EVENTS = 500
MAX_WRITES = 64
RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class WriterStats:
    """What the writer holds and has done since it started.

    Attributes:
        dropped: events lost, by reason: "overflow", "invalid", "rejected" or "shutdown".
        retries: writes that the store did not take at once.
        last_flush_ms: how long the latest flush took.
    """

    buffered: int
    events_written: int
    segments_written: int
    bytes_written: int
    retries: int
    dropped: Mapping[str, int]
    last_flush_ms: float


@dataclass(slots=True)
class _Buffer:
    """Events of one trace that are not stored yet, and the batch that is under way."""

    since: float
    events: list[Event] = field(default_factory=list)


class TraceWriter:
    """Buffers events and writes them, one segment per trace and flush.

    `emit` may be called from any thread and costs about a microsecond. Everything else belongs to
    the event loop that called `start`. When the store does not answer, events wait in a bounded
    buffer; what does not fit is counted, never waited for.

    Args:
        flush_interval: seconds after which a trace's oldest buffered event is written.
        max_buffered: events held at most, written ones excluded.
    """

    def __init__(
        self,
        container: Container,
        *,
        clock: Clock | None = None,
        new_id: NewId = secrets.token_hex,
        flush_interval: float = 0.5,
        max_buffered: int = 100_000,
    ) -> None:
        self.now = clock or monotonic_clock()
        self._sink = TraceSink(container, writer=new_id(4))
        self._new_id = new_id
        self._flush_interval = flush_interval
        self._max_buffered = max_buffered
        self._incoming: deque[Event] = deque()
        self._buffers: dict[str, _Buffer] = {}
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._held = 0
        self._slots = asyncio.Semaphore(MAX_WRITES)
        self._task: asyncio.Task[None] | None = None
        self._dropped: Counter[str] = Counter()
        self._written = self._retries = 0
        self._last_flush = 0.0

    def emit(self, event: Event) -> None:
        """Take an event. Never raises, blocks or awaits; what cannot be taken is counted."""
        if event.type not in REGISTRY:
            self._dropped["invalid"] += 1
        elif self._held + len(self._incoming) >= self._max_buffered:
            self._dropped["overflow"] += 1
        else:
            self._incoming.append(event)

    def create_root_trace(self, *, sampled: bool = True) -> TraceContext:
        """Start a trace."""
        return TraceContext.root(sampled=sampled, new_id=self._new_id)

    def create_child_span(self, parent: TraceContext) -> TraceContext:
        """Return a new span below `parent`."""
        return parent.child(new_id=self._new_id)

    def stats(self) -> WriterStats:
        """Return the writer's counters."""
        return WriterStats(
            buffered=self._held + len(self._incoming),
            events_written=self._written,
            segments_written=self._sink.segments,
            bytes_written=self._sink.bytes,
            retries=self._retries,
            dropped=dict(self._dropped),
            last_flush_ms=self._last_flush * 1000,
        )

    def start(self) -> None:
        """Begin writing in the background of the running event loop."""
        self._task = asyncio.create_task(self._run(), name="trace writer")

    async def flush(self) -> None:
        """Write everything that was emitted before the call, however long the store takes."""
        started = time.monotonic()
        self._collect()
        while self._buffers or self._busy:
            self._launch(float("inf"))
            if self._busy:
                await asyncio.wait(list(self._busy.values()))
        self._last_flush = time.monotonic() - started

    async def close(self, *, timeout: float = 10.0) -> None:
        """Flush within `timeout` seconds, count what was not written, and stop."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self.flush()
        for task in list(self._busy.values()):
            task.cancel()
        left = self._held + len(self._incoming)
        if left:
            self._dropped["shutdown"] += left
            logger.warning("%d trace events could not be written before shutdown", left)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._flush_interval / 2)
            started = time.monotonic()
            self._collect()
            self._launch(started - self._flush_interval)
            if self._busy:
                # Not longer: another trace may become due while a slow write goes on.
                await asyncio.wait(list(self._busy.values()), timeout=self._flush_interval)
                self._last_flush = time.monotonic() - started

    def _collect(self) -> None:
        """Sort what came in by trace."""
        now = time.monotonic()
        for _ in range(len(self._incoming)):
            event = self._incoming.popleft()
            self._held += 1
            buffer = self._buffers.get(event.trace_id)
            if buffer is None:
                buffer = self._buffers[event.trace_id] = _Buffer(now)
            buffer.events.append(event)

    def _launch(self, due: float) -> None:
        """Start writing every trace whose oldest event came before `due`, or that is large."""
        for trace_id in list(self._buffers):
            buffer = self._buffers[trace_id]
            if trace_id in self._busy:
                continue
            if buffer.since > due and len(buffer.events) < MAX_SEGMENT_EVENTS:
                continue
            events = buffer.events[:MAX_SEGMENT_EVENTS]
            del buffer.events[:MAX_SEGMENT_EVENTS]
            if not buffer.events:
                del self._buffers[trace_id]
            task = asyncio.create_task(self._write(events))
            self._busy[trace_id] = task
            task.add_done_callback(partial(self._done, trace_id))

    def _done(self, trace_id: str, _: asyncio.Task[None]) -> None:
        self._busy.pop(trace_id, None)

    async def _write(self, events: list[Event]) -> None:
        batch: Batch | None = None
        try:
            while True:
                try:
                    async with self._slots:
                        batch = batch or self._sink.batch(events)
                        await self._sink.store(batch)
                except Unavailable as error:
                    self._retries += 1
                    pause = error.retry_after if isinstance(error, Throttled) else RETRY_SECONDS
                    await asyncio.sleep(pause)
                else:
                    self._written += len(events)
                    break
        except StorageError as error:
            # Rejected for good: trying again cannot help, and the work that is traced goes on.
            self._reject(events, error)
        except (TypeError, ValueError, AttributeError, KeyError) as error:
            self._reject(events, error)
        except asyncio.CancelledError:
            self._held += len(events)
            raise
        finally:
            self._held -= len(events)

    def _reject(self, events: list[Event], error: Exception) -> None:
        self._dropped["rejected"] += len(events)
        # The type only: a store's message may quote what it was sent.
        logger.warning("%d trace events were rejected (%s)", len(events), type(error).__name__)
