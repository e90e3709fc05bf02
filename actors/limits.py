"""`TurnLimits`: how large one turn may grow before somebody is told, and before it fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from actors.errors import TurnTooLarge
from actors.journal import EntryType, JournalEntry


@dataclass(frozen=True, slots=True)
class TurnLimits:
    """Bounds of one turn: its journal entries, and their bytes as JSON.

    Every run of a turn reads all of them, so a turn that grows without end gets slower and slower.

    Attributes:
        warn_entries, warn_bytes: above one of them the turn is reported, once.
        max_entries, max_bytes: above one of them it fails, and is not tried again.
    """

    warn_entries: int = 2_000
    max_entries: int = 10_000
    warn_bytes: int = 4 << 20
    max_bytes: int = 16 << 20


TURN_LIMITS = TurnLimits()


class TurnSize:
    """The size of one turn's journal, kept as it grows.

    Attributes:
        entries, bytes: what the turn has so far, its earlier runs included.
    """

    def __init__(
        self,
        limits: TurnLimits,
        history: Sequence[JournalEntry],
        of: str,
        on_large: Callable[[], None],
    ) -> None:
        self._limits = limits
        self._of = of
        self._on_large = on_large
        self._exceeded: TurnTooLarge | None = None
        # Undoing is bounded by what was done, and must not be cut short.
        self._lifted = any(entry.type is EntryType.SAGA_COMPENSATING for entry in history)
        self.entries = len(history)
        self.bytes = sum(size_of(entry) for entry in history)
        self._warned = self._is_large

    def add_command(self, entry: JournalEntry) -> None:
        """Count a new command.

        Raises:
            TurnTooLarge: there is no room for it.
        """
        size, limits = size_of(entry), self._limits
        if entry.type is EntryType.SAGA_COMPENSATING:
            self._lifted = True
        if not self._lifted:
            if self.entries + 1 > limits.max_entries:
                self._refuse(f"{limits.max_entries:,} journal entries")
            if self.bytes + size > limits.max_bytes:
                self._refuse(f"{limits.max_bytes:,} bytes of journal entries")
        self.grow(size)

    def check(self) -> None:
        """Raise again that a command was refused: a handler may have caught it."""
        if self._exceeded is not None and not self._lifted:
            raise self._exceeded

    def _refuse(self, limit: str) -> None:
        self._exceeded = TurnTooLarge(
            f"{self._of} has reached the limit of {limit} in one turn: end the turn earlier with"
            " continue_as_new, or split its work among messages or child actors"
        )
        raise self._exceeded

    def grow(self, size: int) -> None:
        """Count an entry of `size` bytes that is journaled in any case: how something ended."""
        self.entries += 1
        self.bytes += size
        if not self._warned and self._is_large:
            self._warned = True
            self._on_large()

    @property
    def _is_large(self) -> bool:
        limits = self._limits
        return self.entries > limits.warn_entries or self.bytes > limits.warn_bytes


def size_of(entry: JournalEntry) -> int:
    """Return the bytes of an entry's data as JSON."""
    return len(msgspec.json.encode(entry.data))
