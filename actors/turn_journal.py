"""`TurnJournal`: writes one run of a turn to its actor's journal."""

from __future__ import annotations

import asyncio

from actors.commands import CommandLog
from actors.errors import JournalConflict, TurnTooLarge
from actors.journal import Along, JournalEntry, JournalRecord
from actors.limits import size_of
from actors.message import Message
from actors.state import Fold
from actors.stores import StateStore, Timed
from actors.telemetry import SpanEmitter
from storage import DocumentTooLarge, StorageError, Unavailable
from tracing.context import random_id

APPEND_TRIES = 3
APPEND_PAUSE = 0.2
"""Seconds before an append with an unclear outcome is repeated; it is idempotent."""
RECORD_BYTES = 1_500_000
"""Bytes of entries that one record takes; a document holds somewhat more."""


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
        self._counted = log.size.bytes
        self.code = 1
        # Held here, not read from the fold: the fold may move on under a turn that lost its lease.
        self._index = fold.version
        self._token = random_id(8)
        self._appending = asyncio.Lock()
        self.lost: Exception | None = None

    def check_lost(self) -> None:
        """Raise again what ended this run: a handler may have taken it for a failure of its own."""
        if self.lost is not None:
            raise self.lost

    async def check_owned(self) -> None:
        """Raise `JournalConflict` when another run went on meanwhile: it may have taken the event
        that this one missed, and a turn that is parked looks again in an hour."""
        actor_id, here = self._message.actor_id, self._index
        async for _ in self._store.records(actor_id, since=here, until=here + 1):
            raise JournalConflict(f"{actor_id} has moved on from journal index {here}")

    async def append(
        self, last: JournalEntry, along: Along | None = None, timed: Timed | None = None
    ) -> JournalRecord:
        """Make the commands since the last append durable, with `last` behind them.

        `along` goes with the record that holds `last`, and `timed` tells of it.

        Raises:
            TurnTooLarge: these commands exceed what one document of the store can hold.
            JournalConflict: another worker owns the actor; this run is lost.
            storage.StorageError: the journal could not be written; this run is lost.
        """
        # Parallel calls end at any time; records follow each other.
        async with self._appending:
            self.check_lost()
            try:
                *before, end = self._records(last)
                for entries in before:
                    await self._append(entries, len(entries))
                return await self._append(end, len(end) - 1, along, timed)
            except DocumentTooLarge as error:
                raise TurnTooLarge(
                    f"what {self._message.message_type} of {self._message.actor_id} decides in one"
                    f" step does not fit into one record ({error}): send less in one turn, or store"
                    " it elsewhere and send references to it"
                ) from error
            except (JournalConflict, StorageError) as error:
                self.lost = error
                raise

    def _records(self, last: JournalEntry) -> list[list[JournalEntry]]:
        """Return what each record takes: all in one, unless a document could not hold that.

        Commands without an end have no effect, so a crash between two records does no harm.
        """
        size = self._log.size
        before = size.bytes
        size.grow(size_of(last))
        if size.bytes - self._counted <= RECORD_BYTES:
            return [[*self._log.buffer, last]]
        records: list[list[JournalEntry]] = [[]]
        room = RECORD_BYTES
        for entry, bytes in [
            *((command, size_of(command)) for command in self._log.buffer),
            (last, size.bytes - before),
        ]:
            if bytes > room and records[-1]:
                records.append([])
                room = RECORD_BYTES
            records[-1].append(entry)
            room -= bytes
        return records

    async def _append(
        self,
        entries: list[JournalEntry],
        commands: int,
        along: Along | None = None,
        timed: Timed | None = None,
    ) -> JournalRecord:
        """Append one record, whose first `commands` entries are those at the buffer's head."""
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
                    along=along,
                    timed=timed,
                )
                break
            except Unavailable:
                if attempt == APPEND_TRIES:
                    raise
                await asyncio.sleep(APPEND_PAUSE * attempt)
        del self._log.buffer[:commands]
        self._index = record.next_index
        grown, self._counted = self._log.size.bytes - self._counted, self._log.size.bytes
        if self._fold.version == record.index:
            self._fold.apply(record)
            self._fold.journal_bytes += grown
        return record
