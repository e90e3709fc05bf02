"""Segments as Loom 0.2 wrote them: columns. They are read as long as they live, and never written.

| key | holds |
|---|---|
| `t0` | microseconds since the epoch, just before the first event |
| `S` | string table: actors, names, partitions, error types, fingerprints |
| `P` | spans: [span id, parent (index here, span id, or null), actor, name] |
| `R` | references: [kind, partition, id] |
| `c` `s` `t` | per event: type code, span, nanoseconds since the event before |
| `a` | per event: attempt; left out when all are 0 |
| `A` `n` | pairs [event, value]: actor and name, where they are not the span's |
| `d` `e` `f` `r` `p` | pairs too: duration in ns, error type, fingerprint, references, peer |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tracing.event import Event, Ref, RefKind
from tracing.registry import BY_CODE

_KINDS = tuple(RefKind)


def decode(body: Mapping[str, Any]) -> tuple[list[Event], int]:
    """Return the events of a segment document, in order of time, and how many are of unknown types.

    Raises:
        KeyError, IndexError, TypeError, ValueError, AttributeError: it is broken.
    """
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
    return events, unknown


def _pairs(body: Mapping[str, Any], key: str) -> dict[int, Any]:
    flat: Iterator[Any] = iter(body.get(key, ()))
    return dict(zip(flat, flat, strict=True))
