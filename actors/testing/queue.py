"""The harness's queue: remembers what was sent, and decides when time passes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Sequence

from actors.message import Message
from actors.queues import Lease, MemoryQueue
from actors.testing.clock import VirtualClock
from actors.worker import ActorWorker

FAR = 50 * 366 * 86_400.0
"""Seconds after which it is asked again whether the turns under way are alive."""
MAX_TURNS = 10_000
"""Leases in one go after which it is taken for something without end."""


class HarnessQueue(MemoryQueue):
    """A queue that ends its worker when nothing is left to do.

    Attributes:
        sent: every message, in the order in which it was sent.
        until: up to when time may pass by itself, seconds since the epoch. Beyond it time passes
            only for retries, and while a turn runs.
    """

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock=clock.time)
        self._time = clock
        self._worker: ActorWorker | None = None
        self._leased = 0
        self.sent: list[Message] = []
        self.until = 0.0

    def serve(self, worker: ActorWorker, until: float) -> None:
        """Expect this worker next, and let time pass up to `until`."""
        self._worker, self.until, self._leased = worker, until, 0

    async def enqueue(self, messages: Sequence[Message], *, delay: float = 0.0) -> list[bool]:
        added = await super().enqueue(messages, delay=delay)
        self.sent += [message for message, new in zip(messages, added, strict=True) if new]
        return added

    async def lease(
        self, actor_types: Collection[str], *, limit: int, seconds: float, owner: str | None = None
    ) -> list[Lease]:
        leases = await super().lease(actor_types, limit=limit, seconds=seconds, owner=owner)
        self._leased += len(leases)
        if self._leased > MAX_TURNS:
            raise RuntimeError(f"more than {MAX_TURNS:,} turns in one go: do they ever end?")
        return leases

    async def wait(
        self,
        within: float,
        actor_types: Collection[str],
        *,
        limit: int,
        seconds: float,
        owner: str | None = None,
    ) -> list[Lease]:
        """Wait for the next thing to do, however long; end the worker when there is none."""
        if self._worker is None:
            return []
        stats = self._worker.stats()
        upcoming = self.upcoming(stats.actor_types)
        first = upcoming.first
        latest = max(self.until, upcoming.retry or 0.0)
        pause = FAR if first is None else max(0.0, first - self._time.time())
        if upcoming.leased and stats.running:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._changed.wait()
            self._changed.clear()
        elif first is None or (pause and first > latest):
            self._worker.stop()
        else:
            await asyncio.sleep(pause)
        return []
