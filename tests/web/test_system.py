"""The System page lists the workers of all processes."""

from __future__ import annotations

import asyncio
import time

from django.test import AsyncClient

from actors.presence import SILENT_SECONDS, WORKERS, Presence
from actors.worker import WorkerStats
from loomweb.wiring import Loom
from storage.sqlite import Database, SqliteStore
from tests.web.conftest import text


def workers(page: str) -> str:
    return page.split("<h2>Workers</h2>")[1].split("</section>")[0]


async def test_the_worker_of_this_process_and_those_of_others_are_listed(
    loom: Loom, client: AsyncClient
) -> None:
    long_ago = time.time() - SILENT_SECONDS - 5
    store = SqliteStore(Database(loom.config.database_file), clock=lambda: long_ago)
    gone = Presence(await store.container(WORKERS))
    types = ("Order", "Till", "<b>Shop</b>", "Loan", "Account")
    await gone.tell(WorkerStats("worker-elsewhere", types, 32, 3, 1_234, 5, 0))
    async with asyncio.timeout(10):
        while len((await loom.presence.seen()).workers) < 2:
            await asyncio.sleep(0.01)
    await store.close()
    own, other = workers(text(await client.get("/system/"))).split("<tbody>")[1].split("</tr>")[:2]
    assert loom.worker is not None
    assert loom.worker.worker_id in own
    assert "this process" in own
    assert "silent" not in own
    assert "worker-elsewhere" in other
    assert "this process" not in other
    assert '<span class="warn">silent</span>' in other
    assert "3 of 32" in other
    assert "1,234" in other
    assert "and 1 more" in other
    assert "<b>Shop" not in other
    assert "of another version" not in other


async def test_during_an_upgrade_it_says_how_many_processes_it_cannot_read(
    loom: Loom, client: AsyncClient
) -> None:
    assert loom.worker is not None
    await loom.presence.tell(loom.worker.stats())
    container = loom.containers[WORKERS.name]
    said = (await container.read(loom.worker.worker_id, "worker")).body
    await container.upsert({**said, "id": "newer", "stats": {"turns": 3}})
    page = workers(text(await client.get("/system/")))
    assert loom.worker.worker_id in page
    assert "1 process of another version of Loom" in page
    await container.upsert({**said, "id": "newest", "pid": None})
    await loom.presence.leave(loom.worker.worker_id)
    page = workers(text(await client.get("/system/")))
    assert "2 processes of another version of Loom" in page
    assert "nothing is handled" not in page


async def test_without_a_worker_of_its_own_it_says_whose_clock_tells_silence(
    loom: Loom, client: AsyncClient
) -> None:
    assert loom.worker is not None
    container = loom.containers[WORKERS.name]
    late = time.time_ns() + (SILENT_SECONDS + 5) * 1_000_000_000
    await loom.presence.tell(loom.worker.stats())
    loom.presence = Presence(container, clock_ns=lambda: late)
    assert "clock of this process" not in workers(text(await client.get("/system/")))
    loom.worker = None
    assert "clock of this process: if that is more than 25 s ahead" in workers(
        text(await client.get("/system/"))
    )


async def test_without_workers_it_says_how_to_start_one(loom: Loom, client: AsyncClient) -> None:
    assert loom.worker is not None
    async with asyncio.timeout(10):
        while not (await loom.presence.seen()).workers:
            await asyncio.sleep(0.01)
    await loom.presence.leave(loom.worker.worker_id)
    assert "manage.py runworker" in workers(text(await client.get("/system/")))
