"""`ActorState` and the fold that makes it from journal records."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec

from actors.journal import EntryType, JournalEntry, JournalRecord
from actors.patch import merge_patch

REMEMBERED_MESSAGES = 256
"""Handled message ids that an activation keeps; older ones are looked up in the journal."""


class ActorState(msgspec.Struct, frozen=True):
    """An actor's state at one version.

    Attributes:
        actor_id: "Type/key".
        version: journal entries that it reflects; 0 before the first.
        data: the JSON object that handlers see as `self.state`.
    """

    actor_id: str
    version: int
    data: Mapping[str, Any]


class Fold:
    """An actor's state and unfinished turns, kept current record by record.

    Attributes:
        version: index of the next journal entry.
        snapshot_version: version of the snapshot that is stored.
        journal_bytes: size of the journal since the stored snapshot, about.
        compacted: journal records before this index expire.
        data: the state after all completed turns.
        open_turns: message id → commands that earlier runs of its unfinished turn journaled, in
            order. Their patches count only when the turn completes.
        versions: message id → version of the code that its unfinished turn is pinned to: that of
            the latest record with commands.
        parked: message id → entry that says why its turn waits for other code.
        handled: message id → index of the record that ended its turn, for the latest messages.
        loaded_ns: when it was begun, by the monotonic clock.
    """

    __slots__ = (
        "_forgets",
        "actor_id",
        "compacted",
        "data",
        "handled",
        "journal_bytes",
        "loaded_ns",
        "open_turns",
        "parked",
        "snapshot_version",
        "version",
        "versions",
    )

    def __init__(self, state: ActorState) -> None:
        self.actor_id = state.actor_id
        self.version = self.snapshot_version = state.version
        self.compacted = self.journal_bytes = 0
        self.data: Mapping[str, Any] = state.data
        self.open_turns: dict[str, list[JournalEntry]] = {}
        self.versions: dict[str, int] = {}
        self.parked: dict[str, JournalEntry] = {}
        self.handled: dict[str, int] = {}
        self.loaded_ns = time.monotonic_ns()
        self._forgets = state.version > 0

    def may_have_ended(self, message_id: str, since_ns: int) -> bool:
        """Whether the message's turn may have ended before this was loaded, by another worker.

        `since_ns` is when this worker was given the message. What others do later shows when this
        worker appends; what they did between its lease and its load does not, and a snapshot says
        nothing of the messages before it.
        """
        if message_id in self.handled:
            return True
        return self._forgets and self.loaded_ns >= since_ns

    def state(self) -> ActorState:
        """Return the state at the current version."""
        return ActorState(self.actor_id, self.version, self.data)

    def apply(self, record: JournalRecord) -> None:
        """Fold in the next record."""
        message_id = record.message_id
        commands = self.open_turns.setdefault(message_id, [])
        self.parked.pop(message_id, None)
        for entry in record.entries:
            if entry.type is EntryType.TURN_COMPLETED:
                for command in commands:
                    if command.type is EntryType.STATE_PATCHED:
                        self.data = merge_patch(self.data, command.data["patch"])
                self._close(message_id)
                self._remember(message_id, record.index)
            elif entry.type is EntryType.TURN_FAILED:
                commands[:] = [] if entry.data["final"] else reusable(commands)
                if entry.data["final"]:
                    self._remember(message_id, record.index)
                if not commands:
                    self._close(message_id)
            elif entry.type is EntryType.TURN_PARKED:
                self.parked[message_id] = entry
            else:
                commands.append(entry)
                self.versions[message_id] = record.code
        self.version = record.next_index

    def _close(self, message_id: str) -> None:
        del self.open_turns[message_id]
        self.versions.pop(message_id, None)

    def _remember(self, message_id: str, index: int) -> None:
        self.handled[message_id] = index
        if len(self.handled) > REMEMBERED_MESSAGES:
            del self.handled[next(iter(self.handled))]
            self._forgets = True


def reusable(commands: list[JournalEntry]) -> list[JournalEntry]:
    """Return the commands that a new attempt is answered from.

    A failed activity is worth running again, and what followed it may have depended on the
    failure; everything before it happened and is not repeated. Nor is what cannot be taken back,
    and all before that: an event that was taken, a saga that was undone, messages that were sent
    when the turn was suspended.
    """
    kept = max((place for place, entry in enumerate(commands) if entry.type in _FINAL), default=-1)
    for entry in commands[kept + 1 :]:
        if entry.type is EntryType.ACTIVITY_FAILED:
            failed = entry.data["seq"]
            return [command for command in commands if command.data["seq"] < failed]
    return commands


_FINAL = frozenset(
    {
        EntryType.SUSPENDED,
        EntryType.EVENT_RECEIVED,
        EntryType.CANCELLED,
        EntryType.SAGA_COMPENSATING,
    }
)
