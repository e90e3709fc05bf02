"""The embedded queue: two tables beside the documents, in the same group-committed file.

A mailbox row holds the time at which its actor may next be leased, and nothing else decides:
ready (now), waiting for a delay or retry (later) or leased (when the lease runs out). A lease is
one index look-up per actor, however many messages wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

import msgspec

from actors.locks import SqliteLocks
from actors.message import Message
from actors.queues import sqlite_mailboxes
from actors.queues.port import DEDUPE_SECONDS, Depth, Lease, Mailbox, MailboxState, Tally
from storage import Unavailable
from storage.sqlite import Database, Job, SqliteWork

POLL_SECONDS = 0.25
"""Another process may enqueue; this one looks at least this often while it waits."""

_READY, _DONE, _DEAD = 0, 1, 2
_PURGE_EVERY = 500
_NEVER = 1 << 62
_WINDOW = DEDUPE_SECONDS * 1_000_000

_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS queue_messages (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        message_id TEXT NOT NULL UNIQUE,
        actor_id TEXT NOT NULL,
        priority INTEGER NOT NULL,
        visible_at INTEGER NOT NULL,
        enqueued_at INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        state INTEGER NOT NULL DEFAULT 0,
        body BLOB,
        leases INTEGER NOT NULL DEFAULT 0)""",
    """CREATE INDEX IF NOT EXISTS queue_heads
        ON queue_messages (actor_id, priority, seq) WHERE state = 0""",
    """CREATE INDEX IF NOT EXISTS queue_dead ON queue_messages (seq) WHERE state = 2""",
    """CREATE INDEX IF NOT EXISTS queue_done ON queue_messages (visible_at) WHERE state = 1""",
    """CREATE TABLE IF NOT EXISTS queue_mailboxes (
        actor_id TEXT PRIMARY KEY,
        actor_type TEXT NOT NULL,
        next_at INTEGER NOT NULL,
        held INTEGER NOT NULL DEFAULT 0,
        token TEXT,
        wakes INTEGER NOT NULL DEFAULT 0,
        parked INTEGER,
        paused INTEGER NOT NULL DEFAULT 0,
        failed INTEGER NOT NULL DEFAULT 0,
        since INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID""",
)

_ADDED = (
    ("wakes", "INTEGER NOT NULL DEFAULT 0"),
    ("parked", "INTEGER"),
    ("paused", "INTEGER NOT NULL DEFAULT 0"),
    ("failed", "INTEGER NOT NULL DEFAULT 0"),
    ("since", "INTEGER NOT NULL DEFAULT 0"),
    ("state", sqlite_mailboxes.STATE),
)
"""Columns of mailboxes that files of earlier versions lack."""

_MAILBOX_INDEXES = (
    "DROP INDEX IF EXISTS queue_next",
    "CREATE INDEX IF NOT EXISTS queue_open ON queue_mailboxes (next_at) WHERE paused = 0",
    "CREATE INDEX IF NOT EXISTS queue_paused ON queue_mailboxes (actor_id) WHERE paused = 1",
    """CREATE INDEX IF NOT EXISTS queue_parked
        ON queue_mailboxes (actor_type, actor_id) WHERE parked IS NOT NULL""",
    *sqlite_mailboxes.INDEXES,
)

_ADD = (
    "INSERT OR IGNORE INTO queue_messages"
    " (message_id, actor_id, priority, visible_at, enqueued_at, body) VALUES (?, ?, ?, ?, ?, ?)"
)
_LEASED = (
    "UPDATE queue_messages SET attempts = attempts + 1, leases = leases + 1 WHERE {}"
    " RETURNING seq, attempts, leases, enqueued_at, body"
)
_LEASE_PARKED = _LEASED.format("state = 0 AND seq = ?")
_LEASE_HEAD = _LEASED.format(
    "seq = (SELECT seq FROM queue_messages WHERE state = 0 AND actor_id = ? AND visible_at <= ?"
    " ORDER BY priority, seq LIMIT 1)"
)
_SETTLE = (
    "UPDATE queue_messages SET {} WHERE seq = ? AND EXISTS (SELECT 1 FROM queue_mailboxes"
    " WHERE actor_id = ? AND token = ? AND next_at > ?)"
)
"""Changes a message that is leased still, for `_held`."""
# The row stays without its body for the dedupe window.
_ACK = _SETTLE.format("state = 1, visible_at = ?, body = NULL")
_PUT_ASIDE = _SETTLE.format("state = 2")
_FORGET = "DELETE FROM queue_messages WHERE message_id = ? AND state = 1 AND visible_at <= ?"
"""An id that is known no longer may still have its row."""


_Taken = tuple[bytes, int, str, int, bool, bool]
"""A message's body, and the further fields of its lease."""


class SqliteQueue:
    """A `MessageQueue` in the embedded database. Times inside are microseconds since the epoch.

    Args:
        locks: the actors' locks, when they are in the same database.
    """

    forgets = False

    def __init__(
        self,
        database: Database,
        *,
        locks: SqliteLocks | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._locks = locks
        self._clock = clock
        self._acks = 0
        self._standing = threading.Lock()
        """Of the three below: the writer thread looks for whoever waits in the event loop."""
        self._waiting: list[tuple[tuple[str, ...], Job[list[Lease]]]] = []
        self._made_ready: Counter[str] = Counter()
        """How often a message of a type became ready in this process."""
        self._seen: dict[tuple[str, ...], int] = {}
        """How many of those there were when a lease of some types found less than it might."""

    async def open(self) -> None:
        """Create the tables where they are missing."""

        def create(connection: sqlite3.Connection) -> None:
            for statement in _SCHEMA:
                connection.execute(statement)
            columns = {row[1] for row in connection.execute("PRAGMA table_xinfo(queue_mailboxes)")}
            messages = {row[1] for row in connection.execute("PRAGMA table_info(queue_messages)")}
            if "leases" not in messages:
                connection.execute(
                    "ALTER TABLE queue_messages ADD COLUMN leases INTEGER NOT NULL DEFAULT 0"
                )
                # Of what is there nobody knows how often it was leased.
                connection.execute("UPDATE queue_messages SET leases = 1 WHERE state = 0")
            for name, kind in _ADDED:
                if name not in columns:
                    connection.execute(f"ALTER TABLE queue_mailboxes ADD COLUMN {name} {kind}")
            if "since" not in columns:
                connection.execute(
                    "UPDATE queue_mailboxes SET since = coalesce((SELECT min(enqueued_at) FROM"
                    " queue_messages AS q WHERE q.actor_id = queue_mailboxes.actor_id"
                    " AND q.state = 0), 0)"
                )
            for statement in _MAILBOX_INDEXES:
                connection.execute(statement)

        await self._database.write(create)

    async def exists(self) -> bool:
        """Return whether the tables are there."""

        def look(connection: sqlite3.Connection) -> bool:
            return bool(list(connection.execute("PRAGMA table_info(queue_mailboxes)")))

        return await self._database.read(look)

    def enqueue(self, messages: Sequence[Message], *, delay: float = 0.0) -> SqliteWork[list[bool]]:
        now = self._now()
        soonest = now + int(delay * 1e6)
        visible = [max(soonest, message.metadata.not_before_ns // 1000) for message in messages]
        rows = [
            (
                message.message_id,
                message.actor_id,
                message.metadata.priority,
                # What is not delayed needs no clock, which may be set back before it is leased.
                visible_at if visible_at > now else 0,
                now,
                msgspec.json.encode(message.to_document()),
            )
            for message, visible_at in zip(messages, visible, strict=True)
        ]
        mailboxes = [
            (message.actor_id, message.actor_type, visible_at, now)
            for message, visible_at in zip(messages, visible, strict=True)
        ]

        def insert(connection: sqlite3.Connection) -> list[bool]:
            added = []
            for row, mailbox in zip(rows, mailboxes, strict=True):
                new = connection.execute(_ADD, row).rowcount
                if not new and connection.execute(_FORGET, (row[0], now - _WINDOW)).rowcount:
                    new = connection.execute(_ADD, row).rowcount
                added.append(new == 1)
                if new:
                    connection.execute(
                        "INSERT INTO queue_mailboxes (actor_id, actor_type, next_at, since)"
                        " VALUES (?, ?, ?, ?) ON CONFLICT (actor_id)"
                        " DO UPDATE SET next_at = min(next_at, excluded.next_at),"
                        " since = CASE since WHEN 0 THEN excluded.since ELSE since END"
                        " WHERE token IS NULL AND held = 0",
                        mailbox,
                    )
                    if row[3] <= now:
                        self._ready(mailbox[1])
            return added

        return SqliteWork(self._database, insert)

    async def lease(
        self, actor_types: Collection[str], *, limit: int, seconds: float, owner: str | None = None
    ) -> list[Lease]:
        take = self._taking(tuple(actor_types), limit, seconds, owner)
        return await self._database.submit(take, finish=_leases)

    async def wait(
        self,
        within: float,
        actor_types: Collection[str],
        *,
        limit: int,
        seconds: float,
        owner: str | None = None,
    ) -> list[Lease]:
        """As the port says: leases in the transaction that makes a message ready, if this process
        writes one."""
        types = tuple(actor_types)
        job = self._database.prepare(self._taking(types, limit, seconds, owner), _leases)
        with self._standing:
            if self._readied(types) != self._seen.get(types):
                return []
            self._waiting.append((types, job))
        # Not in step: of processes that look one after the other, the first would get it all.
        pause = min(within, POLL_SECONDS * random.uniform(0.5, 1))  # noqa: S311 - no secret
        timer = job.loop.call_later(pause, self._give_up, job)
        try:
            return await asyncio.shield(job.future)
        except Unavailable:
            # It is the sender's to tell; the next lease shows whether the store answers.
            return []
        except asyncio.CancelledError:
            self._give_up(job)
            job.future.add_done_callback(partial(self._hand_back, owner))
            raise
        finally:
            timer.cancel()

    def _give_up(self, job: Job[list[Lease]]) -> None:
        """Wait no longer, unless the transaction is being written."""
        with self._standing:
            for at, (_, waiting) in enumerate(self._waiting):
                if waiting is job:
                    del self._waiting[at]
                    job.future.set_result([])
                    return

    def _hand_back(self, owner: str | None, leased: asyncio.Future[list[Lease]]) -> None:
        """Give back, uncounted, what was leased for someone who waits no longer."""
        if leased.cancelled() or leased.exception() is not None:
            return
        for lease in leased.result():
            back: list[SqliteWork[Any]] = [self.nack(lease, count=False)]
            if self._locks is not None and owner is not None:
                back.insert(0, self._locks.release(lease.message.actor_id, owner))
            together = back[0].join(back[1:])
            # Where that fails, the lease runs out.
            with contextlib.suppress(Unavailable):
                if together is not None:
                    together.start().add_done_callback(asyncio.Future.exception)

    def _ready(self, actor_type: str) -> None:
        """Have a message of this type that is ready from now on leased by those who wait for it.

        Only within a `write` function.
        """
        with self._standing:
            self._made_ready[actor_type] += 1
            waiting, self._waiting = self._waiting, []
            for types, job in waiting:
                if actor_type in types:
                    self._database.do_last(job)
                else:
                    self._waiting.append((types, job))

    def _readied(self, types: tuple[str, ...]) -> int:
        return sum(self._made_ready[name] for name in types)

    def _taking(
        self, types: tuple[str, ...], limit: int, seconds: float, owner: str | None
    ) -> Callable[[sqlite3.Connection], list[_Taken]]:
        return partial(self._take, types, limit, seconds, owner, secrets.token_hex(8))

    def _take(
        self,
        types: tuple[str, ...],
        limit: int,
        seconds: float,
        owner: str | None,
        nonce: str,
        connection: sqlite3.Connection,
    ) -> list[_Taken]:
        """Lease what is ready, within a transaction."""
        now = self._now()
        until = now + int(seconds * 1e6)
        marks = ",".join("?" * len(types))
        taken = []
        actors = connection.execute(
            f"SELECT actor_id, wakes, parked FROM queue_mailboxes WHERE paused = 0 AND next_at <= ? AND +actor_type IN ({marks})"  # noqa: E501, S608 - marks are question marks; the plus keeps other indexes out
            " ORDER BY next_at LIMIT ?",
            (now, *types, limit),
        ).fetchall()
        if len(actors) < limit:
            self._seen[types] = self._readied(types)
        for actor_id, wakes, parked in actors:
            # A turn that is under way comes before any other message, whatever its priority.
            head = (
                connection.execute(_LEASE_PARKED, (parked,))
                if parked is not None
                else connection.execute(_LEASE_HEAD, (actor_id, now))
            ).fetchall()
            if not head:
                _reschedule(connection, actor_id, now)
                continue
            ((seq, attempts, leases, enqueued_at, body),) = head
            token = f"{seq}:{nonce}"
            connection.execute(
                "UPDATE queue_mailboxes SET next_at = ?, token = ?, held = 0, since = ?"
                " WHERE actor_id = ?",
                (until, token, enqueued_at, actor_id),
            )
            locked = (
                self._locks is not None
                and owner is not None
                and self._locks.take(connection, actor_id, owner, seconds)
            )
            taken.append((body, attempts, token, wakes, locked, leases > 1))
        return taken

    def ack(self, lease: Lease) -> SqliteWork[bool]:
        now = self._now()
        self._acks += 1
        purge = self._acks % _PURGE_EVERY == 0

        def finish(connection: sqlite3.Connection) -> bool:
            if not connection.execute(_ACK, (now, *_held(lease, now))).rowcount:
                return False
            self._free(connection, lease, now)
            if purge:
                connection.execute(
                    "DELETE FROM queue_messages WHERE seq IN (SELECT seq FROM queue_messages"
                    " WHERE state = 1 AND visible_at <= ? LIMIT ?)",
                    (now - _WINDOW, 4 * _PURGE_EVERY),
                )
            return True

        return SqliteWork(self._database, finish)

    def nack(self, lease: Lease, *, delay: float = 0.0, count: bool = True) -> SqliteWork[bool]:
        now = self._now()

        def give_back(connection: sqlite3.Connection) -> bool:
            if not _holds(connection, lease, now):
                return False
            if not count:
                connection.execute(
                    "UPDATE queue_messages SET attempts = attempts - 1 WHERE seq = ?",
                    (_seq(lease),),
                )
            connection.execute(
                "UPDATE queue_mailboxes SET next_at = ?, token = NULL, held = 1,"
                " failed = max(failed, ?) WHERE actor_id = ?",
                (now + int(delay * 1e6), count, lease.message.actor_id),
            )
            if not delay:
                self._ready(lease.message.actor_type)
            return True

        return SqliteWork(self._database, give_back)

    def park(self, lease: Lease, *, seconds: float) -> SqliteWork[bool]:
        now = self._now()

        def put_down(connection: sqlite3.Connection) -> bool:
            if not _holds(connection, lease, now):
                return False
            connection.execute(
                "UPDATE queue_messages SET attempts = attempts - 1 WHERE seq = ?", (_seq(lease),)
            )
            ((next_at,),) = connection.execute(
                "UPDATE queue_mailboxes SET next_at = CASE WHEN wakes = ? THEN ? ELSE ? END,"
                " token = NULL, held = 1, failed = 0, parked = ? WHERE actor_id = ?"
                " RETURNING next_at",
                (
                    *(lease.wakes, now + int(seconds * 1e6), now),
                    *(_seq(lease), lease.message.actor_id),
                ),
            ).fetchall()
            if next_at <= now:
                self._ready(lease.message.actor_type)
            return True

        return SqliteWork(self._database, put_down)

    async def wake(self, actor_id: str) -> None:
        now = self._now()

        def ready(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE queue_mailboxes SET wakes = wakes + 1,"
                " next_at = CASE WHEN parked IS NOT NULL AND held = 1 THEN ? ELSE next_at END"
                " WHERE actor_id = ?",
                (now, actor_id),
            )
            self._ready(actor_id.partition("/")[0])

        await self._database.write(ready)

    async def pause(self, actor_id: str) -> None:
        actor_type = actor_id.partition("/")[0]
        await self._database.write(
            lambda connection: (
                connection.execute(
                    "INSERT INTO queue_mailboxes (actor_id, actor_type, next_at, paused)"
                    " VALUES (?, ?, ?, 1) ON CONFLICT (actor_id) DO UPDATE SET paused = 1",
                    (actor_id, actor_type, _NEVER),
                ).rowcount
            )
        )

    async def resume(self, actor_id: str) -> None:
        def open_again(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE queue_mailboxes SET paused = 0 WHERE actor_id = ?", (actor_id,)
            )
            connection.execute(
                "DELETE FROM queue_mailboxes WHERE actor_id = ?1 AND NOT EXISTS"
                " (SELECT 1 FROM queue_messages WHERE state = 0 AND actor_id = ?1)",
                (actor_id,),
            )
            self._ready(actor_id.partition("/")[0])

        await self._database.write(open_again)

    async def paused(self, actor_id: str) -> bool:
        def look(connection: sqlite3.Connection) -> bool:
            row = connection.execute(
                "SELECT 1 FROM queue_mailboxes WHERE actor_id = ? AND paused = 1", (actor_id,)
            ).fetchone()
            return row is not None

        return await self._database.read(look)

    async def extend(self, leases: Sequence[Lease], *, seconds: float) -> list[bool]:
        now = self._now()
        until = now + int(seconds * 1e6)

        def prolong(connection: sqlite3.Connection) -> list[bool]:
            return [
                connection.execute(
                    "UPDATE queue_mailboxes SET next_at = ?"
                    " WHERE actor_id = ? AND token = ? AND next_at > ?",
                    (until, lease.message.actor_id, lease.token, now),
                ).rowcount
                == 1
                for lease in leases
            ]

        return await self._database.write(prolong)

    def dead_letter(self, lease: Lease) -> SqliteWork[bool]:
        now = self._now()

        def put_aside(connection: sqlite3.Connection) -> bool:
            if not connection.execute(_PUT_ASIDE, _held(lease, now)).rowcount:
                return False
            self._free(connection, lease, now)
            return True

        return SqliteWork(self._database, put_aside)

    async def dead(self, message_id: str) -> Message | None:
        def find(connection: sqlite3.Connection) -> bytes | None:
            row = connection.execute(
                "SELECT body FROM queue_messages WHERE message_id = ? AND state = 2", (message_id,)
            ).fetchone()
            return None if row is None else bytes(row[0])

        body = await self._database.read(find)
        return None if body is None else sqlite_mailboxes.message_of(body)

    async def depth(self) -> Depth:
        now = self._now()

        def count(connection: sqlite3.Connection) -> Depth:
            waiting, future, oldest = connection.execute(
                "SELECT count(*), coalesce(sum(visible_at > ?), 0),"
                " min(CASE WHEN visible_at <= ? THEN enqueued_at END)"
                " FROM queue_messages WHERE state = 0 AND actor_id NOT IN"
                " (SELECT actor_id FROM queue_mailboxes WHERE paused = 1)",
                (now, now),
            ).fetchone()
            leased, held, finishing = connection.execute(
                "SELECT coalesce(sum(token IS NOT NULL AND next_at > ?1 AND NOT paused), 0),"
                " coalesce(sum(held AND next_at > ?1 AND NOT paused), 0),"
                " coalesce(sum(token IS NOT NULL AND next_at > ?1 AND paused), 0)"
                " FROM queue_mailboxes",
                (now,),
            ).fetchone()
            (stopped,) = connection.execute(
                "SELECT count(*) FROM queue_mailboxes AS m CROSS JOIN queue_messages AS q"
                " ON q.actor_id = m.actor_id AND q.state = 0 WHERE m.paused = 1"
            ).fetchone()
            (dead,) = connection.execute(
                "SELECT count(*) FROM queue_messages WHERE state = 2"
            ).fetchone()
            delayed = future + held
            ready = max(0, waiting - delayed - leased)
            return Depth(
                *(ready, delayed, leased + finishing, dead),
                oldest * 1000 if ready and oldest else None,
                stopped - finishing,
            )

        return await self._database.read(count)

    async def waiting(self, actor_id: str) -> int:
        def count(connection: sqlite3.Connection) -> int:
            (messages, begun) = connection.execute(
                "SELECT (SELECT count(*) FROM queue_messages WHERE state = 0 AND actor_id = ?1),"
                " (SELECT token IS NOT NULL OR held OR parked IS NOT NULL FROM queue_mailboxes"
                " WHERE actor_id = ?1)",
                (actor_id,),
            ).fetchone()
            return int(messages) - bool(begun)

        return await self._database.read(count)

    async def parked(self, actor_type: str, *, limit: int) -> list[str]:
        def find(connection: sqlite3.Connection) -> list[str]:
            rows = connection.execute(
                "SELECT actor_id FROM queue_mailboxes WHERE parked IS NOT NULL AND actor_type = ?"
                " ORDER BY actor_id LIMIT ?",
                (actor_type, limit),
            )
            return [actor_id for (actor_id,) in rows]

        return await self._database.read(find)

    async def mailboxes(
        self,
        actor_type: str,
        *,
        state: MailboxState | None = None,
        prefix: str = "",
        after: str = "",
        limit: int,
    ) -> list[Mailbox]:
        now = self._now()
        return await self._database.read(
            lambda connection: sqlite_mailboxes.by_id(
                connection, actor_type, state, prefix, after, limit, now
            )
        )

    async def oldest(self, state: MailboxState, *, limit: int) -> list[Mailbox]:
        now = self._now()
        return await self._database.read(
            lambda connection: sqlite_mailboxes.oldest(connection, state, limit, now)
        )

    async def tally(self) -> list[Tally]:
        return await self._database.read(sqlite_mailboxes.tally)

    async def peek(self, actor_id: str, *, limit: int) -> list[Message]:
        now = self._now()
        return await self._database.read(
            lambda connection: sqlite_mailboxes.peek(connection, actor_id, limit, now)
        )

    def _free(self, connection: sqlite3.Connection, lease: Lease, now: int) -> None:
        """Let the mailbox of a lease that is settled go on to its next message."""
        if _reschedule(connection, lease.message.actor_id, now):
            self._ready(lease.message.actor_type)

    def _now(self) -> int:
        return int(self._clock() * 1e6)


def _leases(taken: Sequence[_Taken]) -> list[Lease]:
    return [
        Lease(sqlite_mailboxes.message_of(body), attempt, token, wakes, locked, again)
        for body, attempt, token, wakes, locked, again in taken
    ]


def _seq(lease: Lease) -> int:
    return int(lease.token.partition(":")[0])


def _held(lease: Lease, now: int) -> tuple[int, str, str, int]:
    return _seq(lease), lease.message.actor_id, lease.token, now


def _holds(connection: sqlite3.Connection, lease: Lease, now: int) -> bool:
    row = connection.execute(
        "SELECT 1 FROM queue_mailboxes WHERE actor_id = ? AND token = ? AND next_at > ?",
        (lease.message.actor_id, lease.token, now),
    ).fetchone()
    return row is not None


def _reschedule(connection: sqlite3.Connection, actor_id: str, now: int) -> bool:
    """Free the mailbox for its next message, or remove it when there is none.

    True when one may be delivered now.
    """
    if connection.execute(
        "DELETE FROM queue_mailboxes WHERE actor_id = ?1 AND paused = 0 AND NOT EXISTS"
        " (SELECT 1 FROM queue_messages WHERE state = 0 AND actor_id = ?1)",
        (actor_id,),
    ).rowcount:
        return False
    head = connection.execute(
        "SELECT enqueued_at FROM queue_messages"
        " WHERE state = 0 AND actor_id = ? AND visible_at <= ? ORDER BY priority, seq LIMIT 1",
        (actor_id, now),
    ).fetchone()
    next_at, since = (
        (now, *head)
        if head is not None
        else connection.execute(
            "SELECT min(visible_at), min(enqueued_at) FROM queue_messages"
            " WHERE state = 0 AND actor_id = ?",
            (actor_id,),
        ).fetchone()
    )
    connection.execute(
        "UPDATE queue_mailboxes SET next_at = ?, since = ?, token = NULL, held = 0, failed = 0,"
        " parked = NULL WHERE actor_id = ?",
        (_NEVER if next_at is None else next_at, since or 0, actor_id),
    )
    return head is not None
