"""What a turn waits for, read from its journal entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from actors.commands import OUTCOMES
from actors.inbox import reply_name
from actors.journal import EntryType, JournalEntry

WAITING = (EntryType.EVENT_AWAITED, EntryType.TIMER_SET)
REPLY = "reply."
"""Begins the names of events that answer calls; they are no business of a person."""


@dataclass(frozen=True, slots=True)
class Wait:
    """What a turn waits for.

    Attributes:
        id: names this wait among all waits of all turns.
        event: the event's name; None waits for nothing but time.
        since_us: when it began; None when the entry that says so is no longer among the last.
        due_us: when it ends by itself; None never. Both are microseconds since the epoch.
        called: the actor whose answer it waits for; None when that is not known, or it is no call.
    """

    id: str
    event: str | None
    since_us: int | None
    due_us: int | None
    called: str | None = None

    @property
    def since_ns(self) -> int:
        return (self.since_us or 0) * 1000

    @property
    def due_ns(self) -> int:
        return (self.due_us or 0) * 1000

    @property
    def is_call(self) -> bool:
        return self.event is not None and self.event.startswith(REPLY)


def open_waits(
    turn: str, commands: Sequence[JournalEntry], began: Mapping[int, int]
) -> dict[int, Wait]:
    """Return the waits of a turn that have not ended, by their commands' numbers.

    Args:
        turn: id of the turn's message.
        commands: its journal entries, in order.
        began: when its waits were journaled, by their commands' numbers, as far as it is known.
    """
    ended = {entry.data["seq"] for entry in commands if entry.type in OUTCOMES}
    called = {
        reply_name(str(entry.data["sent"])): str(entry.data["to"])
        for entry in commands
        if entry.type is EntryType.MESSAGE_SENT
    }
    return {
        seq: Wait(
            *(f"{turn}-{seq}", name, began.get(seq), entry.data["due"]),
            called=None if name is None else called.get(name),
        )
        for entry in commands
        if entry.type in WAITING and (seq := entry.data["seq"]) not in ended
        for name in (_event(entry.data),)
    }


def _event(data: Mapping[str, object]) -> str | None:
    name = data.get("name")
    return None if name is None else str(name)
