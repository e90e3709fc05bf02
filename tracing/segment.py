"""The segment: events of one trace, grouped by span, so that what repeats is stored once.

| key | holds |
|---|---|
| `v` | version of this layout |
| `t0` | microseconds since the epoch at the first log's beginning |
| `C` | partition of the first message referred to: the trace's correlation id, as a rule |
| `H` | heads: [span id, parent span id, actor, name, own message's id, its partition (null: `C`)] |
| `L` | logs: [head, attempt, microseconds since `t0`, entries] |
| `u` | microseconds since the epoch at which a failure made the unsampled trace be kept |

An entry is [type code, nanoseconds since its log's beginning, duration in ns, references, more],
with nothing after the last that it has. A reference is [kind], [kind, id] or [kind, id, partition]:
without an id it is the head's own message, without a partition it belongs to the head's actor.
More is [name, attempt, error type, fingerprint, peer].

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
from tracing.containers import SEGMENT
from tracing.errors import UnreadableSegment
from tracing.event import Event
from tracing.registry import BY_CODE
from tracing.spanlog import Entry, SpanLog, logs_of

VERSION = 2


def encode(id: str, logs: Sequence[SpanLog]) -> dict[str, Any]:
    """Return the segment document of one trace's events."""
    first = logs[0]
    correlation = next((log.message[1] for log in logs if log.message is not None), None)
    heads: dict[tuple[str | None, ...], int] = {}
    rows: list[tuple[int, int, int, list[Entry]]] = []
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
        rows.append((number, log.attempt, log.start_us - first.start_us, log.entries))
    body = {
        "id": id,
        "trace_id": first.trace_id,
        "k": SEGMENT,
        "v": VERSION,
        "t0": first.start_us,
        "H": list(heads),
        "L": rows,
    }
    if correlation is not None:
        body["C"] = correlation
    return body


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
    if body.get("v") == VERSION and isinstance(body.get("L"), list):
        return sum(
            len(log[3]) for log in body["L"] if isinstance(log, list | tuple) and len(log) == 4
        )
    columns = body.get("c", ())
    return len(columns) if isinstance(columns, list) else 0


def decode(body: Mapping[str, Any]) -> Segment:
    """Return the events of a segment document, in order of time.

    Raises:
        UnreadableSegment: it is of another version, or broken.
    """
    version = body.get("v")
    if version not in (1, VERSION):
        raise UnreadableSegment(f"segment {body.get('id')} has version {version!r}")
    try:
        promoted = int(body.get("u", 0))
        if version == VERSION:
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
    heads, correlation, start_us = body["H"], body.get("C", ""), body["t0"]
    rows = msgspec.convert(body["L"], list[tuple[int, int, int, list[Entry]]])
    logs: list[SpanLog] = []
    unknown = 0
    for number, attempt, after_us, entries in rows:
        span_id, parent, actor, name, message, partition = heads[number]
        log = SpanLog(
            body["trace_id"],
            span_id,
            parent,
            actor,
            name,
            attempt,
            True,
            start_us + after_us,
            None if message is None else (message, correlation if partition is None else partition),
        )
        log.entries = [entry for entry in entries if entry.code in BY_CODE]
        unknown += len(entries) - len(log.entries)
        if log.entries:
            logs.append(log)
    return logs, unknown


def _time(event: Event) -> int:
    return event.time_ns
