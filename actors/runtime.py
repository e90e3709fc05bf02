"""`ActorRuntime`: the way in. Sends messages, starts runs, and keeps actors that are in use."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from uuid import uuid4

from actors.actor import Actor
from actors.archive import MessageArchive
from actors.delivery import NOTHING_DELIVERED, Delivered, Delivery, keyed_id
from actors.errors import InvalidMessage
from actors.inbox import CANCEL, Inbox, reply_name
from actors.journal import EntryType
from actors.locks import LockManager
from actors.message import Message, check_address
from actors.query import query
from actors.queues.port import MessageQueue
from actors.state import Fold
from actors.stores import StateStore
from actors.telemetry import Run, SpanEmitter, TurnSpan, report_enqueued
from actors.workflow import Workflow
from storage import in_turn, mapped
from tracing import TraceContext, TraceWriter

MAX_ACTIVE = 10_000
SNAPSHOT_EVERY = 100
"""Journal entries after which an actor's snapshot is written again."""
SNAPSHOT_BYTES = 1 << 20
"""Bytes of journal after which it is written again, however few the entries."""
COMPACT_EVERY = 1_000
"""Journal entries after which those before the snapshot are given their time to live."""
NO_RUNS: Mapping[str, Run] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Started:
    """A run that was started: where to look for it. `trace_id` is None when it is not traced."""

    actor_id: str
    message_id: str
    correlation_id: str
    trace_id: str | None


class ActorRuntime:
    """Everything that concerns actors and is not the handling of one message.

    `clock_ns` gives the time that messages, timers and handlers see; its workers use it too.
    """

    def __init__(
        self,
        state_store: StateStore,
        message_queue: MessageQueue,
        lock_manager: LockManager,
        tracer: TraceWriter | None = None,
        *,
        message_archive: MessageArchive | None = None,
        inbox: Inbox | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.state_store = state_store
        self.queue = message_queue
        self.locks = lock_manager
        self.tracer = tracer
        self.archive = message_archive
        self.inbox = inbox
        self.clock_ns = clock_ns
        self._active: OrderedDict[str, Fold] = OrderedDict()

    async def send(
        self,
        actor_id: str,
        message_type: str,
        payload: Mapping[str, Any],
        *,
        message_id: str | None = None,
        idempotency_key: str | None = None,
        correlation_id: str | None = None,
        priority: int = 0,
        delay: float = 0.0,
        ttl: float | None = None,
        trace: TraceContext | None = None,
    ) -> Message:
        """Send one message from outside, as a trace of its own or below `trace`.

        Sent again to the same actor under the same `idempotency_key`, which stands for a message
        id, it changes nothing: not while it waits, and not for 24 hours after it was handled.
        Of an actor's messages those of a lower `priority` come first. It is delivered after
        `delay` seconds, and not handled any more after `ttl` seconds, both counted from now.

        Raises:
            InvalidMessage, TooLarge: nothing was sent.
        """
        if idempotency_key is not None:
            if message_id is not None:
                raise InvalidMessage("a message has an id or an idempotency key, not both")
            message_id = keyed_id(actor_id, idempotency_key)
        delivery, now_ns = Delivery(priority, delay, ttl), self.clock_ns()
        message = Message.new(
            actor_id,
            message_type,
            payload,
            message_id=message_id,
            correlation_id=correlation_id,
            priority=priority,
            not_before_ns=delivery.not_before_ns(now_ns),
            expires_ns=delivery.expires_ns(now_ns),
            trace=self._span_below(trace, actor_id.partition("/")[0]),
            sent_ns=now_ns,
        )
        await self.dispatch([message])
        return message

    async def start(
        self,
        workflow: Workflow,
        payload: Mapping[str, Any],
        *,
        key: str | None = None,
        request_trace: TraceContext | None = None,
    ) -> Started:
        """Start a run of a workflow: a new actor with its first message.

        `request_trace` is the span of the web request that asks for it.

        Raises:
            InvalidMessage, TooLarge: nothing was started.
        """
        run = self._span_below(request_trace, workflow.name)
        message = Message.new(
            workflow.new_actor(key),
            workflow.message_type,
            payload,
            trace=self._span_below(run, workflow.name) if run is not None else None,
            workflow=workflow.name,
            workflow_parent=None if run is None else run.parent_span_id,
            sent_ns=self.clock_ns(),
        )
        opens = {} if run is None else {message.message_id: Run(workflow.name, run)}
        await self.dispatch([message], opens=opens)
        return Started(
            message.actor_id,
            message.message_id,
            message.correlation_id,
            run.trace_id if run is not None and run.sampled else None,
        )

    async def send_event(
        self,
        actor_id: str,
        name: str,
        payload: Mapping[str, Any] | None = None,
        *,
        event_id: str | None = None,
    ) -> bool:
        """Send an event to the turn that waits, or will wait, for its name.

        With an `event_id` it may be sent again and is received once. False when it is there
        already.

        Raises:
            InvalidMessage, TooLarge: nothing was sent.
        """
        return await self._put(actor_id, name, payload or {}, event_id or uuid4().hex)

    async def cancel(self, actor_id: str, reason: str = "") -> bool:
        """Cancel the actor's turn that waits: `Cancelled` is raised where it waits.

        False when no turn of the actor is under way, or it is being cancelled already.
        """
        fold = await self.state_store.load(actor_id)
        if not fold.open_turns:
            return False
        message_id, commands = next(reversed(fold.open_turns.items()))
        before = sum(entry.type is EntryType.CANCELLED for entry in commands)
        payload = {"message": message_id, "reason": reason[:500]}
        return await self._put(actor_id, CANCEL, payload, f"cancel-{message_id}-{before}")

    async def query(
        self,
        actor_type: type[Actor],
        key: str,
        message_type: str,
        payload: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a read-only handler on the actor's committed state, and return what it returns.

        It does not pass through the mailbox: it answers while a turn is suspended, parked or
        paused, and sees nothing of what that turn has decided so far. It is not journaled, not
        traced, and not tried again.

        Raises:
            InvalidMessage: the handler is not declared read-only, or the key is none.
            ReadOnly: the handler tried to do more than to look.
            storage.StorageError: the actor could not be loaded.
            Exception: what the handler raised.
        """
        return await query(
            self.state_store, actor_type, key, message_type, payload or {}, self.clock_ns
        )

    async def pause(self, actor_id: str) -> None:
        """Let nothing more of the actor be handled until `resume`; its messages wait in order.

        A turn that is being handled ends as it would have. Pausing survives restarts.

        Raises:
            InvalidMessage: that is no actor id.
            storage.StorageError: the queue does not answer; pausing again is safe.
        """
        check_address(actor_id)
        await self.queue.pause(actor_id)

    async def resume(self, actor_id: str) -> None:
        """Let a paused actor go on, and try a turn that is parked again at once. Raises as `pause`.

        Nothing happens when it is neither.
        """
        check_address(actor_id)
        await self.queue.resume(actor_id)
        await self.queue.wake(actor_id)

    async def answer(self, message: Message, answer: Mapping[str, Any]) -> None:
        """Answer a call: an event for the actor that sent the message, once however often said."""
        if message.metadata.sender is not None:
            id = f"reply-{message.message_id}"[:200]
            await self._put(message.metadata.sender, reply_name(message.message_id), answer, id)

    async def _put(self, actor_id: str, name: str, payload: Mapping[str, Any], id: str) -> bool:
        if self.inbox is None:
            raise RuntimeError("this runtime has no inbox for events")
        check_address(actor_id)
        new = await self.inbox.put(actor_id, name, payload, id)
        # Also when it was there: whoever put it may not have lived to do this.
        await self.queue.wake(actor_id)
        return new

    async def dispatch(
        self,
        messages: Sequence[Message],
        *,
        archive: MessageArchive | None = None,
        opens: Mapping[str, Run] = NO_RUNS,
    ) -> None:
        """Archive and enqueue messages. Repeating it with the same messages changes nothing.

        `opens` names the runs that begin with a message, by message id.
        """
        delivered = await self.deliver(messages, archive=archive)
        if self.tracer is not None:
            report_enqueued(self.tracer, delivered, opens)

    async def deliver(
        self, messages: Sequence[Message], *, archive: MessageArchive | None = None
    ) -> Delivered:
        """Archive and enqueue messages, as `dispatch` does, and leave it to the caller to emit."""
        return await self.delivery(messages, archive) if messages else NOTHING_DELIVERED

    def delivery(
        self, messages: Sequence[Message], archive: MessageArchive | None = None
    ) -> Awaitable[Delivered]:
        """Return the write that archives and enqueues messages, as `deliver` does."""
        archive = archive or self.archive
        # Taken before: once it is enqueued, a worker may report on it, which comes later in time.
        at = 0 if self.tracer is None else self.tracer.ticks()
        enqueue = self.queue.enqueue(messages)
        if archive is None:
            return mapped(enqueue, lambda new: Delivered(messages, at, new))
        return mapped(
            in_turn(archive.store(messages), enqueue), lambda done: Delivered(messages, at, done[1])
        )

    async def activate(self, actor_id: str, span: TurnSpan | None = None) -> Fold:
        """Return the actor, from memory when it is in use, else from its store."""
        fold = self._active.get(actor_id)
        if fold is not None:
            self._active.move_to_end(actor_id)
            return fold
        fold = await self.state_store.load(actor_id, span)
        self._active[actor_id] = fold
        if span is not None:
            span.turn.version = fold.version
            span.turn.activated = span.ticks()
        while len(self._active) > MAX_ACTIVE:
            self.deactivate(next(iter(self._active)))
        return fold

    def deactivate(self, actor_id: str) -> None:
        """Forget an actor's memory; its next message loads it again."""
        self._active.pop(actor_id, None)

    def snapshot_is_due(self, fold: Fold, coming: int = 0) -> bool:
        """Whether enough has happened since the last snapshot, with so many entries to come."""
        entries = fold.version + coming - fold.snapshot_version
        return entries >= SNAPSHOT_EVERY or fold.journal_bytes >= SNAPSHOT_BYTES

    async def snapshot(self, fold: Fold, span: SpanEmitter | None = None) -> None:
        """Write the actor's snapshot when enough has happened since the last one."""
        # A snapshot in the middle of a turn would hide that turn's journaled commands.
        if fold.open_turns:
            return
        if not self.snapshot_is_due(fold):
            return
        if fold.version - fold.compacted >= COMPACT_EVERY:
            await self.state_store.compact(fold, span)
            return
        await self.state_store.save(fold.actor_id, fold.state(), span, compacted=fold.compacted)
        fold.snapshot_version = fold.version
        fold.journal_bytes = 0

    def _span_below(self, parent: TraceContext | None, name: str) -> TraceContext | None:
        if self.tracer is None:
            return None
        if parent is None:
            return self.tracer.create_root_trace(name)
        return self.tracer.create_child_span(parent)
