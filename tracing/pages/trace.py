"""One trace: its header and first rows. Nothing that it refers to is loaded here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_GET

from storage import StorageError
from tracing import services
from tracing.reader import is_trace_id
from tracing.registry import SpanKind
from tracing.rows import WINDOW, first_row
from tracing.summary import Summary
from tracing.suspended import Suspension, only_waits, suspensions
from tracing.tree import TraceTree
from tracing.waterfall import Waterfall, lay_out
from tracing.words import Word, sentence

MOST_WAITS = 5
"""Waits that the header names."""
FIRST_ROWS = 120
"""Rows that the page itself holds, readable without scripts; those fetch the others."""

_SPAN_ID = re.compile(r"[0-9A-Za-z_-]{1,64}\Z")
_FRESH_ID = re.compile(r"[0-9a-f]{32}\Z")

_MODULES = (
    "address",
    "chooser",
    "data",
    "find",
    "finder",
    "grid",
    "keys",
    "live",
    "outline",
    "overview",
    "panel",
    "row",
    "scale",
    "sequence",
    "tabs",
    "travel",
    "words",
)

Source = Literal["stored", "uploaded"]


@dataclass(frozen=True, slots=True)
class TraceView:
    """What the template shows."""

    summary: Summary
    sentence: list[Word]
    waterfall: Waterfall
    notices: list[str]
    failing: int
    """Spans that failed, or of which an attempt did."""
    selected: str
    live: bool
    marks: tuple[tuple[str, int], ...]
    """Labels of the time axis: position in per cent and nanoseconds from the start."""
    suspended: bool = False
    """Whether it goes on only when what it waits for comes."""
    waits: tuple[Suspension, ...] = ()
    more_waits: int = 0
    workflow: str = ""
    """The workflow that the trace is a run of, where it is one from its beginning."""
    source: Source = "stored"
    rows_query: str = ""
    """What the address of the rows needs so that they are the window that is asked for."""
    rows_json: str = ""
    """The rows themselves, where no address has them."""
    modules: tuple[str, ...] = tuple(f"js/trace/{name}.js" for name in _MODULES)
    """Loaded side by side: otherwise the browser would find them one import after the other."""
    nav: str = "traces"


@gzip_page
@require_GET
async def trace(request: HttpRequest, trace_id: str) -> HttpResponse:
    """Show a trace. `?span=` selects one, `?from=` asks for another window of a large trace."""
    tree = await tree_of(trace_id)
    if tree is None:
        # A run may be so new that its first events are still on their way.
        context = {"trace_id": trace_id, "nav": "traces"}
        known = bool(_FRESH_ID.match(trace_id)) and request.GET.get("new") == "1"
        return render(
            request,
            "tracing/trace_waiting.html" if known else "tracing/trace_missing.html",
            context,
            status=200 if known else 404,
        )
    return render(request, "tracing/trace.html", {"page": view_of(request, tree)})


@never_cache
@require_GET
async def live(request: HttpRequest, trace_id: str) -> HttpResponse:
    """Return the header again: it changes while the trace runs."""
    try:
        tree = await tree_of(trace_id)
    except StorageError:
        # Keep what is on the screen, and ask again.
        return HttpResponse(status=204)
    if tree is None:
        return HttpResponse(status=204)
    return render(request, "tracing/_trace_head.html", {"page": view_of(request, tree)})


async def tree_of(trace_id: str) -> TraceTree | None:
    """Return a trace by an id that somebody typed.

    Raises:
        Http404: no trace has an id like that.
    """
    if not is_trace_id(trace_id):
        raise Http404("not a trace id")
    return await services.current().reconstructor.reconstruct(trace_id)


def selected_span(request: HttpRequest) -> str | None:
    """Return the span that the address selects."""
    selected = request.GET.get("span", "")
    return selected if _SPAN_ID.match(selected) else None


def asked_row(request: HttpRequest) -> int | None:
    """Return the row at which the address asks for a window to begin."""
    asked = request.GET.get("from", "")
    return int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 10 else None


def view_of(request: HttpRequest, tree: TraceTree, source: Source = "stored") -> TraceView:
    """Return what the page shows of a trace."""
    selected, asked = selected_span(request), asked_row(request)
    total = tree.summary.duration_ns
    first = first_row(tree, selected, asked, WINDOW)
    live = source == "stored" and tree.summary.live
    waits = suspensions(tree.spans) if live else []
    return TraceView(
        summary=tree.summary,
        sentence=sentence(tree),
        waterfall=lay_out(tree, selected=selected, first=asked, window=FIRST_ROWS),
        notices=tree.notices,
        failing=len(tree.failing),
        selected=selected or "",
        live=live,
        suspended=live and only_waits(tree.spans),
        waits=tuple(waits[:MOST_WAITS]),
        more_waits=len(waits[MOST_WAITS:]),
        marks=tuple((f"{quarter * 25}%", total * quarter // 4) for quarter in range(5)),
        workflow=_workflow(tree),
        source=source,
        rows_query=f"?from={first}" if len(tree.spans) > WINDOW else "",
    )


def _workflow(tree: TraceTree) -> str:
    if tree.summary.correlation is None:
        return ""
    # A web request may have begun it.
    near = (span for root in tree.roots for span in (root, *root.children))
    return next((span.name for span in near if span.kind is SpanKind.WORKFLOW), "")
