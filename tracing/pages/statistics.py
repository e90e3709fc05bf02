"""Where a trace's time went: by kind of work, and along its critical path."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from tracing.critical import critical_path
from tracing.pages.trace import tree_of
from tracing.reader import MANY
from tracing.statistics import Line, statistics
from tracing.summary import Summary
from tracing.tree import Span, TraceTree
from tracing.waterfall import actor_colours, bounds

MAX_STEPS = 200
MAX_LINES = 200


@dataclass(frozen=True, slots=True)
class Step:
    """A stretch of the critical path."""

    span: Span
    part: str
    start_ns: int
    """From the start of the trace."""
    duration_ns: int
    colour: int


@dataclass(frozen=True, slots=True)
class StatisticsView:
    """What the template shows. `longest_ns` scales the bars."""

    summary: Summary
    lines: list[Line]
    hidden_lines: int
    steps: list[Step]
    hidden_steps: int
    path_ns: int
    longest_ns: int
    colours: dict[str, int]
    nav: str = "traces"


@require_GET
async def trace_statistics(request: HttpRequest, trace_id: str) -> HttpResponse:
    """Show the statistics of a trace, as a page or as a tab of its page."""
    tree = await tree_of(trace_id)
    if tree is None:
        return render(
            request,
            "tracing/trace_missing.html",
            {"trace_id": trace_id, "nav": "traces"},
            status=404,
        )
    large = len(tree.spans) > MANY
    view = await asyncio.to_thread(statistics_view, tree) if large else statistics_view(tree)
    htmx = request.htmx  # type: ignore[attr-defined]
    template = "tracing/_statistics.html" if htmx else "tracing/statistics.html"
    return render(request, template, {"page": view})


def statistics_view(tree: TraceTree) -> StatisticsView:
    """Return the statistics of a trace, the longest of its lines and stretches."""
    lines, colours = statistics(tree), actor_colours(tree)
    begin, _ = bounds(tree)
    path = critical_path(tree)
    spans = {span.span_id: span for span in tree.spans}
    # The longest stretches say where the time went; they are shown in order of time.
    longest = sorted(path, key=lambda part: part.start_ns - part.end_ns)[:MAX_STEPS]
    steps = [
        Step(
            spans[part.span_id],
            part.part,
            part.start_ns - begin,
            part.end_ns - part.start_ns,
            colours.get((spans[part.span_id].actor or "").partition("/")[0], 0),
        )
        for part in sorted(longest, key=lambda part: part.start_ns)
    ]
    return StatisticsView(
        summary=tree.summary,
        lines=lines[:MAX_LINES],
        hidden_lines=max(0, len(lines) - MAX_LINES),
        steps=steps,
        hidden_steps=max(0, len(path) - MAX_STEPS),
        path_ns=sum(part.end_ns - part.start_ns for part in path),
        longest_ns=max((step.duration_ns for step in steps), default=0),
        colours=colours,
    )
