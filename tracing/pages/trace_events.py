"""A trace's events as a flat list, in order of time: filtered, and a page at a time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from tracing.event import Event
from tracing.export import events_of
from tracing.pages.trace import asked_row, tree_of
from tracing.reader import MANY
from tracing.registry import REGISTRY
from tracing.summary import Summary
from tracing.tree import TraceTree
from tracing.waterfall import bounds

PAGE = 100


@dataclass(frozen=True, slots=True)
class EventLine:
    """One event; `after_ns` is from the start of the trace."""

    event: Event
    after_ns: int
    failed: bool


@dataclass(frozen=True, slots=True)
class EventsView:
    """What the template shows: `first` to `last` of the `found` events, counted from 1."""

    summary: Summary
    lines: list[EventLine]
    types: list[str]
    """Types that there are in this trace."""
    find: str
    type: str
    first: int
    last: int
    found: int
    previous: str | None
    next: str | None
    """Queries of the pages before and after."""
    nav: str = "traces"


@require_GET
async def events(request: HttpRequest, trace_id: str) -> HttpResponse:
    """Show the events of a trace, as a page or as a tab of its page."""
    tree = await tree_of(trace_id)
    if tree is None:
        context = {"trace_id": trace_id, "nav": "traces"}
        return render(request, "tracing/trace_missing.html", context, status=404)
    query = request.GET
    asked = (query.get("q", "")[:200].strip(), query.get("type", "")[:60], asked_row(request) or 0)
    large = tree.summary.events > MANY
    view = await asyncio.to_thread(_view, tree, *asked) if large else _view(tree, *asked)
    htmx = request.htmx  # type: ignore[attr-defined]
    template = "tracing/_trace_events.html" if htmx else "tracing/trace_events.html"
    return render(request, template, {"page": view})


def _view(tree: TraceTree, find: str, kind: str, start: int) -> EventsView:
    begin, _ = bounds(tree)
    everything = events_of(tree)
    wanted = find.lower()
    found = [
        event
        for event in everything
        if (not kind or event.type == kind) and (not wanted or wanted in _words(event))
    ]
    start = min(start, max(0, len(found) - 1)) // PAGE * PAGE
    shown = found[start : start + PAGE]

    def query(first: int) -> str:
        values = {"q": find, "type": kind, "from": first or ""}
        return "?" + urlencode({key: value for key, value in values.items() if value})

    return EventsView(
        summary=tree.summary,
        lines=[
            EventLine(event, event.time_ns - begin, REGISTRY[event.type].failed) for event in shown
        ],
        types=sorted({event.type for event in everything}),
        find=find,
        type=kind,
        first=start + 1 if shown else 0,
        last=start + len(shown),
        found=len(found),
        previous=query(start - PAGE) if start else None,
        next=query(start + PAGE) if start + PAGE < len(found) else None,
    )


def _words(event: Event) -> str:
    parts = (event.type, event.actor, event.name, event.error_type, event.span_id)
    return " ".join(part for part in parts if part).lower()
