"""When nothing in a trace was being worked on: what a time axis may leave out."""

from __future__ import annotations

from collections.abc import Iterator

from tracing.registry import SpanKind
from tracing.tree import Span, TraceTree
from tracing.waterfall import bounds

MIN_SHARE = 0.08
"""A gap shorter than this part of the trace's duration is left as it is."""
MIN_NS = 20_000_000
MAX_GAPS = 20


def idle_gaps(tree: TraceTree) -> list[tuple[int, int]]:
    """Return the long stretches without any work, in order, as nanoseconds from the trace's start.

    A message that waits, or backs off, is not worked on. A run only encloses what it consists of.
    """
    begin, end = bounds(tree)
    least = max(MIN_NS, int((end - begin) * MIN_SHARE))
    gaps: list[tuple[int, int]] = []
    reached = begin
    for start, stop in sorted(_busy(tree, end)):
        if start - reached >= least:
            gaps.append((reached - begin, start - begin))
        reached = max(reached, stop)
    if end - reached >= least:
        gaps.append((reached - begin, end - begin))
    gaps.sort(key=lambda gap: gap[0] - gap[1])
    return sorted(gaps[:MAX_GAPS])


def _busy(tree: TraceTree, end: int) -> Iterator[tuple[int, int]]:
    for span in tree.spans:
        if span.kind is SpanKind.WORKFLOW:
            continue
        # That something began is seen, even where no time was spent on it.
        yield span.start_ns, span.start_ns
        yield from _work(span, end)


def _work(span: Span, end: int) -> Iterator[tuple[int, int]]:
    if span.attempts:
        for attempt in span.attempts:
            yield attempt.started_ns, end if attempt.ended_ns is None else attempt.ended_ns
    elif span.kind is not SpanKind.MESSAGE:
        yield span.start_ns, end if span.end_ns is None else span.end_ns
