"""`ActorWorker`: leases messages and runs their turns, many actors at a time, one turn each."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

from actors.activity import ActivityExecutor
from actors.actor import Actor
from actors.archive import MessageArchive
from actors.deadletters import DeadLetters
from actors.errors import JournalConflict, LeaseLost, NonDeterministic
from actors.journal import JournalRecord
from actors.limits import TURN_LIMITS, TurnLimits
from actors.parking import (
    MISMATCH_RETRY,
    VERSION_RETRY,
    Parked,
    Unmatched,
    mismatch,
    other_version,
)
from actors.queues.port import Lease, MessageQueue
from actors.retry import MESSAGE_RETRIES, RetryPolicy
from actors.runtime import ActorRuntime
from actors.settlement import LONGEST_PARK, Settlement
from actors.state import Fold
from actors.telemetry import SpanEmitter, TurnSpan
from actors.turn import Turn
from storage import StorageError, in_turn
from tracing import TraceWriter
from tracing.spanlog import OWN_MESSAGE

logger = logging.getLogger(__name__)

BLOCKED_DELAY = 0.5
"""Seconds until a message whose actor is locked by another worker is offered again."""
STORE_DELAY = 1.0
"""Seconds until a message whose turn the store could not take is offered again."""
IDLE_WAIT = 1.0


@dataclass(frozen=True, slots=True)
class WorkerStats:
    """What a worker has done since it started, and what it is doing."""

    worker_id: str
    actor_types: tuple[str, ...]
    concurrency: int
    running: int
    handled: int
    failed: int
    abandoned: int
    expired: int = 0


class ActorWorker:
    """Serves actor types until it is stopped.

    A lease and a lock are extended while their turn runs. When the lease is lost the turn is
    cancelled; if it commits first it still owned the actor, and if another worker did, its append
    conflicts. A lost lock ends nothing: nobody else is given the actor's messages.
    `longest_park` is seconds after which a suspended turn looks by itself whether it may go on.
    """

    def __init__(
        self,
        runtime: ActorRuntime,
        message_queue: MessageQueue,
        actor_type: type[Actor] | Sequence[type[Actor]],
        activity_executor: ActivityExecutor,
        retry_policy: RetryPolicy = MESSAGE_RETRIES,
        tracer: TraceWriter | None = None,
        message_archive: MessageArchive | None = None,
        *,
        dead_letters: DeadLetters | None = None,
        concurrency: int = 64,
        lease_seconds: float = 30.0,
        grace_seconds: float = 10.0,
        longest_park: float = LONGEST_PARK,
        turn_limits: TurnLimits = TURN_LIMITS,
    ) -> None:
        types = [actor_type] if isinstance(actor_type, type) else list(actor_type)
        self._types: dict[str, type[Actor]] = {kind.type_name(): kind for kind in types}
        self._runtime = runtime
        self._queue = message_queue
        self._executor = activity_executor
        self._policy = retry_policy
        self._tracer = tracer
        self._archive = message_archive
        self._concurrency = concurrency
        self._lease_seconds = lease_seconds
        self._grace_seconds = grace_seconds
        self._turn_limits = turn_limits
        self.worker_id = f"worker-{uuid4().hex[:12]}"
        self._settlement = Settlement(
            *(runtime, message_queue, self.worker_id, tracer),
            *(message_archive, dead_letters, longest_park),
        )
        self._running: dict[asyncio.Task[None], Lease] = {}
        self._finished = asyncio.Event()
        self._stopping = asyncio.Event()
        self._queue_down = self._found_all = False
        self._unmatched = Unmatched()
        self._handled = self._failed = self._abandoned = self._expired = 0

    def stats(self) -> WorkerStats:
        """Return the worker's counters."""
        return WorkerStats(
            self.worker_id,
            tuple(self._types),
            self._concurrency,
            len(self._running),
            self._handled,
            self._failed,
            self._abandoned,
            self._expired,
        )

    async def run(self) -> None:
        """Lease and handle until `stop`, then let running turns finish within the grace time.

        Turns that do not finish are cancelled and their messages handed back uncounted.
        """
        heartbeat = asyncio.create_task(self._heartbeat(), name=f"{self.worker_id} heartbeat")
        try:
            while not self._stopping.is_set():
                await self._fill()
        finally:
            await self._drain()
            heartbeat.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await heartbeat

    def stop(self) -> None:
        """Ask `run` to take nothing new and to end."""
        self._stopping.set()
        self._finished.set()

    async def _fill(self) -> None:
        free = self._concurrency - len(self._running)
        if free <= 0:
            self._finished.clear()
            await self._finished.wait()
            return
        asked_ns = time.monotonic_ns()
        waits, self._found_all = self._found_all, False
        ask = partial(self._queue.wait, IDLE_WAIT) if waits else self._queue.lease
        try:
            leases = await ask(
                tuple(self._types),
                limit=free,
                seconds=self._lease_seconds,
                owner=self.worker_id,
            )
        except StorageError as error:
            await self._sit_out(error)
            return
        if self._queue_down:
            self._queue_down = False
            logger.warning("the queue answers again")
        stopping = self._stopping.is_set()
        for lease in leases:
            work = self._give_back(lease, 0.0) if stopping else self._guarded(lease, asked_ns)
            task = asyncio.create_task(work, name=lease.message.actor_id)
            self._running[task] = lease
            task.add_done_callback(self._done)
        # After a wait that leased nothing, it has to be asked.
        self._found_all = len(leases) < free and bool(leases or not waits)

    async def _sit_out(self, error: StorageError) -> None:
        """Wait for a queue that does not answer; told once, however long that takes."""
        if not self._queue_down:
            self._queue_down = True
            logger.warning(
                "the queue cannot be leased from (%s); asking it again every %g s",
                *(error, STORE_DELAY),
            )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STORE_DELAY):
                await self._stopping.wait()

    def _done(self, task: asyncio.Task[None]) -> None:
        lease = self._running.pop(task)
        self._finished.set()
        error = None if task.cancelled() else task.exception()
        if error is not None:
            # A fault of the worker, not of the message, which is offered again after its lease.
            actor_id = lease.message.actor_id
            self._runtime.deactivate(actor_id)
            self._abandoned += 1
            # The frames without the messages, which may quote a payload.
            frames = "".join(traceback.format_tb(error.__traceback__))
            logger.error(
                "a turn of %s ended in a fault of the worker: %s\n%s",
                actor_id,
                type(error).__name__,
                frames,
            )

    async def _drain(self) -> None:
        if self._running:
            await asyncio.wait(list(self._running), timeout=self._grace_seconds)
        for task in list(self._running):
            task.cancel()
        if self._running:
            await asyncio.wait(list(self._running))

    async def _heartbeat(self) -> None:
        while True:
            await asyncio.sleep(self._lease_seconds / 3)
            if self._running:
                await self.keep()

    async def keep(self) -> None:
        """Extend the leases and locks of the turns that run; `run` does it again and again.

        Where one of the two does not answer, the other is still asked.
        """
        await self._extend_leases()
        await self._renew_locks()

    async def _extend_leases(self) -> None:
        """Extend the leases of the turns that run, and cancel those that have lost theirs."""
        running = list(self._running.items())
        try:
            kept = await self._queue.extend(
                [lease for _, lease in running], seconds=self._lease_seconds
            )
        except StorageError as error:
            logger.warning("leases cannot be extended (%s); trying again", error)
            return
        for (task, lease), held in zip(running, kept, strict=True):
            if not (held or task.done() or self._settlement.gives_up(lease)):
                logger.warning("the lease of %s ran out", lease.message.actor_id)
                task.cancel()

    async def _renew_locks(self) -> None:
        actors = [lease.message.actor_id for lease in self._running.values()]
        try:
            await self._runtime.locks.renew(actors, self.worker_id, self._lease_seconds)
        except StorageError as error:
            logger.warning("locks cannot be renewed (%s); trying again", error)

    async def _guarded(self, lease: Lease, leased_ns: int) -> None:
        """Handle one lease; whatever goes wrong, the message is handed back or stays leased."""
        actor_id = lease.message.actor_id
        retry = self._unmatched.retry(lease)
        span, tracer, trace = None, self._tracer, lease.message.trace
        if tracer is not None and trace is not None and retry is None:
            now_ns = self._runtime.clock_ns()
            span = TurnSpan(tracer, lease.message, trace, lease.attempt, now_ns)
        try:
            if retry is None:
                await self._handle(lease, leased_ns, span)
            else:
                # In silence: every parked turn comes by here again and again, for days perhaps.
                await self._settlement.put_down(lease, retry)
        except asyncio.CancelledError:
            self._runtime.deactivate(actor_id)
            self._abandon(span, lease, LeaseLost.__name__)
            with contextlib.suppress(StorageError):
                await asyncio.shield(self._give_back(lease, 0.0))
        except JournalConflict as conflict:
            self._runtime.deactivate(actor_id)
            self._abandon(span, lease, type(conflict).__name__)
            await self._give_back(lease, BLOCKED_DELAY)
        except StorageError as error:
            # Not the message's fault: its attempt does not count. Memory may be behind the store.
            self._runtime.deactivate(actor_id)
            logger.warning("the turn of %s is abandoned: %s", actor_id, error)
            self._abandon(span, lease, type(error).__name__)
            await self._give_back(lease, STORE_DELAY)
        finally:
            self._settlement.forget(lease)
            if span is not None:
                span.end()

    def _abandon(self, span: SpanEmitter | None, lease: Lease, why: str) -> None:
        self._abandoned += 1
        if span is not None:
            span.emit("lock:lost", OWN_MESSAGE, error_type=why)

    async def _give_back(self, lease: Lease, delay: float) -> None:
        try:
            await in_turn(
                self._runtime.locks.release(lease.message.actor_id, self.worker_id),
                self._queue.nack(lease, delay=delay, count=False),
            )
        except StorageError as error:
            logger.warning("a message of %s waits for its lease: %s", lease.message.actor_id, error)

    async def _handle(self, lease: Lease, leased_ns: int, span: TurnSpan | None) -> None:
        message = lease.message
        if not lease.locked and not await self._runtime.locks.acquire(
            message.actor_id, self.worker_id, self._lease_seconds
        ):
            if span is not None:
                span.emit("lock:blocked", duration_ns=span.ticks() - span.turn.dequeued)
            await self._queue.nack(lease, delay=BLOCKED_DELAY, count=False)
            return
        if span is not None:
            span.turn.locked = span.turn.dequeued if lease.locked else span.ticks()
        fold = await self._runtime.activate(message.actor_id, span)
        ended = await self._ended_before(fold, lease, leased_ns)
        if ended is not None:
            await self._settlement.finish_ended(lease, ended, span)
        elif self._is_late(lease, fold):
            await self._settlement.expire(lease, span)
            self._expired += 1
        else:
            await self._turn(lease, fold, span)
        if span is not None:
            span.turn.released = span.ticks()

    def _is_late(self, lease: Lease, fold: Fold) -> bool:
        """Whether the message expired before its handling began."""
        expires_ns = lease.message.metadata.expires_ns
        if not expires_ns or expires_ns > self._runtime.clock_ns():
            return False
        return lease.attempt == 1 and lease.message.message_id not in fold.open_turns

    async def _turn(self, lease: Lease, fold: Fold, span: TurnSpan | None) -> None:
        message = lease.message
        turn = Turn(
            *(fold, message, lease.attempt, self._runtime.state_store, self._executor, span),
            inbox=self._runtime.inbox,
            deliver=partial(self._runtime.deliver, archive=self._archive),
            clock_ns=self._runtime.clock_ns,
            limits=self._turn_limits,
        )
        if turn.tries > self._policy.max_attempts:
            # Every attempt so far ended without a word: the message kills its worker.
            await self._settlement.lose(turn, lease, span)
            return
        kind = self._types[message.actor_type]
        pinned = fold.versions.get(message.message_id, kind.version)
        if not kind.runs_version(pinned):
            await self._park(turn, lease, other_version(pinned, kind.version), VERSION_RETRY)
            return
        if span is not None:
            span.turn.started = span.ticks()
        try:
            along = self._settlement.ending(turn, lease, fold)
            record = await turn.run(kind, along)
        except (JournalConflict, StorageError):
            raise
        except NonDeterministic as error:
            if await turn.waits.cancelled():
                await self._fail(turn, lease, error, span)
            else:
                parked = mismatch(error, kind.handler_of(message.message_type))
                await self._park(turn, lease, parked, MISMATCH_RETRY)
            return
        except Exception as error:  # the border to user code: it becomes a failed attempt
            await self._fail(turn, lease, error, span)
            return
        if record is None:
            await self._settlement.suspend(lease, turn.waits.due)
            return
        await self._settlement.complete(turn, lease, fold, record, along, span)
        self._handled += 1

    async def _fail(
        self, turn: Turn, lease: Lease, error: Exception, span: TurnSpan | None
    ) -> None:
        await self._settlement.fail(turn, lease, error, self._policy, span)
        self._failed += 1

    async def _park(self, turn: Turn, lease: Lease, parked: Parked, retry: float) -> None:
        await self._settlement.park(turn, lease, parked, retry)
        self._unmatched.add(lease, retry)
        logger.warning("a turn of %s is parked: %s", lease.message.actor_id, parked.reason)

    async def _ended_before(self, fold: Fold, lease: Lease, leased_ns: int) -> JournalRecord | None:
        """Return the record that ended the message's turn already, or None."""
        message = lease.message
        # A queue that forgot that a message was handled offers it as if for the first time.
        since_ns = 0 if self._queue.forgets else leased_ns
        # Workers of an earlier version on the same file count attempts alone.
        again = lease.again or lease.attempt > 1
        if not again and not fold.may_have_ended(message.message_id, since_ns):
            return None
        records = await self._runtime.state_store.of_message(message.actor_id, message.message_id)
        if records and records[-1].ends_turn:
            return records[-1]
        return None
