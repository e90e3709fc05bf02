"""Workers that say they are there, alike on every engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from actors.presence import SILENT_SECONDS, WORKERS, Presence
from actors.worker import WorkerStats
from storage import Container, Store
from storage.cosmos import CosmosStore
from storage.memory import MemoryStore
from storage.sqlite import Database, SqliteStore
from tests.cosmos_server import KEY

SECOND = 1_000_000_000
STATS = WorkerStats("worker-1", ("Order", "Till"), 64, 2, 10, 1, 0)


class Clock:
    """Time that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_800_000_000 * SECOND

    def __call__(self) -> int:
        return self.now


@pytest.fixture(params=["memory", "sqlite", "cosmos"])
async def container(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Container]:
    store: Store
    if request.param == "memory":
        store = MemoryStore()
    elif request.param == "sqlite":
        store = SqliteStore(Database(tmp_path / "workers.db"))
    else:
        endpoint = request.getfixturevalue("cosmos_endpoint")
        store = CosmosStore(endpoint, KEY, f"workers-{uuid4().hex[:8]}")
    yield await store.container(WORKERS)
    await store.close()


async def test_what_a_worker_said_last_is_listed_latest_first(container: Container) -> None:
    clock = Clock()
    one, other = (Presence(container, clock_ns=clock) for _ in range(2))
    assert await one.seen() == []
    await one.tell(STATS)
    clock.now += SECOND
    await other.tell(replace(STATS, worker_id="worker-2"))
    clock.now += SECOND
    found = await one.seen()
    assert [seen.stats.worker_id for seen in found] == ["worker-2", "worker-1"]
    await one.tell(replace(STATS, handled=11))
    latest = (await other.seen())[0]
    assert latest.stats == replace(STATS, handled=11)
    assert (latest.started_ns, latest.seen_ns) == (clock.now - 2 * SECOND, clock.now)
    assert latest.pid > 0


async def test_one_that_ends_is_gone_and_one_that_is_killed_falls_silent(
    container: Container,
) -> None:
    clock = Clock()
    presence = Presence(container, clock_ns=clock)
    await presence.tell(STATS)
    await presence.tell(replace(STATS, worker_id="worker-2"))
    await presence.leave("worker-2")
    await presence.leave("worker-2")
    clock.now += SILENT_SECONDS * SECOND
    assert [seen.silent for seen in await presence.seen()] == [False]
    clock.now += SECOND
    assert [(s.stats.worker_id, s.silent) for s in await presence.seen()] == [("worker-1", True)]
    # Whether or not the engine has taken it away.
    clock.now += 3_600 * SECOND
    assert await presence.seen() == []
