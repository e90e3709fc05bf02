"""The list of traces."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET
from django_htmx.http import HttpResponseClientRedirect

from tracing import services
from tracing.filters import TraceFilter, TracePage
from tracing.pages.listing import PAGE, Place, ask, cursor_of, place, render_list
from tracing.pages.ranges import CHOICES, since_ns
from tracing.summary import TraceStatus

_TRACE_ID = re.compile(r"[0-9a-fA-F]{32}\Z")


class TracesForm(forms.Form):
    """The filters, as they stand in the URL."""

    status = forms.ChoiceField(
        required=False,
        choices=[("", "Any status"), *((s.value, s.value.capitalize()) for s in TraceStatus)],
    )
    since = forms.ChoiceField(required=False, choices=CHOICES, label="Started")
    type = forms.CharField(
        required=False,
        max_length=80,
        label="Actor type",
        widget=forms.TextInput(attrs={"placeholder": "Order"}),
    )
    actor = forms.CharField(
        required=False,
        max_length=300,
        label="Root actor or trace id",
        widget=forms.TextInput(attrs={"placeholder": "Order/42", "data-find": ""}),
    )


@dataclass(frozen=True, slots=True)
class TracesPage:
    """What the template shows. `problem` says why there is no list."""

    form: TracesForm
    page: TracePage
    longest_ns: int
    place: Place
    problem: str | None
    nav: str = "traces"


@require_GET
async def traces(request: HttpRequest) -> HttpResponse:
    """Show traces, newest first; with htmx, only the table."""
    form = TracesForm(request.GET)
    form.full_clean()
    values = form.cleaned_data
    identifier = values.get("actor", "").strip()
    if _TRACE_ID.match(identifier):
        trace = reverse("tracing:trace", args=[identifier.lower()])
        htmx = request.htmx  # type: ignore[attr-defined]
        return HttpResponseClientRedirect(trace) if htmx else redirect(trace)
    criteria = TraceFilter(
        status=TraceStatus(values["status"]) if values.get("status") else None,
        started_from=since_ns(values.get("since", "")),
        actor_type=values.get("type", "").strip() or None,
        actor=identifier or None,
    )
    reader = services.current().reader
    page, problem = await ask(
        reader.find_traces(criteria, cursor=cursor_of(request), limit=PAGE), TracePage([], None)
    )
    longest = max((trace.duration_ns for trace in page.traces), default=0)
    return render_list(
        request,
        "traces",
        TracesPage(form, page, longest, place(request, page.cursor), problem),
    )
