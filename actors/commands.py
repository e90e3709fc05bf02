"""`CommandLog`: what a turn decides, checked against what its earlier runs decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from actors.errors import NonDeterministic
from actors.journal import EntryType, JournalEntry


class CommandLog:
    """The commands of one turn, in order.

    A run takes its commands one by one. While the journal has them from an earlier run, they must
    be the same ones; after that they are new and go into `buffer`, for the next durable step.

    Attributes:
        buffer: new commands that are not journaled yet.
        seq: number of the next command.
        passed: how often a journaled suspension has been passed so far.
    """

    def __init__(self, history: Sequence[JournalEntry]) -> None:
        self._history = list(history)
        self._cursor = 0
        self.seq = 0
        self.buffer: list[JournalEntry] = []
        self.passed = 0

    @property
    def replaying(self) -> bool:
        """Whether an earlier run of the turn journaled anything."""
        return bool(self._history)

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
        """
        seq = self.seq
        self.seq += 1
        wanted = {"seq": seq, **data}
        found = self._next()
        if found is None:
            entry = JournalEntry(entry_type, {**wanted, **(notes or {})})
            self.buffer.append(entry)
            return entry, False
        same = found.type is entry_type and all(found.data.get(k) == v for k, v in wanted.items())
        if not same or len(found.data) != len(wanted) + len(notes or {}):
            raise NonDeterministic(
                f"command {seq} of the turn is now {entry_type.value} ({what}), but its journal"
                f" has {describe(found)}: the code changed while it was under way"
            )
        self._cursor += 1
        return found, True

    def outcome(self, seq: int) -> JournalEntry | None:
        """Return what an earlier run journaled as the outcome of command `seq`, or None."""
        found = self._next()
        if found is None or found.type not in OUTCOMES or found.data["seq"] != seq:
            return None
        self._cursor += 1
        return found

    def check_end(self) -> None:
        """Raise `NonDeterministic` when the journal has commands that this run did not take."""
        left = self._next()
        if left is not None:
            raise NonDeterministic(
                f"the handler ended where its journal has {describe(left)} as command"
                f" {left.data['seq']}"
            )

    @property
    def at_end(self) -> bool:
        """Whether everything journaled so far has been taken."""
        return self._next() is None

    def _next(self) -> JournalEntry | None:
        while self._cursor < len(self._history):
            entry = self._history[self._cursor]
            if entry.type is not EntryType.SUSPENDED:
                return entry
            self._cursor += 1
            self.passed += 1
        return None


OUTCOMES = frozenset(
    {
        EntryType.ACTIVITY_COMPLETED,
        EntryType.ACTIVITY_FAILED,
        EntryType.EVENT_RECEIVED,
        EntryType.TIMER_FIRED,
        EntryType.CANCELLED,
    }
)


def describe(entry: JournalEntry) -> str:
    """Return an entry in a few words."""
    name = entry.data.get("name")
    return f"{entry.type.value} ({name})" if name else entry.type.value
