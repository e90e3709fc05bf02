"""What the runtime tells the tracer. Only built when a message is traced."""

from __future__ import annotations

import time

from actors.failure import Failure
from actors.journal import JournalRecord
from actors.message import Message
from tracing import Event, Ref, RefKind, TraceContext, TraceWriter


def message_ref(message: Message) -> Ref:
    return Ref(RefKind.MESSAGE, message.correlation_id, message.message_id)


def journal_ref(record: JournalRecord) -> Ref:
    return Ref(RefKind.JOURNAL_ENTRY, record.actor_id, f"{record.index}:{len(record.entries)}")


def state_ref(actor_id: str, version: int) -> Ref:
    return Ref(RefKind.ACTOR_STATE, actor_id, str(version))


class SpanEmitter:
    """Emits events of one span."""

    __slots__ = ("_actor", "_attempt", "_context", "_name", "tracer")

    def __init__(
        self, tracer: TraceWriter, context: TraceContext, actor: str, name: str, attempt: int = 0
    ) -> None:
        self.tracer = tracer
        self._context = context
        self._actor = actor
        self._name = name
        self._attempt = attempt

    @property
    def context(self) -> TraceContext:
        return self._context

    def emit(
        self,
        event_type: str,
        *refs: Ref,
        name: str | None = None,
        attempt: int | None = None,
        duration_ns: int | None = None,
        error_type: str | None = None,
        fingerprint: str | None = None,
        at_ns: int | None = None,
        peer: str | None = None,
    ) -> None:
        """Emit one event; `name` and `attempt` replace the span's own, `at_ns` the present."""
        context = self._context
        self.tracer.emit(
            Event(
                event_type,
                context.trace_id,
                context.span_id,
                context.parent_span_id,
                self.tracer.now() if at_ns is None else at_ns,
                self._actor,
                name or self._name,
                self._attempt if attempt is None else attempt,
                duration_ns,
                error_type,
                fingerprint,
                refs,
                peer,
                context.sampled,
            )
        )

    def child(self, name: str) -> SpanEmitter:
        """Return an emitter for a new span below this one."""
        return SpanEmitter(
            self.tracer, self.tracer.create_child_span(self._context), self._actor, name
        )


def message_span(tracer: TraceWriter | None, message: Message, attempt: int) -> SpanEmitter | None:
    """Return the emitter of a message's span; None when the message is not traced."""
    trace = message.trace
    if tracer is None or trace is None:
        return None
    return SpanEmitter(tracer, trace, message.actor_id, message.message_type, attempt)


def workflow_span(tracer: TraceWriter | None, message: Message) -> SpanEmitter | None:
    """Return the emitter of the run that ends with this message; None when there is none."""
    trace, workflow = message.trace, message.metadata.workflow
    if tracer is None or workflow is None or trace is None:
        return None
    if trace.parent_span_id is None:
        return None
    context = TraceContext(
        trace.trace_id, trace.parent_span_id, message.metadata.workflow_parent, trace.sampled
    )
    return SpanEmitter(tracer, context, message.actor_id, workflow)


class ActivityReporter:
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
