"""Traces as files: one out, and one in, which is shown and not kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import msgspec
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils.html import format_html
from django.utils.safestring import mark_safe
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from tracing.build import build_tree
from tracing.errors import UnreadableExport
from tracing.export import MAX_BYTES, events_of, export, read_export
from tracing.pages.trace import TraceView, tree_of, view_of
from tracing.rows import rows_document
from tracing.tree import TraceTree

_ESCAPES = {ord("<"): "\\u003C", ord(">"): "\\u003E", ord("&"): "\\u0026"}


@dataclass(frozen=True, slots=True)
class UploadView:
    """What the form shows."""

    problem: str | None = None
    nav: str = "traces"


@require_GET
async def export_trace(request: HttpRequest, trace_id: str) -> StreamingHttpResponse:
    """Send a trace as a file: events with references, and nothing that they refer to."""
    tree = await tree_of(trace_id)
    if tree is None:
        raise Http404("there is no such trace")
    response = StreamingHttpResponse(_pieces(trace_id, tree), content_type="application/json")
    response["Content-Disposition"] = f'attachment; filename="trace-{trace_id}.json"'
    return response


async def _pieces(trace_id: str, tree: TraceTree) -> AsyncIterator[bytes]:
    for piece in export(trace_id, events_of(tree)):
        yield piece
        # Others get their turn: a large trace takes a while.
        await asyncio.sleep(0)


@never_cache
@require_http_methods(["GET", "POST"])
async def upload(request: HttpRequest) -> HttpResponse:
    """Show an exported trace from a file. Nothing of it is kept: the answer is the page."""
    if request.method == "GET":
        return render(request, "tracing/upload.html", {"page": UploadView()})
    length = request.headers.get("Content-Length", "")
    # Beside the file the form holds a few hundred bytes.
    if not length.isdigit() or int(length) > MAX_BYTES + 10_000:
        return _refused(request, "the file is larger than 20 MB", 413)
    file = request.FILES.get("file")
    if file is None:
        return _refused(request, "choose a file first", 400)
    try:
        tree = await asyncio.to_thread(_read, file.read())
    except UnreadableExport as error:
        return _refused(request, str(error), 400)
    view = await asyncio.to_thread(_uploaded, request, tree)
    return render(request, "tracing/trace.html", {"page": view})


def _read(content: bytes) -> TraceTree:
    return build_tree(read_export(content))


def _uploaded(request: HttpRequest, tree: TraceTree) -> TraceView:
    text = msgspec.json.encode({**rows_document(tree), "live": False}).decode()
    script = format_html(
        '<script id="rows-data" type="application/json">{}</script>',
        mark_safe(text.translate(_ESCAPES)),  # noqa: S308
    )
    return replace(view_of(request, tree, "uploaded"), rows_json=script)


def _refused(request: HttpRequest, problem: str, status: int) -> HttpResponse:
    view = UploadView(f"That cannot be shown: {problem}.")
    return render(request, "tracing/upload.html", {"page": view}, status=status)
