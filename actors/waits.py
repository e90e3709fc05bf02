"""`Waits`: what a turn waits for, and how each of its waits ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from actors.commands import CommandLog
from actors.errors import Cancelled
from actors.inbox import CANCEL, Inbox, SentEvent
from actors.journal import EntryType, JournalEntry, JournalRecord
from actors.message import Message
from actors.suspension import Suspended, Suspension
from actors.telemetry import SpanEmitter, journal_ref

Append = Callable[[JournalEntry], Awaitable[JournalRecord]]


class Waits:
    """The waits of one turn.

    Attributes:
        open: those that have not ended in this run; with one of them the turn is suspended.
        parallel: how many blocks of parallel calls are under way; within one, other waits may
            still begin after one that is open.
    """

    def __init__(
        self,
        message: Message,
        log: CommandLog,
        inbox: Inbox | None,
        append: Append,
        span: SpanEmitter | None,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._actor_id = message.actor_id
        self._message_id = message.message_id
        self._log = log
        self._inbox = inbox
        self._append = append
        self._span = span
        self._clock_ns = clock_ns
        # Two waits for one name must not take the same event.
        self._taking = asyncio.Lock()
        self._looked = False
        self.open: list[Suspension] = []
        self.parallel = 0

    @property
    def unwinding(self) -> bool:
        """Whether the handler is on its way out: what it still does (`finally`) does not count."""
        return bool(self.open) and not self.parallel

    async def wait(
        self,
        entry_type: EntryType,
        name: str | None,
        data: Mapping[str, Any],
        seconds: float | None,
        passed: Callable[[], None],
    ) -> JournalEntry:
        """Return how a wait ended: by its event, by its time, or not yet.

        `passed` is called when an earlier run was suspended here and has sent what came before.

        Raises:
            Suspended: not yet.
            Cancelled: somebody cancelled the run.
        """
        if self.unwinding:
            raise Suspended
        due = None if seconds is None else self._clock_ns() // 1000 + round(seconds * 1e6)
        command, replayed = self._log.take(entry_type, name or "timer", data, {"due": due})
        seq, due = command.data["seq"], command.data["due"]
        if not replayed and self._span is not None:
            if entry_type is EntryType.TIMER_SET:
                self._span.emit("timer:set")
            else:
                self._span.emit("event:awaited", name=name)
        if self._log.was_suspended(seq):
            passed()
        outcome = self._log.outcome(seq)
        if outcome is None:
            async with self._taking:
                outcome = await self._new_outcome(seq, name, due)
        if outcome is None:
            self.open.append(Suspension(seq, name, due))
            raise Suspended
        if outcome.type is EntryType.CANCELLED:
            raise Cancelled(outcome.data["reason"])
        return outcome

    async def _new_outcome(
        self, seq: int, name: str | None, due: int | None
    ) -> JournalEntry | None:
        waiting = await self._look()
        taken = next((e for e in waiting if e.name == CANCEL), None)
        if taken is not None:
            reason = str(taken.payload.get("reason", ""))
            entry = JournalEntry(
                EntryType.CANCELLED, {"seq": seq, "event": taken.id, "reason": reason}
            )
        elif name is not None and (taken := next((e for e in waiting if e.name == name), None)):
            entry = JournalEntry(
                EntryType.EVENT_RECEIVED,
                {"seq": seq, "event": taken.id, "name": name, "payload": taken.payload},
            )
        elif due is not None and due <= self._clock_ns() // 1000:
            entry = JournalEntry(EntryType.TIMER_FIRED, {"seq": seq})
        else:
            return None
        record = await self._append(entry)
        if taken is not None and self._inbox is not None:
            await self._inbox.remove(self._actor_id, taken.id)
        if self._span is not None:
            self._report(entry.type, record, name)
        return entry

    async def cancelled(self) -> bool:
        """Look whether somebody has cancelled the turn.

        Raises:
            storage.StorageError: the inbox does not answer.
        """
        return any(event.name == CANCEL for event in await self._look())

    async def end(self) -> None:
        """Take out of the inbox what earlier runs took; once a run, and only after such."""
        if self._log.received and not self._looked:
            await self._look()

    async def _look(self) -> list[SentEvent]:
        """Return the events for this turn, oldest first."""
        if self._inbox is None:
            return []
        self._looked = True
        events = []
        for event in await self._inbox.waiting(self._actor_id):
            # The run that took it may have died before it was removed, and a cancellation may have
            # come when its turn had ended.
            late = event.name == CANCEL and event.payload.get("message") != self._message_id
            if late or event.id in self._log.received:
                await self._inbox.remove(self._actor_id, event.id)
            else:
                events.append(event)
        return events

    def _report(self, outcome: EntryType, record: JournalRecord, name: str | None) -> None:
        if self._span is None:
            return
        written = journal_ref(record)
        if outcome is EntryType.CANCELLED:
            self._span.emit("turn:cancelled", written, name=name)
        elif outcome is EntryType.EVENT_RECEIVED:
            self._span.emit("event:received", written, name=name)
        else:
            self._span.emit("timer:fired", written, name=name)

    def suspended(self, attempt: int) -> JournalEntry | None:
        """Return the entry that says what the turn waits for; None when the journal says it."""
        first = self.open[0]
        if not self._log.buffer and all(self._log.was_suspended(wait.seq) for wait in self.open):
            return None
        return JournalEntry(
            EntryType.SUSPENDED,
            {
                "seq": first.seq,
                "seqs": [wait.seq for wait in self.open],
                "for": next((wait.event for wait in self.open if wait.event), None),
                "due": self.due,
                # Without it, it was the first.
                **({"attempt": attempt} if attempt > 1 else {}),
            },
        )

    @property
    def due(self) -> int | None:
        """When the first of the open waits ends by itself, microseconds since the epoch."""
        return min((wait.due for wait in self.open if wait.due is not None), default=None)
