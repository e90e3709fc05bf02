"""The list of failed messages across traces."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from storage import InvalidQuery, StorageError
from tracing import services
from tracing.filters import FailureFilter, FailurePage
from tracing.pages.ranges import CHOICES, since_ns

PAGE = 50


class FailuresForm(forms.Form):
    """The filters, as they stand in the URL."""

    since = forms.ChoiceField(required=False, choices=CHOICES, label="Failed")
    error = forms.CharField(
        required=False,
        max_length=120,
        label="Error type",
        widget=forms.TextInput(attrs={"placeholder": "OutOfStock", "data-find": ""}),
    )
    type = forms.CharField(
        required=False,
        max_length=80,
        label="Actor type",
        widget=forms.TextInput(attrs={"placeholder": "Order"}),
    )


@dataclass(frozen=True, slots=True)
class FailuresPage:
    """What the template shows. `problem` says why there is no list."""

    form: FailuresForm
    page: FailurePage
    filtered: bool
    next_url: str | None
    first_url: str | None
    problem: str | None
    nav: str = "failures"


@require_GET
async def failures(request: HttpRequest) -> HttpResponse:
    """Show failed messages, newest first; with htmx, only the table."""
    form = FailuresForm(request.GET)
    values = form.cleaned_data if form.is_valid() else {}
    criteria = FailureFilter(
        from_ns=since_ns(values.get("since", "")),
        actor_type=values.get("type", "").strip() or None,
        error_type=values.get("error", "").strip() or None,
    )
    cursor = request.GET.get("cursor") or None
    problem = None
    page = FailurePage([], None)
    try:
        page = await services.current().reader.find_failures(criteria, cursor=cursor, limit=PAGE)
    except InvalidQuery:
        problem = "This page of the list does not exist any more. Start again from the newest."
    except StorageError as error:
        problem = (
            f"The trace store does not answer ({type(error).__name__}). Runs go on without it."
        )
    query = {key: value for key, value in request.GET.items() if value and key != "cursor"}
    context = FailuresPage(
        form=form,
        page=page,
        filtered=bool(query),
        next_url=f"?{urlencode({**query, 'cursor': page.cursor})}" if page.cursor else None,
        first_url=f"?{urlencode(query)}" if cursor else None,
        problem=problem,
    )
    partial = request.htmx and not request.htmx.boosted  # type: ignore[attr-defined]
    template = "tracing/_failures.html" if partial else "tracing/failures.html"
    response = render(request, template, {"page": context})
    response["Vary"] = "HX-Request"
    return response
