"""`TurnJournal`: writes one run of a turn to its actor's journal."""

from __future__ import annotations

import asyncio
from uuid import uuid4

from actors.commands import CommandLog
from actors.errors import JournalConflict
from actors.journal import JournalEntry, JournalRecord
from actors.message import Message
from actors.state import Fold
from actors.stores import StateStore
from actors.telemetry import SpanEmitter
from storage import StorageError, Unavailable

APPEND_TRIES = 3
APPEND_PAUSE = 0.2
"""Seconds before an append with an unclear outcome is repeated; it is idempotent."""


class TurnJournal:
    """Appends what a run decides, and remembers when the run is over because it could not.

    Attributes:
        code: version of the actor type's code, which the records name.
        lost: what ended this run from outside of its handler; nothing it still does counts.
    """

    def __init__(
        self,
        fold: Fold,
        message: Message,
        log: CommandLog,
        store: StateStore,
        span: SpanEmitter | None,
    ) -> None:
        self._fold = fold
        self._message = message
        self._log = log
        self._store = store
        self._span = span
        self.code = 1
        # Held here, not read from the fold: the fold may move on under a turn that lost its lease.
        self._index = fold.version
        self._token = uuid4().hex[:16]
        self._appending = asyncio.Lock()
        self.lost: Exception | None = None

    def check_lost(self) -> None:
        """Raise again what ended this run: a handler may have taken it for a failure of its own."""
        if self.lost is not None:
            raise self.lost

    async def append(self, last: JournalEntry) -> JournalRecord:
        """Make the commands since the last append durable, with `last` behind them.

        Raises:
            JournalConflict: another worker owns the actor; this run is lost.
            storage.StorageError: the journal could not be written; this run is lost.
        """
        # Parallel calls end at any time; records follow each other.
        async with self._appending:
            self.check_lost()
            try:
                return await self._append([*self._log.buffer, last])
            except (JournalConflict, StorageError) as error:
                self.lost = error
                raise

    async def _append(self, entries: list[JournalEntry]) -> JournalRecord:
        taken = len(entries) - 1
        for attempt in range(1, APPEND_TRIES + 1):
            try:
                record = await self._store.append(
                    self._message.actor_id,
                    self._index,
                    entries,
                    message_id=self._message.message_id,
                    turn=f"{self._token}{self._index}",
                    code=self.code,
                    span=self._span,
                )
                break
            except Unavailable:
                if attempt == APPEND_TRIES:
                    raise
                await asyncio.sleep(APPEND_PAUSE * attempt)
        del self._log.buffer[:taken]
        self._index = record.next_index
        if self._fold.version == record.index:
            self._fold.apply(record)
        return record
