"""The list of failed messages across traces."""

from __future__ import annotations

from dataclasses import dataclass

from django import forms
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from tracing import services
from tracing.filters import FailureFilter, FailurePage
from tracing.pages.listing import PAGE, Place, ask, cursor_of, place, render_list
from tracing.pages.ranges import CHOICES, since_ns


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
    place: Place
    problem: str | None
    nav: str = "failures"


@require_GET
async def failures(request: HttpRequest) -> HttpResponse:
    """Show failed messages across traces, newest first; with htmx, only the table."""
    form = FailuresForm(request.GET)
    form.full_clean()
    values = form.cleaned_data
    criteria = FailureFilter(
        from_ns=since_ns(values.get("since", "")),
        actor_type=values.get("type", "").strip() or None,
        error_type=values.get("error", "").strip() or None,
    )
    reader = services.current().reader
    page, problem = await ask(
        reader.find_failures(criteria, cursor=cursor_of(request), limit=PAGE),
        FailurePage([], None),
    )
    return render_list(
        request, "failures", FailuresPage(form, page, place(request, page.cursor), problem)
    )
