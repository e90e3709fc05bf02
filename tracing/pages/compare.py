"""Two traces side by side, typically a failed one and the last success of the same workflow."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_GET

from tracing import services
from tracing.compare import Comparison, Divergence, compare
from tracing.compare_words import LETTERS, describe
from tracing.filters import TraceFilter
from tracing.pages.compare_rows import MAX_LINKS, Window, window
from tracing.pages.listing import ask
from tracing.pages.trace import asked_row, tree_of
from tracing.reader import MANY, TraceReader, is_trace_id
from tracing.registry import SpanKind
from tracing.summary import Summary, TraceStatus
from tracing.tree import Span, TraceTree
from tracing.words import Word, sentence

PAGE = 50
MAX_PAGES = 4
"""Pages of traces that are looked through for the last success."""
MAX_CANDIDATES = 10
_IN_ADDRESS = re.compile(r"/traces/([0-9A-Za-z_-]+)")


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two traces."""

    letter: str
    summary: Summary
    sentence: list[Word]
    notices: list[str]


@dataclass(frozen=True, slots=True)
class DivergenceView:
    """A divergence: the sentence, its row's address, and its spans, if there, by their trace."""

    words: list[Word]
    address: str
    at: list[tuple[Side, str, int]]
    """For each trace that has it: the span's id, and when, from the trace's start."""


@dataclass(frozen=True, slots=True)
class CompareView:
    """What the template shows."""

    sides: tuple[Side, Side]
    first: DivergenceView | None
    others: list[DivergenceView]
    more: int
    counts: Counter[str]
    pairs: int
    """Messages whose data can be compared, up to the first divergence."""
    rows: Window
    same: bool
    nav: str = "traces"


@dataclass(frozen=True, slots=True)
class ChoiceView:
    """What the template shows when there is nothing to compare with yet."""

    summary: Summary
    root_type: str
    asked: str
    problem: str | None
    looked: bool
    candidates: list[Summary]
    nav: str = "traces"


@gzip_page
@require_GET
async def traces(request: HttpRequest, trace_id: str, other_id: str) -> HttpResponse:
    """Show two traces side by side. `?rows=all` folds nothing, `?from=` asks for another page."""
    found = await compared(trace_id, other_id)
    if isinstance(found, str):
        return _missing(request, found)
    asked = found, request.GET.get("rows") == "all", asked_row(request) or 0
    large = len(found.rows) > MANY
    view = await asyncio.to_thread(_view, *asked) if large else _view(*asked)
    return render(request, "tracing/compare.html", {"page": view})


@require_GET
async def with_last_success(request: HttpRequest, trace_id: str) -> HttpResponse:
    """Go to the comparison with the last success of the same workflow, or with `?with=`.

    `?span=` names a message: then it is the last success in which one of its type was handled.
    When there is none, or with `?choose=1`, show a form for another trace's id.
    """
    tree = await tree_of(trace_id)
    if tree is None:
        return _missing(request, trace_id)
    asked = request.GET.get("with", "").strip()[:300]
    reader = services.current().reader
    problem = None
    looked = False
    if asked:
        named = _IN_ADDRESS.search(asked)
        other = named[1] if named else asked
        if is_trace_id(other):
            return redirect("tracing:compare", trace_id, other)
        problem = "A trace id is written with 8 to 64 letters and digits. Copy it from its page."
    elif request.GET.get("choose") != "1":
        span = tree.span(request.GET.get("span", ""))
        success, problem = await ask(last_success(reader, tree, span), None)
        if success is not None:
            return redirect("tracing:compare", trace_id, success.trace_id)
        looked = problem is None
    candidates, trouble = await ask(_candidates(reader, tree), [])
    view = ChoiceView(
        summary=tree.summary,
        root_type=_root_type(tree.summary),
        asked=asked,
        problem=problem or trouble,
        looked=looked,
        candidates=candidates,
    )
    return render(request, "tracing/compare_choose.html", {"page": view})


async def compared(trace_id: str, other_id: str) -> Comparison | str:
    """Return the comparison of two traces, or the id of the one that is not there.

    Raises:
        Http404: no trace has an id like that.
    """
    trees: list[TraceTree] = []
    for wanted in (trace_id, other_id):
        tree = await tree_of(wanted)
        if tree is None:
            return wanted
        trees.append(tree)
    left, right = trees
    if len(left.spans) + len(right.spans) > MANY:
        return await asyncio.to_thread(compare, left, right)
    return compare(left, right)


async def last_success(
    reader: TraceReader, tree: TraceTree, span: Span | None = None
) -> Summary | None:
    """Return the last trace of the same root that completed, and began before this one.

    With a message's `span`, one in which a message of its type was sent to an actor of its type;
    if there is none of the same root, one of another. One that completed at once goes before one
    that recovered from failures. Looks through a few pages of traces that match by type.
    """
    other: Summary | None = None
    for status in (TraceStatus.COMPLETED, TraceStatus.RECOVERED):
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            page = await reader.find_traces(_like(tree, status, span), cursor=cursor, limit=PAGE)
            for summary in page.traces:
                if _same_root(summary, tree.summary):
                    return summary
                if span is not None and summary.trace_id != tree.summary.trace_id:
                    other = other or summary
            cursor = page.cursor
            if cursor is None:
                break
    return other


async def _candidates(reader: TraceReader, tree: TraceTree) -> list[Summary]:
    page = await reader.find_traces(_like(tree), limit=PAGE)
    return [found for found in page.traces if _same_root(found, tree.summary)][:MAX_CANDIDATES]


def _like(
    tree: TraceTree, status: TraceStatus | None = None, span: Span | None = None
) -> TraceFilter:
    summary = tree.summary
    root_type = _root_type(summary)
    first = next((each.name for each in tree.spans if each.kind is SpanKind.MESSAGE), None)
    if span is not None and span.kind is SpanKind.MESSAGE:
        root_type, first = (span.actor or "").partition("/")[0], span.name
    # A summary names a bounded number of types: what it does not name cannot be asked for.
    return TraceFilter(
        status=status,
        started_to=summary.started_ns if status else None,
        actor_type=root_type if root_type in summary.actor_types else None,
        message_type=first if first in summary.message_types else None,
    )


def _same_root(found: Summary, summary: Summary) -> bool:
    return (
        found.root == summary.root
        and _root_type(found) == _root_type(summary)
        and found.trace_id != summary.trace_id
    )


def _root_type(summary: Summary) -> str:
    return (summary.root_actor or "").partition("/")[0]


def _missing(request: HttpRequest, trace_id: str) -> HttpResponse:
    context = {"trace_id": trace_id, "nav": "traces"}
    return render(request, "tracing/trace_missing.html", context, status=404)


def _view(comparison: Comparison, everything: bool, start: int) -> CompareView:
    left, right = (
        Side(letter, tree.summary, sentence(tree), tree.notices)
        for letter, tree in zip(LETTERS, (comparison.left, comparison.right), strict=True)
    )
    rows = window(comparison, everything=everything, start=start)
    views = [
        _divergence(comparison, divergence, (left, right), rows)
        for divergence in comparison.divergences[:MAX_LINKS]
    ]
    return CompareView(
        sides=(left, right),
        first=views[0] if views else None,
        others=views[1:],
        more=len(comparison.divergences) - len(views),
        counts=comparison.counts(),
        pairs=len(comparison.messages()),
        rows=rows,
        same=left.summary.trace_id == right.summary.trace_id,
    )


def _divergence(
    comparison: Comparison, divergence: Divergence, sides: tuple[Side, Side], rows: Window
) -> DivergenceView:
    row = comparison.rows[divergence.row]
    spans = (row.left, row.right)
    times = (divergence.left_ns, divergence.right_ns)
    at = [
        (side, span.span_id, max(0, time))
        for side, span, time in zip(sides, spans, times, strict=True)
        if span is not None
    ]
    return DivergenceView(describe(comparison, divergence), rows.places[divergence.row], at)
