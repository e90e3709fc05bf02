"""Fault points: a worker process kills itself before or after the nth of its durable steps.

What is wrapped are the ports, in that process alone: the product knows nothing of it.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from actors.locks import SqliteLocks
from actors.queues import SqliteQueue
from storage.sqlite import SqliteContainer, SqliteWork

ANY = "any step"


@dataclass(frozen=True, slots=True)
class Step:
    """A durable step, by name, and how often a wave of work takes it at the least."""

    name: str
    often: int


STEPS = (
    Step("queue.lease", 2),
    Step("activity", 6),
    Step("actor-journals.create", 20),
    Step("message-archive.create", 6),
    Step("queue.enqueue", 4),
    Step("queue.park", 4),
    Step("actor-events.create", 2),
    Step("queue.wake", 2),
    Step("actor-events.upsert", 2),
    Step("actor-states.upsert", 2),
    Step("actor-journals.set_ttl", 1),
    Step("actor-states.replace", 1),
    Step("queue.nack", 1),
    Step("dead-letters.create", 1),
    Step("queue.dead_letter", 1),
    Step("locks.release", 8),
    Step("queue.ack", 8),
    Step("trace-events.create", 1),
    Step("trace-events.write_many", 1),
)


@dataclass(frozen=True, slots=True)
class FaultPoint:
    """Where a worker ends: before or after the `nth` step of this name that it takes.

    With `stops` it does not end: it stands still there, until somebody lets it go on.
    """

    step: str
    after: bool
    nth: int
    stops: bool = False

    def __str__(self) -> str:
        return f"{'after' if self.after else 'before'} {self.step} {self.nth}"


class Fuse:
    """Counts steps, and kills or stops this process at its point."""

    def __init__(self, point: FaultPoint | None = None) -> None:
        self._point = point
        self._left = 0 if point is None else point.nth
        self._counting = threading.Lock()

    @property
    def stops(self) -> bool:
        return self._point is not None and self._point.stops

    def reached(self, step: str, *, after: bool) -> None:
        point = self._point
        if point is None or after is not point.after or point.step not in (step, ANY):
            return
        with self._counting:
            self._left -= 1
            here = self._left == 0
        if here:
            if point.stops:
                # Its writer thread ends what it is at first: a process that stands still in the
                # midst of a transaction would keep everybody else out of the file.
                time.sleep(0.3)
            os.kill(os.getpid(), signal.SIGSTOP if point.stops else signal.SIGKILL)


def arm(fuse: Fuse) -> None:
    """Wrap the embedded engines of this process, so that their steps reach the fuse."""
    for name in ("lease", "wake"):
        _wrap(SqliteQueue, name, fuse, lambda _, name: f"queue.{name}")
    for name in ("enqueue", "ack", "nack", "park", "dead_letter"):
        _wrap_work(SqliteQueue, name, fuse, lambda _, name: f"queue.{name}")
    _wrap(SqliteLocks, "acquire", fuse, lambda _, name: f"locks.{name}")
    _wrap_work(SqliteLocks, "release", fuse, lambda _, name: f"locks.{name}")
    for name in ("replace", "upsert", "delete", "write_many", "set_ttl"):
        _wrap(SqliteContainer, name, fuse, lambda container, name: f"{container.spec.name}.{name}")
    _wrap_work(
        *(SqliteContainer, "create", fuse, lambda container, name: f"{container.spec.name}.{name}")
    )


StepOf = Callable[[Any, str], str]


def _wrap(port: type, name: str, fuse: Fuse, step_of: StepOf) -> None:
    real = getattr(port, name)

    @wraps(real)
    async def wrapped(self: Any, *args: Any, **options: Any) -> Any:
        step = step_of(self, name)
        fuse.reached(step, after=False)
        result = await real(self, *args, **options)
        fuse.reached(step, after=True)
        return result

    setattr(port, name, wrapped)


def _wrap_work(port: type, name: str, fuse: Fuse, step_of: StepOf) -> None:
    """As `_wrap`, for what may be one of several writes in a transaction.

    Before it is in the midst of that, when those before it were done; after it is when all are
    durable.
    """
    real = getattr(port, name)

    @wraps(real)
    def wrapped(self: Any, *args: Any, **options: Any) -> SqliteWork[Any]:
        step = step_of(self, name)
        if fuse.stops:
            fuse.reached(step, after=False)
        work: SqliteWork[Any] = real(self, *args, **options)
        function, finish = work._function, work._finish

        def done(connection: sqlite3.Connection) -> Any:
            if not fuse.stops:
                fuse.reached(step, after=False)
            return function(connection)

        def finished(result: Any) -> Any:
            fuse.reached(step, after=True)
            return result if finish is None else finish(result)

        return SqliteWork(work._database, done, finished, atomic=work._atomic)

    setattr(port, name, wrapped)
