"""What every engine promises of a `LockManager`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from actors import LockManager, MemoryLocks, SqliteLocks
from actors.locks.redis import RedisLocks
from actors.redis_server import RedisServer
from storage.sqlite import Database
from tests.conftest import ManualClock


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def locks(
    request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock
) -> AsyncIterator[LockManager]:
    if request.param == "memory":
        yield MemoryLocks(clock=clock)
        return
    if request.param == "redis":
        url = request.getfixturevalue("redis_url")
        server = RedisServer(url, name=f"locks-{uuid4().hex}", clock=clock)
        yield RedisLocks(server)
        await server.close()
        return
    database = Database(tmp_path / "locks.db")
    opened = SqliteLocks(database, clock=clock)
    await opened.open()
    yield opened
    await database.close()


async def test_one_owner_at_a_time(locks: LockManager) -> None:
    assert await locks.acquire("Order/1", "a", 30)
    assert not await locks.acquire("Order/1", "b", 30)
    assert await locks.acquire("Order/2", "b", 30)
    assert await locks.acquire("Order/1", "a", 30)
    await locks.release("Order/1", "a")
    assert await locks.acquire("Order/1", "b", 30)


async def test_a_lock_ends_by_itself(locks: LockManager, clock: ManualClock) -> None:
    assert await locks.acquire("Order/1", "a", 30)
    clock.advance(31)
    assert await locks.acquire("Order/1", "b", 30)
    assert await locks.renew(["Order/1"], "a", 30) == [False]
    await locks.release("Order/1", "a")
    assert not await locks.acquire("Order/1", "c", 30)


async def test_a_renewed_lock_lasts(locks: LockManager, clock: ManualClock) -> None:
    assert await locks.acquire("Order/1", "a", 30)
    clock.advance(20)
    assert await locks.renew(["Order/1", "Order/9"], "a", 30) == [True, False]
    clock.advance(20)
    assert not await locks.acquire("Order/1", "b", 30)


async def test_a_lock_that_ran_out_is_not_renewed(locks: LockManager, clock: ManualClock) -> None:
    assert await locks.acquire("Order/1", "a", 30)
    clock.advance(31)
    assert await locks.renew(["Order/1"], "a", 30) == [False]
