"""The stream that tells a trace page when there is more to show."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_GET

from tracing import services
from tracing.live import streams
from tracing.reader import is_trace_id


@require_GET
async def stream(request: HttpRequest, trace_id: str) -> HttpResponseBase:
    """Send server-sent events while the trace runs; 503 when the page should poll instead."""
    if not is_trace_id(trace_id):
        raise Http404("not a trace id")
    if streams.full:
        return HttpResponse(status=503, headers={"Retry-After": "5"})
    return StreamingHttpResponse(
        streams.changes(services.current().reader, trace_id),
        content_type="text/event-stream",
        # A proxy that gathers what it passes on would hold the events back.
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )
