"""One trace: its header, overview and waterfall. Nothing that it refers to is loaded here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from django_htmx.http import HttpResponseStopPolling

from storage import StorageError
from tracing import services
from tracing.overview import overview
from tracing.summary import Summary, TraceStatus
from tracing.tree import TraceTree
from tracing.waterfall import Waterfall, lay_out
from tracing.words import Word, sentence

_SPAN_ID = re.compile(r"[0-9a-f]{1,32}\Z")
_TRACE_ID = re.compile(r"[0-9a-f]{32}\Z")


@dataclass(frozen=True, slots=True)
class TraceView:
    """What the template shows."""

    summary: Summary
    sentence: list[Word]
    waterfall: Waterfall
    overview: dict[str, Any]
    notices: list[str]
    failed: list[str]
    """Spans with errors of their own, in order of rows."""
    selected: str
    live: bool
    marks: tuple[tuple[str, int], ...]
    """Labels of the time axis: position in per cent and nanoseconds from the start."""
    nav: str = "traces"


@require_GET
async def trace(request: HttpRequest, trace_id: str) -> HttpResponse:
    """Show a trace. `?span=` selects one, `?from=` asks for another window of a large trace."""
    tree = await _tree(trace_id)
    if tree is None:
        # A run may be so new that its first events are still on their way.
        context = {"trace_id": trace_id, "nav": "traces"}
        known = bool(_TRACE_ID.match(trace_id)) and request.GET.get("new") == "1"
        return render(
            request,
            "tracing/trace_waiting.html" if known else "tracing/trace_missing.html",
            context,
            status=200 if known else 404,
        )
    return render(request, "tracing/trace.html", {"page": _view(request, tree)})


@require_GET
async def live(request: HttpRequest, trace_id: str) -> HttpResponse:
    """Return what changes while the trace runs; tells htmx to stop asking once it has ended."""
    try:
        tree = await _tree(trace_id)
    except StorageError:
        # Keep what is on the screen, and ask again.
        return HttpResponse(status=204)
    if tree is None:
        return HttpResponse(status=204)
    view = _view(request, tree)
    response = render(request, "tracing/_trace_live.html", {"page": view})
    if not view.live:
        return HttpResponseStopPolling(response.content)
    return response


async def _tree(trace_id: str) -> TraceTree | None:
    if not _TRACE_ID.match(trace_id):
        raise Http404("a trace id has 32 hex digits")
    return await services.current().reconstructor.reconstruct(trace_id)


def _view(request: HttpRequest, tree: TraceTree) -> TraceView:
    selected = request.GET.get("span", "")
    if not _SPAN_ID.match(selected):
        selected = ""
    asked = request.GET.get("from", "")
    first = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 10 else None
    summary = tree.summary
    pending = summary.status is TraceStatus.FAILED and summary.pending > 0
    total = summary.duration_ns
    return TraceView(
        summary=summary,
        sentence=sentence(tree),
        waterfall=lay_out(tree, selected=selected or None, first=first),
        overview=overview(tree),
        notices=tree.notices,
        failed=[span.span_id for span in tree.spans if span.errors],
        selected=selected,
        live=summary.status is TraceStatus.RUNNING or pending,
        marks=tuple((f"{quarter * 25}%", total * quarter // 4) for quarter in range(5)),
    )
