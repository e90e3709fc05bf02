"""One turn: runs a handler against the journal, and replays what an earlier run journaled."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import msgspec

from actors.activity import Activity, ActivityExecutor
from actors.actor import Actor
from actors.errors import ActivityFailed, NonDeterministic, NonRetryable, StateMutated
from actors.failure import Failure, describe
from actors.journal import EntryType, JournalEntry, JournalRecord
from actors.message import MAX_PAYLOAD_BYTES, Message, address, check_json
from actors.patch import merge_patch
from actors.state import Fold
from actors.stores import MAX_STATE_BYTES, StateStore
from actors.telemetry import SpanEmitter, journal_ref, message_ref, state_ref
from storage import Unavailable
from tracing import Ref, RefKind, TraceContext, current_span

APPEND_TRIES = 3
APPEND_PAUSE = 0.2
"""Seconds before an append with an unclear outcome is repeated; it is idempotent."""


class Turn:
    """The handling of one message by one actor, up to its commit.

    Journaled commands of an earlier run are answered from the journal and leave no second event.
    Everything new is buffered until the next durable step: an activity's result or the end.
    """

    def __init__(
        self,
        fold: Fold,
        message: Message,
        attempt: int,
        store: StateStore,
        executor: ActivityExecutor,
        span: SpanEmitter | None,
    ) -> None:
        self.message = message
        self.outbox: list[Message] = []
        self._fold = fold
        self._before = fold.state()
        # Held here, not read from the fold: the fold may move on under a turn that lost its lease.
        self._index = fold.version
        self._attempt = attempt
        self._store = store
        self._executor = executor
        self._span = span
        self._history = list(fold.open_turns.get(message.message_id, ()))
        self._cursor = 0
        self._seq = 0
        self._buffer: list[JournalEntry] = []
        self._sent: list[tuple[str, Message]] = []
        self._changed = False
        self._token = uuid4().hex[:16]
        self._began = 0
        self._expected: Mapping[str, Any] = fold.data
        # A copy, so that a handler which changes it in place cannot change the actor.
        self.state: Mapping[str, Any] = msgspec.json.decode(msgspec.json.encode(fold.data))

    async def run(self, actor_class: type[Actor]) -> JournalRecord:
        """Run the handler and commit. Returns the record that completed the turn.

        Raises:
            JournalConflict: another worker owns the actor; nothing of this run counts.
            storage.StorageError: the journal could not be written.
            Exception: what the handler raised.
        """
        self._began = time.monotonic_ns()
        await actor_class(self).handle(self.message)
        if self._cursor < len(self._history):
            left = self._history[self._cursor]
            raise NonDeterministic(
                f"the handler ended where its journal has {_describe(left)} as command"
                f" {left.data['seq']}"
            )
        if self.state != self._expected:
            raise StateMutated(
                f"a handler of {self.message.actor_id} changed self.state in place; call"
                " update_state, which journals the change"
            )
        if self._changed:
            check_json(self.state, f"the state of {self.message.actor_id}", MAX_STATE_BYTES)
        completed = JournalEntry(
            EntryType.TURN_COMPLETED,
            {
                "messageId": self.message.message_id,
                "attempt": self._attempt,
                "outbox": [message.to_document() for message in self.outbox],
            },
        )
        return await self._append(completed)

    def report_completed(self, record: JournalRecord) -> None:
        """Emit what the turn did; called when its outbox has been dispatched too, because an
        event names only what is durable."""
        span = self._span
        if span is None:
            return
        written = journal_ref(record)
        after = state_ref(self.message.actor_id, record.next_index)
        if self._changed:
            before = state_ref(self.message.actor_id, self._before.version)
            span.emit("actor:state_changed", before, after, written)
        for event, message in self._sent:
            span.emit(event, message_ref(message), written, name=message.message_type)
        span.emit(
            "message:completed",
            message_ref(self.message),
            written,
            after,
            duration_ns=time.monotonic_ns() - self._began,
        )

    async def fail(self, error: Exception, *, retryable: bool, final: bool) -> JournalRecord:
        """Journal that this run failed; its uncommitted changes are gone. Raises as `run` does."""
        failure = self.describe(error, retryable=retryable)
        self._buffer.clear()
        record = await self._append(
            JournalEntry(
                EntryType.TURN_FAILED,
                {
                    "messageId": self.message.message_id,
                    "attempt": self._attempt,
                    "final": final,
                    "error": failure.to_document(),
                },
            )
        )
        if self._span is not None:
            self._span.emit(
                "message:failed",
                message_ref(self.message),
                journal_ref(record),
                state_ref(self.message.actor_id, self._before.version),
                duration_ns=time.monotonic_ns() - self._began,
                error_type=failure.type,
                fingerprint=failure.fingerprint,
            )
        return record

    def describe(self, error: BaseException, *, retryable: bool) -> Failure:
        """Return `error` as the journal keeps it."""
        return describe(
            error,
            retryable=retryable,
            actor_type=self.message.actor_type,
            work=self.message.message_type,
        )

    def update_state(self, patch: Mapping[str, Any]) -> None:
        encoded = check_json(patch, "a change of state", MAX_STATE_BYTES)
        copy: dict[str, Any] = msgspec.json.decode(encoded)
        self._expected = merge_patch(self._expected, copy)
        self.state = merge_patch(self.state, copy)
        self._changed = True
        self._command(EntryType.STATE_PATCHED, "state", {"patch": copy})

    async def call_activity(self, activity: Activity, arguments: Mapping[str, Any]) -> Any:
        encoded = check_json(arguments, f"the arguments of {activity.name}", MAX_PAYLOAD_BYTES)
        seq = self._seq
        key = _derive(self.message.actor_id, self.message.message_id, seq)
        scheduled = {"name": activity.name, "args": _digest(encoded)}
        if not self._command(EntryType.ACTIVITY_SCHEDULED, activity.name, scheduled):
            return await self._run_activity(activity, msgspec.json.decode(encoded), seq, key)
        outcome = self._history[self._cursor]
        self._cursor += 1
        if outcome.type is EntryType.ACTIVITY_FAILED:
            error = outcome.data["error"]
            raise ActivityFailed(activity.name, error["type"], error["message"])
        return msgspec.json.decode(msgspec.json.encode(outcome.data["result"]))

    def send(
        self, actor_id: str, message_type: str, payload: Mapping[str, Any], priority: int
    ) -> None:
        self._queue(EntryType.MESSAGE_SENT, actor_id, message_type, payload, priority)

    def spawn(
        self, actor_type: str, key: str | None, message_type: str, payload: Mapping[str, Any]
    ) -> str:
        key = key or _derive(self.message.actor_id, self.message.message_id, self._seq)[:12]
        actor_id = address(actor_type, key)
        self._queue(EntryType.CHILD_SPAWNED, actor_id, message_type, payload, 0)
        return actor_id

    def _queue(
        self,
        entry_type: EntryType,
        actor_id: str,
        message_type: str,
        payload: Mapping[str, Any],
        priority: int,
    ) -> None:
        encoded = check_json(payload, f"the payload of {message_type}", MAX_PAYLOAD_BYTES)
        message_id = _derive(self.message.actor_id, self.message.message_id, self._seq)
        span = self._span
        message = Message.new(
            actor_id,
            message_type,
            msgspec.json.decode(encoded),
            message_id=message_id,
            correlation_id=self.message.correlation_id,
            sender=self.message.actor_id,
            priority=priority,
            trace=None if span is None else span.tracer.create_child_span(span.context),
        )
        self.outbox.append(message)
        replayed = self._command(
            entry_type,
            f"{actor_id} {message_type}",
            {"to": actor_id, "name": message_type, "args": _digest(encoded), "sent": message_id},
        )
        if not replayed:
            event = "child:spawned" if entry_type is EntryType.CHILD_SPAWNED else "message:sent"
            self._sent.append((event, message))

    def _command(self, entry_type: EntryType, what: str, data: Mapping[str, Any]) -> bool:
        """Take the next command; True when the journal has it already."""
        entry = JournalEntry(entry_type, {"seq": self._seq, **data})
        self._seq += 1
        if self._cursor >= len(self._history):
            self._buffer.append(entry)
            return False
        expected = self._history[self._cursor]
        if expected != entry:
            raise NonDeterministic(
                f"command {entry.data['seq']} of the turn is now {entry_type.value} ({what}), but"
                f" its journal has {_describe(expected)}: the code changed while it was under way"
            )
        self._cursor += 1
        return True

    async def _run_activity(
        self, activity: Activity, arguments: Mapping[str, Any], seq: int, key: str
    ) -> Any:
        reporter = None
        if self._span is not None:
            key_ref = Ref(RefKind.IDEMPOTENCY, self.message.actor_id, key)
            reporter = _ActivityReporter(self._span.child(activity.name), key_ref)
        outer = current_span.set(None if reporter is None else reporter.context)
        try:
            result, attempts = await self._executor.run(activity, arguments, key, reporter)
        except Exception as error:  # the border to user code: journaled, then raised again
            failure = describe(
                error,
                retryable=not isinstance(error, NonRetryable),
                actor_type=self.message.actor_type,
                work=activity.name,
            )
            record = await self._append(
                JournalEntry(
                    EntryType.ACTIVITY_FAILED, {"seq": seq, "error": failure.to_document()}
                )
            )
            if reporter is not None:
                reporter.failed(failure, record)
            raise ActivityFailed(activity.name, failure.type, failure.message) from error
        finally:
            current_span.reset(outer)
        record = await self._append(
            JournalEntry(
                EntryType.ACTIVITY_COMPLETED,
                {"seq": seq, "attempts": attempts, "idempotencyKey": key, "result": result},
            )
        )
        if reporter is not None:
            reporter.completed(attempts, record)
        return result

    async def _append(self, last: JournalEntry) -> JournalRecord:
        entries = [*self._buffer, last]
        for attempt in range(1, APPEND_TRIES + 1):
            try:
                record = await self._store.append(
                    self.message.actor_id,
                    self._index,
                    entries,
                    message_id=self.message.message_id,
                    turn=f"{self._token}{self._index}",
                    trace=None if self._span is None else self._span.context,
                )
                break
            except Unavailable:
                if attempt == APPEND_TRIES:
                    raise
                await asyncio.sleep(APPEND_PAUSE * attempt)
        self._buffer = []
        self._index = record.next_index
        if self._fold.version == record.index:
            self._fold.apply(record)
        return record


class _ActivityReporter:
    """Emits the events of one activity's span."""

    __slots__ = ("_key", "_span", "_started")

    def __init__(self, span: SpanEmitter, key: Ref) -> None:
        self._span = span
        self._key = key
        self._started = time.monotonic_ns()
        span.emit("activity:scheduled", key)

    @property
    def context(self) -> TraceContext:
        return self._span.context

    def started(self, attempt: int) -> None:
        self._span.emit("activity:started", self._key, attempt=attempt)

    def retried(self, attempt: int, error: BaseException) -> None:
        self._span.emit(
            "activity:retried", self._key, attempt=attempt, error_type=type(error).__name__
        )

    def completed(self, attempts: int, record: JournalRecord) -> None:
        self._span.emit(
            "activity:completed",
            self._key,
            journal_ref(record),
            attempt=attempts,
            duration_ns=time.monotonic_ns() - self._started,
        )

    def failed(self, failure: Failure, record: JournalRecord) -> None:
        self._span.emit(
            "activity:failed",
            self._key,
            journal_ref(record),
            duration_ns=time.monotonic_ns() - self._started,
            error_type=failure.type,
            fingerprint=failure.fingerprint,
        )


def _derive(actor_id: str, message_id: str, seq: int) -> str:
    """Return an id that this command of this turn gets on every run."""
    return hashlib.sha256(f"{actor_id}\0{message_id}\0{seq}".encode()).hexdigest()[:32]


def _digest(encoded: bytes) -> str:
    return hashlib.sha256(encoded).hexdigest()[:16]


def _describe(entry: JournalEntry) -> str:
    name = entry.data.get("name")
    return f"{entry.type.value} ({name})" if name else entry.type.value
