"""Workers that say they are there, alike on every engine."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from pathlib import Path
from uuid import uuid4

import pytest

from actors.presence import SILENT_SECONDS, WORKERS, Attendance, Presence
from actors.worker import ActorWorker, WorkerStats
from storage import Container, Store
from storage.cosmos import CosmosStore
from storage.memory import MemoryStore
from storage.sqlite import Database, SqliteStore
from tests.cosmos_server import KEY

SECOND = 1_000_000_000
STATS = WorkerStats("worker-1", ("Order", "Till"), 64, 2, 10, 1, 0)


class Clock:
    """A machine's clock: that of the store, set `ahead`; it stands still until it is moved."""

    def __init__(self, ahead: int = 0) -> None:
        self.now = time.time_ns() + ahead * SECOND

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
    assert await one.seen() == Attendance([], 0)
    await one.tell(STATS)
    clock.now += SECOND
    await other.tell(replace(STATS, worker_id="worker-2"))
    clock.now += SECOND
    found = (await one.seen()).workers
    assert {seen.stats.worker_id for seen in found} == {"worker-2", "worker-1"}
    # The store keeps whole seconds.
    await asyncio.sleep(1.1)
    await one.tell(replace(STATS, handled=11))
    latest = (await one.seen()).workers[0]
    assert latest.stats == replace(STATS, handled=11)
    assert (latest.started_us, latest.seen_us) == (
        *((clock.now - 2 * SECOND) // 1_000, clock.now // 1_000),
    )
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
    # The store keeps whole seconds.
    clock.now += (SILENT_SECONDS - 1) * SECOND
    assert not (await presence.seen()).silent
    clock.now += 3 * SECOND
    found = (await presence.seen()).workers
    assert [(seen.stats.worker_id, seen.silent) for seen in found] == [("worker-1", True)]
    # Whether or not the engine has taken it away.
    clock.now += 3_600 * SECOND
    assert await presence.seen() == Attendance([], 0)


@pytest.mark.parametrize("ahead", [-7_200, 7_200])
async def test_a_worker_whose_clock_is_wrong_is_no_more_silent_than_others(
    container: Container, ahead: int
) -> None:
    clock = Clock()
    wrong = Presence(container, clock_ns=Clock(ahead))
    await wrong.tell(STATS)
    (seen,) = (await Presence(container, clock_ns=clock).seen()).workers
    assert not seen.silent
    assert abs(seen.seen_ns - clock.now) < 5 * SECOND
    assert seen.started_us == seen.seen_us


@pytest.mark.parametrize("ahead", [-7_200, 7_200])
async def test_a_process_whose_clock_is_wrong_learns_by_its_own_beats_how_wrong(
    container: Container, ahead: int
) -> None:
    clock = Clock(ahead)
    wrong = Presence(container, clock_ns=clock)
    await Presence(container).tell(STATS)
    await wrong.tell(replace(STATS, worker_id="worker-2"))
    found = await wrong.seen()
    assert len(found.workers) == 2
    assert not found.silent
    clock.now += (SILENT_SECONDS + 3) * SECOND
    assert [seen.silent for seen in (await wrong.seen()).workers] == [True, True]


async def test_what_another_version_says_is_counted_and_the_rest_is_listed(
    container: Container,
) -> None:
    presence = Presence(container)
    await presence.tell(STATS)
    (known,) = (await presence.seen()).workers
    said = (await container.read("worker-1", "worker")).body
    await container.upsert({**said, "id": "newer", "zone": "b", "stats": {"turns": [1, 2]}})
    await container.upsert({"id": "older", "kind": "worker", "seenAt": said["seenAt"]})
    stats = {**asdict(STATS), "worker_id": "more", "mood": "good"}
    await container.upsert({**said, "id": "more", "stats": stats, "zone": "b"})
    found = await presence.seen()
    assert {seen.stats.worker_id for seen in found.workers} == {"worker-1", "more"}
    assert known in found.workers
    assert found.unread == 2


async def test_whoever_stops_telling_of_a_worker_says_that_it_has_ended(
    container: Container,
) -> None:
    presence = Presence(container)

    class Idle(ActorWorker):
        def __init__(self) -> None:
            self.worker_id = STATS.worker_id

        def stats(self) -> WorkerStats:
            return STATS

    telling = asyncio.create_task(presence.keep(Idle()))
    async with asyncio.timeout(10):
        while not (await presence.seen()).workers:
            await asyncio.sleep(0.01)
    telling.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await telling
    assert await presence.seen() == Attendance([], 0)
