"""`ActorInspector`: one actor as a person looks at it. Reads only; nothing is activated by it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from actors.inbox import Inbox, SentEvent
from actors.journal import JournalEntry
from actors.parking import Parked
from actors.queues.port import MessageQueue
from actors.state import ActorState, Fold
from actors.stores import StateStore
from actors.waiting import WAITING, Wait, open_waits

LINES = 50
"""Journal entries that a look shows."""


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
        parked: why the turn waits for other code than today's; None when it does not.
        parked_us: since when, microseconds since the epoch; None when that entry is no longer
            among the last.
        paused: somebody has paused the actor: nothing of it is handled.
    """

    actor_id: str
    state: ActorState
    turn: str | None
    waits: tuple[Wait, ...]
    behind: int
    inbox: list[SentEvent]
    lines: list[Line]
    parked: Parked | None = None
    parked_us: int | None = None
    paused: bool = False

    @property
    def is_known(self) -> bool:
        """Whether anything was ever sent to the actor or done by it."""
        return bool(self.state.version or self.behind or self.inbox or self.paused)

    @property
    def parked_ns(self) -> int:
        return (self.parked_us or 0) * 1000


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
        fold, behind, inbox, paused = await asyncio.gather(
            self._state_store.load(actor_id),
            self._queue.waiting(actor_id),
            self._inbox.waiting(actor_id),
            self._queue.paused(actor_id),
        )
        lines = await self._last(actor_id, fold.version)
        # The latest: a message that was given up without a word leaves its turn open behind it.
        turn = next(reversed(fold.open_turns), None)
        waits = () if turn is None else _waits(turn, fold, lines)
        entry = None if turn is None else fold.parked.get(turn)
        return ActorLook(
            *(actor_id, fold.state(), turn, waits, behind, inbox, lines[:LINES]),
            parked=None if entry is None else Parked.from_entry(entry),
            parked_us=next((line.at_us for line in lines if line.entry == entry), None),
            paused=paused,
        )

    async def older(self, actor_id: str, before: int) -> list[Line]:
        """Return the last journal entries before index `before`, newest first.

        Raises:
            storage.StorageError: a store does not answer.
        """
        # A record that begins before the index may reach beyond it.
        lines = await self._last(actor_id, before)
        return [line for line in lines if line.index < before][:LINES]

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
    began = {
        line.entry.data["seq"]: line.at_us
        for line in lines
        if line.message_id == turn and line.entry.type in WAITING
    }
    return tuple(open_waits(turn, fold.open_turns[turn], began).values())
