"""What a turn did besides changing its state, read from the events of its span."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from tracing.event import Event, Ref, RefKind
from tracing.registry import SpanKind
from tracing.tree import Span
from tracing.turns import message_of

_WRITES = frozenset({"store:write", "cosmosdb:write", "journal:compacted", "message:dead_lettered"})
_READS = frozenset({"store:read", "cosmosdb:read"})
_SENT = frozenset({"message:sent", "child:spawned"})

WaitEnd = Literal["received", "time", "cancelled", "open"]


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that the turn sent.

    Attributes:
        receiver: the span that handles it; None when it is not in the trace.
    """

    event: Event
    ref: Ref | None
    receiver: Span | None


@dataclass(frozen=True, slots=True)
class Access:
    """A document that was read or written."""

    event: Event
    ref: Ref
    container: str
    document: str


@dataclass(frozen=True, slots=True)
class Wait:
    """A wait for an event or a time.

    Attributes:
        name: of the event; "" waits for nothing but time.
        ended: the event that ended it; None while it is open.
        ref: the journal record that says how it ended.
    """

    name: str
    began: Event
    ended: Event | None
    end: WaitEnd
    ref: Ref | None


@dataclass(frozen=True, slots=True)
class SagaSteps:
    """One run through a saga."""

    name: str
    events: list[Event]

    @property
    def end(self) -> str:
        """The last thing that is known of it: "completed", "compensated", "failed" or a step."""
        return self.events[-1].type.partition(":")[2]


@dataclass(frozen=True, slots=True)
class Effects:
    """Everything that a turn did, each list in order of time."""

    activities: list[Span] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    spawned: list[Sent] = field(default_factory=list)
    writes: list[Access] = field(default_factory=list)
    reads: list[Access] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    sagas: list[SagaSteps] = field(default_factory=list)
    others: list[Span] = field(default_factory=list)
    """Spans below it that are none of these: of another service."""
    withheld: list[str] = field(default_factory=list)
    """Types of messages that it decided to send and never sent, because it failed for good."""


def effects_of(span: Span) -> Effects:
    """Return what the turn of a message's span did."""
    found = Effects()
    receivers: dict[Ref, Span] = {}
    for child in span.children:
        own = message_of(child) if child.kind is SpanKind.MESSAGE else None
        if own is not None:
            receivers[own] = child
        elif child.kind is SpanKind.ACTIVITY:
            found.activities.append(child)
        else:
            found.others.append(child)
    told: set[Ref] = set()
    for event in span.events:
        if event.type in _SENT:
            ref = _first(event, RefKind.MESSAGE)
            sent = Sent(event, ref, None if ref is None else receivers.get(ref))
            (found.sent if event.type == "message:sent" else found.spawned).append(sent)
            if ref is not None:
                told.add(ref)
        elif event.type in _WRITES:
            found.writes.extend(_accesses(event))
        elif event.type in _READS:
            found.reads.extend(_accesses(event))
    # What a turn that has not ended yet sent is told by its receivers alone.
    for ref, receiver in receivers.items():
        if ref not in told:
            found.sent.append(Sent(receiver.events[0], ref, receiver))
    found.withheld.extend(withheld_of(span))
    found.waits.extend(waits_of(span.events))
    found.sagas.extend(_sagas(span.events))
    return found


def withheld_of(span: Span) -> list[str]:
    """Return the types of the messages that the turn decided to send and never sent.

    Of a turn that failed for good, as far as it came; what it would have sent later nobody knows.
    Tried again from the dead letters, only its last attempt counts.
    """
    types: list[str] = []
    for event in span.events:
        if event.type == "message:started":
            types.clear()
        elif event.type == "message:withheld":
            types.append(event.name or "")
    return types if span.failed else []


def _first(event: Event, kind: RefKind) -> Ref | None:
    return next((ref for ref in event.refs if ref.kind is kind), None)


def _accesses(event: Event) -> Iterable[Access]:
    for ref in event.refs:
        if ref.kind is RefKind.DOCUMENT:
            container, _, document = ref.id.partition("/")
            yield Access(event, ref, container, document)


_ENDS: dict[str, WaitEnd] = {
    "event:received": "received",
    "timer:fired": "time",
    "turn:cancelled": "cancelled",
}


def waits_of(events: Iterable[Event]) -> list[Wait]:
    """Return the waits of a turn: those of one name end in the order in which they began."""
    waits: list[Wait] = []
    opened: dict[str, list[int]] = {}
    for event in events:
        if event.type in ("event:awaited", "timer:set"):
            name = (event.name or "") if event.type == "event:awaited" else ""
            opened.setdefault(name, []).append(len(waits))
            waits.append(Wait(name, event, None, "open", None))
        elif event.type in _ENDS:
            places = opened.get(event.name or "") or opened.get("") or []
            if places:
                place = places.pop(0)
                ref = _first(event, RefKind.JOURNAL_ENTRY)
                wait = waits[place]
                waits[place] = Wait(wait.name, wait.began, event, _ENDS[event.type], ref)
    return waits


def _sagas(events: Iterable[Event]) -> list[SagaSteps]:
    sagas: list[SagaSteps] = []
    latest: dict[str, int] = {}
    for event in events:
        family, _, what = event.type.partition(":")
        if family != "saga":
            continue
        name = event.name or ""
        if what == "started" or name not in latest:
            latest[name] = len(sagas)
            sagas.append(SagaSteps(name, [event]))
        else:
            sagas[latest[name]].events.append(event)
    return sagas
