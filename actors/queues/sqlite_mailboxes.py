"""What the embedded queue tells of its mailboxes: each question is answered from one index."""

from __future__ import annotations

import sqlite3

import msgspec

from actors.message import Message
from actors.queues.port import Mailbox, MailboxState, Tally

_STATES = tuple(MailboxState)
STATE = """INTEGER GENERATED ALWAYS AS (CASE
        WHEN paused THEN 4
        WHEN token IS NOT NULL THEN 1
        WHEN held AND failed THEN 2
        WHEN held AND parked IS NOT NULL THEN 3
        ELSE 0 END) VIRTUAL"""
"""The column that holds a mailbox's state, as its place in `MailboxState`."""

INDEXES = (
    "CREATE INDEX IF NOT EXISTS queue_states ON queue_mailboxes (actor_type, state, actor_id)",
    "CREATE INDEX IF NOT EXISTS queue_oldest ON queue_mailboxes (state, since, actor_id)",
)

_COLUMNS = "actor_id, state, next_at, token, parked"
_LAST = "\U0010ffff"
_Row = tuple[str, int, int, str | None, int | None]


def by_id(
    connection: sqlite3.Connection,
    actor_type: str,
    state: MailboxState | None,
    prefix: str,
    after: str,
    limit: int,
    now: int,
) -> list[Mailbox]:
    """Return mailboxes as `MessageQueue.mailboxes` does."""
    first = f"{actor_type}/{prefix}"
    # Without a state the primary key, which begins with the type, has the order.
    narrowed = "" if state is None else "actor_type = ? AND state = ? AND"
    given = () if state is None else (actor_type, _STATES.index(state))
    # One lower bound: of two, the index would be searched for either.
    begins, bound = (">", after) if after >= first else (">=", first)
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM queue_mailboxes WHERE {narrowed}"  # noqa: S608 - all constants
        f" actor_id {begins} ? AND actor_id < ? ORDER BY actor_id LIMIT ?",
        (*given, bound, first + _LAST, limit),
    ).fetchall()
    return [_mailbox(connection, row, now) for row in rows]


def oldest(
    connection: sqlite3.Connection, state: MailboxState, limit: int, now: int
) -> list[Mailbox]:
    """Return mailboxes as `MessageQueue.oldest` does."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM queue_mailboxes WHERE state = ?"  # noqa: S608 - constants
        " ORDER BY since, actor_id LIMIT ?",
        (_STATES.index(state), limit),
    ).fetchall()
    return [_mailbox(connection, row, now) for row in rows]


def tally(connection: sqlite3.Connection) -> list[Tally]:
    """Count as `MessageQueue.tally` does."""
    states: dict[str, dict[MailboxState, int]] = {}
    for actor_type, state, count in connection.execute(
        "SELECT actor_type, state, count(*) FROM queue_mailboxes GROUP BY actor_type, state"
    ):
        states.setdefault(actor_type, {})[_STATES[state]] = count
    messages = dict(
        connection.execute(
            "SELECT substr(actor_id, 1, instr(actor_id, '/') - 1), count(*) FROM queue_messages"
            " WHERE state = 0 GROUP BY 1"
        )
    )
    return [Tally(name, states[name], messages.get(name, 0)) for name in sorted(states)]


def peek(connection: sqlite3.Connection, actor_id: str, limit: int, now: int) -> list[Message]:
    """Return messages as `MessageQueue.peek` does."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM queue_mailboxes WHERE actor_id = ?",  # noqa: S608 - constants
        (actor_id,),
    ).fetchone()
    begun = None if row is None else _begun(row)
    # Two queries: one that orders by "is it the head" would sort the whole mailbox.
    bodies = connection.execute(
        "SELECT body FROM queue_messages WHERE seq = ? AND state = 0", (begun,)
    ).fetchall()
    bodies += connection.execute(
        "SELECT body FROM queue_messages WHERE state = 0 AND actor_id = ? AND visible_at <= ?"
        " AND seq IS NOT ? ORDER BY priority, seq LIMIT ?",
        (actor_id, now, begun, limit - len(bodies)),
    ).fetchall()
    return [message_of(body) for (body,) in bodies]


def _mailbox(connection: sqlite3.Connection, row: _Row, now: int) -> Mailbox:
    actor_id, state, next_at, _, _ = row
    begun = _begun(row)
    head = connection.execute(
        "SELECT body, attempts, enqueued_at FROM queue_messages WHERE seq = ? AND state = 0"
        if begun is not None
        else "SELECT body, attempts, enqueued_at FROM queue_messages"
        " WHERE state = 0 AND actor_id = ? AND visible_at <= ? ORDER BY priority, seq LIMIT 1",
        (begun,) if begun is not None else (actor_id, now),
    ).fetchone()
    (messages,) = connection.execute(
        "SELECT count(*) FROM queue_messages WHERE state = 0 AND actor_id = ?", (actor_id,)
    ).fetchone()
    if head is None:
        return Mailbox(actor_id, _STATES[state], None, 0, None, None, messages)
    body, attempts, enqueued_at = head
    return Mailbox(
        *(actor_id, _STATES[state], message_of(body), attempts),
        *(next_at, enqueued_at, messages - 1),
    )


def _begun(row: _Row) -> int | None:
    """Return the number of the message that is leased, or else parked; None without one."""
    _, _, _, token, parked = row
    return parked if token is None else int(token.partition(":")[0])


def message_of(body: bytes) -> Message:
    """Return the message that a row's body is."""
    return Message.from_document(msgspec.json.decode(body))
