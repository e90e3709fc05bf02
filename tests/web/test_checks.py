"""`manage.py check --deploy`: what it says of an embedded queue that it cannot look into."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from django.conf import settings

from actors.queues import SqliteQueue
from loomweb.checks import redis_keeps_what_it_is_given
from loomweb.config import Config, load_config
from storage.sqlite import Database, database
from tests.cosmos_server import free_port


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """Settings that name a Redis server, which does not answer."""
    url = f"redis://127.0.0.1:{free_port()}"
    config = load_config({"LOOM_DATA_DIR": str(tmp_path), "LOOM_REDIS_URL": url})
    monkeypatch.setattr(settings, "CONFIG", config)
    return config


def told() -> dict[str | None, str]:
    """Return what the check says, by id, without what it says of the server."""
    found = {message.id: message.msg for message in redis_keeps_what_it_is_given(None)}
    assert found.pop("loom.E003")
    return found


def test_where_there_is_no_embedded_store_none_is_made(config: Config) -> None:
    assert told() == {}
    assert not config.database_file.exists()


def test_a_store_without_a_queue_holds_no_messages(config: Config) -> None:
    asyncio.run(Database(config.database_file).close())
    assert told() == {}


def test_a_locked_queue_is_told_of(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    async def make() -> None:
        made = Database(config.database_file)
        await SqliteQueue(made).open()
        await made.close()

    asyncio.run(make())
    assert told() == {}
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    with closing(sqlite3.connect(config.database_file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        found = told()
    assert found.keys() == {"loom.W006"}
    assert "database is locked" in found["loom.W006"]


def test_a_queue_that_cannot_be_read_is_told_of(config: Config) -> None:
    config.database_file.write_bytes(b"no database at all" * 100)
    assert "file is not a database" in told()["loom.W006"]


def test_a_queue_of_another_version_is_told_of(config: Config) -> None:
    with closing(sqlite3.connect(config.database_file)) as other:
        other.execute("CREATE TABLE queue_mailboxes (actor_id TEXT PRIMARY KEY)")
        other.commit()
    assert "no such table: queue_messages" in told()["loom.W006"]
