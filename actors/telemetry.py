"""What the runtime tells the tracer. Only built when a message is traced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from actors.delivery import Delivered
from actors.failure import Failure
from actors.journal import ACTOR_JOURNALS, RECORD_ID, JournalRecord
from actors.message import Message
from tracing import RefKind, TraceContext, TraceWriter
from tracing.draft import MAX_NOTES, ActivityNote, Draft, EnqueuedNote, Note, SentNote, TurnNote
from tracing.registry import CODES
from tracing.spanlog import KIND_CODES, OWN_MESSAGE, More, Pointer

_RUN_STARTED = CODES["workflow:started"]
_ACTOR_STATE, _JOURNAL_ENTRY, _DOCUMENT, _IDEMPOTENCY = (
    KIND_CODES[kind]
    for kind in (
        RefKind.ACTOR_STATE,
        RefKind.JOURNAL_ENTRY,
        RefKind.DOCUMENT,
        RefKind.IDEMPOTENCY,
    )
)
_OWN = (OWN_MESSAGE,)
_JOURNAL = f"{ACTOR_JOURNALS.name}/{RECORD_ID}"


def journal_ref(record: JournalRecord) -> Pointer:
    """Return a reference to entries in the journal of the span's actor."""
    return (_JOURNAL_ENTRY, f"{record.index}:{len(record.entries)}")


def state_ref(version: int) -> Pointer:
    """Return a reference to a state of the span's actor."""
    return (_ACTOR_STATE, str(version))


def document_ref(container: str, id: str) -> Pointer:
    """Return a reference to a document in the partition of the span's actor."""
    return (_DOCUMENT, f"{container}/{id}")


@dataclass(frozen=True, slots=True)
class Run:
    """A run that begins: its workflow's name and its span."""

    name: str
    trace: TraceContext


class SpanEmitter:
    """Emits events of one span, in the event loop of its tracer.

    `message` is the id and the correlation id of the message that the span handles.
    """

    __slots__ = ("_draft", "context", "ticks", "tracer")

    def __init__(
        self,
        tracer: TraceWriter,
        context: TraceContext,
        actor: str | None,
        name: str | None,
        attempt: int = 0,
        message: tuple[str, str] | None = None,
    ) -> None:
        self.tracer = tracer
        self.ticks = tracer.ticks
        self.context = context
        self._draft = Draft(
            context.trace_id,
            context.span_id,
            context.parent_span_id,
            actor,
            name,
            attempt,
            context.sampled,
            tracer.ticks(),
            tracer.epoch_ns,
            message,
        )
        tracer.listen(self._draft)

    def note(
        self,
        event_type: str,
        refs: tuple[Pointer, ...] = (),
        duration_ns: int | None = None,
        more: More | None = None,
    ) -> None:
        """Emit one event, as `emit` does, for half of its cost."""
        code = CODES.get(event_type)
        if code is None:
            self.tracer.refuse()
            return
        draft = self._draft
        if draft.sealed or len(draft.notes or ()) >= MAX_NOTES:
            draft = self._next_draft()
        if draft.notes is None:
            draft.notes = []
        draft.notes.append((code, self.ticks(), duration_ns, refs, more))

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
        more = None
        if name is not None or attempt is not None or error_type is not None:
            more = More(name, attempt, error_type, fingerprint)
        self.note(event_type, refs, duration_ns, more)

    def _next_draft(self) -> Draft:
        """Return the draft that takes the next note."""
        draft = self._draft
        if not draft.sealed:
            self.tracer.take(draft.so_far())
            return draft
        self._draft = draft.empty(self.ticks())
        self.tracer.listen(self._draft)
        return self._draft

    @property
    def actor(self) -> str | None:
        return self._draft.actor


class TurnSpan(SpanEmitter):
    """Emits the events of the span in which a worker handles a message.

    Most of them are fields of `turn`. It begins when the message has been leased, at `now_ns` since
    the epoch, and lasts until its `end`.
    """

    __slots__ = ("turn",)

    def __init__(
        self, tracer: TraceWriter, message: Message, of: TraceContext, attempt: int, now_ns: int
    ) -> None:
        # What its base does, without the calls: every message that is handled makes one. A callable
        # that is an attribute is taken by a name first: called at once, it is sought as a method.
        self.tracer = tracer
        self.ticks = ticks = tracer.ticks
        listen = tracer.listen
        self.context = of
        began, known = ticks(), message.metadata
        enqueued = tracer.posted_at(of.span_id)
        self.turn = turn = TurnNote(
            began,
            now_ns - (known.not_before_ns or known.sent_ns),
            enqueued=enqueued,
            sender=known.sender if enqueued else None,
        )
        self._draft = draft = Draft(
            of.trace_id,
            of.span_id,
            of.parent_span_id,
            message.actor_id,
            message.message_type,
            attempt,
            of.sampled,
            began,
            tracer.epoch_ns,
            (message.message_id, message.correlation_id),
            turn,
            journal=_JOURNAL,
        )
        listen(draft)

    def end(self) -> None:
        """Say that the turn is over. What is emitted later all the same is told, too."""
        self.tracer.end(self._draft)

    def note_activity(self, name: str, key: str) -> ActivityReporter:
        """Emit that an activity was scheduled, and that its first attempt began."""
        ticks, draft = self.ticks, self._draft
        if draft.sealed:
            draft = self._next_draft()
        note = ActivityNote(name, key, ticks())
        draft.activities.append(note)
        return ActivityReporter(self, note)

    def note_sent(
        self, delivered: Delivered, codes: Mapping[str, int], record: JournalRecord | None
    ) -> None:
        """Emit that the turn sent messages, in that record of its journal, and that those which
        were new in their actor's mailbox were put there.

        `codes` has the codes of the events that say the former, by message id; without one it was
        told before.
        """
        told = self.ticks()
        index, count = (0, 0) if record is None else (record.index, len(record.entries))
        draft = self._draft
        for message, new in zip(delivered.messages, delivered.new, strict=True):
            trace = message.trace
            if trace is None:
                continue
            if draft.sealed or len(draft.sent or ()) >= MAX_NOTES:
                draft = self._next_draft()
            if draft.sent is None:
                draft.sent = []
            draft.sent.append(
                SentNote(
                    codes.get(message.message_id, 0),
                    told,
                    delivered.at if new else 0,
                    message.actor_id,
                    message.message_type,
                    message.message_id,
                    message.correlation_id,
                    trace.span_id,
                    trace.sampled,
                    index,
                    count,
                )
            )


class Enqueued(msgspec.Struct, gc=False):
    """That a message was put into its actor's mailbox, at a tick of the clock that was 0 at
    `epoch_ns`."""

    at: int
    message: Message
    trace: TraceContext
    epoch_ns: int

    def told(self) -> EnqueuedNote:
        """Return it as it is told without the message's turn."""
        message, trace = self.message, self.trace
        return EnqueuedNote(
            trace.trace_id,
            trace.span_id,
            trace.parent_span_id,
            trace.sampled,
            message.actor_id,
            message.message_type,
            message.message_id,
            message.correlation_id,
            message.metadata.sender,
            self.at,
            self.epoch_ns,
        )


def report_enqueued(tracer: TraceWriter, delivered: Delivered, opens: Mapping[str, Run]) -> None:
    """Emit of each new message that it was put into its actor's mailbox, and that its run began.

    From any thread: messages are sent from wherever somebody has a runtime. `opens` has the runs
    that begin with one, by message id.
    """
    for message, new in zip(delivered.messages, delivered.new, strict=True):
        trace = message.trace
        if trace is None or not new:
            continue
        if opens and message.message_id in opens:
            tracer.take(_run_started(tracer, message, delivered.at, opens[message.message_id]))
        tracer.post(trace.span_id, Enqueued(delivered.at, message, trace, tracer.epoch_ns))


def _run_started(tracer: TraceWriter, message: Message, at: int, run: Run) -> Draft:
    """Return the event of the run's own span, sealed."""
    of = run.trace
    began: Note = (_RUN_STARTED, at, None, _OWN, None)
    draft = Draft(
        *(of.trace_id, of.span_id, of.parent_span_id, message.actor_id, run.name, 0, of.sampled),
        *(at, tracer.epoch_ns, (message.message_id, message.correlation_id), None, [began]),
    )
    draft.seal()
    return draft


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


class ActivityReporter(msgspec.Struct, gc=False):
    """Emits the events of one activity's span, below the span of the turn that asked for it.

    `TurnSpan.note_activity` makes it. What nearly every activity tells is in its `note`.
    """

    turn: TurnSpan
    note: ActivityNote

    @property
    def context(self) -> TraceContext:
        """The activity's span, which few activities have to know."""
        of = self.turn.context
        return self.turn.tracer.create_child_span(of, self.note.span_id(of.span_id))

    def retried(self, attempt: int, error: BaseException) -> None:
        """Emit that an attempt failed and another will follow."""
        self._emit("activity:retried", attempt=attempt, error_type=type(error).__name__)

    def started(self, attempt: int) -> None:
        """Emit that an attempt after the first began."""
        self._emit("activity:started", attempt=attempt)

    def failed(self, failure: Failure, record: JournalRecord) -> None:
        """Emit that the last attempt failed, which was journaled."""
        self._emit(
            "activity:failed",
            journal_ref(record),
            duration_ns=self.turn.ticks() - self.note.began,
            error_type=failure.type,
            fingerprint=failure.fingerprint,
        )

    def _emit(self, event_type: str, *refs: Pointer, **more: Any) -> None:
        """Emit what an activity that completes at once never has to tell."""
        turn, activity = self.turn, self.note
        span = SpanEmitter(turn.tracer, self.context, turn.actor, activity.name)
        span.emit(event_type, (_IDEMPOTENCY, activity.key), *refs, **more)
