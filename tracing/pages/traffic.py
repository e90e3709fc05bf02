"""The Message and Effects tabs: where a message came from, and what its turn did and sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence, Sized
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from tracing.effects import Access, Effects, SagaSteps, Sent, Wait, effects_of
from tracing.event import Ref, RefKind
from tracing.jsontree import plain
from tracing.pages.details import json_size, time_ns
from tracing.pages.pointers import Pointer, Pointers
from tracing.tree import Attempt, Span, TraceTree
from tracing.turns import refs_of

T = TypeVar("T")

FEW = 20
"""Messages and waits that the Message tab lists; the Effects tab lists `MANY`."""
MANY = 100
MAX_ID = 300
"""Characters of an id that are shown; those that the runtime makes are shorter."""
_TOLD = ("sentAt", "sender", "retryOf")
"""Metadata that the tab tells in other words."""


@dataclass(frozen=True, slots=True)
class Some(Generic[T]):
    """The first of some things, and how many there are beyond."""

    items: list[T]
    more: int = 0

    @property
    def total(self) -> int:
        return len(self.items) + self.more


@dataclass(frozen=True, slots=True)
class SentShown:
    """A message that was sent: what it is, when, and the span that handles it."""

    name: str
    after_ns: int
    receiver: Span | None
    pointer: Pointer | None


@dataclass(frozen=True, slots=True)
class WaitShown:
    """A wait, how long it took, and the record that ended it."""

    wait: Wait
    after_ns: int
    waited_ns: int | None
    pointer: Pointer | None


@dataclass(frozen=True, slots=True)
class AccessShown:
    """A document that was read or written."""

    access: Access
    pointer: Pointer


@dataclass(frozen=True, slots=True)
class AttemptShown:
    """One attempt; `took_ns` is None while it runs."""

    attempt: Attempt
    after_ns: int
    took_ns: int | None


@dataclass(frozen=True, slots=True)
class ActivityShown:
    """An activity with its attempts; `result` is the journal record of how it ended."""

    span: Span
    took_ns: int | None
    attempts: Some[AttemptShown]
    result: Pointer | None


@dataclass(frozen=True, slots=True)
class StepShown:
    """What happened to a saga, in a word or two."""

    what: str
    error_type: str
    after_ns: int


@dataclass(frozen=True, slots=True)
class SagaShown:
    """A saga, how far it came, and its steps."""

    name: str
    end: str
    steps: Some[StepShown]


@dataclass(frozen=True, slots=True)
class MessageView:
    """The Message tab.

    Attributes:
        sender: the span that sent it; None when it came from outside the trace.
        outside: whether nothing in any trace sent it.
        peer: the actor that sent it, where the events say so.
        id, type, to, run: as the archived message has them; the run is its correlation id.
        size: bytes of its payload as JSON; None when that cannot be told.
        sent_ns: when it was sent, nanoseconds since the epoch.
        retry_of: the message that was given up and that this one was sent for; "" of others.
        metadata: the rest of what the runtime noted on it.
    """

    message: Pointer
    id: str
    type: str
    to: str
    run: str
    size: int | None
    sent_ns: int | None
    retry_of: str
    metadata: list[tuple[str, Any]]
    sender: Span | None
    outside: bool
    peer: str
    attempts: Some[AttemptShown]
    sent: Some[SentShown]
    waits: Some[WaitShown]


@dataclass(frozen=True, slots=True)
class EffectsView:
    """The Effects tab."""

    activities: Some[ActivityShown]
    sent: Some[SentShown]
    spawned: Some[SentShown]
    writes: Some[AccessShown]
    reads: Some[AccessShown]
    waits: Some[WaitShown]
    sagas: Some[SagaShown]
    others: Some[Span]
    withheld: Some[tuple[str, int]]
    """Types of messages that it decided to send and never sent, and how many of each."""

    @property
    def empty(self) -> bool:
        """Whether the turn has done nothing that could be told."""
        return not any(
            part.items
            for part in (
                *(self.activities, self.sent, self.spawned, self.writes),
                *(self.reads, self.waits, self.sagas, self.others, self.withheld),
            )
        )


def message_view(tree: TraceTree, turn: Span, message: Pointer, pointers: Pointers) -> MessageView:
    """Return the Message tab of a turn, or of a span that has a message and no turn."""
    effects = effects_of(turn)
    value = message.body
    noted = value.get("metadata")
    metadata = noted if isinstance(noted, dict) else {}
    return MessageView(
        message=message,
        id=_id(value.get("messageId")),
        type=_id(value.get("messageType")),
        to=_id(value.get("actorId")),
        run=_id(value.get("correlationId")),
        size=json_size(value.get("payload")),
        sent_ns=time_ns(metadata.get("sentAt")),
        retry_of=_id(metadata.get("retryOf", "")),
        metadata=[(name, fact) for name, fact in metadata.items() if name not in _TOLD][:FEW],
        sender=tree.span(turn.parent_id) if turn.parent_id is not None else None,
        outside=turn.parent_id is None,
        peer=next((event.peer for event in turn.events if event.peer), ""),
        attempts=attempts_shown(turn, FEW),
        sent=_sent([*effects.sent, *effects.spawned], turn, pointers, FEW),
        waits=_waits(effects, turn, pointers, FEW),
    )


def _id(value: Any) -> str:
    return plain(value)[:MAX_ID]


def effects_view(trace_id: str, turn: Span, pointers: Pointers) -> EffectsView:
    """Return the Effects tab of a turn."""
    effects = effects_of(turn)
    activities = [_activity(trace_id, activity) for activity in effects.activities[:MANY]]
    withheld = Counter(effects.withheld)
    return EffectsView(
        activities=some(activities, effects.activities),
        sent=_sent(effects.sent, turn, pointers, MANY),
        spawned=_sent(effects.spawned, turn, pointers, MANY),
        writes=_accesses(effects.writes, pointers),
        reads=_accesses(effects.reads, pointers),
        waits=_waits(effects, turn, pointers, MANY),
        sagas=some([_saga(saga, turn) for saga in effects.sagas[:MANY]], effects.sagas),
        others=some(effects.others[:MANY], effects.others),
        withheld=some(list(withheld.items())[:MANY], withheld),
    )


def attempts_shown(span: Span, most: int) -> Some[AttemptShown]:
    """Return the attempts of a message or activity, the last ones if there are many."""
    last = span.attempts[-most:]
    shown = [
        AttemptShown(
            attempt,
            attempt.started_ns - span.start_ns,
            None if attempt.ended_ns is None else attempt.ended_ns - attempt.started_ns,
        )
        for attempt in last
    ]
    return some(shown, span.attempts)


def some(shown: list[T], everything: Sized) -> Some[T]:
    """Return what is shown of everything there is."""
    return Some(shown, len(everything) - len(shown))


def _sent(sent: Sequence[Sent], turn: Span, pointers: Pointers, most: int) -> Some[SentShown]:
    own = set(refs_of(turn.events, RefKind.MESSAGE))
    shown = [
        SentShown(
            each.event.name or "",
            each.event.time_ns - turn.start_ns,
            each.receiver,
            pointers.to(each.ref) if each.ref in own else None,
        )
        for each in sent[:most]
    ]
    return some(shown, sent)


def _waits(effects: Effects, turn: Span, pointers: Pointers, most: int) -> Some[WaitShown]:
    shown = [
        WaitShown(
            wait,
            wait.began.time_ns - turn.start_ns,
            None if wait.ended is None else wait.ended.time_ns - wait.began.time_ns,
            _to(wait.ref, pointers),
        )
        for wait in effects.waits[:most]
    ]
    return some(shown, effects.waits)


def _accesses(accesses: Sequence[Access], pointers: Pointers) -> Some[AccessShown]:
    shown = [AccessShown(access, pointers.to(access.ref)) for access in accesses[:MANY]]
    return some(shown, accesses)


def _saga(saga: SagaSteps, turn: Span) -> SagaShown:
    steps = [
        StepShown(
            event.type.partition(":")[2].replace("_", " "),
            event.error_type or "",
            event.time_ns - turn.start_ns,
        )
        for event in saga.events[:MANY]
    ]
    return SagaShown(saga.name, saga.end, some(steps, saga.events))


def _activity(trace_id: str, span: Span) -> ActivityShown:
    took = None if span.end_ns is None else span.end_ns - span.start_ns
    result = next(iter(refs_of(reversed(span.events), RefKind.JOURNAL_ENTRY)), None)
    pointer = _to(result, Pointers(trace_id, span))
    return ActivityShown(span, took, attempts_shown(span, FEW), pointer)


def _to(ref: Ref | None, pointers: Pointers) -> Pointer | None:
    return None if ref is None else pointers.to(ref)
