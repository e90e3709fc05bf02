"""The segment: events of one trace in columns, so that what repeats is stored once.

| key | holds |
|---|---|
| `v` | version of this layout |
| `t0` | microseconds since the epoch, just before the first event |
| `S` | string table: actors, names, partitions, error types, fingerprints |
| `P` | spans: [span id, parent (index here, span id, or null), actor, name] |
| `R` | references: [kind, partition, id] |
| `c` `s` `t` | per event: type code, span, nanoseconds since the event before |
| `a` | per event: attempt; left out when all are 0 |
| `A` `n` | pairs [event, value]: actor and name, where they are not the span's |
| `d` `e` `f` `r` `p` | pairs too: duration in ns, error type, fingerprint, references, peer |
| `u` | microseconds since the epoch at which a failure made the unsampled trace be kept |

Numbers stay below 2^53, which is as far as JSON numbers reach in Cosmos DB.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tracing.containers import SEGMENT
from tracing.errors import UnreadableSegment
from tracing.event import Event, Ref, RefKind
from tracing.registry import BY_CODE, REGISTRY

VERSION = 1

_KINDS = tuple(RefKind)
_KIND_CODE = {kind: code for code, kind in enumerate(_KINDS)}


def encode(id: str, events: Sequence[Event]) -> dict[str, Any]:
    """Return the segment document of one trace's events, which are sorted by time here.

    Raises:
        KeyError: an event type is not registered.
    """
    events = sorted(events, key=_time)
    base = events[0].time_ns // 1000
    # What is looked up for the first time gets the next number: the tables are in that order.
    strings: dict[str, int] = {}
    references: dict[Ref, int] = {}
    spans: dict[str, int] = {}
    heads: list[Event] = []
    owners, times = [], []
    actors: list[int] = []
    names: list[int] = []
    durations: list[int] = []
    errors: list[int] = []
    prints: list[int] = []
    pointers: list[Any] = []
    peers: list[int] = []
    before = base * 1000
    for position, event in enumerate(events):
        owner = spans.setdefault(event.span_id, len(heads))
        if owner == len(heads):
            heads.append(event)
        head = heads[owner]
        owners.append(owner)
        times.append(event.time_ns - before)
        before = event.time_ns
        if event.actor != head.actor:
            actors += (position, _number(strings, event.actor))
        if event.name != head.name:
            names += (position, _number(strings, event.name))
        if event.duration_ns is not None:
            durations += (position, event.duration_ns)
        if event.error_type is not None:
            errors += (position, _number(strings, event.error_type))
        if event.fingerprint is not None:
            prints += (position, _number(strings, event.fingerprint))
        if event.peer is not None:
            peers += (position, _number(strings, event.peer))
        if event.refs:
            pointed = [references.setdefault(ref, len(references)) for ref in event.refs]
            pointers += (position, pointed)
    attempts = [event.attempt for event in events]
    body: dict[str, Any] = {
        "id": id,
        "trace_id": events[0].trace_id,
        "k": SEGMENT,
        "v": VERSION,
        "t0": base,
        "P": [
            [
                head.span_id,
                spans.get(head.parent_span_id or "", head.parent_span_id),
                _number(strings, head.actor),
                _number(strings, head.name),
            ]
            for head in heads
        ],
        "R": [
            [_KIND_CODE[ref.kind], _number(strings, ref.partition), ref.id] for ref in references
        ],
        "S": list(strings),
        "c": [REGISTRY[event.type].code for event in events],
        "s": owners,
        "t": times,
    }
    if any(attempts):
        body["a"] = attempts
    for key, column in (
        ("A", actors),
        ("n", names),
        ("d", durations),
        ("e", errors),
        ("f", prints),
        ("r", pointers),
        ("p", peers),
    ):
        if column:
            body[key] = column
    return body


@dataclass(frozen=True, slots=True)
class Segment:
    """A decoded segment; `unknown` counts events of types that this version does not know.

    `promoted` is when a failure made its trace be kept (microseconds), 0 for a sampled trace.
    """

    events: list[Event]
    unknown: int
    promoted: int = 0


def decode(body: Mapping[str, Any]) -> Segment:
    """Return the events of a segment document.

    Raises:
        UnreadableSegment: it is of another version, or broken.
    """
    if body.get("v") != VERSION:
        raise UnreadableSegment(f"segment {body.get('id')} has version {body.get('v')!r}")
    try:
        return _decode(body)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise UnreadableSegment(
            f"segment {body.get('id')} is broken ({type(error).__name__})"
        ) from None


def _decode(body: Mapping[str, Any]) -> Segment:
    strings, spans = body["S"], body["P"]
    references = [Ref(_KINDS[kind], strings[partition], id) for kind, partition, id in body["R"]]

    def text(number: int) -> str | None:
        return None if number < 0 else strings[number]

    actors, names = _pairs(body, "A"), _pairs(body, "n")
    durations, errors = _pairs(body, "d"), _pairs(body, "e")
    prints, pointers, peers = _pairs(body, "f"), _pairs(body, "r"), _pairs(body, "p")
    count = len(body["c"])
    attempts = body.get("a") or [0] * count
    if len(body["s"]) != count or len(body["t"]) != count or len(attempts) != count:
        raise ValueError("columns of different lengths")
    events: list[Event] = []
    unknown = 0
    now = body["t0"] * 1000
    for position in range(count):
        now += body["t"][position]
        kind = BY_CODE.get(body["c"][position])
        if kind is None:
            unknown += 1
            continue
        span_id, parent, actor, name = spans[body["s"][position]]
        error, print_ = errors.get(position), prints.get(position)
        events.append(
            Event(
                kind.name,
                body["trace_id"],
                span_id,
                spans[parent][0] if isinstance(parent, int) else parent,
                now,
                text(actors.get(position, actor)),
                text(names.get(position, name)),
                attempts[position],
                durations.get(position),
                None if error is None else strings[error],
                None if print_ is None else strings[print_],
                tuple(references[number] for number in pointers.get(position, ())),
                text(peers.get(position, -1)),
            )
        )
    return Segment(events, unknown, int(body.get("u", 0)))


def _pairs(body: Mapping[str, Any], key: str) -> dict[int, Any]:
    flat: Iterator[Any] = iter(body.get(key, ()))
    return dict(zip(flat, flat, strict=True))


def _number(strings: dict[str, int], text: str | None) -> int:
    return -1 if text is None else strings.setdefault(text, len(strings))


def _time(event: Event) -> int:
    return event.time_ns
