"""A trace as a file: its events with their references, and nothing that they refer to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tracing.errors import UnreadableExport
from tracing.event import Event, RefKind
from tracing.filters import Trace
from tracing.registry import REGISTRY
from tracing.spanlog import logs_of
from tracing.tally import Tally
from tracing.tree import TraceTree

FORMAT = "loom-trace/1"
MAX_BYTES = 20_000_000
_BATCH = 2_000

_TraceId = Annotated[str, Meta(pattern=r"^[0-9A-Za-z][0-9A-Za-z_-]{7,63}\Z")]
_SpanId = Annotated[str, Meta(pattern=r"^[0-9A-Za-z_-]{1,64}\Z")]
_Text = Annotated[str, Meta(max_length=2_000)]
_Time = Annotated[int, Meta(ge=0, le=4_000_000_000_000_000_000)]
_Length = Annotated[int, Meta(ge=0, le=1 << 53)]


class _Ref(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    kind: RefKind
    partition: _Text
    id: _Text


class _Event(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    type: _Text
    span_id: _SpanId
    time_ns: _Time
    parent_span_id: _SpanId | None = None
    actor: _Text | None = None
    name: _Text | None = None
    attempt: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    duration_ns: _Length | None = None
    error_type: _Text | None = None
    fingerprint: _Text | None = None
    peer: _Text | None = None
    refs: tuple[_Ref, ...] = ()


class _File(msgspec.Struct, forbid_unknown_fields=True):
    format: Literal["loom-trace/1"]
    trace_id: _TraceId
    events: Annotated[list[_Event], Meta(min_length=1)]


def events_of(tree: TraceTree) -> list[Event]:
    """Return all events of a trace in order of time."""
    events = [event for span in tree.spans for event in span.events]
    events.sort(key=lambda event: event.time_ns)
    return events


def export(trace_id: str, events: list[Event]) -> Iterator[bytes]:
    """Yield the file, piece by piece."""
    encode = msgspec.json.encode
    yield b'{"format":"%s","trace_id":%s,"events":[' % (FORMAT.encode(), encode(trace_id))
    for start in range(0, len(events), _BATCH):
        lines = b",\n".join(encode(_exported(each)) for each in events[start : start + _BATCH])
        yield (b",\n" if start else b"\n") + lines
    yield b"\n]}\n"


def read_export(content: bytes) -> Trace:
    """Return the trace of a file, which is checked to the last field.

    Raises:
        UnreadableExport: it is not such a file; the message says where and is meant for a person.
    """
    if len(content) > MAX_BYTES:
        raise UnreadableExport("the file is larger than 20 MB")
    try:
        file = msgspec.json.decode(content, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableExport(f"it is not an exported trace: {error}") from None
    unknown = next((each.type for each in file.events if each.type not in REGISTRY), None)
    if unknown is not None:
        raise UnreadableExport(f"it has events of a type that is not known: {unknown[:60]!r}")
    events = [_imported(file.trace_id, each) for each in file.events]
    events.sort(key=lambda event: event.time_ns)
    tally = Tally()
    tally.add(logs_of(events))
    return Trace(tally.summary(file.trace_id), events, [], len(content))


def _exported(event: Event) -> _Event:
    return _Event(
        event.type,
        event.span_id,
        event.time_ns,
        event.parent_span_id,
        event.actor,
        event.name,
        event.attempt,
        event.duration_ns,
        event.error_type,
        event.fingerprint,
        event.peer,
        tuple(_Ref(ref.kind, ref.partition, ref.id) for ref in event.refs),
    )


def _imported(trace_id: str, event: _Event) -> Event:
    # Its references are checked and left out: those of another system mean nothing here.
    return Event(
        event.type,
        trace_id,
        event.span_id,
        event.parent_span_id,
        event.time_ns,
        event.actor,
        event.name,
        event.attempt,
        event.duration_ns,
        event.error_type,
        event.fingerprint,
        (),
        event.peer,
    )
