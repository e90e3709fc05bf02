"""Reading a journal backwards, in pages, on every engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from actors import EntryType, Journal, JournalEntry
from actors.journal import ACTOR_JOURNALS
from storage import Store
from storage.cosmos import CosmosStore
from storage.memory import MemoryStore
from storage.sqlite import Database, SqliteStore
from tests.cosmos_server import KEY


@pytest.fixture(params=["memory", "sqlite", "cosmos"])
async def journal(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Journal]:
    store: Store
    if request.param == "memory":
        store = MemoryStore()
    elif request.param == "sqlite":
        store = SqliteStore(Database(tmp_path / "journal.db"))
    else:
        endpoint = request.getfixturevalue("cosmos_endpoint")
        store = CosmosStore(endpoint, KEY, f"journal-{uuid4().hex[:8]}")
    yield Journal(await store.container(ACTOR_JOURNALS))
    await store.close()


async def test_records_before_an_index_come_latest_first(journal: Journal) -> None:
    done = JournalEntry(EntryType.TURN_COMPLETED, {"messageId": "m", "attempt": 1, "outbox": []})
    for actor in ("Order/1", "Order/2"):
        for index in range(12):
            await journal.append(actor, index, [done], message_id=f"m{index}", turn="t")
    pages = [
        [record.index for record in page]
        async for page in journal.latest("Order/1", until=10, page=4)
    ]
    assert pages == [[9, 8, 7, 6], [5, 4, 3, 2], [1, 0]]
    assert [page async for page in journal.latest("Order/1", until=0)] == [[]]
