"""`Draft`: what a span tells while it does so, in the process that is traced.

Telling is what the traced work waits for, so it makes as few objects and calls as it can. What
every turn tells is a `TurnNote` whose fields are set as it goes on, what an activity tells an
`ActivityNote`, and any other event is a tuple. The recorder spells it out as `SpanLog`s, in a
process of its own as a rule. All times here are ticks of the writer's clock.
"""

from __future__ import annotations

from copy import copy
from hashlib import blake2b
from typing import ClassVar

import msgspec

from tracing.event import Event, RefKind
from tracing.registry import CODES
from tracing.spanlog import KIND_CODES, OWN_MESSAGE, Entry, More, Pointer, SpanLog

MAX_NOTES = 100
"""Notes of one draft; when there is more to tell, these are handed on first."""

Note = tuple[int, int, int | None, tuple[Pointer, ...], More | None]
"""One event: the fields of an `Entry`, with the time in ticks."""

_MESSAGE, _STATE, _RECORD, _KEY, _DOCUMENT = (
    KIND_CODES[kind]
    for kind in (
        RefKind.MESSAGE,
        RefKind.ACTOR_STATE,
        RefKind.JOURNAL_ENTRY,
        RefKind.IDEMPOTENCY,
        RefKind.DOCUMENT,
    )
)
_OWN = (OWN_MESSAGE,)
_FIRST = More(attempt=1)
_ENQUEUED = CODES["queue:enqueued"]
_DEQUEUED = CODES["queue:dequeued"]
_LOCKED = CODES["lock:acquired"]
_RECEIVED = CODES["message:received"]
_CREATED = CODES["actor:created"]
_ACTIVATED = CODES["actor:activated"]
_STARTED = CODES["message:started"]
_CHANGED = CODES["actor:state_changed"]
_COMPLETED = CODES["message:completed"]
_RELEASED = CODES["lock:released"]
_SCHEDULED = CODES["activity:scheduled"]
_TRIED = CODES["activity:started"]
_DONE = CODES["activity:completed"]


Write = tuple[int, int, int, int, int]
"""That a journal record was written: the code of the event that tells of it, when that was begun
and when it was done, and the record's index and how many entries it has."""


class TurnNote(msgspec.Struct, gc=False, array_like=True):
    """What the span of a message tells as a rule, from its lease to the end of its lock.

    A time is 0 for what has not happened. Each step is told once, in the order of the fields; that
    the message was enqueued comes before them, in a log of its own.

    Attributes:
        dequeued: when a worker had leased the message, and asked for the actor's lock.
        waited_ns: how long the message had waited then; below 0 where clocks differ.
        locked: when it had the lock.
        activated: when the actor had been loaded, unless it was in memory.
        version: of the state that it had then; 0 says that it is new.
        started: when it called the handler.
        wrote: the journal record that completes the turn.
        completed: when what the turn sent was enqueued.
        before: version of the state that the turn changed; -1 when it changed none.
        released: when the lock was given up.
        told: how many of its events were told before, in a part.
        enqueued: when the message was put into the mailbox; 0 where that was told elsewhere.
        sender: the actor that sent it then; None from outside.
    """

    dequeued: int = 0
    waited_ns: int = 0
    locked: int = 0
    activated: int = 0
    version: int = 0
    started: int = 0
    wrote: Write | None = None
    completed: int = 0
    before: int = -1
    released: int = 0
    told: int = 0
    enqueued: int = 0
    sender: str | None = None

    @property
    def size(self) -> int:
        """How many events it holds that were not told."""
        size = -self.told
        if self.dequeued:
            size += 1
        if self.locked:
            size += 2
        if self.activated:
            size += 1
        if self.started:
            size += 1
        if self.wrote is not None:
            size += 1
        if self.completed:
            size += 1 if self.before < 0 else 2
        if self.released:
            size += 1
        return size

    def entries(self, zero: int, journal: str) -> list[Entry]:
        """Return the events that were not told, with their times from `zero` on."""
        found = []
        if self.dequeued:
            found.append(self.leased(zero))
        if self.locked:
            at = self.locked - zero
            found.append(Entry(_LOCKED, at, self.locked - self.dequeued))
            found.append(Entry(_RECEIVED, at, None, _OWN))
        if self.activated and self.version:
            state = (_STATE, str(self.version))
            found.append(Entry(_ACTIVATED, self.activated - zero, None, (state,)))
        elif self.activated:
            found.append(Entry(_CREATED, self.activated - zero))
        if self.started:
            found.append(Entry(_STARTED, self.started - zero, None, _OWN))
        if self.wrote is not None:
            found.append(_write(self.wrote, zero, journal))
        if self.completed:
            done = self.ended(zero)
            if self.before >= 0:
                _, record, after = done.refs
                refs = ((_STATE, str(self.before)), after, record)
                found.append(Entry(_CHANGED, done.after_ns, None, refs))
            found.append(done)
        if self.released:
            found.append(Entry(_RELEASED, self.released - zero, self.released - self.locked))
        return found[self.told :]

    def moved(self, ticks: int) -> TurnNote:
        """Return it with every time that many ticks later."""
        return TurnNote(
            self.dequeued and self.dequeued + ticks,
            self.waited_ns,
            self.locked and self.locked + ticks,
            self.activated and self.activated + ticks,
            self.version,
            self.started and self.started + ticks,
            _moved(self.wrote, ticks),
            self.completed and self.completed + ticks,
            self.before,
            self.released and self.released + ticks,
            self.told,
            self.enqueued and self.enqueued + ticks,
            self.sender,
        )

    @property
    def took_ns(self) -> int:
        """How long it took from the call of the handler until what it sent was enqueued."""
        return self.completed - self.started

    def put(self, zero: int) -> Entry:
        """Return the event that the message was enqueued."""
        return Entry(_ENQUEUED, self.enqueued - zero, None, _OWN, More(attempt=0, peer=self.sender))

    def leased(self, zero: int) -> Entry:
        """Return the event that a worker had leased the message."""
        return Entry(_DEQUEUED, self.dequeued - zero, max(0, self.waited_ns), _OWN)

    def ended(self, zero: int) -> Entry:
        """Return the event that the message was handled."""
        index, count = (0, 0) if self.wrote is None else self.wrote[3:]
        refs = (OWN_MESSAGE, _record(index, count), (_STATE, str(index + count)))
        return Entry(_COMPLETED, self.completed - zero, self.took_ns, refs)


class ActivityNote(msgspec.Struct, gc=False, array_like=True, eq=False):
    """What an activity's span tells as a rule: scheduled, its first attempt started, completed.
    Equal to itself only.

    Attributes:
        key: the activity's idempotency key.
        wrote: the journal record that holds its result; the event of its write is one of the turn's
            span.
        told: how it began was told before, in a part.
    """

    name: str
    key: str
    began: int
    attempts: int = 1
    wrote: Write | None = None
    told: bool = False

    def moved(self, ticks: int) -> ActivityNote:
        """Return it with every time that many ticks later.

        Where its span is found by when it began, that is to be moved back first.
        """
        return ActivityNote(
            self.name,
            self.key,
            self.began + ticks,
            self.attempts,
            _moved(self.wrote, ticks),
            self.told,
        )

    def span_id(self, above: str) -> str:
        """Return its span, below that of its turn: few have to know it, and all find the same."""
        seed = f"{above} {self.key} {self.began}".encode()
        return blake2b(seed, digest_size=8).hexdigest()

    def entries(self, zero: int) -> list[Entry]:
        """Return the events that were not told, with their times from `zero` on."""
        key = (_KEY, self.key)
        found = []
        if not self.told:
            found.append(Entry(_SCHEDULED, self.began - zero, None, (key,)))
            found.append(Entry(_TRIED, self.began - zero, None, (key,), _FIRST))
        if self.wrote is not None:
            _, _, at, index, count = self.wrote
            refs, more = (key, _record(index, count)), More(attempt=self.attempts)
            found.append(Entry(_DONE, at - zero, at - self.began, refs, more))
        return found


class SentNote(msgspec.Struct, gc=False, array_like=True):
    """That the span's actor sent a message, and that it is in its actor's mailbox.

    Attributes:
        code: of the event that tells the former; 0 when an earlier run of the turn told it.
        told: when that is.
        enqueued: when it was put into the mailbox; 0 when it was there already.
        actor, name, id, partition: the message's actor, its type, and what refers to it.
        span_id: its span, which is below the one that sends it.
        index, count: the journal record that says so; a count of 0 is none.
    """

    code: int
    told: int
    enqueued: int
    actor: str
    name: str
    id: str
    partition: str
    span_id: str
    sampled: bool
    index: int = 0
    count: int = 0

    def entry(self, zero: int) -> Entry:
        """Return the event of the span that sends it, with its time from `zero` on."""
        refs: tuple[Pointer, ...] = ((_MESSAGE, self.id, self.partition),)
        if self.count:
            refs += (_record(self.index, self.count),)
        return Entry(self.code, self.told - zero, None, refs, More(self.name))


class EnqueuedNote(msgspec.Struct, gc=False, array_like=True, tag=1):
    """That a message was put into its actor's mailbox: all that its span tells until its turn.

    Attributes:
        sender: the actor that sent it; None from outside.
        at: when that was, in ticks of the clock that was 0 at `epoch_ns`.
    """

    events: ClassVar[int] = 1
    trace_id: str
    span_id: str
    parent_span_id: str | None
    sampled: bool
    actor: str
    name: str
    id: str
    partition: str
    sender: str | None
    at: int
    epoch_ns: int

    def spelled_out(self) -> list[SpanLog]:
        """Return its event, in a log of its own."""
        at_ns = self.at + self.epoch_ns
        peer = None if self.sender is None else More(peer=self.sender)
        return [
            SpanLog(
                *(self.trace_id, self.span_id, self.parent_span_id, self.actor, self.name, 0),
                *(self.sampled, at_ns // 1000, (self.id, self.partition)),
                [Entry(_ENQUEUED, at_ns % 1000, None, _OWN, peer)],
            )
        ]


class Draft(msgspec.Struct, gc=False, array_like=True, tag=0, eq=False):
    """Events of one span that one emitter tells, one after the other. Equal to itself only.

    Attributes:
        began: when it was begun.
        epoch_ns: nanoseconds since the epoch at tick 0.
        message: id and partition of the message that the span handles.
        activities: what the spans below it tell that are activities of its turn.
        sent: what it and the spans below it tell of messages which its turn sent.
        turn: what the turn tells, where the span is that of a message.
        sealed: it takes no more notes; what happens from now on belongs into another draft.
        events: how many it holds that were not told, once that was counted.
        whole: it is all of a turn that handled its message, and of such a turn's activities.
        journal: container and id of a journal record's document, to be formatted with its index.
    """

    trace_id: str
    span_id: str
    parent_span_id: str | None
    actor: str | None
    name: str | None
    attempt: int
    sampled: bool
    began: int
    epoch_ns: int
    message: tuple[str, str] | None = None
    turn: TurnNote | None = None
    notes: list[Note] | None = None
    activities: list[ActivityNote] = []
    sent: list[SentNote] | None = None
    sealed: bool = False
    events: int = 0
    journal: str = ""
    whole: bool = False

    @classmethod
    def of(cls, event: Event) -> Draft:
        """Return a sealed draft of one event."""
        log = SpanLog.of(event)
        (entry,) = log.entries
        draft = cls(
            log.trace_id,
            log.span_id,
            log.parent_span_id,
            log.actor,
            log.name,
            log.attempt,
            log.sampled,
            event.time_ns,
            0,
            log.message,
            None,
            [(entry.code, event.time_ns, entry.duration_ns, entry.refs, entry.more)],
        )
        draft.seal()
        return draft

    @property
    def size(self) -> int:
        """How many events it holds that were not told."""
        size = len(self.notes or ())
        for sent in self.sent or ():
            size += (1 if sent.code else 0) + (1 if sent.enqueued else 0)
        if self.turn is not None:
            size += self.turn.size + (1 if self.turn.enqueued else 0)
        for activity in self.activities:
            size += (0 if activity.told else 2) + (0 if activity.wrote is None else 2)
        return size

    def seal(self) -> None:
        """Take no more, and count what there is."""
        self.sealed = True
        turn, ended = self.turn, True
        for activity in self.activities:
            if activity.wrote is None:
                ended = False
        if (
            ended
            and turn is not None
            and turn.released
            and turn.completed
            and turn.wrote
            and not (turn.told or self.notes or self.sent)
        ):
            # Nearly always. Counted in few steps.
            events = 7 + 4 * len(self.activities)
            if turn.before >= 0:
                events += 1
            if turn.activated:
                events += 1
            if turn.enqueued:
                events += 1
            self.whole, self.events = True, events
        else:
            # They go on: what is told of them after this was counted must not come in with it.
            self.activities = [copy(each) for each in self.activities]
            self.events = self.size

    def so_far(self) -> Draft:
        """Return what there is, sealed, and keep only what goes on: it is told once."""
        part = copy(self)
        self.notes = self.sent = None
        if self.turn is not None:
            part.turn = copy(self.turn)
            self.turn.told += self.turn.size
            self.turn.enqueued = 0
        activities = self.activities
        part.activities = [each for each in activities if each.wrote or not each.told]
        part.seal()
        self.activities = [activity for activity in activities if activity.wrote is None]
        for activity in self.activities:
            activity.told = True
        return part

    def empty(self, began: int) -> Draft:
        """Return a draft that goes on with the span where this one is sealed."""
        return Draft(
            self.trace_id,
            self.span_id,
            self.parent_span_id,
            self.actor,
            self.name,
            self.attempt,
            self.sampled,
            began,
            self.epoch_ns,
            self.message,
            journal=self.journal,
        )

    def spelled_out(self) -> list[SpanLog]:
        """Return its events, with a log for each span."""
        zero, start_us = self.zero(self.began)
        logs = []
        if self.turn is not None and self.turn.enqueued:
            logs += self._enqueued(self.turn)
        activities = self.activities
        entries = [] if self.turn is None else self.turn.entries(zero, self.journal)
        entries += [
            Entry(code, at - zero, duration, refs, more)
            for code, at, duration, refs, more in self.notes or ()
        ]
        entries += [sent.entry(zero) for sent in self.sent or () if sent.code]
        entries += [
            _write(activity.wrote, zero, self.journal)
            for activity in activities
            if activity.wrote is not None
        ]
        if self.notes or self.sent or activities:
            entries.sort(key=_after)
        if entries:
            logs.append(
                SpanLog(
                    self.trace_id,
                    self.span_id,
                    self.parent_span_id,
                    self.actor,
                    self.name,
                    self.attempt,
                    self.sampled,
                    start_us,
                    self.message,
                    entries,
                )
            )
        for activity in activities:
            if activity.wrote is not None or not activity.told:
                first = activity.wrote[2] if activity.told and activity.wrote else activity.began
                zero, start_us = self.zero(first)
                logs.append(
                    self._below(
                        activity.span_id(self.span_id),
                        *(self.actor, activity.name, self.sampled),
                        *(start_us, None, activity.entries(zero)),
                    )
                )
        peer = None if self.actor is None else More(peer=self.actor)
        for sent in self.sent or ():
            if sent.enqueued:
                zero, start_us = self.zero(sent.enqueued)
                logs.append(
                    self._below(
                        *(sent.span_id, sent.actor, sent.name, sent.sampled, start_us),
                        (sent.id, sent.partition),
                        [Entry(_ENQUEUED, sent.enqueued - zero, None, _OWN, peer)],
                    )
                )
        return logs

    def _enqueued(self, turn: TurnNote) -> list[SpanLog]:
        """Return the event that the message was enqueued, as it is told without its turn."""
        id, partition = self.message or ("", "")
        return EnqueuedNote(
            *(self.trace_id, self.span_id, self.parent_span_id, self.sampled),
            *(self.actor or "", self.name or "", id, partition),
            *(turn.sender, turn.enqueued, self.epoch_ns),
        ).spelled_out()

    def _below(
        self,
        span_id: str,
        actor: str | None,
        name: str,
        sampled: bool,
        start_us: int,
        message: tuple[str, str] | None,
        entries: list[Entry],
    ) -> SpanLog:
        """Return the log of a span below this one."""
        return SpanLog(
            *(self.trace_id, span_id, self.span_id, actor, name, 0, sampled, start_us),
            message,
            entries,
        )

    def zero(self, at: int) -> tuple[int, int]:
        """Return the beginning of a log: in ticks, and in microseconds since the epoch."""
        start_us = (at + self.epoch_ns) // 1000
        return start_us * 1000 - self.epoch_ns, start_us


Telling = Draft | EnqueuedNote
"""What the recorder is given, sealed."""


def _write(wrote: Write, zero: int, journal: str) -> Entry:
    """Return the event that a journal record was written."""
    code, began, done, index, _ = wrote
    document = (_DOCUMENT, journal.format(index))
    return Entry(code, done - zero, done - began, (document,), More(journal.partition("/")[0], 0))


def _moved(wrote: Write | None, ticks: int) -> Write | None:
    if wrote is None:
        return None
    code, began, done, index, count = wrote
    return (code, began + ticks, done + ticks, index, count)


def _record(index: int, count: int) -> Pointer:
    return (_RECORD, f"{index}:{count}")


def _after(entry: Entry) -> int:
    return entry.after_ns
