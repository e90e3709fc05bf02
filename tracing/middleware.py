"""The span of a web request, for requests that start a run. Built only when a view asks for it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from inspect import iscoroutinefunction
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware

from tracing import services
from tracing.context import TraceContext
from tracing.event import Event

_SLOT = "_loom_request_trace"


def trace_of(request: HttpRequest) -> TraceContext | None:
    """Return the request's span: below the caller's when it sent a valid `traceparent`.

    None when this process records nothing. The request's event is emitted when it ends.
    """
    writer = services.current().writer
    if writer is None:
        return None
    trace: TraceContext | None = getattr(request, _SLOT, None)
    if trace is None:
        caller = TraceContext.from_traceparent(
            request.headers.get("traceparent", ""), request.headers.get("tracestate", "")
        )
        # Whoever starts a run by hand wants to see it, whatever share of all runs is kept.
        trace = (
            writer.create_root_trace(sampled=True)
            if caller is None
            else writer.create_child_span(caller)
        )
        setattr(request, _SLOT, trace)
    return trace


def _emit(request: HttpRequest, started: int) -> None:
    trace: TraceContext | None = getattr(request, _SLOT, None)
    writer = services.current().writer if trace is not None else None
    if trace is None or writer is None:
        return
    # The route, not the path: it says the same for every run.
    match = request.resolver_match
    route = f"{request.method} /{match.route if match else ''}"
    writer.emit(
        Event(
            "http:request",
            trace.trace_id,
            trace.span_id,
            trace.parent_span_id,
            writer.now(),
            name=route,
            duration_ns=time.monotonic_ns() - started,
            sampled=trace.sampled,
        )
    )


@sync_and_async_middleware
def request_trace(
    get_response: Callable[[HttpRequest], Any],
) -> Callable[[HttpRequest], HttpResponse | Awaitable[HttpResponse]]:
    """Emit `http:request` for requests whose view asked for their span."""
    if iscoroutinefunction(get_response):

        async def amiddleware(request: HttpRequest) -> HttpResponse:
            started = time.monotonic_ns()
            response: HttpResponse = await get_response(request)
            _emit(request, started)
            return response

        return amiddleware

    def middleware(request: HttpRequest) -> HttpResponse:
        started = time.monotonic_ns()
        response: HttpResponse = get_response(request)
        _emit(request, started)
        return response

    return middleware
