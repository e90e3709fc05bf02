"""Traces as points: how long each took over when it began, for the lists and the front page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tracing.filters import TraceFilter, TracePage
from tracing.reader import TraceReader
from tracing.summary import Summary
from tracing.timeaxis import Mark, marks

MOST = 250
"""Points that are drawn: of the traces that match, the newest."""
_DECADES = 2
"""The scale spans at least this many powers of ten, so that equal traces do not look unequal."""


@dataclass(frozen=True, slots=True)
class Point:
    """A trace at its place, in per cent from the left and from the top."""

    trace: Summary
    x: str
    y: str


@dataclass(frozen=True, slots=True)
class Scatter:
    """Points over a time range by durations on a logarithmic scale.

    Attributes:
        low_ns, high_ns: the durations at the bottom and at the top, powers of ten.
        durations: (per cent from the top, duration in nanoseconds) of the scale's lines.
        cut: more traces match than are drawn.
    """

    points: list[Point]
    from_ns: int
    to_ns: int
    low_ns: int
    high_ns: int
    times: list[Mark]
    durations: list[tuple[str, int]]
    cut: bool

    @property
    def from_ms(self) -> int:
        return self.from_ns // 1_000_000

    @property
    def to_ms(self) -> int:
        return -(-self.to_ns // 1_000_000)


async def with_more(reader: TraceReader, criteria: TraceFilter, page: TracePage) -> TracePage:
    """Return the first page of a list together with what follows it, `MOST` traces in all."""
    if page.cursor is None:
        return page
    rest = await reader.find_traces(
        criteria, cursor=page.cursor, limit=max(1, MOST - len(page.traces))
    )
    return TracePage(page.traces + rest.traces, rest.cursor)


def scatter(
    found: TracePage, from_ns: int | None = None, to_ns: int | None = None
) -> Scatter | None:
    """Place traces; None when there are none.

    `from_ns` and `to_ns` are the range that was asked for. Without them, or when not all of it is
    drawn, the axis spans what is.
    """
    traces = found.traces
    if not traces:
        return None
    starts = [trace.started_ns for trace in traces]
    begin, end = min(starts), max(starts)
    # A little room, so that no point lies on the edge.
    room = max(1_000_000, (end - begin) // 50)
    begin, end = begin - room, end + room
    if from_ns is not None and found.cursor is None:
        begin = min(from_ns, begin)
    if to_ns is not None:
        end = max(to_ns, end)
    low, high = _decades([trace.duration_ns for trace in traces])
    return Scatter(
        points=[
            Point(
                trace,
                f"{100 * (trace.started_ns - begin) / (end - begin):.2f}%",
                _height(max(1, trace.duration_ns), low, high),
            )
            for trace in traces
        ],
        from_ns=begin,
        to_ns=end,
        low_ns=10**low,
        high_ns=10**high,
        times=marks(begin, end),
        durations=[(_height(10**power, low, high), 10**power) for power in range(low, high + 1)],
        cut=found.cursor is not None,
    )


def _decades(durations: Sequence[int]) -> tuple[int, int]:
    low = math.floor(math.log10(max(1, min(durations))))
    high = max(low + _DECADES, math.ceil(math.log10(max(1, *durations, 1))))
    return low, high


def _height(duration: int, low: int, high: int) -> str:
    return f"{100 * (high - math.log10(duration)) / (high - low):.2f}%"
