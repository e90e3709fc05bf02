"""`ActorInspector`: one actor as a person looks at it. Reads only; nothing is activated by it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from actors.commands import OUTCOMES
from actors.inbox import Inbox, SentEvent
from actors.journal import EntryType, JournalEntry
from actors.queues.port import MessageQueue
from actors.state import ActorState, Fold
from actors.stores import StateStore

LINES = 50
"""Journal entries that a look shows."""


@dataclass(frozen=True, slots=True)
class Wait:
    """What a turn waits for.

    Attributes:
        id: names this wait among all waits of all turns.
        event: the event's name; None waits for nothing but time.
        since_us: when it began; None when the entry that says so is no longer among the last.
        due_us: when it ends by itself; None never. Both are microseconds since the epoch.
    """

    id: str
    event: str | None
    since_us: int | None
    due_us: int | None

    @property
    def since_ns(self) -> int:
        return (self.since_us or 0) * 1000

    @property
    def due_ns(self) -> int:
        return (self.due_us or 0) * 1000


@dataclass(frozen=True, slots=True)
class Line:
    """One journal entry with its place: its index, its record's time and message."""

    index: int
    at_us: int
    message_id: str
    entry: JournalEntry

    @property
    def at_ns(self) -> int:
        return self.at_us * 1000


@dataclass(frozen=True, slots=True)
class ActorLook:
    """An actor at one moment.

    Attributes:
        turn: id of the message whose turn is journaled and has not ended; None when there is none.
        waits: what that turn waits for; empty while it runs or is retried.
        behind: messages that wait behind it.
        inbox: events that were sent and are not taken yet, oldest first.
        lines: the last journal entries, newest first.
    """

    actor_id: str
    state: ActorState
    turn: str | None
    waits: tuple[Wait, ...]
    behind: int
    inbox: list[SentEvent]
    lines: list[Line]

    @property
    def is_known(self) -> bool:
        """Whether anything was ever sent to the actor or done by it."""
        return bool(self.state.version or self.behind or self.inbox)


class ActorInspector:
    """Looks at actors through their stores, so that it shows what every process would see."""

    def __init__(self, state_store: StateStore, queue: MessageQueue, inbox: Inbox) -> None:
        self._state_store = state_store
        self._queue = queue
        self._inbox = inbox

    async def look(self, actor_id: str) -> ActorLook:
        """Return the actor as it is now; an actor that never was has version 0.

        Raises:
            storage.StorageError: a store does not answer.
        """
        fold, behind, inbox = await asyncio.gather(
            self._state_store.load(actor_id),
            self._queue.waiting(actor_id),
            self._inbox.waiting(actor_id),
        )
        lines = await self._last(actor_id, fold.version)
        # The latest: a message that was given up without a word leaves its turn open behind it.
        turn = next(reversed(fold.open_turns), None)
        waits = () if turn is None else _waits(turn, fold, lines)
        return ActorLook(actor_id, fold.state(), turn, waits, behind, inbox, lines[:LINES])

    async def suspended(self, actor_type: str, *, limit: int) -> list[str]:
        """Return up to `limit` actors of a type whose turn is suspended, by id.

        Raises:
            storage.StorageError: the queue does not answer.
        """
        return await self._queue.parked(actor_type, limit=limit)

    async def _last(self, actor_id: str, version: int) -> list[Line]:
        """Return the entries before `version`, newest first: at least `LINES`, if there are."""
        reach = 2 * LINES
        while True:
            # A record is found by its first entry, and may hold more than the reach.
            since = max(0, version - reach)
            lines = [
                Line(record.index + place, record.at_us, record.message_id, entry)
                async for record in self._state_store.records(actor_id, since=since, until=version)
                for place, entry in enumerate(record.entries)
            ]
            if len(lines) >= LINES or since == 0:
                return lines[::-1]
            reach *= 4


def _waits(turn: str, fold: Fold, lines: Sequence[Line]) -> tuple[Wait, ...]:
    commands = fold.open_turns[turn]
    ended = {entry.data["seq"] for entry in commands if entry.type in OUTCOMES}
    began = {
        line.entry.data["seq"]: line.at_us
        for line in lines
        if line.message_id == turn and line.entry.type in _WAITING
    }
    return tuple(
        Wait(f"{turn}-{seq}", _event(entry.data), began.get(seq), entry.data["due"])
        for entry in commands
        if entry.type in _WAITING and (seq := entry.data["seq"]) not in ended
    )


def _event(data: Mapping[str, object]) -> str | None:
    name = data.get("name")
    return None if name is None else str(name)


_WAITING = (EntryType.EVENT_AWAITED, EntryType.TIMER_SET)
