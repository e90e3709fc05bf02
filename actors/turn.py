"""One turn: runs a handler against the journal, and replays what an earlier run journaled."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from actors.activity import Activity, ActivityExecutor, activity
from actors.activity_call import ActivityCalls
from actors.actor import Actor
from actors.commands import CommandLog, derived_id, digest
from actors.delivery import AT_ONCE, Delivered, Delivery
from actors.errors import (
    ActivityFailed,
    CallFailed,
    EventTimeout,
    NonDeterministic,
    StateMutated,
)
from actors.inbox import Inbox, reply_name
from actors.journal import Along, EntryType, JournalEntry, JournalRecord
from actors.limits import TURN_LIMITS, TurnLimits, TurnSize
from actors.message import MAX_PAYLOAD_BYTES, Message, address, check_json
from actors.outbox import Command, Outbox
from actors.patch import merge_patch
from actors.query import check_read_only, query
from actors.read_only import ReadOnlyTurn
from actors.saga import SAGA_EVENTS
from actors.state import Fold
from actors.stores import MAX_STATE_BYTES, StateStore
from actors.suspension import ContinueAsNew, Suspended
from actors.telemetry import SpanEmitter, TurnSpan, journal_ref
from actors.turn_failure import TurnFailure
from actors.turn_journal import TurnJournal
from actors.waits import Waits
from storage import StorageError
from tracing.spanlog import OWN_MESSAGE

logger = logging.getLogger(__name__)

Deliver = Callable[[Sequence[Message]], Awaitable[Delivered]]
"""Archives and enqueues messages; repeating it changes nothing."""


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
        span: TurnSpan | None,
        *,
        inbox: Inbox | None = None,
        deliver: Deliver | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
        limits: TurnLimits = TURN_LIMITS,
    ) -> None:
        self.message = message
        self._fold = fold
        self._before = fold.state()
        self._attempt = attempt
        self._span = span
        self._deliver = deliver
        self._store = store
        self._clock_ns = clock_ns
        history = fold.open_turns.get(message.message_id, ())
        of = f"{message.message_type} of {message.actor_id}"
        # Nothing here refers back to the turn: what goes in circles stays until it is searched for.
        on_large = partial(_report_large, message.actor_id, span)
        self._log = CommandLog(history, TurnSize(limits, history, of, on_large))
        self._journal = TurnJournal(fold, message, self._log, store, span)
        self.waits = Waits(message, self._log, inbox, self._journal.append, span, clock_ns)
        self._command: Command = partial(_take_command, self._journal, self.waits, self._log)
        self._outbox = Outbox(message, self._log, self._command, span, clock_ns)
        self._activities = ActivityCalls(message, self._journal, executor, span)
        self._uuids = 0
        self._result: Any = None
        self._changed = False
        self._began = 0
        self._expected: Mapping[str, Any] = fold.data
        # A copy, so that a handler which changes it in place cannot change the actor.
        self.state: Mapping[str, Any] = msgspec.json.decode(msgspec.json.encode(fold.data))

    async def run(
        self, actor_class: type[Actor], along: Along | None = None
    ) -> JournalRecord | None:
        """Run the handler and commit. Returns the record that completed the turn.

        `along` goes with that record.

        None means that the turn waits: `waits` says for what, and nothing of it is in memory.

        Raises:
            JournalConflict: another worker owns the actor; nothing of this run counts.
            storage.StorageError: the journal could not be written.
            NonDeterministic: this code and the journal do not match; see `TurnFailure.park`.
            Exception: what the handler raised.
        """
        self._began = time.monotonic_ns()
        self._journal.code = actor_class.version
        suspended = False
        if self._span is not None and self._log.replaying:
            self._span.emit("turn:replayed", OWN_MESSAGE)
        try:
            result = await actor_class(self).handle(self.message)
            if self.message.metadata.reply:
                check_json({"result": result}, "the result of a call", MAX_PAYLOAD_BYTES)
                self._result = result
        except Suspended:
            suspended = True
        except ContinueAsNew as onward:
            self.send(self.message.actor_id, self.message.message_type, onward.args[0], AT_ONCE)
        except Exception:
            self._check()
            raise
        self._check()
        if suspended:
            await self._suspend()
            return None
        if self.waits.open:
            # Swallowed by the handler: it went on where it should have stopped.
            raise NonDeterministic("a handler caught the exception that suspends its turn")
        self._log.check_end()
        if self.state != self._expected:
            raise StateMutated(
                f"a handler of {self.message.actor_id} changed self.state in place; call"
                " update_state, which journals the change"
            )
        if self._changed:
            check_json(self.state, f"the state of {self.message.actor_id}", MAX_STATE_BYTES)
        await self.waits.end()
        run = self.message.correlation_id
        completed = JournalEntry(
            EntryType.TURN_COMPLETED,
            {
                "messageId": self.message.message_id,
                # With it the message can be found in the archive; a run's first has its own id.
                **({} if run == self.message.message_id else {"correlationId": run}),
                "attempt": self._attempt,
                "outbox": [message.to_document() for message in self.unsent],
                **({"result": self._result} if self.message.metadata.reply else {}),
            },
        )
        span = self._span
        return await self._journal.append(completed, along, None if span is None else span.turn)

    @property
    def outbox(self) -> list[Message]:
        """Everything that this run sends, what earlier runs have sent already included."""
        return self._outbox.messages

    @property
    def log(self) -> CommandLog:
        """The turn's commands."""
        return self._log

    @property
    def tries(self) -> int:
        """How many attempts there were, this one included, since the turn was last suspended."""
        # A queue that forgets begins to count anew.
        return max(1, self._attempt - self._log.spent)

    @property
    def unsent(self) -> list[Message]:
        """Messages that take effect with the turn's completion: those since its last wait."""
        return self._outbox.unsent

    def report_completed(self, record: JournalRecord, delivered: Delivered) -> None:
        """Emit what the turn did; called when its outbox has been delivered too, because an
        event names only what is durable."""
        span = self._span
        if span is None:
            return
        if delivered.new:
            self._outbox.report(delivered, record)
        told = span.turn
        if self._changed:
            told.before = self._before.version
        told.completed = span.ticks()

    def _check(self) -> None:
        """Raise again what ended this run, which its handler may have caught."""
        self._journal.check_lost()
        self._log.check_match()
        self._log.size.check()

    @property
    def failure(self) -> TurnFailure:
        """What journals that this run did not get to its end."""
        return TurnFailure(
            self.message, self._fold, self._log, self._journal, self.waits, self._span
        )

    async def fail(self, error: Exception, *, retryable: bool, final: bool) -> JournalRecord:
        """Journal that this run failed; its uncommitted changes are gone. Raises as `run` does."""
        failure = self.failure
        record = await failure.fail(
            failure.describe(error, retryable=retryable),
            self._attempt,
            final=final,
            before=self._before.version,
            began=self._began,
        )
        if final:
            self._outbox.withhold()
        return record

    def read_only(self) -> ReadOnlyTurn:
        return ReadOnlyTurn(self.message, self.state, self._clock_ns)

    def update_state(self, patch: Mapping[str, Any]) -> None:
        encoded = check_json(patch, "a change of state", MAX_STATE_BYTES)
        copy: dict[str, Any] = msgspec.json.decode(encoded)
        self._expected = merge_patch(self._expected, copy)
        self.state = merge_patch(self.state, copy)
        self._changed = True
        self._command(EntryType.STATE_PATCHED, "state", {"patch": copy})

    async def call_activity(self, activity: Activity, arguments: Mapping[str, Any]) -> Any:
        encoded = check_json(arguments, f"the arguments of {activity.name}", MAX_PAYLOAD_BYTES)
        seq = self._log.seq
        key = derived_id(self.message, seq)
        scheduled = {"name": activity.name, "args": digest(encoded)}
        self._command(EntryType.ACTIVITY_SCHEDULED, activity.name, scheduled)
        outcome = self._log.outcome(seq)
        if outcome is None:
            # New, or scheduled by a run that ended before it did: among parallel ones, that is.
            return await self._activities.run(activity, msgspec.json.decode(encoded), seq, key)
        if outcome.type is EntryType.ACTIVITY_FAILED:
            error = outcome.data["error"]
            raise ActivityFailed(activity.name, error["type"], error["message"])
        return msgspec.json.decode(msgspec.json.encode(outcome.data["result"]))

    async def sleep(self, seconds: float) -> None:
        await self._wait(EntryType.TIMER_SET, None, {"seconds": seconds}, seconds)

    async def wait_for_event(self, name: str, timeout: float | None) -> Any:
        awaited = {"name": name, "timeout": timeout}
        outcome = await self._wait(EntryType.EVENT_AWAITED, name, awaited, timeout)
        if outcome.type is EntryType.TIMER_FIRED:
            raise EventTimeout(f"no event {name!r} within {timeout} seconds")
        return msgspec.json.decode(msgspec.json.encode(outcome.data["payload"]))

    async def call(
        self, actor_id: str, message_type: str, payload: Mapping[str, Any], timeout: float | None
    ) -> Any:
        sent = EntryType.MESSAGE_SENT
        asked = self._outbox.put(sent, actor_id, message_type, payload, reply=True)
        answer = await self.wait_for_event(reply_name(asked.message_id), timeout)
        error = answer.get("error")
        if error is not None:
            raise CallFailed(actor_id, message_type, error["type"], error["message"])
        return answer["result"]

    async def query(
        self, actor_type: type[Actor], key: str, message_type: str, payload: Mapping[str, Any]
    ) -> Any:
        # Before it is named in a trace: what is no handler may be anything.
        check_read_only(actor_type, message_type)

        async def look(key: str, payload: Mapping[str, Any]) -> Any:
            return await query(self._store, actor_type, key, message_type, payload, self._clock_ns)

        asked = activity(name=f"query {actor_type.type_name()}.{message_type}")(look)
        return await self.call_activity(asked, {"key": key, "payload": payload})

    async def gather(self, calls: Sequence[Awaitable[Any]]) -> list[Any]:
        self.waits.parallel += 1
        try:
            ended = await asyncio.gather(*(_settled(call) for call in calls))
        finally:
            self.waits.parallel -= 1
            for call in calls:
                # Of a run that lost its lease some have not begun, and nobody awaits them any more.
                if (
                    inspect.iscoroutine(call)
                    and inspect.getcoroutinestate(call) == inspect.CORO_CREATED
                ):
                    call.close()
        errors = [error for _, error in ended if error is not None]
        # A failure is told when everything has ended, and not before: so on every run.
        for error in sorted(errors, key=lambda error: not isinstance(error, Suspended)):
            raise error
        return [value for value, _ in ended]

    def new_child(self, actor_type: str) -> str:
        key = derived_id(self.message, self._log.seq)[:12]
        return address(actor_type, key)

    def now(self) -> int:
        at_us = self._clock_ns() // 1000
        entry, _ = self._log.take(EntryType.TIME_READ, "now", {}, {"at": at_us})
        return int(entry.data["at"])

    def uuid(self) -> str:
        self._uuids += 1
        return derived_id(self.message, f"uuid {self._uuids}")

    def patched(self, name: str) -> bool:
        found = self._log.next()
        marked = found is not None and found.type is EntryType.PATCHED
        if found is not None and not (marked and found.data["name"] == name):
            # The turn began before the change: it keeps to its old path.
            return False
        self._command(EntryType.PATCHED, name, {"name": name})
        return True

    def annotate(self, labels: Sequence[str]) -> None:
        # While the journal has commands ahead, an earlier run has told it.
        if self._span is not None and self._log.next() is None:
            for label in labels:
                self._span.emit("turn:annotated", name=label)

    async def _wait(
        self, kind: EntryType, name: str | None, data: Mapping[str, Any], seconds: float | None
    ) -> JournalEntry:
        self._journal.check_lost()
        try:
            return await self.waits.wait(kind, name, data, seconds, self._outbox.all_sent)
        except StorageError as error:
            self._journal.lost = error
            raise

    def saga_entry(self, entry_type: EntryType, saga: str, more: Mapping[str, Any]) -> None:
        replayed = self._command(entry_type, saga, {"name": saga, **more})
        if not replayed and self._span is not None:
            self._span.emit(SAGA_EVENTS[entry_type], name=saga, error_type=more.get("error"))

    async def _suspend(self) -> None:
        """Journal that the turn waits, and send what it has decided to send before."""
        if not self.waits.open:
            raise NonDeterministic("a turn is suspended by waiting, and by nothing else")
        entry = self.waits.suspended(self._attempt)
        pending = self.unsent
        if pending and self._deliver is not None:
            # Durable first, then sent, then marked as sent: repeated only after a crash between.
            if self._log.buffer:
                await self._journal.append(self._log.buffer.pop())
            self._outbox.report(await self._deliver(pending))
        if entry is None:
            await self._journal.check_owned()
            return
        record = await self._journal.append(entry)
        if self._span is not None:
            self._span.emit("turn:suspended", journal_ref(record), name=entry.data["for"])

    def send(
        self, actor_id: str, message_type: str, payload: Mapping[str, Any], delivery: Delivery
    ) -> None:
        self._outbox.put(EntryType.MESSAGE_SENT, actor_id, message_type, payload, delivery)

    def spawn(
        self, actor_type: str, key: str | None, message_type: str, payload: Mapping[str, Any]
    ) -> str:
        key = key or derived_id(self.message, self._log.seq)[:12]
        actor_id = address(actor_type, key)
        self._outbox.put(EntryType.CHILD_SPAWNED, actor_id, message_type, payload)
        return actor_id


def _take_command(
    journal: TurnJournal,
    waits: Waits,
    log: CommandLog,
    entry_type: EntryType,
    what: str,
    data: Mapping[str, Any],
) -> bool:
    """Take the next command; True when the journal has it already."""
    journal.check_lost()
    if waits.unwinding:
        raise Suspended
    _, replayed = log.take(entry_type, what, data)
    return replayed


def _report_large(actor_id: str, span: SpanEmitter | None) -> None:
    logger.warning("a turn of %s is getting large; see the limits of a turn", actor_id)
    if span is not None:
        span.emit("turn:large")


async def _settled(call: Awaitable[Any]) -> tuple[Any, BaseException | None]:
    try:
        return await call, None
    except (Exception, Suspended) as error:
        return None, error
