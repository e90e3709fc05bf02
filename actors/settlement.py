"""`Settlement`: what becomes of a lease when its turn has completed, waits or has failed."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any

from actors.archive import MessageArchive
from actors.deadletters import DEAD_LETTERS, DeadLetters, Reason
from actors.delivery import NOTHING_DELIVERED
from actors.journal import Along, EntryType, JournalRecord
from actors.message import Message
from actors.parking import Parked
from actors.queues.port import Lease, MessageQueue
from actors.retry import RetryPolicy
from actors.runtime import ActorRuntime
from actors.state import Fold
from actors.telemetry import TurnSpan, document_ref, journal_ref, workflow_span
from actors.turn import Turn
from storage import Joinable, at_once
from tracing import TraceWriter
from tracing.spanlog import OWN_MESSAGE

LONGEST_PARK = 3_600.0
"""Seconds after which a suspended turn looks again by itself, in case a wake-up never came."""


class Settlement:
    """Ends leases for one worker: answers callers, sends what is to be sent, frees the mailbox."""

    def __init__(
        self,
        runtime: ActorRuntime,
        queue: MessageQueue,
        worker_id: str,
        tracer: TraceWriter | None,
        archive: MessageArchive | None,
        dead_letters: DeadLetters | None,
        longest_park: float,
    ) -> None:
        self._runtime = runtime
        self._queue = queue
        self._worker_id = worker_id
        self._tracer = tracer
        self._archive = archive
        self._dead_letters = dead_letters
        self._longest_park = longest_park
        self._given_up: set[str] = set()
        """Tokens of the leases that are being given up."""

    def gives_up(self, lease: Lease) -> bool:
        """Whether a lease is being given up: then it is not lost when it is no longer held."""
        return lease.token in self._given_up

    def forget(self, lease: Lease) -> None:
        """Whatever became of it: this worker does nothing with the lease any more."""
        self._given_up.discard(lease.token)

    async def put_down(self, lease: Lease, seconds: float) -> None:
        """Give back a message whose turn is parked, in silence."""
        await self._release(lease, self._queue.park(lease, seconds=seconds))

    def ending(self, turn: Turn, lease: Lease, fold: Fold) -> Along:
        """Return what a turn's completion can do along with its record: send, and free the mailbox.

        Nothing, where something else comes between: the caller's answer, or a snapshot, which must
        not be overtaken by the next turn's.
        """

        def prepare() -> Sequence[Awaitable[Any]]:
            coming = len(turn.log.buffer) + 1
            if lease.message.metadata.reply or self._runtime.snapshot_is_due(fold, coming):
                return ()
            release = self._release_of(lease, self._queue.ack(lease))
            if not isinstance(release, Joinable):
                return ()
            self._given_up.add(lease.token)
            if not turn.unsent:
                return (release,)
            return (self._runtime.delivery(turn.unsent, self._archive), release)

        return Along(prepare)

    async def complete(
        self,
        turn: Turn,
        lease: Lease,
        fold: Fold,
        record: JournalRecord,
        along: Along,
        span: TurnSpan | None,
    ) -> None:
        """Send what a turn that `record` completed has decided to send, and free its mailbox.

        What was done `along` with the record is not done again.
        """
        if along.done is not None:
            delivered = along.done[0] if len(along.done) > 1 else NOTHING_DELIVERED
            turn.report_completed(record, delivered)
            self._end_run(lease.message, "workflow:completed")
            return
        delivered = await self._runtime.deliver(turn.unsent, archive=self._archive)
        await self._answer(lease.message, record)
        turn.report_completed(record, delivered)
        self._end_run(lease.message, "workflow:completed")
        await self._runtime.snapshot(fold, span)
        await self._release(lease, self._queue.ack(lease))

    async def _answer(self, message: Message, record: JournalRecord) -> None:
        """Give the caller that waits for it what the handler returned, or how it failed."""
        if not message.metadata.reply or message.metadata.sender is None:
            return
        last = record.entries[-1].data
        error = last.get("error")
        answer: dict[str, Any] = {"result": last.get("result")}
        if error is not None:
            answer = {"error": {"type": error["type"], "message": error["message"]}}
        await self._runtime.answer(message, answer)

    async def suspend(self, lease: Lease, due: int | None) -> None:
        """Let the actor of a suspended turn leave memory until what it waits for."""
        wait = self._longest_park
        if due is not None:
            wait = max(0.0, min(wait, (due - self._runtime.clock_ns() // 1000) / 1e6))
        self._runtime.deactivate(lease.message.actor_id)
        await self._release(lease, self._queue.park(lease, seconds=wait))

    async def park(self, turn: Turn, lease: Lease, parked: Parked, retry: float) -> None:
        """Let a turn wait for other code; it is offered again in `retry` seconds, uncounted."""
        await turn.failure.park(parked)
        self._runtime.deactivate(lease.message.actor_id)
        await self._release(lease, self._queue.park(lease, seconds=retry))

    async def expire(self, lease: Lease, span: TurnSpan | None) -> None:
        """Take a message that came too late off its mailbox, unhandled."""
        await self._release(lease, self._queue.ack(lease))
        if span is not None:
            span.emit("message:expired", OWN_MESSAGE)

    async def fail(
        self,
        turn: Turn,
        lease: Lease,
        error: Exception,
        policy: RetryPolicy,
        span: TurnSpan | None,
    ) -> None:
        """Journal that this attempt failed; try the message again later, or give it up."""
        retryable = policy.retryable(error)
        final = not retryable or turn.tries >= policy.max_attempts
        record = await turn.fail(error, retryable=retryable, final=final)
        if final:
            failure = turn.failure.describe(error, retryable=retryable)
            reason = Reason(failure.type, failure.fingerprint, lease.attempt, record.index)
            await self._give_up(lease, record, reason, span)
            return
        delay = policy.delay(turn.tries)
        if span is not None:
            span.emit("message:retried", OWN_MESSAGE, duration_ns=int(delay * 1e9))
        await self._release(lease, self._queue.nack(lease, delay=delay))

    async def lose(self, turn: Turn, lease: Lease, span: TurnSpan | None) -> None:
        """Give up a message that ends its workers. Its turn ends too: were it left open, it would
        keep the actor from being written as a snapshot ever again."""
        attempts = lease.attempt - 1
        failure, record = await turn.failure.lose(attempts)
        reason = Reason(failure.type, failure.fingerprint, attempts, record.index)
        await self._give_up(lease, record, reason, span)

    async def _give_up(
        self, lease: Lease, record: JournalRecord, reason: Reason, span: TurnSpan | None
    ) -> None:
        """Make the message a dead letter; `record` says why."""
        message = lease.message
        await self._answer(message, record)
        letter = None
        if self._dead_letters is not None:
            letter = await self._dead_letters.add(message, reason)
        await self._release(lease, self._queue.dead_letter(lease))
        if span is not None:
            refs = [OWN_MESSAGE, journal_ref(record)]
            if letter is not None:
                refs.append(document_ref(DEAD_LETTERS.name, letter))
            span.emit(
                "message:dead_lettered",
                *refs,
                attempt=reason.attempts,
                error_type=reason.error_type,
                fingerprint=reason.fingerprint or None,
            )
        self._end_run(message, "workflow:failed", reason)

    async def finish_ended(
        self, lease: Lease, record: JournalRecord, span: TurnSpan | None
    ) -> None:
        """Do what the worker that ended the turn may not have lived to do."""
        message, last = lease.message, record.entries[-1].data
        if record.entries[-1].type is EntryType.TURN_FAILED:
            error = last["error"]
            reason = Reason(error["type"], error["fingerprint"], last["attempt"], record.index)
            await self._give_up(lease, record, reason, span)
            return
        outbox = [Message.from_document(body) for body in last["outbox"]]
        await self._runtime.dispatch(outbox, archive=self._archive)
        await self._answer(message, record)
        if span is not None:
            span.emit("message:duplicate", OWN_MESSAGE, journal_ref(record))
        self._end_run(message, "workflow:completed")
        await self._release(lease, self._queue.ack(lease))

    async def _release(self, lease: Lease, settle: Awaitable[bool]) -> None:
        """Give up the lock and settle the lease, in one round to the store."""
        self._given_up.add(lease.token)
        await self._release_of(lease, settle)

    def _release_of(self, lease: Lease, settle: Awaitable[bool]) -> Awaitable[list[Any]]:
        """Return the write that gives up the lock and settles the lease."""
        # The lock first: whoever leases the actor's next message must find it free.
        release = self._runtime.locks.release(lease.message.actor_id, self._worker_id)
        return at_once(release, settle)

    def _end_run(self, message: Message, event: str, reason: Reason | None = None) -> None:
        run = workflow_span(self._tracer, message)
        if run is None:
            return
        duration = self._runtime.clock_ns() - message.metadata.sent_ns
        if reason is None:
            run.emit(event, OWN_MESSAGE, duration_ns=duration)
        else:
            run.emit(
                event,
                OWN_MESSAGE,
                duration_ns=duration,
                error_type=reason.error_type,
                fingerprint=reason.fingerprint or None,
            )
