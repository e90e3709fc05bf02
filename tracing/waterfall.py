"""Lays a trace out as rows with bars. All positions are per cent of the trace's duration."""

from __future__ import annotations

from dataclasses import dataclass

from tracing.registry import SpanKind
from tracing.tree import Span, TraceTree

WINDOW = 1_000
"""Rows laid out at most; above that, the window around the selection."""
MAX_INDENT = 14
COLOURS = 20
_MIN_WIDTH = 0.15


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of a row's bar. `kind` is "waiting", "handling", "backoff" or "open"."""

    kind: str
    x: str
    width: str


@dataclass(frozen=True, slots=True)
class Row:
    """One span as a row."""

    span_id: str
    kind: str
    name: str
    actor: str
    colour: int
    level: int
    indent: int
    children: int
    bars: tuple[Bar, ...]
    start: str
    duration_ns: int
    waited_ns: int
    open: bool
    failed: bool
    errors: int
    failed_below: int
    error_type: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Waterfall:
    """The rows to render, and how many there are: `first` is the index of the first, from 0."""

    rows: list[Row]
    first: int
    total: int
    colours: dict[str, int]
    window: int = WINDOW

    @property
    def last(self) -> int:
        return self.first + len(self.rows)

    @property
    def whole(self) -> bool:
        return len(self.rows) == self.total

    @property
    def previous(self) -> int | None:
        return max(0, self.first - self.window) if self.first else None

    @property
    def next(self) -> int | None:
        return self.last if self.last < self.total else None


def actor_colours(tree: TraceTree) -> dict[str, int]:
    """Return a palette number per actor type, assigned by sorted type."""
    return {kind: i % COLOURS for i, kind in enumerate(tree.summary.actor_types)}


def lay_out(
    tree: TraceTree,
    *,
    selected: str | None = None,
    first: int | None = None,
    window: int = WINDOW,
) -> Waterfall:
    """Return the rows from index `first`, or around the selected span, or from the start."""
    total = len(tree.spans)
    if first is None:
        first = 0
        if selected is not None and total > window:
            position = tree.positions.get(selected, 0)
            first = max(0, min(position - window // 2, total - window))
    first = max(0, min(first, max(0, total - 1)))
    begin, end = bounds(tree)
    colours = actor_colours(tree)
    rows = [_row(span, begin, end, colours) for span in tree.spans[first : first + window]]
    return Waterfall(rows, first, total, colours, window)


def bounds(tree: TraceTree) -> tuple[int, int]:
    """Return when the trace's first span begins and its last one ends, in nanoseconds."""
    return tree.bounds


def _row(span: Span, begin: int, end: int, colours: dict[str, int]) -> Row:
    scale = 100 / (end - begin)

    def bar(kind: str, start: int, stop: int) -> Bar:
        x = min((start - begin) * scale, 100 - _MIN_WIDTH)
        width = max((stop - start) * scale, _MIN_WIDTH)
        return Bar(kind, f"{x:.3f}%", f"{min(width, 100 - x):.3f}%")

    stop = span.end_ns if span.end_ns is not None else end
    bars: list[Bar] = []
    work_starts = span.handling_ns
    if span.kind is SpanKind.MESSAGE and work_starts is None:
        bars.append(bar("waiting", span.start_ns, stop))
    elif work_starts is None:
        bars.append(bar("handling" if span.end_ns else "open", span.start_ns, stop))
    else:
        if work_starts > span.start_ns:
            bars.append(bar("waiting", span.start_ns, work_starts))
        for number, attempt in enumerate(span.attempts):
            ended = attempt.ended_ns
            bars.append(bar("handling" if ended else "open", attempt.started_ns, ended or stop))
            if ended is not None and number + 1 < len(span.attempts):
                bars.append(bar("backoff", ended, span.attempts[number + 1].started_ns))
            elif ended is not None and ended < stop:
                # It waits, or it is being given up: that belongs to the row's duration, too.
                bars.append(bar("backoff", ended, stop))
    waited = (work_starts if work_starts is not None else stop) - span.start_ns
    return Row(
        span_id=span.span_id,
        kind=span.kind.value,
        name=span.name,
        actor=span.actor or "",
        colour=colours.get((span.actor or "").partition("/")[0], 0),
        level=span.depth + 1,
        indent=min(span.depth, MAX_INDENT),
        children=len(span.children),
        bars=tuple(bars),
        start=f"{(span.start_ns - begin) * scale:.3f}",
        duration_ns=max(0, stop - span.start_ns),
        waited_ns=max(0, waited) if span.kind is SpanKind.MESSAGE else 0,
        open=span.end_ns is None,
        failed=span.failed,
        errors=span.errors,
        failed_below=span.failed_below,
        error_type=span.error_type or "",
        attempts=span.tries,
    )
