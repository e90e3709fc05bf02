"""`TurnFailure`: journals that a run of a turn did not get to its end, and why."""

from __future__ import annotations

import time

from actors.commands import CommandLog
from actors.failure import Failure, describe, worker_lost
from actors.journal import EntryType, JournalEntry, JournalRecord
from actors.message import Message
from actors.parking import Parked
from actors.state import Fold
from actors.telemetry import SpanEmitter, journal_ref, state_ref
from actors.turn_journal import TurnJournal
from actors.waits import Waits
from tracing.spanlog import OWN_MESSAGE


class TurnFailure:
    """The other ends of a run than completing and waiting; what it had not journaled is gone.

    All of them raise `JournalConflict` and `storage.StorageError` as the run itself does.
    """

    def __init__(
        self,
        message: Message,
        fold: Fold,
        log: CommandLog,
        journal: TurnJournal,
        waits: Waits,
        span: SpanEmitter | None,
    ) -> None:
        self._message = message
        self._fold = fold
        self._log = log
        self._journal = journal
        self._waits = waits
        self._span = span

    async def park(self, parked: Parked) -> None:
        """Journal why the turn waits for other code, unless its journal says so already."""
        entry = parked.to_entry()
        if self._fold.parked.get(self._message.message_id) == entry:
            return
        self._log.buffer.clear()
        record = await self._journal.append(entry)
        if self._span is not None:
            self._span.emit("turn:parked", journal_ref(record), error_type=parked.reason.value)

    async def fail(
        self, failure: Failure, attempt: int, *, final: bool, before: int, began: int
    ) -> JournalRecord:
        """Journal that this attempt failed.

        `before` is the state's version before it, `began` its start on the monotonic clock, in ns.
        """
        self._journal.check_lost()
        await self._waits.end()
        self._log.buffer.clear()
        record = await self._append(failure, attempt, final=final)
        if self._span is not None:
            self._span.emit(
                "message:failed",
                OWN_MESSAGE,
                journal_ref(record),
                state_ref(before),
                duration_ns=time.monotonic_ns() - began,
                error_type=failure.type,
                fingerprint=failure.fingerprint,
            )
        return record

    async def lose(self, attempts: int) -> tuple[Failure, JournalRecord]:
        """Journal that every attempt so far ended its worker without a word."""
        message = self._message
        lost = worker_lost(actor_type=message.actor_type, work=message.message_type)
        return lost, await self._append(lost, attempts, final=True)

    def describe(self, error: BaseException, *, retryable: bool) -> Failure:
        """Return `error` as the journal keeps it."""
        return describe(
            error,
            retryable=retryable,
            actor_type=self._message.actor_type,
            work=self._message.message_type,
        )

    async def _append(self, failure: Failure, attempt: int, *, final: bool) -> JournalRecord:
        return await self._journal.append(
            JournalEntry(
                EntryType.TURN_FAILED,
                {
                    "messageId": self._message.message_id,
                    # With it the message can be found in the archive.
                    "correlationId": self._message.correlation_id,
                    "attempt": attempt,
                    "final": final,
                    "error": failure.to_document(),
                },
            )
        )
