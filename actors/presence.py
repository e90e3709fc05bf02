"""Presence: each worker says now and then that it is there, and what it does.

What it says is one document that it alone writes, so any process can list all workers. One that
ends takes it away; one that is killed falls silent, and is forgotten after an hour. How long ago it
was heard from is counted from when the store took the document: machines' clocks differ.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from actors.worker import ActorWorker, WorkerStats
from storage import Container, ContainerSpec, Index, NotFound, Query, StorageError, Where

logger = logging.getLogger(__name__)

WORKERS = ContainerSpec(
    "workers",
    "kind",
    default_ttl=3_600,
    indexes=(Index(equal=("kind",), order=("seenAt",), descending=True),),
)
BEAT_SECONDS = 10.0
SILENT_SECONDS = 35
"""A worker that missed three beats is silent: killed, stopped, or cut off from the store."""
CLOCK_SECONDS = SILENT_SECONDS - int(BEAT_SECONDS)
"""How far this process's clock may be ahead of the store's before workers that are not silent look
so. Where it has a worker of its own, it may be as far off as it likes: each beat tells how far.
"""
MAX_WORKERS = 200
_KIND = "worker"


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """A worker as it last said.

    Attributes:
        stats: its counters at that time.
        started_us, seen_us: microseconds since the epoch, by this process's clock.
        silent: it should have said something since.
    """

    stats: WorkerStats
    host: str
    pid: int
    started_us: int
    seen_us: int
    silent: bool

    @property
    def started_ns(self) -> int:
        return self.started_us * 1000

    @property
    def seen_ns(self) -> int:
        return self.seen_us * 1000


@dataclass(frozen=True, slots=True)
class Attendance:
    """The workers that were heard from within the hour, the latest first.

    `unread` is how many more said so in words of another version of Loom.
    """

    workers: list[WorkerSeen]
    unread: int

    @property
    def silent(self) -> bool:
        """Whether some worker is."""
        return any(seen.silent for seen in self.workers)


class _Said(msgspec.Struct, rename="camel"):
    """What a worker's document holds. The times are its own clock's, in microseconds."""

    id: str
    kind: str
    host: str
    pid: int
    stats: WorkerStats
    started_at: int
    seen_at: int


class Presence:
    """Tells of this process's worker, and lists those of all processes."""

    def __init__(self, container: Container, *, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._container = container
        self._clock_ns = clock_ns
        self._started_us = self._now_us()
        self._ahead_us = 0
        """What this process's clock shows more than the store's, as far as is known."""

    async def keep(self, worker: ActorWorker) -> None:
        """Tell of a worker until cancelled, then that it has ended.

        A store that does not answer is asked again.
        """
        try:
            while True:
                try:
                    await self.tell(worker.stats())
                except StorageError as error:
                    logger.info("the store was not told of the worker (%s)", type(error).__name__)
                await asyncio.sleep(BEAT_SECONDS)
        finally:
            with contextlib.suppress(StorageError):
                await self.leave(worker.worker_id)

    async def tell(self, stats: WorkerStats) -> None:
        """Say what a worker of this process does now.

        Raises:
            storage.StorageError: nobody was told.
        """
        now_us = self._now_us()
        host = socket.gethostname()[:200]
        said = _Said(stats.worker_id, _KIND, host, os.getpid(), stats, self._started_us, now_us)
        written = await self._container.upsert(msgspec.to_builtins(said))
        self._ahead_us = now_us - written.modified * 1_000_000

    async def leave(self, worker_id: str) -> None:
        """Say that a worker has ended.

        Raises:
            storage.StorageError: it will be listed as silent.
        """
        with contextlib.suppress(NotFound):
            await self._container.delete(worker_id, _KIND)

    async def seen(self) -> Attendance:
        """Return the workers that were heard from within the hour.

        Raises:
            storage.StorageError: the store does not answer.
        """
        page = await self._container.query(
            Query(
                (Where("kind", "=", _KIND),),
                partition=_KIND,
                order_by=("seenAt",),
                descending=True,
                limit=MAX_WORKERS,
            )
        )
        now_us = self._now_us()
        workers, unread = [], 0
        for document in page.documents:
            heard_us = min(document.modified * 1_000_000 + self._ahead_us, now_us)
            if heard_us < now_us - (WORKERS.default_ttl or 0) * 1_000_000:
                continue
            try:
                said = msgspec.convert(document.body, _Said)
            except msgspec.ValidationError:
                unread += 1
                continue
            workers.append(
                WorkerSeen(
                    *(said.stats, said.host, said.pid),
                    started_us=heard_us - (said.seen_at - said.started_at),
                    seen_us=heard_us,
                    silent=now_us - heard_us > SILENT_SECONDS * 1_000_000,
                )
            )
        workers.sort(key=lambda seen: seen.seen_us, reverse=True)
        return Attendance(workers, unread)

    def _now_us(self) -> int:
        return self._clock_ns() // 1000
