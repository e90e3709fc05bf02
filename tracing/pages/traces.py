"""The list of traces."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlencode

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from storage import InvalidQuery, StorageError
from tracing import services
from tracing.filters import TraceFilter, TracePage
from tracing.pages.ranges import CHOICES, since_ns
from tracing.summary import TraceStatus

PAGE = 50
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
    filtered: bool
    next_url: str | None
    first_url: str | None
    problem: str | None
    nav: str = "traces"


@require_GET
async def traces(request: HttpRequest) -> HttpResponse:
    """Show traces, newest first; with htmx, only the table."""
    form = TracesForm(request.GET)
    values = form.cleaned_data if form.is_valid() else {}
    identifier = values.get("actor", "").strip()
    if _TRACE_ID.match(identifier):
        return redirect("tracing:trace", trace_id=identifier.lower())
    criteria = TraceFilter(
        status=TraceStatus(values["status"]) if values.get("status") else None,
        started_from=since_ns(values.get("since", "")),
        actor_type=values.get("type", "").strip() or None,
        actor=identifier or None,
    )
    cursor = request.GET.get("cursor") or None
    problem = None
    page = TracePage([], None)
    try:
        page = await services.current().reader.find_traces(criteria, cursor=cursor, limit=PAGE)
    except InvalidQuery:
        problem = "This page of the list does not exist any more. Start again from the newest."
    except StorageError as error:
        problem = (
            f"The trace store does not answer ({type(error).__name__}). Runs go on without it."
        )
    query = {key: value for key, value in request.GET.items() if value and key != "cursor"}
    context = TracesPage(
        form=form,
        page=page,
        longest_ns=max((trace.duration_ns for trace in page.traces), default=0),
        filtered=bool(query),
        next_url=f"?{urlencode({**query, 'cursor': page.cursor})}" if page.cursor else None,
        first_url=f"?{urlencode(query)}" if cursor else None,
        problem=problem,
    )
    partial = request.htmx and not request.htmx.boosted  # type: ignore[attr-defined]
    template = "tracing/_traces.html" if partial else "tracing/traces.html"
    response = render(request, template, {"page": context})
    response["Vary"] = "HX-Request"
    return response
