"""The embedded queue answers what lists ask from indexes, however many mailboxes there are."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from actors import SqliteQueue
from actors.queues import MailboxState, sqlite_mailboxes
from storage.sqlite import Database
from tests.builders import message


async def plans(file: Path) -> list[str]:
    """Return the plan of every statement that reading the mailboxes of a file takes."""
    database = Database(file)
    queue = SqliteQueue(database)
    await queue.open()
    await queue.enqueue([message(f"Order/{n}") for n in range(3)])
    await queue.lease(["Order"], limit=1, seconds=30)
    await database.close()
    connection = sqlite3.connect(file)
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    now = 1 << 60
    for state in (None, *MailboxState):
        sqlite_mailboxes.by_id(connection, "Order", state, "", "Order/0", 2, now)
    for state in MailboxState:
        sqlite_mailboxes.oldest(connection, state, 2, now)
    sqlite_mailboxes.tally(connection)
    sqlite_mailboxes.peek(connection, "Order/0", 2, now)
    connection.set_trace_callback(None)
    found = []
    for statement in set(statements):
        for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}"):
            found.append(f"{row[3]} | {statement}")
    connection.close()
    return found


async def test_no_list_of_mailboxes_scans_or_sorts(tmp_path: Path) -> None:
    steps = await plans(tmp_path / "queue.db")
    assert any("queue_oldest" in step for step in steps)
    assert any("queue_states" in step for step in steps)
    for step in steps:
        # Counting goes through an index from end to end, and not through messages that are done.
        if "GROUP BY" in step:
            assert "SCAN" not in step or " INDEX queue_" in step, step
        else:
            assert "SCAN" not in step, step
            assert "TEMP B-TREE" not in step, step


async def test_a_file_of_an_earlier_version_is_brought_up_to_date(tmp_path: Path) -> None:
    database = Database(tmp_path / "queue.db")
    queue = SqliteQueue(database)
    await queue.open()
    await queue.enqueue([message("Order/1"), message("Order/1")])
    before = await queue.oldest(MailboxState.WAITING, limit=10)

    def forget(connection: sqlite3.Connection) -> None:
        for index in ("queue_states", "queue_oldest"):
            connection.execute(f"DROP INDEX {index}")
        for column in ("state", "since", "failed"):
            connection.execute(f"ALTER TABLE queue_mailboxes DROP COLUMN {column}")
        connection.execute("ALTER TABLE queue_messages DROP COLUMN leases")

    await database.write(forget)
    await queue.open()
    assert await queue.oldest(MailboxState.WAITING, limit=10) == before
    assert await database.read(
        lambda c: c.execute(
            "SELECT 1 FROM queue_mailboxes AS m JOIN queue_messages AS q"
            " ON q.actor_id = m.actor_id AND q.enqueued_at = m.since"
        ).fetchone()
    )
    # Nobody knows whether it was leased before.
    (lease,) = await queue.lease(["Order"], limit=9, seconds=30)
    assert (lease.attempt, lease.again) == (1, True)
    await database.close()
