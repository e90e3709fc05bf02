"""A worker process within this one, that ends or stands still between any two durable steps.

All it has in common with the others are the ports. When it has ended, its calls have no effect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from actors import (
    ActivityExecutor,
    Actor,
    ActorRuntime,
    ActorWorker,
    DeadLetters,
    LockManager,
    MessageArchive,
    MessageQueue,
    RetryPolicy,
    SqliteLocks,
    SqliteQueue,
)
from actors.archive import MESSAGE_ARCHIVE
from actors.deadletters import DEAD_LETTERS
from actors.inbox import ACTOR_EVENTS, Inbox
from actors.journal import ACTOR_JOURNALS
from actors.queues import Lease
from actors.stores import ACTOR_STATES, CosmosStateStore
from storage import Container, StorageError, Store, Unavailable
from storage.memory import MemoryStore
from storage.sqlite import SqliteContainer, SqliteStore, SqliteWork

PATIENT = RetryPolicy(max_retries=1_000, initial_delay=0.5, max_delay=0.5)
LEASE_SECONDS = 30.0
SPECS = (ACTOR_STATES, ACTOR_JOURNALS, MESSAGE_ARCHIVE, ACTOR_EVENTS, DEAD_LETTERS)
DURABLE = (
    *("enqueue", "lease", "extend", "ack", "nack", "park", "wake", "dead_letter"),
    *("acquire", "renew", "release"),
    *("create", "replace", "upsert", "delete", "set_ttl"),
)
JOINABLE = ("enqueue", "ack", "nack", "park", "dead_letter", "release", "create")
"""Those that the embedded engine can do in one transaction."""


class Shared:
    """What all processes share: documents, the queue, the locks and the time.

    The documents are in memory, or where the queue is embedded in the same file.
    """

    def __init__(
        self,
        queue: MessageQueue,
        locks: LockManager,
        clock: Callable[[], float],
        containers: Mapping[str, Container],
    ) -> None:
        self.queue = queue
        self.locks = locks
        self.clock = clock
        self.containers = containers
        self.store = self.store_over(lambda port: port)
        self.runtime = self.runtime_over(lambda port: port)

    @classmethod
    async def over(
        cls, queue: MessageQueue, locks: LockManager, clock: Callable[[], float]
    ) -> Shared:
        store: Store = MemoryStore()
        if isinstance(queue, SqliteQueue):
            store = SqliteStore(queue._database)
        return cls(queue, locks, clock, {spec.name: await store.container(spec) for spec in SPECS})

    def store_over(self, through: Callable[[Any], Any]) -> CosmosStateStore:
        found = self.containers
        states, journals = found[ACTOR_STATES.name], found[ACTOR_JOURNALS.name]
        return CosmosStateStore(through(states), through(journals), engine="memory")

    def runtime_over(self, through: Callable[[Any], Any]) -> ActorRuntime:
        return ActorRuntime(
            *(self.store_over(through), through(self.queue), through(self.locks)),
            message_archive=MessageArchive(through(self.containers[MESSAGE_ARCHIVE.name])),
            inbox=Inbox(through(self.containers[ACTOR_EVENTS.name])),
            clock_ns=lambda: int(self.clock() * 1e6) * 1_000,
        )


@dataclass
class Fuse:
    """Where a process ends, or with `stalls` stands still: before or after a step to come.

    Attributes:
        steps: which one, 1 for the next; counted are those of the name `only`, or all.
    """

    steps: int
    after: bool
    stalls: bool
    only: str | None = None


class Process:
    """One worker, one turn at a time. It looks at the queue when it is told to, so many times."""

    def __init__(self, shared: Shared, types: tuple[type[Actor], ...]) -> None:
        self.dead = self.stalled = False
        self.fuse: Fuse | None = None
        self._turns = 0
        self._resting = False
        self._poked, self._released = asyncio.Event(), asyncio.Event()
        runtime = shared.runtime_over(lambda port: _Mortal(self, port))
        self._worker = ActorWorker(
            *(runtime, runtime.queue, types, ActivityExecutor(), PATIENT),
            message_archive=runtime.archive,
            dead_letters=DeadLetters(_Mortal(self, shared.containers[DEAD_LETTERS.name])),  # type: ignore[arg-type]
            concurrency=1,
            lease_seconds=LEASE_SECONDS,
            grace_seconds=0,
        )
        self._task = asyncio.create_task(self._worker.run())

    async def work(self, turns: int, fuse: Fuse | None = None) -> None:
        """Handle up to so many messages; returns when it has, or has ended or stands still."""
        self._turns, self.fuse, self._resting = turns, fuse, False
        self._poked.set()
        await self._settled()

    async def go_on(self) -> None:
        """Let it go on where it stands still, with what it knew, and handle nothing new."""
        self.stalled, self.fuse, self._turns = False, None, 0
        self._released.set()
        await self._settled()

    async def beat(self, fuse: Fuse | None = None) -> None:
        """Extend what a turn that stands still holds, as where it waits for an answer alone.

        A turn that has lost its lease is cancelled, wherever it stands.
        """
        self._turns, self.fuse = 0, fuse
        await self._worker.keep()
        self.fuse = None
        if self.dead:
            await self.kill()

    async def kill(self) -> None:
        """End it where it is. Its clean-up reaches nothing any more."""
        self.dead = True
        self._released.set()
        self._worker.stop()
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _settled(self) -> None:
        async with asyncio.timeout(20):
            while not (self.dead or self.stalled or self._is_at_rest()):
                await asyncio.sleep(0)
        if self.dead:
            await self.kill()

    def _is_at_rest(self) -> bool:
        return self._resting and not self._worker.stats().running

    async def rest(self, within: float, types: Collection[str], **_: Any) -> list[Lease]:
        """Stand for the queue's `wait`: until it is told to look again."""
        self._resting = True
        await self._poked.wait()
        self._poked.clear()
        self._resting = False
        return []

    def may_lease(self) -> bool:
        self._turns -= 1
        return self._turns >= 0

    async def reached(self, step: str, *, after: bool) -> None:
        """A durable step begins or has ended."""
        self._check_alive()
        fuse = self.fuse
        if fuse is None or fuse.after is not after or fuse.only not in (None, step):
            return
        fuse.steps -= 1
        if fuse.steps > 0:
            return
        self.fuse = None
        if fuse.stalls:
            self.stalled = True
            self._released.clear()
            await self._released.wait()
        else:
            self.dead = True
        self._check_alive()

    def _check_alive(self) -> None:
        if self.dead:
            raise Unavailable("this process has ended")


class _Mortal:
    """A port as a process reaches it."""

    def __init__(self, process: Process, port: Any) -> None:
        self._process = process
        self._port = port

    def __getattr__(self, name: str) -> Any:
        process, real = self._process, getattr(self._port, name)
        if name == "wait":
            return process.rest
        if name not in DURABLE:
            return real

        async def called(*args: Any, **options: Any) -> Any:
            if name == "lease" and not process.may_lease():
                return []
            await process.reached(name, after=False)
            result = await real(*args, **options)
            await process.reached(name, after=True)
            return result

        def joinable(*args: Any, **options: Any) -> Any:
            return _MortalWork(process, name, real(*args, **options))

        is_work = isinstance(self._port, SqliteQueue | SqliteLocks | SqliteContainer)
        return joinable if is_work and name in JOINABLE else called


class _MortalWork(SqliteWork[Any]):
    """A write of a process, or several in one transaction: a single step, of the first's name."""

    __slots__ = ("_process", "_step")

    def __init__(self, process: Process, step: str, work: SqliteWork[Any]) -> None:
        super().__init__(work._database, work._function, work._finish, atomic=work._atomic)
        self._process = process
        self._step = step

    def start(self) -> asyncio.Future[Any]:
        return asyncio.ensure_future(self._called())

    async def _called(self) -> Any:
        await self._process.reached(self._step, after=False)
        result = await SqliteWork(
            *(self._database, self._function, self._finish), atomic=self._atomic
        )
        await self._process.reached(self._step, after=True)
        return result

    def join(self, others: Sequence[Awaitable[Any]]) -> SqliteWork[list[Any]] | None:
        together = super().join(others)
        return None if together is None else _MortalWork(self._process, self._step, together)

    def forgiving(self, *errors: type[StorageError]) -> SqliteWork[Any]:
        return _MortalWork(self._process, self._step, super().forgiving(*errors))

    def map(self, function: Callable[[Any], Any]) -> SqliteWork[Any]:
        return _MortalWork(self._process, self._step, super().map(function))
