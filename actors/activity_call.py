"""`ActivityCalls`: runs the activities that a turn asks for, and journals how they ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors.activity import Activity, ActivityExecutor
from actors.errors import ActivityFailed, NonRetryable
from actors.failure import describe
from actors.journal import EntryType, JournalEntry
from actors.message import Message
from actors.telemetry import TurnSpan
from actors.turn_journal import TurnJournal
from tracing import current_span


class ActivityCalls:
    """The activities of one run of a turn."""

    def __init__(
        self,
        message: Message,
        journal: TurnJournal,
        executor: ActivityExecutor,
        span: TurnSpan | None,
    ) -> None:
        self._message = message
        self._journal = journal
        self._executor = executor
        self._span = span

    async def run(
        self, activity: Activity, arguments: Mapping[str, Any], seq: int, key: str
    ) -> Any:
        """Run command `seq`'s activity under its idempotency key; return its journaled result.

        Raises:
            ActivityFailed: it failed for the last time; that is journaled too.
            JournalConflict, storage.StorageError: the run is lost.
        """
        span = self._span
        reporter = None if span is None else span.note_activity(activity.name, key)
        outer = current_span.set(reporter)
        try:
            result, attempts = await self._executor.run(activity, arguments, key, reporter)
        except Exception as error:  # the border to user code: journaled, then raised again
            failure = describe(
                error,
                retryable=not isinstance(error, NonRetryable),
                actor_type=self._message.actor_type,
                work=activity.name,
            )
            record = await self._journal.append(
                JournalEntry(
                    EntryType.ACTIVITY_FAILED, {"seq": seq, "error": failure.to_document()}
                )
            )
            if reporter is not None:
                reporter.failed(failure, record)
            raise ActivityFailed(activity.name, failure.type, failure.message) from error
        finally:
            current_span.reset(outer)
        completed = JournalEntry(
            EntryType.ACTIVITY_COMPLETED,
            {"seq": seq, "attempts": attempts, "idempotencyKey": key, "result": result},
        )
        if reporter is None:
            await self._journal.append(completed)
            return result
        reporter.note.attempts = attempts
        await self._journal.append(completed, timed=reporter.note)
        return result
