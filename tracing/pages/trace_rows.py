"""What the trace page's scripts draw: its rows, and its critical path, as compact documents."""

from __future__ import annotations

import asyncio

import msgspec
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_GET

from storage import StorageError
from tracing.critical import critical_path
from tracing.pages.trace import asked_row, selected_span, tree_of
from tracing.reader import MANY
from tracing.rows import VERSION, WINDOW, first_row, rows_document
from tracing.tree import TraceTree
from tracing.waterfall import bounds

MAX_PATH = 20_000
"""Stretches of the critical path sent at most: the first ones."""


@gzip_page
@require_GET
async def rows(request: HttpRequest, trace_id: str) -> HttpResponseBase:
    """Return the rows: all, or the window that holds `?span=` or begins at `?from=`."""
    tree = await _tree(trace_id)
    if tree is None:
        return HttpResponse(status=503, headers={"Retry-After": "1"})
    first = first_row(tree, selected_span(request), asked_row(request), WINDOW)
    etag = f'"{_version(tree)}-{first}"'
    known = get_conditional_response(request, etag)
    if known is not None:
        return known
    body = msgspec.json.encode(rows_document(tree, first=first))
    return _document(body, etag)


@gzip_page
@require_GET
async def path(request: HttpRequest, trace_id: str) -> HttpResponseBase:
    """Return the critical path: per stretch its row, start and end, nanoseconds from the start."""
    tree = await _tree(trace_id)
    if tree is None:
        return HttpResponse(status=503, headers={"Retry-After": "1"})
    etag = f'"{_version(tree)}-path"'
    known = get_conditional_response(request, etag)
    if known is not None:
        return known
    large = len(tree.spans) > MANY
    found = await asyncio.to_thread(path_of, tree) if large else path_of(tree)
    return _document(msgspec.json.encode({"path": found}), etag)


def path_of(tree: TraceTree) -> list[tuple[int, int, int]]:
    """Return the critical path as rows with starts and ends."""
    begin, _ = bounds(tree)
    return [
        (tree.positions[part.span_id], part.start_ns - begin, part.end_ns - begin)
        for part in critical_path(tree)[:MAX_PATH]
    ]


async def _tree(trace_id: str) -> TraceTree | None:
    try:
        tree = await tree_of(trace_id)
    except StorageError:
        return None
    if tree is None:
        raise Http404("there is no such trace")
    return tree


def _version(tree: TraceTree) -> str:
    # Events are only ever added, so these numbers tell one state of a trace from another.
    return f"{VERSION}-{tree.summary.events}-{tree.summary.ended_ns}"


def _document(body: bytes, etag: str) -> HttpResponse:
    return HttpResponse(
        body,
        content_type="application/json",
        headers={"ETag": etag, "Cache-Control": "private, no-cache"},
    )
