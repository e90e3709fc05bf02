"""The detail panel of a span: each tab loads what it shows, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import msgspec
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from tracing import services
from tracing.event import Ref
from tracing.jsontree import Budget
from tracing.models import PayloadAccess
from tracing.pages.details import (
    ErrorView,
    EventShown,
    Loaded,
    RecordShown,
    StateShown,
    error_view,
    events_shown,
    journal_refs,
    records_shown,
    state_shown,
)
from tracing.pages.pointers import Pointer, Pointers
from tracing.pages.subject import MAX_STATES, Subject
from tracing.pages.traffic import (
    FEW,
    AttemptShown,
    EffectsView,
    MessageView,
    Some,
    attempts_shown,
    effects_view,
    message_view,
)
from tracing.pages.who import who_asks
from tracing.registry import SpanKind
from tracing.resolve import Outcome, Resolved
from tracing.tree import Span, TraceTree
from tracing.turns import dead_letter_of, latest_states_of, message_of, states_of

MAX_EVENTS = 300
"""Events of a span that the Raw tab lists: the first."""


@dataclass(frozen=True, slots=True)
class PanelView:
    """What the template shows: the head, and of the tabs the one that was asked for.

    Attributes:
        turn: the message's span that the tabs are about, where that is not `span` itself.
        dead_letter: the document that says that its message was given up.
    """

    trace_id: str
    span: Span
    turn: Span | None
    tab: str
    tabs: list[tuple[str, str]]
    dead_letter: Ref | None = None
    budget: Budget = field(default_factory=Budget)
    error: ErrorView | None = None
    message: MessageView | None = None
    states: list[StateShown] = field(default_factory=list)
    more_states: int = 0
    records: list[RecordShown] = field(default_factory=list)
    more_records: int = 0
    attempts: Some[AttemptShown] | None = None
    effects: EffectsView | None = None
    events: list[EventShown] = field(default_factory=list)
    more_events: int = 0
    nav: str = "traces"


@dataclass(frozen=True, slots=True)
class ReferenceView:
    """What the template of one reference shows."""

    trace_id: str
    span: Span
    pointer: Pointer
    budget: Budget = field(default_factory=Budget)
    nav: str = "traces"


@never_cache
@require_GET
async def panel(request: HttpRequest, trace_id: str, span_id: str) -> HttpResponse:
    """Show a tab of a span's panel; without htmx, as a page of its own."""
    tree, span = await span_of(trace_id, span_id)
    subject = Subject.of(tree, span)
    names = [name for name, _ in subject.tabs]
    asked = request.GET.get("tab", "")
    tab = asked if asked in names else names[0]
    loaded = await load(request, tree, span, tab, subject.wanted(tab))
    view = panel_view(subject, tab, loaded)
    htmx = request.htmx  # type: ignore[attr-defined]
    response = render(
        request, "tracing/_panel.html" if htmx else "tracing/span.html", {"page": view}
    )
    if htmx and htmx.current_url_abs_path and htmx.current_url_abs_path.startswith(request.path):
        # On the panel's own page the address tells the tab; on the trace's, its script sees to it.
        response["HX-Replace-Url"] = request.get_full_path()
    return response


@never_cache
@require_GET
async def reference(request: HttpRequest, trace_id: str, span_id: str, number: int) -> HttpResponse:
    """Load one reference of a span, by its number among the span's references.

    With `?download=1` what it points at comes whole, as a JSON file.
    """
    tree, span = await span_of(trace_id, span_id)
    refs = span.refs()
    if number >= len(refs):
        raise Http404("the span has no such reference")
    loaded = await load(request, tree, span, "reference", [refs[number]])
    resolved = loaded[refs[number]]
    if request.GET.get("download") == "1" and resolved.outcome is Outcome.LOADED:
        return _file(resolved)
    htmx = request.htmx  # type: ignore[attr-defined]
    template = "tracing/_reference.html" if htmx else "tracing/reference.html"
    view = ReferenceView(trace_id, span, Pointers(trace_id, span, loaded).to(refs[number]))
    return render(request, template, {"page": view})


async def span_of(trace_id: str, span_id: str) -> tuple[TraceTree, Span]:
    """Return a span with its trace.

    Raises:
        Http404: there is none of that id.
    """
    tree = await services.current().reconstructor.reconstruct(trace_id)
    span = tree.span(span_id) if tree else None
    if tree is None or span is None:
        raise Http404("there is no such span in this trace")
    return tree, span


async def load(
    request: HttpRequest, tree: TraceTree, span: Span, tab: str, refs: list[Ref]
) -> dict[Ref, Resolved]:
    """Load references if the user may see payloads; write down that somebody looked."""
    if not refs:
        return {}
    user = await request.auser()
    allowed = await user.ahas_perm("tracing.view_payloads")
    loaded = await services.current().reconstructor.load(
        refs, allowed=allowed, seen_ns=span.last_ns
    )
    if any(found.outcome is Outcome.LOADED for found in loaded.values()):
        await write_down(request, tree, span, tab)
    return loaded


async def write_down(request: HttpRequest, tree: TraceTree, span: Span, tab: str) -> None:
    """Note in the audit log that the user looked at data of a span."""
    await write_down_all(request, tree, [span.span_id], tab)


async def write_down_all(
    request: HttpRequest, tree: TraceTree, span_ids: Iterable[str], tab: str
) -> None:
    """Note a look at data of several spans of a trace."""
    user, trace_id = await who_asks(request), tree.summary.trace_id
    await PayloadAccess.objects.abulk_create(
        PayloadAccess(user=user, trace_id=trace_id, span_id=span_id, tab=tab)
        for span_id in span_ids
    )


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


def panel_view(subject: Subject, tab: str, loaded: Loaded) -> PanelView:
    """Return what the panel shows of a span: of the tab that is asked for, what was loaded."""
    span, turn, trace_id = subject.span, subject.turn, subject.trace_id
    letter = None if turn is None else dead_letter_of(turn)
    view = PanelView(trace_id, span, None if turn is span else turn, tab, subject.tabs, letter)
    if tab == "raw":
        pointers = Pointers(trace_id, span)
        more = max(0, len(span.events) - MAX_EVENTS)
        shown = events_shown(span, pointers, MAX_EVENTS)
        return replace(view, events=shown, more_events=more)
    if tab == "journal":
        refs, more = journal_refs(subject.journaling)
        records = records_shown(trace_id, refs, loaded)
        attempts = attempts_shown(span, FEW) if span.kind is SpanKind.ACTIVITY else None
        return replace(view, records=records, more_records=more, attempts=attempts)
    pointers = Pointers(trace_id, subject.messaging, loaded)
    message = message_of(subject.messaging)
    to_message = None if message is None else pointers.to(message)
    if tab == "message" and to_message is not None:
        shown_message = message_view(subject.tree, subject.messaging, to_message, pointers)
        return replace(view, message=shown_message)
    if tab == "effects" and turn is not None:
        return replace(view, effects=effects_view(trace_id, turn, pointers))
    if tab == "state" and turn is not None:
        states = states_of(turn)
        changes = [state_shown(turn, pair, pointers) for pair in states[-MAX_STATES:]]
        return replace(view, states=changes, more_states=len(states) - len(changes))
    latest = None if turn is None else latest_states_of(turn)
    state = None if turn is None or latest is None else state_shown(turn, latest, pointers)
    failing = subject.journaling
    own = Pointers(trace_id, failing, loaded)
    return replace(view, error=error_view(span, turn, failing, own, to_message, state))
