"""Locks in the embedded database."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence

from storage.sqlite import Database, SqliteWork


class SqliteLocks:
    """Locks among the workers of all processes that share the embedded database."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    async def open(self) -> None:
        """Create the table where it is missing."""

        def create(connection: sqlite3.Connection) -> None:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS actor_locks (actor_id TEXT PRIMARY KEY,"
                " owner TEXT NOT NULL, until REAL NOT NULL) WITHOUT ROWID"
            )

        await self._database.write(create)

    async def acquire(self, actor_id: str, owner: str, seconds: float) -> bool:
        return await self._database.write(
            lambda connection: self.take(connection, actor_id, owner, seconds)
        )

    def take(
        self, connection: sqlite3.Connection, actor_id: str, owner: str, seconds: float
    ) -> bool:
        """Take a lock as `acquire` does, within a write to the database."""
        now = self._clock()
        return (
            connection.execute(
                "INSERT INTO actor_locks VALUES (?1, ?2, ?3) ON CONFLICT (actor_id)"
                " DO UPDATE SET owner = ?2, until = ?3 WHERE owner = ?2 OR until <= ?4",
                (actor_id, owner, now + seconds, now),
            ).rowcount
            == 1
        )

    async def renew(self, actor_ids: Sequence[str], owner: str, seconds: float) -> list[bool]:
        now = self._clock()

        def prolong(connection: sqlite3.Connection) -> list[bool]:
            return [
                connection.execute(
                    "UPDATE actor_locks SET until = ?"
                    " WHERE actor_id = ? AND owner = ? AND until > ?",
                    (now + seconds, actor_id, owner, now),
                ).rowcount
                == 1
                for actor_id in actor_ids
            ]

        return await self._database.write(prolong)

    def release(self, actor_id: str, owner: str) -> SqliteWork[None]:
        def drop(connection: sqlite3.Connection) -> None:
            connection.execute(
                "DELETE FROM actor_locks WHERE actor_id = ? AND owner = ?", (actor_id, owner)
            )

        return SqliteWork(self._database, drop)
