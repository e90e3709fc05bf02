"""Actor locks: a courtesy that saves wasted work. The fence is the journal.

A lock says "I am on it" for some seconds. Two owners that both believe they hold one do no harm:
only one of them can append to the journal.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from storage.sqlite import Database


class LockManager(Protocol):
    """Locks by actor id, each held by an owner until a time. `seconds` is from now."""

    async def acquire(self, actor_id: str, owner: str, seconds: float) -> bool:
        """Take the lock, or take it again as its owner; False when another holds it."""

    async def renew(self, actor_ids: Sequence[str], owner: str, seconds: float) -> list[bool]:
        """Prolong locks; False for each that `owner` no longer holds."""

    async def release(self, actor_id: str, owner: str) -> None:
        """Give the lock up, if `owner` still holds it."""


class MemoryLocks:
    """Locks among the workers of one process, for tests."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._held: dict[str, tuple[str, float]] = {}

    async def acquire(self, actor_id: str, owner: str, seconds: float) -> bool:
        now = self._clock()
        holder, until = self._held.get(actor_id, (owner, 0.0))
        if holder != owner and until > now:
            return False
        self._held[actor_id] = (owner, now + seconds)
        return True

    async def renew(self, actor_ids: Sequence[str], owner: str, seconds: float) -> list[bool]:
        now = self._clock()
        kept = []
        for actor_id in actor_ids:
            holder, until = self._held.get(actor_id, ("", 0.0))
            ours = holder == owner and until > now
            if ours:
                self._held[actor_id] = (owner, now + seconds)
            kept.append(ours)
        return kept

    async def release(self, actor_id: str, owner: str) -> None:
        if self._held.get(actor_id, ("", 0.0))[0] == owner:
            del self._held[actor_id]


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
        now = self._clock()

        def take(connection: sqlite3.Connection) -> bool:
            return (
                connection.execute(
                    "INSERT INTO actor_locks VALUES (?1, ?2, ?3) ON CONFLICT (actor_id)"
                    " DO UPDATE SET owner = ?2, until = ?3 WHERE owner = ?2 OR until <= ?4",
                    (actor_id, owner, now + seconds, now),
                ).rowcount
                == 1
            )

        return await self._database.write(take)

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

    async def release(self, actor_id: str, owner: str) -> None:
        def drop(connection: sqlite3.Connection) -> None:
            connection.execute(
                "DELETE FROM actor_locks WHERE actor_id = ? AND owner = ?", (actor_id, owner)
            )

        await self._database.write(drop)
