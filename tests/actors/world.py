"""A small world for tests of actors: everything in memory, delays cut short."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from actors import (
    ActivityExecutor,
    Actor,
    ActorRuntime,
    ActorWorker,
    DeadLetters,
    InMemoryStateStore,
    MemoryLocks,
    MemoryQueue,
    Message,
    MessageArchive,
    RetryPolicy,
)
from actors.archive import MESSAGE_ARCHIVE
from actors.deadletters import DEAD_LETTERS
from actors.inbox import ACTOR_EVENTS, Inbox
from storage.memory import MemoryContainer
from tests.builders import trace_writer
from tracing import Event, TraceReader
from tracing.containers import TRACE_EVENTS

FAST = RetryPolicy(max_retries=2, initial_delay=0.005, max_delay=0.01)


class World:
    """A runtime with its stores; `serve` adds workers."""

    def __init__(self, *, traced: bool = True, archived: bool = True) -> None:
        self.traces = MemoryContainer(TRACE_EVENTS)
        self.writer = trace_writer(self.traces) if traced else None
        self.archived = MemoryContainer(MESSAGE_ARCHIVE)
        self.archive = MessageArchive(self.archived) if archived else None
        self.dead_letters = MemoryContainer(DEAD_LETTERS)
        self.letters = DeadLetters(self.dead_letters)
        self.store = InMemoryStateStore()
        self.queue = MemoryQueue()
        self.events_container = MemoryContainer(ACTOR_EVENTS)
        self.inbox = Inbox(self.events_container)
        self.locks = MemoryLocks()
        self.clock_ns: Callable[[], int] = time.time_ns
        self.runtime = self.new_runtime()
        self.workers: list[ActorWorker] = []

    def new_runtime(self) -> ActorRuntime:
        """Return a runtime as another process would have: the same stores, its own memory."""
        return ActorRuntime(
            *(self.store, self.queue, self.locks, self.writer),
            message_archive=self.archive,
            inbox=self.inbox,
            clock_ns=self.clock_ns,
        )

    def new_worker(
        self, *types: type[Actor], runtime: ActorRuntime | None = None, **options: Any
    ) -> ActorWorker:
        return ActorWorker(
            runtime or self.runtime,
            self.queue,
            types,
            ActivityExecutor(FAST),
            options.pop("retry_policy", FAST),
            self.writer,
            self.archive,
            dead_letters=self.letters,
            **options,
        )

    @asynccontextmanager
    async def serve(self, *types: type[Actor], **options: Any) -> AsyncIterator[ActorWorker]:
        """Run a worker for `types` within the block."""
        worker = self.new_worker(*types, **options)
        self.workers.append(worker)
        task = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            worker.stop()
            await task

    async def send(
        self, actor_id: str, message_type: str, payload: Mapping[str, Any] | None = None
    ) -> Message:
        return await self.runtime.send(actor_id, message_type, payload or {})

    async def settled(self) -> None:
        """Wait until no message waits, is delayed or is being handled."""
        async with asyncio.timeout(20):
            while True:
                depth = await self.queue.depth()
                busy = any(worker.stats().running for worker in self.workers)
                if not (depth.ready or depth.delayed or depth.leased or busy):
                    return
                await asyncio.sleep(0.002)

    async def state(self, actor_id: str) -> Mapping[str, Any]:
        return (await self.store.load(actor_id)).data

    async def events(self) -> list[Event]:
        """Return every event of every trace, by time."""
        assert self.writer is not None
        await self.writer.flush()
        reader = TraceReader(self.traces)
        events: list[Event] = []
        for summary in (await reader.find_traces(limit=1_000)).traces:
            trace = await reader.get_trace(summary.trace_id)
            assert trace is not None
            events += trace.events
        return sorted(events, key=lambda event: event.time_ns)

    async def types(self, span_of: Message | None = None) -> list[str]:
        """Return the types of all events, or of one message's span."""
        span = None if span_of is None or span_of.trace is None else span_of.trace.span_id
        return [e.type for e in await self.events() if span in (None, e.span_id)]


@dataclass
class Calls:
    """Counts what ran, by name: activities and handlers tell it."""

    seen: list[str] = field(default_factory=list)

    def __call__(self, name: str) -> int:
        self.seen.append(name)
        return self.seen.count(name)
