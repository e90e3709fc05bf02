"""A worker process of the crash tests: the product as it is wired, with a fuse.

Processes are forked from one that has imported everything and runs no thread, so that one costs
milliseconds. A worker whose clock is ahead finds the leases of those before it run out.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import actors.queues.sqlite
import actors.runtime
import actors.worker
from actors import ActivityExecutor, ActorWorker, RetryPolicy
from actors.deadletters import DEAD_LETTERS, DeadLetters
from actors.locks import SqliteLocks
from actors.queues import SqliteQueue
from loomweb import mail, wiring
from loomweb.config import load_config
from loomweb.wiring import Loom
from tests.crash.cast import CAST, EFFECTS, FUSE
from tests.crash.points import FaultPoint, Fuse, arm

LEASE_SECONDS = 30.0
PATIENT = RetryPolicy(max_retries=1_000, initial_delay=0.005, max_delay=0.005)
"""A message may be under way in many workers that are killed; that is not its fault here."""
NOTHING_LEFT = 0
NEVER_REACHED = 3
_SHORT = {
    (actors.runtime, "SNAPSHOT_EVERY"): 4,
    (actors.runtime, "COMPACT_EVERY"): 8,
    (actors.worker, "BLOCKED_DELAY"): 0.01,
    (actors.queues.sqlite, "POLL_SECONDS"): 0.01,
}


@dataclass(frozen=True, slots=True)
class Job:
    """What one worker process does.

    Attributes:
        effects: the file that activities append to.
        ahead: seconds by which its clock of leases and locks is ahead.
        point: where it is killed or stopped; one that is not killed ends when nothing is left.
        patience: seconds after which it gives up.
    """

    data: Path
    effects: Path
    ahead: float
    point: FaultPoint | None = None
    concurrency: int = 8
    patience: float = 20.0


def settings(data: Path) -> dict[str, str]:
    # A killed process loses nothing with NORMAL; with FULL these tests would wait for the disk.
    return {
        "LOOM_DATA_DIR": str(data),
        "LOOM_TRACE_FLUSH_SECONDS": "0.05",
        "LOOM_SQLITE_SYNCHRONOUS": "NORMAL",
        # So that what is killed is what records.
        "LOOM_TRACE_PROCESS": "0",
    }


def start(job: Job) -> BaseProcess:
    """Start a worker process."""
    context: Any = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pytest", __name__])
    process: BaseProcess = context.Process(target=_main, args=(job,), daemon=True)
    process.start()
    return process


def _main(job: Job) -> None:
    fuse = Fuse(job.point)
    EFFECTS.set(job.effects)
    FUSE.set(fuse)
    for (module, name), value in _SHORT.items():
        setattr(module, name, value)
    arm(fuse)
    sys.exit(asyncio.run(_work(job)))


async def _work(job: Job) -> int:
    loom = await open_ahead(job.data, job.ahead)
    worker = new_worker(loom, job.concurrency)
    task = asyncio.create_task(worker.run())
    ended = NEVER_REACHED
    with suppress(TimeoutError):
        async with asyncio.timeout(job.patience):
            dies = job.point is not None and not job.point.stops
            while dies or await left_to_do(loom) or worker.stats().running:
                await asyncio.sleep(0.01)
            ended = NOTHING_LEFT
    worker.stop()
    await task
    await wiring.close_loom()
    return ended


async def open_ahead(data: Path, seconds: float) -> Loom:
    """Open a Loom whose leases and locks go by a clock that is ahead."""

    def clock() -> float:
        return time.time() + seconds

    queue, locks = mail.SqliteQueue, mail.SqliteLocks
    mail.SqliteQueue = partial(SqliteQueue, clock=clock)  # type: ignore[assignment,misc]
    mail.SqliteLocks = partial(SqliteLocks, clock=clock)  # type: ignore[assignment,misc]
    try:
        return await wiring.open_loom(load_config(settings(data)))
    finally:
        mail.SqliteQueue, mail.SqliteLocks = queue, locks  # type: ignore[misc]


def new_worker(loom: Loom, concurrency: int) -> ActorWorker:
    return ActorWorker(
        *(loom.runtime, loom.queue, CAST, ActivityExecutor(), PATIENT, loom.writer, loom.archive),
        dead_letters=DeadLetters(loom.containers[DEAD_LETTERS.name]),
        concurrency=concurrency,
        lease_seconds=LEASE_SECONDS,
    )


async def left_to_do(loom: Loom) -> int:
    depth = await loom.queue.depth()
    return depth.ready + depth.delayed + depth.leased
