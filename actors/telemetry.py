"""What the runtime tells the tracer. Only built when a message is traced."""

from __future__ import annotations

import time
from dataclasses import dataclass

from actors.failure import Failure
from actors.journal import JournalRecord
from actors.message import Message
from tracing import RefKind, TraceContext, TraceWriter
from tracing.registry import CODES
from tracing.spanlog import MAX_ENTRIES, OWN_MESSAGE, Entry, More, Pointer, SpanLog, pointer


def message_ref(message: Message) -> Pointer:
    """Return a reference to a message that is not the span's own (that is `OWN_MESSAGE`)."""
    return pointer(RefKind.MESSAGE, message.message_id, message.correlation_id)


def journal_ref(record: JournalRecord) -> Pointer:
    """Return a reference to entries in the journal of the span's actor."""
    return pointer(RefKind.JOURNAL_ENTRY, f"{record.index}:{len(record.entries)}")


def state_ref(version: int) -> Pointer:
    """Return a reference to a state of the span's actor."""
    return pointer(RefKind.ACTOR_STATE, str(version))


def document_ref(container: str, id: str) -> Pointer:
    """Return a reference to a document in the partition of the span's actor."""
    return pointer(RefKind.DOCUMENT, f"{container}/{id}")


@dataclass(frozen=True, slots=True)
class Run:
    """A run that begins: its workflow's name and its span."""

    name: str
    trace: TraceContext


class SpanEmitter:
    """Emits events of one span, in the event loop of its tracer.

    `message` is the id and the correlation id of the message that the span handles.
    """

    __slots__ = ("_log", "_now", "context", "tracer")

    def __init__(
        self,
        tracer: TraceWriter,
        context: TraceContext,
        actor: str | None,
        name: str,
        attempt: int = 0,
        message: tuple[str, str] | None = None,
    ) -> None:
        self.tracer = tracer
        self.context = context
        self._now = tracer.now
        self._log = _log_of(context, actor, name, attempt, tracer.now(), message)
        tracer.listen(self._log)

    def emit(
        self,
        event_type: str,
        *refs: Pointer,
        name: str | None = None,
        attempt: int | None = None,
        duration_ns: int | None = None,
        error_type: str | None = None,
        fingerprint: str | None = None,
    ) -> None:
        """Emit one event; `name` and `attempt` replace the span's own."""
        log, now = self._log, self._now()
        if log.sealed or len(log.entries) >= MAX_ENTRIES:
            log = self._next_log(now)
        code = CODES.get(event_type)
        if code is None:
            self.tracer.refuse()
            return
        more = None
        if name is not None or attempt is not None or error_type is not None:
            more = More(name, attempt, error_type, fingerprint)
        log.entries.append(Entry(code, now - log.start_us * 1000, duration_ns, refs, more))

    def _next_log(self, now: int) -> SpanLog:
        """Go on in a log of its own, from now on."""
        full = self._log
        self._log = log = _log_of(
            self.context, full.actor, full.name, full.attempt, now, full.message
        )
        self.tracer.listen(log)
        return log

    def child(self, name: str) -> SpanEmitter:
        """Return an emitter for a new span below this one."""
        return SpanEmitter(
            self.tracer, self.tracer.create_child_span(self.context), self._log.actor, name
        )


def message_span(tracer: TraceWriter | None, message: Message, attempt: int) -> SpanEmitter | None:
    """Return the emitter of a message's span; None when the message is not traced."""
    trace = message.trace
    if tracer is None or trace is None:
        return None
    return SpanEmitter(
        *(tracer, trace, message.actor_id, message.message_type, attempt),
        message=(message.message_id, message.correlation_id),
    )


def report_enqueued(
    tracer: TraceWriter, message: Message, at_ns: int, run: Run | None = None
) -> None:
    """Emit that a message was put into its actor's mailbox at `at_ns`, and that its run began.

    From any thread: messages are sent from wherever somebody has a runtime.
    """
    trace = message.trace
    if trace is None:
        return
    if run is not None:
        _take(tracer, "workflow:started", run.trace, message, run.name, at_ns)
    sender = message.metadata.sender
    more = None if sender is None else More(peer=sender)
    _take(tracer, "queue:enqueued", trace, message, message.message_type, at_ns, more)


def _take(
    tracer: TraceWriter,
    event_type: str,
    of: TraceContext,
    message: Message,
    name: str,
    at_ns: int,
    more: More | None = None,
) -> None:
    own = (message.message_id, message.correlation_id)
    log = _log_of(of, message.actor_id, name, 0, at_ns, own)
    log.entries.append(Entry(CODES.get(event_type, 0), at_ns % 1000, None, (OWN_MESSAGE,), more))
    tracer.take(log)


def _log_of(
    of: TraceContext,
    actor: str | None,
    name: str | None,
    attempt: int,
    begins_ns: int,
    message: tuple[str, str] | None,
) -> SpanLog:
    """Return an empty log of a span; it begins at the microsecond that holds `begins_ns`."""
    return SpanLog(
        *(of.trace_id, of.span_id, of.parent_span_id, actor, name, attempt, of.sampled),
        begins_ns // 1000,
        message,
    )


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
    return SpanEmitter(
        *(tracer, context, message.actor_id, workflow),
        message=(message.message_id, message.correlation_id),
    )


class ActivityReporter:
    """Emits the events of one activity's span."""

    __slots__ = ("_key", "_span", "_started")

    def __init__(self, span: SpanEmitter, key: Pointer) -> None:
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
