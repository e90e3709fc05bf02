"""When nothing in a trace was being worked on: what a time axis may leave out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from tracing.registry import SpanKind

if TYPE_CHECKING:
    from tracing.tree import Span

MIN_SHARE = 0.08
"""A gap shorter than this part of the trace's duration is left as it is."""
MIN_NS = 20_000_000
MAX_GAPS = 20


def idle_gaps(spans: Iterable[Span], begin: int, end: int) -> list[tuple[int, int]]:
    """Return the long stretches without any work, in order, as nanoseconds from the trace's start.

    A message that waits, or backs off, is not worked on. A run only encloses what it consists of.
    """
    least = max(MIN_NS, int((end - begin) * MIN_SHARE))
    # Times are told apart by slots so short that no gap lies within one: nothing need be sorted.
    # Of what begins in a slot it matters when the first does, and when the last of it ends.
    width = least // 2
    slots: dict[int, tuple[int, int]] = {}
    for start, stop in _busy(spans, end):
        slot = (start - begin) // width
        known = slots.get(slot)
        if known is None:
            slots[slot] = (start, stop)
        elif start < known[0] or stop > known[1]:
            slots[slot] = (min(start, known[0]), max(stop, known[1]))
    gaps: list[tuple[int, int]] = []
    reached = begin
    for _, (first, last) in sorted(slots.items()):
        if first - reached >= least:
            gaps.append((reached - begin, first - begin))
        reached = max(reached, last)
    if end - reached >= least:
        gaps.append((reached - begin, end - begin))
    gaps.sort(key=lambda gap: gap[0] - gap[1])
    return sorted(gaps[:MAX_GAPS])


def _busy(spans: Iterable[Span], end: int) -> Iterator[tuple[int, int]]:
    for span in spans:
        kind = span.kind
        if kind is SpanKind.WORKFLOW:
            continue
        start = span.start_ns
        attempts = span.attempts
        if not attempts and kind is not SpanKind.MESSAGE:
            yield start, end if span.end_ns is None else span.end_ns
            continue
        # That something began is seen, even where no time was spent on it.
        yield start, start
        for attempt in attempts:
            yield attempt.started_ns, end if attempt.ended_ns is None else attempt.ended_ns
