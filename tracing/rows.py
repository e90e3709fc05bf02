"""The rows of a trace as one compact document in columns, for the page's scripts to draw.

It holds no referenced data. Times are nanoseconds, of a row from the trace's start, of an attempt
from its row's start; rows are numbered over the whole trace, depth first.

| key | holds |
|---|---|
| `v` `trace` | version of this layout; trace id |
| `total` `first` | rows of the trace; number of the first row here |
| `begin` `duration` | when the trace begins (milliseconds since the epoch); how long it takes |
| `live` | whether more is to come |
| `gaps` | pairs of start and end: long stretches in which nothing was worked on |
| `errors` | of the whole trace, per error: row, span id, time; at most 2,000 spans |
| `types` | actor types: their place is their colour |
| `S` | string table |
| `K` | span kinds |
| `id` `depth` `kind` `name` `actor` | per row; name and actor are numbers in `S`, -1 for none |
| `t` `d` `h` | per row: start, duration, and time until first handled, -1 when it never was |
| `f` | per row: 1 failed, 2 open, 4 has errors of its own, 8 has errors below |
| `x` | pairs [row here, error type] |
| `A` | [row here, (number, start, end or -1, error type or -2: waits) per attempt], if not plain |
| `o` | of a trace that is not here as a whole: [row, start, duration, colour, failed] of some |
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tracing.jsontree import visible
from tracing.registry import SpanKind
from tracing.tree import Span, TraceTree
from tracing.waterfall import COLOURS, actor_colours, bounds

VERSION = 2
WINDOW = 10_000
"""Rows sent at most."""
MAX_ERRORS = 2_000
SAMPLE = 2_000
FAILED, OPEN, ERRORS, BELOW = 1, 2, 4, 8
SUSPENDED = -2
_FAILURES = frozenset({"message:failed", "activity:failed", "activity:retried", "foreign:failed"})
_KINDS = tuple(SpanKind)


def first_row(tree: TraceTree, selected: str | None, first: int | None, window: int) -> int:
    """Return where a window begins: where it is asked for, or so that it holds the selection."""
    total = len(tree.spans)
    if first is None:
        first = 0
        if selected is not None and total > window:
            place = tree.positions.get(selected, 0)
            first = place - window // 2 if place >= window else 0
    return max(0, min(first, total - window))


def rows_document(
    tree: TraceTree,
    *,
    selected: str | None = None,
    first: int | None = None,
    window: int = WINDOW,
) -> dict[str, Any]:
    """Return the document of the rows from `first`, or of a window that holds `selected`."""
    begin, end = bounds(tree)
    start = first_row(tree, selected, first, window)
    spans = tree.spans[start : start + window]
    columns = _Columns(begin, end)
    columns.add(spans)
    colours = actor_colours(tree)
    body: dict[str, Any] = {
        "v": VERSION,
        "trace": tree.summary.trace_id,
        "total": len(tree.spans),
        "first": start,
        "begin": begin / 1e6,
        "duration": end - begin,
        "live": tree.summary.live,
        "gaps": tree.gaps,
        "errors": _errors(tree, begin),
        "types": [visible(name, 200) for name in list(colours)[:COLOURS]],
        "K": list(_KINDS),
        **columns.body(),
    }
    if len(spans) < len(tree.spans):
        step = -(-len(tree.spans) // SAMPLE)
        body["o"] = [
            [
                number,
                span.start_ns - begin,
                max(0, (end if span.end_ns is None else span.end_ns) - span.start_ns),
                colours.get((span.actor or "").partition("/")[0], 0),
                int(span.failed),
            ]
            for number, span in zip(
                range(0, len(tree.spans), step), tree.spans[::step], strict=True
            )
        ]
    return body


def _errors(tree: TraceTree, begin: int) -> list[list[Any]]:
    found: list[list[Any]] = []
    for number in tree.failing[:MAX_ERRORS]:
        span = tree.spans[number]
        times = [event.time_ns for event in span.events if event.type in _FAILURES]
        found += [[number, span.span_id, time - begin] for time in times[:20] or [span.last_ns]]
    return found


class _Columns:
    """The columns of some rows."""

    def __init__(self, begin: int, end: int) -> None:
        self._begin = begin
        self._end = end
        self._strings: dict[str, int] = {}
        self._body: dict[str, list[Any]] = {
            key: []
            for key in ("id", "depth", "kind", "name", "actor", "t", "d", "h", "f", "x", "A")
        }

    def body(self) -> dict[str, Any]:
        # The names are hostile: bounded, and without characters that disturb what is around them.
        return {"S": [visible(text, 300) for text in self._strings], **self._body}

    def add(self, spans: Iterable[Span]) -> None:
        body, begin, end = self._body, self._begin, self._end
        kinds = {kind: number for number, kind in enumerate(_KINDS)}
        for row, span in enumerate(spans):
            stop = end if span.end_ns is None else span.end_ns
            handled = span.handling_ns
            body["id"].append(span.span_id)
            body["depth"].append(span.depth)
            body["kind"].append(kinds[span.kind])
            body["name"].append(self._number(span.name))
            body["actor"].append(self._number(span.actor))
            body["t"].append(span.start_ns - begin)
            body["d"].append(max(0, stop - span.start_ns))
            body["h"].append(-1 if handled is None else max(0, handled - span.start_ns))
            body["f"].append(
                FAILED * span.failed
                + OPEN * (span.end_ns is None)
                + ERRORS * (span.errors > 0)
                + BELOW * (span.failed_below > 0)
            )
            if span.error_type:
                body["x"].append([row, self._number(span.error_type)])
            if not _plain(span):
                body["A"].append([row, *self._attempts(span)])

    def _attempts(self, span: Span) -> Iterable[int]:
        for attempt in span.attempts[:200]:
            yield attempt.number
            yield attempt.started_ns - span.start_ns
            yield -1 if attempt.ended_ns is None else attempt.ended_ns - span.start_ns
            yield SUSPENDED if attempt.suspended else self._number(attempt.error_type)

    def _number(self, text: str | None) -> int:
        if not text:
            return -1
        return self._strings.setdefault(text, len(self._strings))


def _plain(span: Span) -> bool:
    """Return whether the only attempt, if any, ends as the span does, or goes on as it does."""
    if len(span.attempts) != 1:
        return not span.attempts
    return span.attempts[0].ended_ns == span.end_ns and span.attempts[0].error_type is None
