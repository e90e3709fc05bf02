"""Parking: a turn that today's code cannot go on with waits for code that can.

That is no fault of its message, so no attempt is counted and nothing of the turn is lost. Why it
waits is journaled, in an entry that replaying the turn does not see.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from actors.errors import NonDeterministic
from actors.failure import Frame, definition, innermost_own
from actors.journal import EntryType, JournalEntry
from actors.queues.port import Lease

MISMATCH_RETRY = 30.0
"""Seconds until a turn that did not match is offered to a worker again."""
VERSION_RETRY = 5.0
"""The same for one that is pinned to another version: the next worker may be one that has it."""
MAX_REMEMBERED = 10_000
MAX_SHOWN = 2_000
"""Characters of JSON that are kept of each value of a command."""


class ParkedFor(StrEnum):
    """What a parked turn waits for; also the error type of its event."""

    CODE_THAT_MATCHES = "NonDeterministic"
    CODE_VERSION = "CodeVersion"


@dataclass(frozen=True, slots=True)
class Parked:
    """Why a turn is parked.

    Attributes:
        expected: what the journal has: its command as JSON, or the version of the code.
        found: what today's code has instead; None when it ended or broke another rule.
        place: the line that asked for what was found.
    """

    reason: ParkedFor
    text: str
    expected: Mapping[str, Any] | None
    found: Mapping[str, Any] | None
    place: Frame | None

    def to_entry(self) -> JournalEntry:
        return JournalEntry(
            EntryType.TURN_PARKED,
            {
                "reason": self.reason.value,
                "message": self.text,
                "expected": self.expected,
                "found": self.found,
                "place": None if self.place is None else self.place.to_document(),
            },
        )

    @classmethod
    def from_entry(cls, entry: JournalEntry) -> Parked:
        data = entry.data
        place = data["place"]
        return cls(
            ParkedFor(data["reason"]),
            data["message"],
            data["expected"],
            data["found"],
            None if place is None else Frame(**place),
        )


def mismatch(error: NonDeterministic, handler: Callable[..., Any] | None) -> Parked:
    """Return why a turn is parked whose code left its journal.

    Where the handler ended too soon there is no line to show but that of its definition.
    """
    place = innermost_own(error)
    if place is None and handler is not None:
        place = definition(handler)
    return Parked(
        ParkedFor.CODE_THAT_MATCHES,
        str(error),
        _bounded(error.expected),
        _bounded(error.found),
        place,
    )


def other_version(pinned: int, version: int) -> Parked:
    """Return why a turn is parked that began under another version of the code."""
    return Parked(
        ParkedFor.CODE_VERSION,
        f"the turn began under version {pinned} of its actor type's code, and this is version"
        f" {version}: it waits for a worker of that version, or for code that accepts it",
        {"version": pinned},
        {"version": version},
        None,
    )


class Unmatched:
    """Turns that this process has found its code not to match.

    Its code will not change, so there is no use in trying again before somebody wakes the actor.
    """

    def __init__(self) -> None:
        self._wakes: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def add(self, lease: Lease, retry: float) -> None:
        """Remember the leased message; `retry` is seconds until it is offered again."""
        self._wakes[lease.message.message_id] = (lease.wakes, retry)
        if len(self._wakes) > MAX_REMEMBERED:
            self._wakes.popitem(last=False)

    def retry(self, lease: Lease) -> float | None:
        """Return in how many seconds to offer the message again; None to try it now."""
        wakes, retry = self._wakes.get(lease.message.message_id, (None, None))
        if wakes == lease.wakes:
            return retry
        self._wakes.pop(lease.message.message_id, None)
        return None


def _bounded(command: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if command is None:
        return None
    shown = {}
    for key, value in command.items():
        text = msgspec.json.encode(value).decode()
        cut = len(text) - MAX_SHOWN
        shown[key] = value if cut <= 0 else f"{text[:MAX_SHOWN]}… ({cut:,} characters more)"
    return shown
