"""The critical path of a trace: the chain of spans that decided when its last work ended.

After "CRISP: Critical Path Analysis of Large-Scale Microservice Architectures" (USENIX ATC 2022)
and the critical path of Jaeger's trace page. Those walk back from the end of the root span, for
there the root ends last. Here a message is handled after the turn that sent it, so the walk begins
at the last end of any span, and what it finds at a span's start is the span that caused it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tracing.registry import SpanKind
from tracing.tree import Span, TraceTree
from tracing.waterfall import bounds

Part = Literal["waiting", "handling", "backoff", "open"]


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of one span's time, never empty. Nanoseconds since the epoch.

    Attributes:
        part: what the span did: "waiting" before it was first handled, "handling" during an
            attempt, "backoff" after an attempt that ended, "open" where no end was recorded, of
            an attempt or, in a span that has none, of the span. Spans without attempts (web
            requests, runs, spans of other services) are handling all the time.
    """

    span_id: str
    start_ns: int
    end_ns: int
    part: Part


def critical_path(tree: TraceTree) -> list[Segment]:
    """Return the critical path in order of time; its segments do not overlap.

    The walk goes back in time from the last end in the trace. Inside a span it goes back to the
    latest end of a child that the span waited for, and on in that child; at a span's start it goes
    on in its parent, from the same instant, or from the parent's end if that was earlier. A message
    does not wait for messages that it sent; any other child that ended within a span is taken to
    have been waited for. Where a root begins, the walk goes on in the span that began first of
    those under way at that instant, or, when there is none, in the one that had ended last.

    The path has gaps where nothing on it was under way, and is empty when no span took any time.
    """
    ended = ends(tree)
    lasting = [span for span in tree.spans if span.start_ns < ended[span.span_id]]
    return _Walk(tree, lasting, ended).path() if lasting else []


def ends(tree: TraceTree) -> dict[str, int]:
    """Return when each span ended, in nanoseconds since the epoch, by span id.

    An open span lasts until the trace's end, except for an activity whose attempt is over: it
    ended with that attempt at the latest, for the next one begins an activity span of its own.
    """
    if not tree.spans:
        return {}
    last = bounds(tree)[1]
    found = {
        span.span_id: max(span.start_ns, last if span.end_ns is None else span.end_ns)
        for span in tree.spans
    }
    for span in tree.spans:
        lost = [c for c in span.children if c.kind is SpanKind.ACTIVITY and c.end_ns is None]
        if not lost:
            continue
        nexts = [attempt.started_ns for attempt in span.attempts[1:]] + [found[span.span_id]]
        limits = [
            until if attempt.ended_ns is None else attempt.ended_ns
            for attempt, until in zip(span.attempts, nexts, strict=False)
        ]
        for child in lost:
            position = bisect_right(limits, child.start_ns)
            if position < len(limits):
                found[child.span_id] = limits[position]
    return found


def life(span: Span, end_ns: int) -> list[Segment]:
    """Return what a span did from its start to `end_ns`, in order of time and without gaps."""
    if end_ns <= span.start_ns:
        return []
    if span.kind is not SpanKind.MESSAGE and span.kind is not SpanKind.ACTIVITY:
        part: Part = "open" if span.end_ns is None else "handling"
        return [Segment(span.span_id, span.start_ns, end_ns, part)]
    segments: list[Segment] = []
    at, part = span.start_ns, "waiting"
    for change, next_part in _changes(span):
        until = min(change, end_ns)
        if until > at:
            segments.append(Segment(span.span_id, at, until, part))
            at = until
        part = next_part
    if end_ns > at:
        segments.append(Segment(span.span_id, at, end_ns, part))
    return segments


def _changes(span: Span) -> Iterator[tuple[int, Part]]:
    """Yield when attempts began and ended, and what the span did from then on."""
    for attempt in span.attempts:
        if attempt.ended_ns is None:
            yield attempt.started_ns, "open"
        else:
            yield attempt.started_ns, "handling"
            yield attempt.ended_ns, "backoff"


@dataclass(slots=True)
class _Left:
    """What the walk has not passed of a span: its segments, and children by end, latest last."""

    life: list[Segment]
    awaited: list[Span]


class _Walk:
    """One walk from the last end to the first start. Time never goes forward.

    So whatever the walk has passed, it need not look at again: every list here is only taken from.
    """

    def __init__(self, tree: TraceTree, lasting: list[Span], ended: dict[str, int]) -> None:
        self._ends = ended
        self._causes: dict[str, Span | None] = {
            child.span_id: span for span in tree.spans for child in span.children
        }
        self._left: dict[str, _Left] = {}
        self._unseen = self._by_end(lasting)
        self._first = self._unseen[-1]
        self._path: list[Segment] = []

    def path(self) -> list[Segment]:
        span: Span | None = self._first
        at = self._ends[self._first.span_id]
        while span is not None:
            at = min(at, self._ends[span.span_id])
            child = None
            if at > span.start_ns:
                left = self._left.get(span.span_id) or self._enter(span)
                child = self._awaited(left, at)
                back_to = span.start_ns if child is None else self._ends[child.span_id]
                self._take(left, back_to, at)
                at = back_to
            span = child or self._cause(span, at)
        self._path.reverse()
        return self._path

    def _by_end(self, spans: list[Span]) -> list[Span]:
        """Return spans by their end; of those that end together, the first comes last."""
        return sorted(spans, key=lambda span: self._ends[span.span_id], reverse=True)[::-1]

    def _enter(self, span: Span) -> _Left:
        awaited = [
            child
            for child in span.children
            if max(child.start_ns, span.start_ns) < self._ends[child.span_id]
            and not (span.kind is child.kind is SpanKind.MESSAGE)
        ]
        left = _Left(life(span, self._ends[span.span_id]), self._by_end(awaited))
        # A span without children is passed in one go and never come back to.
        if span.children:
            self._left[span.span_id] = left
        return left

    def _awaited(self, left: _Left, at: int) -> Span | None:
        """Take the child that ended last up to an instant."""
        while left.awaited:
            child = left.awaited.pop()
            if self._ends[child.span_id] <= at:
                return child
        return None

    def _take(self, left: _Left, start: int, end: int) -> None:
        """Put a stretch of a span on the path, latest part first."""
        while left.life and left.life[-1].end_ns > start:
            last = left.life[-1]
            if start <= last.start_ns and last.end_ns <= end:
                self._path.append(last)
            else:
                low, high = max(last.start_ns, start), min(last.end_ns, end)
                if low < high:
                    self._path.append(Segment(last.span_id, low, high, last.part))
            if last.start_ns < start:
                break
            left.life.pop()

    def _cause(self, span: Span, at: int) -> Span | None:
        """Return the nearest span above that had begun before an instant, or another one."""
        passed = [span]
        cause = self._causes.get(span.span_id)
        while cause is not None and cause.start_ns >= at:
            passed.append(cause)
            cause = self._causes.get(cause.span_id)
        # They will not have begun at any earlier instant either: next time they are skipped.
        for late in passed:
            self._causes[late.span_id] = cause
        return cause or self._under_way(at)

    def _under_way(self, at: int) -> Span | None:
        """Return the first begun of the spans under way at an instant, or the last to end."""
        while self._unseen:
            span = self._unseen[-1]
            if self._ends[span.span_id] < at and self._first.start_ns < at:
                break
            self._unseen.pop()
            if span.start_ns < self._first.start_ns:
                self._first = span
        return self._first if self._first.start_ns < at else None
