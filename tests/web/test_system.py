"""The System page lists the workers of all processes."""

from __future__ import annotations

import asyncio
import time

from django.test import AsyncClient

from actors.presence import SILENT_SECONDS, WORKERS, Presence
from actors.worker import WorkerStats
from loomweb.wiring import Loom
from tests.web.conftest import text


def workers(page: str) -> str:
    return page.split("<h2>Workers</h2>")[1].split("</section>")[0]


async def test_the_worker_of_this_process_and_those_of_others_are_listed(
    loom: Loom, client: AsyncClient
) -> None:
    long_ago = time.time_ns() - (SILENT_SECONDS + 5) * 1_000_000_000
    gone = Presence(loom.containers[WORKERS.name], clock_ns=lambda: long_ago)
    types = ("Order", "Till", "<b>Shop</b>", "Loan", "Account")
    await gone.tell(WorkerStats("worker-elsewhere", types, 32, 3, 1_234, 5, 0))
    async with asyncio.timeout(10):
        while len(await loom.presence.seen()) < 2:
            await asyncio.sleep(0.01)
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


async def test_without_workers_it_says_how_to_start_one(loom: Loom, client: AsyncClient) -> None:
    assert loom.worker is not None
    async with asyncio.timeout(10):
        while not await loom.presence.seen():
            await asyncio.sleep(0.01)
    await loom.presence.leave(loom.worker.worker_id)
    assert "manage.py runworker" in workers(text(await client.get("/system/")))
