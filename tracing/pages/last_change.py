"""Which message changed a path of an actor's state last, before the turn that one looks at."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from tracing import services
from tracing.changes import LastChange
from tracing.event import Ref, RefKind
from tracing.jsonpath import MAX_LENGTH, Path, parse
from tracing.pages.panel import span_of, write_down
from tracing.tree import Span
from tracing.turns import message_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ChangeView:
    """What the template shows: `found`, or the `problem` that there was."""

    trace_id: str
    span: Span
    actor: str
    path: str
    found: LastChange | None
    problem: str
    nav: str = "traces"


@never_cache
@require_GET
async def last_change(request: HttpRequest, trace_id: str, span_id: str) -> HttpResponse:
    """Answer for `?path=` of the state at `?version=`, one that the span refers to."""
    tree, span = await span_of(trace_id, span_id)
    version = request.GET.get("version", "")
    states = (ref for ref in span.refs() if ref.kind is RefKind.ACTOR_STATE)
    state = next((ref for ref in states if ref.id == version), None)
    if state is None:
        raise Http404("the span refers to no such state")
    text = request.GET.get("path", "").strip()[: MAX_LENGTH + 1]
    found, problem = None, ""
    try:
        path = parse(text)
    except ValueError as error:
        problem = f"{str(error).capitalize()}."
    else:
        user = await request.auser()
        if await user.ahas_perm("tracing.view_payloads"):
            found, problem = await _find(state, path, message_of(span))
        else:
            problem = "You lack the permission to see payloads."
    if found is not None:
        await write_down(request, tree, span, "last change")
    view = ChangeView(trace_id, span, state.partition, text, found, problem)
    htmx = request.htmx  # type: ignore[attr-defined]
    template = "tracing/_last_change.html" if htmx else "tracing/last_change.html"
    return render(request, template, {"page": view})


async def _find(state: Ref, path: Path, message: Ref | None) -> tuple[LastChange | None, str]:
    find = services.current().last_change
    if find is None or not state.id.isascii() or not state.id.isdigit():
        return None, "Nothing is registered that knows who changes states."
    run = None if message is None else message.partition
    try:
        return await find(state.partition, int(state.id), path, run), ""
    except Exception as error:  # the border: a page renders when every load fails
        logger.warning("the last change of a state: %s", type(error).__name__)
        return None, f"The journal could not be read ({type(error).__name__}). Try again later."
