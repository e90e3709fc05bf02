"""Where the time of a trace went, by what was worked on: the statistics of its spans."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from tracing.critical import critical_path, ends, life
from tracing.registry import SpanKind
from tracing.tree import Span, TraceTree


@dataclass(frozen=True, slots=True)
class Line:
    """The spans of one kind, actor type and name, added up. Times are nanoseconds.

    Attributes:
        actor_type: of the actors it happened to or for; "" where there is none.
        spans: how many there are.
        failing: how many of them failed, or had an attempt that did.
        total_ns: time spent handling: all attempts, open ones until the trace's end; for web
            requests, runs and spans of other services, from start to end.
        self_ns: that time without what a child took meanwhile: of messages and activities, a child
            activity; of the others, any child. What children did side by side counts once.
        waiting_ns: time until the first attempt.
        backoff_ns: time after an attempt until the next one, or until the span's end.
        longest_ns: the largest total of one span.
        critical_ns: time on the trace's critical path.
    """

    kind: str
    actor_type: str
    name: str
    spans: int
    failing: int
    total_ns: int
    self_ns: int
    waiting_ns: int
    backoff_ns: int
    longest_ns: int
    critical_ns: int


def statistics(tree: TraceTree) -> list[Line]:
    """Return one line for each kind, actor type and name, by self time, largest first."""
    ended = ends(tree)
    critical: Counter[str] = Counter()
    for segment in critical_path(tree):
        critical[segment.span_id] += segment.end_ns - segment.start_ns
    groups: dict[tuple[str, str, str], _Sums] = {}
    for span in tree.spans:
        key = (span.kind.value, (span.actor or "").partition("/")[0], span.name)
        sums = groups.get(key)
        if sums is None:
            sums = groups[key] = _Sums()
        sums.add(span, ended, critical[span.span_id])
    lines = [Line(*key, **asdict(sums)) for key, sums in groups.items()]
    lines.sort(key=lambda x: (-x.self_ns, -x.total_ns, x.kind, x.actor_type, x.name))
    return lines


@dataclass(slots=True)
class _Sums:
    """The numbers of a line while its spans are added up."""

    spans: int = 0
    failing: int = 0
    total_ns: int = 0
    self_ns: int = 0
    waiting_ns: int = 0
    backoff_ns: int = 0
    longest_ns: int = 0
    critical_ns: int = 0

    def add(self, span: Span, ended: dict[str, int], critical_ns: int) -> None:
        busy: list[tuple[int, int]] = []
        total = 0
        for segment in life(span, ended[span.span_id]):
            took = segment.end_ns - segment.start_ns
            if segment.part == "waiting":
                self.waiting_ns += took
            elif segment.part == "backoff":
                self.backoff_ns += took
            else:
                total += took
                busy.append((segment.start_ns, segment.end_ns))
        self.spans += 1
        self.failing += span.errors > 0
        self.total_ns += total
        self.self_ns += total - _overlap(busy, _children(span, ended))
        self.longest_ns = max(self.longest_ns, total)
        self.critical_ns += critical_ns


def _children(span: Span, ended: dict[str, int]) -> list[tuple[int, int]]:
    """Return when there were children under way whose time is not the span's own."""
    asynchronous = span.kind is SpanKind.MESSAGE or span.kind is SpanKind.ACTIVITY
    return _union(
        (child.start_ns, ended[child.span_id])
        for child in span.children
        if child.kind is SpanKind.ACTIVITY or not asynchronous
    )


def _union(intervals: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the same time as intervals that are in order and apart."""
    union: list[tuple[int, int]] = []
    for start, end in sorted(intervals):
        if union and start <= union[-1][1]:
            union[-1] = (union[-1][0], max(union[-1][1], end))
        else:
            union.append((start, end))
    return union


def _overlap(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> int:
    """Return how long both last at once; each is in order, its intervals apart."""
    shared = first = second = 0
    while first < len(one) and second < len(other):
        start = max(one[first][0], other[second][0])
        end = min(one[first][1], other[second][1])
        shared += max(0, end - start)
        if one[first][1] < other[second][1]:
            first += 1
        else:
            second += 1
    return shared
