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

_STARTED, _ENQUEUED = CODES["workflow:started"], CODES["queue:enqueued"]
_OWN = (OWN_MESSAGE,)


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

    @property
    def actor(self) -> str | None:
        return self._log.actor


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
    own = (message.message_id, message.correlation_id)
    after = at_ns % 1000
    if run is not None:
        log = _log_of(run.trace, message.actor_id, run.name, 0, at_ns, own)
        log.entries.append(Entry(_STARTED, after, None, _OWN))
        tracer.take(log)
    sender = message.metadata.sender
    log = _log_of(trace, message.actor_id, message.message_type, 0, at_ns, own)
    log.entries.append(
        Entry(_ENQUEUED, after, None, _OWN, None if sender is None else More(peer=sender))
    )
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
        of.trace_id,
        of.span_id,
        of.parent_span_id,
        actor,
        name,
        attempt,
        of.sampled,
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


class ActivityReporter(SpanEmitter):
    """Emits the events of one activity's span, below the span of the turn that asked for it."""

    __slots__ = ("_key", "_started")

    def __init__(self, span: SpanEmitter, name: str, key: str) -> None:
        tracer = span.tracer
        super().__init__(tracer, tracer.create_child_span(span.context), span.actor, name)
        self._key = pointer(RefKind.IDEMPOTENCY, key)
        self._started = time.monotonic_ns()
        self.emit("activity:scheduled", self._key)

    def started(self, attempt: int) -> None:
        self.emit("activity:started", self._key, attempt=attempt)

    def retried(self, attempt: int, error: BaseException) -> None:
        self.emit("activity:retried", self._key, attempt=attempt, error_type=type(error).__name__)

    def completed(self, attempts: int, record: JournalRecord) -> None:
        self.emit(
            "activity:completed",
            self._key,
            journal_ref(record),
            attempt=attempts,
            duration_ns=time.monotonic_ns() - self._started,
        )

    def failed(self, failure: Failure, record: JournalRecord) -> None:
        self.emit(
            "activity:failed",
            self._key,
            journal_ref(record),
            duration_ns=time.monotonic_ns() - self._started,
            error_type=failure.type,
            fingerprint=failure.fingerprint,
        )
