"""`CommandLog`: what a turn decides, checked against what its earlier runs decided."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from actors.errors import NonDeterministic
from actors.journal import EntryType, JournalEntry
from actors.limits import TurnSize
from actors.message import Message

OUTCOMES = frozenset(
    {
        EntryType.ACTIVITY_COMPLETED,
        EntryType.ACTIVITY_FAILED,
        EntryType.EVENT_RECEIVED,
        EntryType.TIMER_FIRED,
        EntryType.CANCELLED,
    }
)


class CommandLog:
    """The commands of one turn, in order, and how those ended that have an outcome.

    A run takes its commands one by one. While the journal has them from an earlier run, they must
    be the same ones; after that they are new and go into `buffer`, for the next durable step.
    Outcomes are found by their command's number: those of parallel commands come in any order.
    A history that ends with `turn_completed`, numbered like a command, is that of a turn which is
    only checked: nothing may follow, and no patch of the code begins after it.

    A mismatch ends the run: whatever the handler makes of it, it is raised again.

    Attributes:
        buffer: new commands that are not journaled yet.
        seq: number of the next command.
        replaying: whether an earlier run of the turn journaled anything.
        size: how large the turn has grown.
        received: ids of the events that earlier runs took.
        spent: attempts that were over when the turn was last suspended, which is as far as they
            count: what went wrong before is not held against what comes after.
    """

    def __init__(self, history: Sequence[JournalEntry], size: TurnSize) -> None:
        self.size = size
        self.replaying = bool(history)
        self.received: set[str] = set()
        self.spent = 0
        self._commands: dict[int, JournalEntry] = {}
        self._outcomes: dict[int, JournalEntry] = {}
        self._suspended: set[int] = set()
        for entry in history:
            if entry.type is EntryType.SUSPENDED:
                self._suspended.update(entry.data["seqs"])
                self.spent = spent(entry)
            elif entry.type in OUTCOMES:
                self._outcomes[entry.data["seq"]] = entry
                if "event" in entry.data:
                    self.received.add(entry.data["event"])
            else:
                self._commands[entry.data["seq"]] = entry
        self.seq = 0
        self.buffer: list[JournalEntry] = []
        self._mismatch: NonDeterministic | None = None

    def take(
        self,
        entry_type: EntryType,
        what: str,
        data: Mapping[str, Any],
        notes: Mapping[str, Any] | None = None,
    ) -> tuple[JournalEntry, bool]:
        """Take the next command; return it as journaled, and whether an earlier run did that.

        `data` must be the same on every run; `notes` are kept from the first one.

        Raises:
            NonDeterministic: the journal has another command here.
            TurnTooLarge: the turn has no room for it.
        """
        self.check_match()
        seq = self.seq
        self.seq += 1
        wanted = {"seq": seq, **data}
        found = self._commands.get(seq)
        if found is None:
            entry = JournalEntry(entry_type, {**wanted, **(notes or {})})
            self.size.add_command(entry)
            self.buffer.append(entry)
            return entry, False
        same = found.type is entry_type and all(found.data.get(k) == v for k, v in wanted.items())
        if not same or len(found.data) != len(wanted) + len(notes or {}):
            alike = found.type is entry_type and found.data.get("name") == data.get("name")
            has = f"{describe(found)} with other arguments" if alike else describe(found)
            self._mismatch = NonDeterministic(
                f"command {seq} of the turn is now {entry_type.value} ({what}), but its journal"
                f" has {has}: the code changed while it was under way",
                expected=found.to_document(),
                # Without the notes, which differ from run to run.
                found={"type": entry_type.value, **wanted},
            )
            raise self._mismatch
        return found, True

    def check_match(self) -> None:
        """Raise again that this run left its journal: a handler may have caught it."""
        if self._mismatch is not None:
            raise self._mismatch

    def next(self) -> JournalEntry | None:
        """Return what an earlier run journaled as the next command, or None."""
        return self._commands.get(self.seq)

    def outcome(self, seq: int) -> JournalEntry | None:
        """Return what an earlier run journaled as the outcome of command `seq`, or None."""
        return self._outcomes.get(seq)

    def was_suspended(self, seq: int) -> bool:
        """Whether an earlier run was suspended at command `seq`, and sent what came before."""
        return seq in self._suspended

    def left(self) -> JournalEntry | None:
        """Return the first command of the journal that this run has not taken, or None."""
        return next(
            (
                command
                for seq, command in self._commands.items()
                if seq >= self.seq and command.type is not EntryType.TURN_COMPLETED
            ),
            None,
        )

    def check_end(self) -> None:
        """Raise `NonDeterministic` when the journal has commands that this run did not take."""
        left = self.left()
        if left is not None:
            raise NonDeterministic(
                f"the handler ended where its journal has {describe(left)} as command"
                f" {left.data['seq']}",
                expected=left.to_document(),
            )


def spent(suspended: JournalEntry) -> int:
    """Return how many attempts were over when a turn was suspended by this entry."""
    return int(suspended.data.get("attempt", 1)) - 1


def describe(entry: JournalEntry) -> str:
    """Return an entry in a few words."""
    name = entry.data.get("name")
    return f"{entry.type.value} ({name})" if name else entry.type.value


def derived_id(message: Message, seq: int | str) -> str:
    """Return an id that this command of the message's turn gets on every run."""
    text = f"{message.actor_id}\0{message.message_id}\0{seq}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def digest(encoded: bytes) -> str:
    """Return what stands for a command's arguments in its entry."""
    return hashlib.sha256(encoded).hexdigest()[:16]
