"""Fault points: a worker process kills itself before or after the nth of its durable steps.

What is wrapped are the ports, in that process alone: the product knows nothing of it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from actors.locks import SqliteLocks
from actors.queues import SqliteQueue
from storage.sqlite import SqliteContainer

ANY = "any step"


@dataclass(frozen=True, slots=True)
class Step:
    """A durable step, by name, and how often a wave of work takes it at the least."""

    name: str
    often: int


STEPS = (
    Step("queue.lease", 2),
    Step("locks.acquire", 12),
    Step("activity", 6),
    Step("actor-journals.create", 20),
    Step("message-archive.create", 6),
    Step("queue.enqueue", 4),
    Step("queue.park", 4),
    Step("actor-events.create", 2),
    Step("queue.wake", 2),
    Step("actor-events.upsert", 2),
    Step("actor-states.upsert", 2),
    Step("actor-journals.write_many", 1),
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

    def reached(self, step: str, *, after: bool) -> None:
        point = self._point
        if point is None or after is not point.after or point.step not in (step, ANY):
            return
        self._left -= 1
        if self._left == 0:
            if point.stops:
                # Its writer thread ends what it is at first: a process that stands still in the
                # midst of a transaction would keep everybody else out of the file.
                time.sleep(0.3)
            os.kill(os.getpid(), signal.SIGSTOP if point.stops else signal.SIGKILL)


def arm(fuse: Fuse) -> None:
    """Wrap the embedded engines of this process, so that their steps reach the fuse."""
    for name in ("enqueue", "lease", "ack", "nack", "park", "wake", "dead_letter"):
        _wrap(SqliteQueue, name, fuse, lambda _, name: f"queue.{name}")
    for name in ("acquire", "release"):
        _wrap(SqliteLocks, name, fuse, lambda _, name: f"locks.{name}")
    for name in ("create", "replace", "upsert", "delete", "write_many"):
        _wrap(SqliteContainer, name, fuse, lambda container, name: f"{container.spec.name}.{name}")


def _wrap(port: type, name: str, fuse: Fuse, step_of: Callable[[Any, str], str]) -> None:
    real = getattr(port, name)

    @wraps(real)
    async def wrapped(self: Any, *args: Any, **options: Any) -> Any:
        step = step_of(self, name)
        fuse.reached(step, after=False)
        result = await real(self, *args, **options)
        fuse.reached(step, after=True)
        return result

    setattr(port, name, wrapped)
