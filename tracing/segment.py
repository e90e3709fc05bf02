"""The segment: events of one trace, grouped by span, so that what repeats is stored once.

| key | holds |
|---|---|
| `v` | version of this layout |
| `t0` | microseconds since the epoch at the first log's beginning |
| `C` | partition of the first message referred to: the trace's correlation id, as a rule |
| `H` | heads: [span id, parent span id, actor, name, own message's id, its partition (null: `C`)] |
| `L` | logs: [head, attempt, microseconds since `t0`, entries] |
| `T` | whole turns: [head, attempt, microseconds since `t0`, origin, journal, turn, activities] |
| `u` | microseconds since the epoch at which a failure made the unsampled trace be kept |

An entry is [type code, nanoseconds since its log's beginning, duration in ns, references, more],
with nothing after the last that it has. A reference is [kind], [kind, id] or [kind, id, partition]:
without an id it is the head's own message, without a partition it belongs to the head's actor.
More is [name, attempt, error type, fingerprint, peer].

Turn and activities are a `TurnNote` and `ActivityNote`s, from which a reader makes a log for the
turn and one for each activity. Their times are ticks since the origin, which is a tick of the
writer's clock, in decimals, and 1 ns before the turn's log begins. Journal is the container and id
of the turn's journal records, with a format for their index.

A segment that is all of its trace, and small, is held by the trace's summary, under `segment`.

Entries go to the store as they were told: turning them into JSON is one call into C per trace,
whatever the number of events. This is the work that tracing adds to every message. Numbers stay
below 2^53, which is as far as JSON numbers reach in Cosmos DB.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tracing import segment_v1
from tracing.containers import SEGMENT, SUMMARY
from tracing.errors import UnreadableSegment
from tracing.event import Event
from tracing.registry import BY_CODE
from tracing.spanlog import Entry, SpanLog, logs_of
from tracing.turnlog import TurnLog, TurnRow, spelled_out

LogRow = tuple[int, int, int, list[Entry]]
VERSION = 3
_READABLE = (1, 2, VERSION)
"""2 is this layout without `T`."""


def encode(id: str, logs: Sequence[SpanLog]) -> dict[str, Any]:
    """Return the segment document of one trace's events."""
    first = logs[0]
    correlation = next((log.message[1] for log in logs if log.message is not None), None)
    heads: dict[tuple[str | None, ...], int] = {}
    rows: list[LogRow] = []
    turns: list[tuple[object, ...]] = []
    for log in logs:
        message, partition = log.message or (None, None)
        head = (
            log.span_id,
            log.parent_span_id,
            log.actor,
            log.name,
            message,
            None if partition == correlation else partition,
        )
        number = heads.setdefault(head, len(heads))
        after_us = log.start_us - first.start_us
        if isinstance(log, TurnLog):
            turns.append(log.row(number, after_us))
        else:
            rows.append((number, log.attempt, after_us, log.entries))
    body = {
        "id": id,
        "trace_id": first.trace_id,
        "k": SEGMENT,
        "v": VERSION,
        "t0": first.start_us,
        "H": list(heads),
        "L": rows,
        "T": turns,
    }
    if correlation is not None:
        body["C"] = correlation
    return body


def held(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a segment document as a summary of its trace holds it."""
    found = dict(document)
    # The summary has them, too.
    del found["trace_id"], found["k"]
    return found


def held_by(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the segment document that a document of its trace is, or holds; None without one."""
    kind = body.get("k")
    if kind == SEGMENT:
        return body
    if kind != SUMMARY or "segment" not in body:
        return None
    found = body["segment"]
    return {**(found if isinstance(found, dict) else {}), "trace_id": body["trace_id"]}


@dataclass(frozen=True, slots=True)
class Segment:
    """A decoded segment; `unknown` counts events of types that this version does not know.

    `promoted` is when a failure made its trace be kept (microseconds), 0 for a sampled trace.
    `logs` are the same events as they are counted.
    """

    events: list[Event]
    unknown: int
    promoted: int = 0
    logs: list[SpanLog] = field(default_factory=list, compare=False)


def size(body: Mapping[str, Any]) -> int:
    """Return about how many events a segment document holds; 0 for anything else."""
    columns = body.get("c", ())
    return (
        (len(columns) if isinstance(columns, list) else 0)
        + sum(len(row[3]) for row in _rows(body, "L", 4))
        + sum(8 + 4 * len(row[6]) for row in _rows(body, "T", 7))
    )


def _rows(body: Mapping[str, Any], key: str, width: int) -> list[Sequence[Any]]:
    """Return those of a table's rows that have a list as their last item."""
    rows = body.get(key)
    return [
        row
        for row in (rows if isinstance(rows, list) else ())
        if isinstance(row, list | tuple) and len(row) == width and isinstance(row[-1], list)
    ]


def decode(body: Mapping[str, Any]) -> Segment:
    """Return the events of a segment document, in order of time.

    Raises:
        UnreadableSegment: it is of another version, or broken.
    """
    version = body.get("v")
    if version not in _READABLE:
        raise UnreadableSegment(f"segment {body.get('id')} has version {version!r}")
    try:
        promoted = int(body.get("u", 0))
        if version != 1:
            logs, unknown = _logs(body)
            events = [event for log in logs for event in log.events()]
            events.sort(key=_time)
        else:
            events, unknown = segment_v1.decode(body)
            logs = logs_of(events)
        return Segment(events, unknown, promoted, logs)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise UnreadableSegment(
            f"segment {body.get('id')} is broken ({type(error).__name__})"
        ) from None


def _logs(body: Mapping[str, Any]) -> tuple[list[SpanLog], int]:
    """Return a segment's logs of known events, and the number of the others."""
    told: list[SpanLog] = []
    for number, attempt, after_us, entries in msgspec.convert(body["L"], list[LogRow]):
        log = _headed(body, number, attempt, after_us)
        log.entries = entries
        told.append(log)
    for row in msgspec.convert(body.get("T", ()), list[TurnRow]):
        number, attempt, after_us, *_ = row
        told += spelled_out(row, _headed(body, number, attempt, after_us))
    logs: list[SpanLog] = []
    unknown = 0
    for log in told:
        size = log.size
        log.entries = [entry for entry in log.entries if entry.code in BY_CODE]
        unknown += size - log.size
        if log.entries:
            logs.append(log)
    return logs, unknown


def _headed(body: Mapping[str, Any], number: int, attempt: int, after_us: int) -> SpanLog:
    """Return an empty log with what the segment's head of that number says."""
    span_id, parent, actor, name, message, partition = body["H"][number]
    of = None
    if message is not None:
        of = (message, body.get("C", "") if partition is None else partition)
    return SpanLog(
        *(body["trace_id"], span_id, parent, actor, name, attempt, True),
        *(body["t0"] + after_us, of),
    )


def _time(event: Event) -> int:
    return event.time_ns
