"""`SpanLog`: events of one span on their way to the store, kept the way a segment stores them.

A turn has about ten events that agree in everything but their type and time. What they agree in is
kept once, and an entry is made of numbers, so that one more event costs a fraction of an `Event`.
Before, while they are told, they are in a `Draft`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from tracing.event import Event, Ref, RefKind
from tracing.registry import BY_CODE, CODES, NOTABLE

Pointer = tuple[int | str, ...]
"""A reference: its kind's code, its id unless it is the log's own message, and its partition unless
that is the log's actor."""

_KINDS = tuple(RefKind)
KIND_CODES = {kind: code for code, kind in enumerate(_KINDS)}
"""What segments store of a reference's kind; never changes meaning."""
_MESSAGE = KIND_CODES[RefKind.MESSAGE]
OWN_MESSAGE: Pointer = (_MESSAGE,)


def pointer(kind: RefKind, id: str, partition: str | None = None) -> Pointer:
    """Return a reference; without a partition it belongs to the log's actor."""
    return (KIND_CODES[kind], id) if partition is None else (KIND_CODES[kind], id, partition)


class More(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What few entries have. `name` and `attempt` replace the log's own."""

    name: str | None = None
    attempt: int | None = None
    error_type: str | None = None
    fingerprint: str | None = None
    peer: str | None = None


class Entry(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One event without what it shares with its log.

    Attributes:
        code: of its type; 0 stands for a type that is not registered.
        after_ns: since the log's beginning.
    """

    code: int
    after_ns: int
    duration_ns: int | None = None
    refs: tuple[Pointer, ...] = ()
    more: More | None = None


class SpanLog(msgspec.Struct, gc=False, array_like=True):
    """Events of one span that one emitter told, one after the other, in order of time.

    Attributes:
        start_us: its beginning, microseconds since the epoch.
        message: id and partition of the message that the span handles.
    """

    trace_id: str
    span_id: str
    parent_span_id: str | None
    actor: str | None
    name: str | None
    attempt: int
    sampled: bool
    start_us: int
    message: tuple[str, str] | None = None
    entries: list[Entry] = msgspec.field(default_factory=list)
    _notable: list[Entry] | None = None

    @classmethod
    def of(cls, event: Event) -> SpanLog:
        """Return a log of one event."""
        start_us = event.time_ns // 1000
        first = event.refs[0] if event.refs else None
        own = first is not None and first.kind is RefKind.MESSAGE
        log = cls(
            event.trace_id,
            event.span_id,
            event.parent_span_id,
            event.actor,
            event.name,
            event.attempt,
            event.sampled,
            start_us,
            (first.id, first.partition) if first is not None and own else None,
        )
        more = None
        if event.error_type is not None or event.fingerprint is not None or event.peer is not None:
            more = More(None, None, event.error_type, event.fingerprint, event.peer)
        log.entries.append(
            Entry(
                CODES.get(event.type, 0),
                event.time_ns - start_us * 1000,
                event.duration_ns,
                tuple(log._pointer(ref) for ref in event.refs),
                more,
            )
        )
        return log

    @property
    def size(self) -> int:
        """How many events there are."""
        return len(self.entries)

    @property
    def first_us(self) -> int:
        """When the earliest was, microseconds since the epoch."""
        return self.start_us + self.entries[0].after_ns // 1000

    @property
    def last_us(self) -> int:
        """When the latest was, microseconds since the epoch."""
        return self.start_us + self.entries[-1].after_ns // 1000

    @property
    def notable(self) -> list[Entry]:
        """Those of its entries that counts, summaries and failure lists look at."""
        if self._notable is None:
            self._notable = [entry for entry in self.entries if entry.code in NOTABLE]
        return self._notable

    def event(self, entry: Entry) -> Event:
        """Return one of the entries as the event that it stands for."""
        more = entry.more or _NOTHING
        return Event(
            BY_CODE[entry.code].name,
            self.trace_id,
            self.span_id,
            self.parent_span_id,
            self.start_us * 1000 + entry.after_ns,
            self.actor,
            self.name_of(entry),
            self.attempt_of(entry),
            entry.duration_ns,
            more.error_type,
            more.fingerprint,
            tuple([self._ref(each) for each in entry.refs]),
            more.peer,
            self.sampled,
        )

    def events(self) -> Iterator[Event]:
        """Yield the entries as events."""
        return map(self.event, self.entries)

    def name_of(self, entry: Entry) -> str | None:
        """Return what the entry is named after."""
        more = entry.more
        return self.name if more is None or more.name is None else more.name

    def attempt_of(self, entry: Entry) -> int:
        """Return which attempt the entry belongs to."""
        more = entry.more
        return self.attempt if more is None or more.attempt is None else more.attempt

    def correlation_of(self, entry: Entry) -> str | None:
        """Return the partition of the first message that the entry refers to, or None."""
        for pointer in entry.refs:
            if pointer == OWN_MESSAGE:
                return self.message[1] if self.message else ""
            if pointer[0] == _MESSAGE:
                return self._ref(pointer).partition
        return None

    def _pointer(self, ref: Ref) -> Pointer:
        if ref.kind is RefKind.MESSAGE and (ref.id, ref.partition) == self.message:
            return OWN_MESSAGE
        return pointer(ref.kind, ref.id, None if ref.partition == self.actor else ref.partition)

    def _ref(self, pointer: Pointer) -> Ref:
        kind = _KINDS[int(pointer[0])]
        if len(pointer) == 1:
            id, partition = self.message or ("", "")
            return Ref(kind, partition, id)
        partition = str(pointer[2]) if len(pointer) > 2 else self.actor or ""
        return Ref(kind, partition, str(pointer[1]))


_NOTHING = More()


def logs_of(events: Iterable[Event]) -> list[SpanLog]:
    """Return events as logs."""
    return [SpanLog.of(event) for event in events]
