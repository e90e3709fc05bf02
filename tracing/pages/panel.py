"""The detail panel of a span: each tab loads what it shows, and nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import msgspec
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from tracing import services
from tracing.diff import Differences, diff
from tracing.event import Event, Ref, RefKind
from tracing.models import PayloadAccess
from tracing.registry import SpanKind
from tracing.resolve import Outcome, Resolved
from tracing.tree import Span, TraceTree

LABELS = {
    "error": "Error",
    "message": "Message",
    "state": "State",
    "journal": "Journal",
    "effects": "Effects",
    "raw": "Raw",
}
_LOADS = {
    "error": RefKind.JOURNAL_ENTRY,
    "message": RefKind.MESSAGE,
    "state": RefKind.ACTOR_STATE,
    "journal": RefKind.JOURNAL_ENTRY,
}
_FAILURES = ("message:failed", "activity:failed", "message:dead_lettered", "workflow:failed")


@dataclass(frozen=True, slots=True)
class StateChange:
    """A state before and after; either may not have been loaded."""

    before: Resolved
    after: Resolved | None
    differences: Differences | None


@dataclass(frozen=True, slots=True)
class ErrorShown:
    """One journaled failure: of a turn, or of an activity within it."""

    of: str
    attempt: int | None
    error: dict[str, Any]
    frames: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class EventShown:
    """One event of the span; each reference with its number, by which it is loaded."""

    event: Event
    after_ns: int
    refs: list[tuple[int, Ref]]


@dataclass(frozen=True, slots=True)
class PanelView:
    """What the template shows."""

    trace_id: str
    span: Span
    tab: str
    tabs: list[tuple[str, str]]
    parent: Span | None
    children: list[Span]
    loaded: list[Resolved]
    downloads: dict[Ref, str]
    """Where each reference's value can be had whole."""
    states: list[StateChange] = field(default_factory=list)
    errors: list[ErrorShown] = field(default_factory=list)
    events: list[EventShown] = field(default_factory=list)
    nav: str = "traces"


@dataclass(frozen=True, slots=True)
class ReferenceView:
    """What the template of one reference shows."""

    trace_id: str
    span: Span
    resolved: Resolved
    downloads: dict[Ref, str]
    nav: str = "traces"


@never_cache
@require_GET
async def panel(request: HttpRequest, trace_id: str, span_id: str) -> HttpResponse:
    """Show a tab of a span's panel; without htmx, as a page of its own."""
    tree, span = await _span(trace_id, span_id)
    tabs = [(name, label) for name, label in LABELS.items() if _has(span, name)]
    names = [name for name, _ in tabs]
    asked = request.GET.get("tab", "")
    tab = asked if asked in names else names[0]
    loaded = await _load(request, tree, span, tab, _refs_of(span, tab))
    view = PanelView(
        trace_id=trace_id,
        span=span,
        tab=tab,
        tabs=tabs,
        parent=tree.span(span.parent_id) if span.parent_id else None,
        children=sorted(span.children, key=lambda child: child.start_ns),
        loaded=list(loaded.values()),
        downloads=_downloads(trace_id, span),
        states=_states(span, loaded) if tab == "state" else [],
        errors=_errors(loaded) if tab == "error" else [],
        events=_events(span) if tab in ("raw", "effects") else [],
    )
    htmx = request.htmx  # type: ignore[attr-defined]
    return render(request, "tracing/_panel.html" if htmx else "tracing/span.html", {"page": view})


@never_cache
@require_GET
async def reference(request: HttpRequest, trace_id: str, span_id: str, number: int) -> HttpResponse:
    """Load one reference of a span, by its number among the span's references.

    With `?download=1` what it points at comes whole, as a JSON file.
    """
    tree, span = await _span(trace_id, span_id)
    refs = span.refs()
    if number >= len(refs):
        raise Http404("the span has no such reference")
    loaded = await _load(request, tree, span, "reference", [refs[number]])
    resolved = loaded[refs[number]]
    if request.GET.get("download") == "1" and resolved.outcome is Outcome.LOADED:
        return _file(resolved)
    htmx = request.htmx  # type: ignore[attr-defined]
    template = "tracing/_reference.html" if htmx else "tracing/reference.html"
    view = ReferenceView(trace_id, span, resolved, _downloads(trace_id, span))
    return render(request, template, {"page": view})


def _file(resolved: Resolved) -> HttpResponse:
    response = HttpResponse(
        msgspec.json.format(msgspec.json.encode(resolved.value), indent=2),
        content_type="application/json",
    )
    # The id may hold anything: the name keeps only what every file system takes.
    name = _UNSAFE.sub("-", f"{resolved.ref.kind.value}-{resolved.ref.id}")[:100]
    response["Content-Disposition"] = f'attachment; filename="{name}.json"'
    return response


_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")


async def _span(trace_id: str, span_id: str) -> tuple[TraceTree, Span]:
    tree = await services.current().reconstructor.reconstruct(trace_id)
    span = tree.span(span_id) if tree else None
    if tree is None or span is None:
        raise Http404("there is no such span in this trace")
    return tree, span


async def _load(
    request: HttpRequest, tree: TraceTree, span: Span, tab: str, refs: list[Ref]
) -> dict[Ref, Resolved]:
    if not refs:
        return {}
    user = await request.auser()
    allowed = await user.ahas_perm("tracing.view_payloads")
    loaded = await services.current().reconstructor.load(
        refs, allowed=allowed, seen_ns=span.last_ns
    )
    if any(found.outcome is Outcome.LOADED for found in loaded.values()):
        await PayloadAccess.objects.acreate(
            user=user.get_username() or getattr(user, "username", ""),
            trace_id=tree.summary.trace_id,
            span_id=span.span_id,
            tab=tab,
        )
    return loaded


def _has(span: Span, tab: str) -> bool:
    if tab == "raw":
        return True
    if tab == "effects":
        return span.kind is SpanKind.MESSAGE
    return bool(_refs_of(span, tab))


def _refs_of(span: Span, tab: str) -> list[Ref]:
    kind = _LOADS.get(tab)
    events = span.events
    if tab == "error":
        events = [event for event in events if event.type in _FAILURES]
    refs = (ref for event in events for ref in event.refs if ref.kind is kind)
    found = list(dict.fromkeys(refs))
    if tab == "message":
        # A turn's events also name the messages it sent; its own is named first.
        return found[:1]
    return found


def _states(span: Span, loaded: dict[Ref, Resolved]) -> list[StateChange]:
    changes = []
    for event in span.events:
        refs = [ref for ref in event.refs if ref.kind is RefKind.ACTOR_STATE]
        if event.type == "actor:state_changed" and len(refs) == 2:
            before, after = loaded[refs[0]], loaded[refs[1]]
            both = before.outcome is Outcome.LOADED and after.outcome is Outcome.LOADED
            changes.append(
                StateChange(
                    before,
                    after,
                    diff(before.value["state"], after.value["state"]) if both else None,
                )
            )
    if changes:
        return changes
    # Nothing changed: the state as the message saw it last.
    last = [ref for event in span.events for ref in event.refs if ref.kind is RefKind.ACTOR_STATE]
    return [StateChange(loaded[last[-1]], None, None)] if last else []


def _errors(loaded: dict[Ref, Resolved]) -> list[ErrorShown]:
    shown = []
    for found in loaded.values():
        if found.outcome is not Outcome.LOADED:
            continue
        for entry in found.value.get("entries", []):
            error = entry.get("error")
            if isinstance(error, dict):
                frames = [f for f in error.get("stack", []) if isinstance(f, dict)]
                # Innermost first, as one reads it: where it was raised, then who called.
                frames.reverse()
                frames.sort(key=lambda frame: not frame.get("own"))
                of = "turn" if entry.get("type") == "turn_failed" else "activity"
                shown.append(ErrorShown(of, entry.get("attempt"), error, frames))
    return list(reversed(shown))


def _numbers(span: Span) -> dict[Ref, int]:
    return {ref: number for number, ref in enumerate(span.refs())}


def _downloads(trace_id: str, span: Span) -> dict[Ref, str]:
    return {
        ref: reverse("tracing:reference", args=(trace_id, span.span_id, number)) + "?download=1"
        for ref, number in _numbers(span).items()
    }


def _events(span: Span) -> list[EventShown]:
    numbers = _numbers(span)
    return [
        EventShown(event, event.time_ns - span.start_ns, [(numbers[r], r) for r in event.refs])
        for event in span.events
    ]
