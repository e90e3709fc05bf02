"""Presence: each worker says now and then that it is there, and what it does.

What it says is one document that it alone writes, so any process can list all workers. One that
ends takes it away; one that is killed falls silent, and is forgotten after an hour.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

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
MAX_WORKERS = 200
_KIND = "worker"


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """A worker as it last said.

    Attributes:
        stats: its counters at that time.
        started_us, seen_us: microseconds since the epoch.
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


class Presence:
    """Tells of this process's worker, and lists those of all processes."""

    def __init__(self, container: Container, *, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._container = container
        self._clock_ns = clock_ns
        self._started_us = clock_ns() // 1000

    async def keep(self, worker: ActorWorker) -> None:
        """Tell of a worker until cancelled; a store that does not answer is asked again."""
        while True:
            try:
                await self.tell(worker.stats())
            except StorageError as error:
                logger.info("the store was not told of the worker (%s)", type(error).__name__)
            await asyncio.sleep(BEAT_SECONDS)

    async def tell(self, stats: WorkerStats) -> None:
        """Say what a worker of this process does now.

        Raises:
            storage.StorageError: nobody was told.
        """
        await self._container.upsert(
            {
                "id": stats.worker_id,
                "kind": _KIND,
                "host": socket.gethostname()[:200],
                "pid": os.getpid(),
                "stats": asdict(stats),
                "startedAt": self._started_us,
                "seenAt": self._clock_ns() // 1000,
            }
        )

    async def leave(self, worker_id: str) -> None:
        """Say that a worker has ended.

        Raises:
            storage.StorageError: it will be listed as silent.
        """
        try:
            await self._container.delete(worker_id, _KIND)
        except NotFound:
            return

    async def seen(self) -> list[WorkerSeen]:
        """Return the workers that were heard from within the hour, the latest first.

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
        now_us = self._clock_ns() // 1000
        known_us = now_us - (WORKERS.default_ttl or 0) * 1_000_000
        found = []
        for body in (document.body for document in page.documents):
            if body["seenAt"] < known_us:
                continue
            silent = now_us - body["seenAt"] > SILENT_SECONDS * 1_000_000
            stats = msgspec.convert(body["stats"], WorkerStats)
            found.append(
                WorkerSeen(
                    *(stats, body["host"], body["pid"]),
                    *(body["startedAt"], body["seenAt"], silent),
                )
            )
        return found
