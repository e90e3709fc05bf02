"""Every engine of the queue, with the locks beside it, on a clock of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest

from actors import LockManager, MemoryLocks, MemoryQueue, MessageQueue, SqliteLocks, SqliteQueue
from actors.locks.redis import RedisLocks
from actors.queues.redis import RedisQueue
from actors.redis_server import RedisServer
from storage.sqlite import Database

Clock = Callable[[], float]
Engine = Callable[[Clock], AbstractAsyncContextManager[tuple[MessageQueue, LockManager]]]

ENGINES = ("memory", "sqlite", "redis")


@asynccontextmanager
async def _memory(clock: Clock) -> AsyncIterator[tuple[MessageQueue, LockManager]]:
    yield MemoryQueue(clock=clock), MemoryLocks(clock=clock)


@asynccontextmanager
async def sqlite_engine(
    folder: Path, clock: Clock
) -> AsyncIterator[tuple[MessageQueue, LockManager]]:
    database = Database(folder / f"{uuid4().hex}.db", synchronous="NORMAL")
    locks = SqliteLocks(database, clock=clock)
    queue = SqliteQueue(database, locks=locks, clock=clock)
    await queue.open()
    await locks.open()
    yield queue, locks
    await database.close()


@asynccontextmanager
async def _redis(url: str, clock: Clock) -> AsyncIterator[tuple[MessageQueue, LockManager]]:
    server = RedisServer(url, name=uuid4().hex, clock=clock)
    queue = RedisQueue(server)
    yield queue, RedisLocks(server)
    await queue.close()
    await server.close()


def engine_of(request: pytest.FixtureRequest, folder: Path) -> Engine:
    """Return what opens an empty engine of the name in `request.param`, again and again."""
    if request.param == "memory":
        return _memory
    if request.param == "sqlite":
        return partial(sqlite_engine, folder)
    return partial(_redis, request.getfixturevalue("redis_url"))
