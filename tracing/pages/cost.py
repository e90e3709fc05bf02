"""What traces cost, measured when a person asks for it: of one trace, or of the latest ones."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from storage import StorageError
from tracing import services
from tracing.economy import Cost, cost_of, cost_of_latest

LATEST = 50


@dataclass(frozen=True, slots=True)
class CostView:
    """What the template shows."""

    cost: Cost
    problem: str | None


@never_cache
@require_GET
async def of_trace(request: HttpRequest, trace_id: str) -> HttpResponse:
    """Show what a trace takes against what it refers to."""
    installed = services.current()
    try:
        cost = await cost_of(installed.reader, installed.reconstructor, trace_id)
    except StorageError as error:
        return _render(request, Cost(), error)
    if cost is None:
        raise Http404("no such trace")
    return _render(request, cost)


@never_cache
@require_GET
async def of_latest(request: HttpRequest) -> HttpResponse:
    """Show what the latest traces take against what they refer to."""
    installed = services.current()
    try:
        cost = await cost_of_latest(installed.reader, installed.reconstructor, LATEST)
    except StorageError as error:
        return _render(request, Cost(), error)
    return _render(request, cost)


def _render(request: HttpRequest, cost: Cost, error: Exception | None = None) -> HttpResponse:
    problem = None
    if error is not None:
        problem = f"It could not be measured: the store does not answer ({type(error).__name__})."
    return render(request, "tracing/_cost.html", {"view": CostView(cost, problem)})
