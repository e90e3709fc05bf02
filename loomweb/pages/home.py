"""The front door: the list of traces, or straight to whatever id was asked for."""

from __future__ import annotations

import re
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET

_TRACE_ID = re.compile(r"[0-9a-f]{32}\Z")


@require_GET
async def home(request: HttpRequest) -> HttpResponseRedirect:
    """Go to the trace or actor that `?q=` names, else to the traces."""
    wanted = request.GET.get("q", "").strip()
    if _TRACE_ID.match(wanted.lower()):
        return redirect("tracing:trace", trace_id=wanted.lower())
    traces = reverse("tracing:traces")
    return redirect(f"{traces}?{urlencode({'actor': wanted[:300]})}" if wanted else traces)
