"""The list of traces."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
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

_HEX_ID = re.compile(r"[0-9a-fA-F]{32}\Z")


class DurationField(forms.CharField):
    """A duration such as "250", "250 ms", "1.5 s" or "2 min"; a bare number is milliseconds."""

    _SCALE: ClassVar = {"ms": 1e6, "s": 1e9, "min": 60e9, "": 1e6}
    _FORM = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*(ms|s|min|)\Z")

    def clean(self, value: object) -> int | None:
        """Return nanoseconds, or None for no bound."""
        text = str(super().clean(value)).strip()
        if not text:
            return None
        match = self._FORM.match(text)
        if match is None:
            raise ValidationError("A duration is written like 250 ms, 1.5 s or 2 min.")
        return int(float(match[1]) * self._SCALE[match[2]])


def _text(label: str, example: str, most: int = 120) -> forms.CharField:
    widget = forms.TextInput(attrs={"placeholder": example})
    return forms.CharField(required=False, max_length=most, label=label, widget=widget)


def _duration(label: str, example: str) -> DurationField:
    widget = forms.TextInput(attrs={"placeholder": example})
    return DurationField(required=False, max_length=20, label=label, widget=widget)


class TracesForm(forms.Form):
    """The filters, as they stand in the URL. `from` and `to` are what a chart links to."""

    more = ("message", "error", "least", "most")
    """Fields that are folded away while they are empty."""

    status = forms.ChoiceField(
        required=False,
        choices=[("", "Any status"), *((s.value, s.value.capitalize()) for s in TraceStatus)],
    )
    since = forms.ChoiceField(required=False, choices=CHOICES, label="Started")
    type = _text("Actor type", "Order")
    actor = forms.CharField(
        required=False,
        max_length=300,
        label="Root actor, correlation or trace id",
        widget=forms.TextInput(attrs={"placeholder": "Order/42", "data-find": ""}),
    )
    message = _text("Message type", "place")
    error = _text("Error type", "OutOfStock")
    least = _duration("At least", "250 ms")
    most = _duration("At most", "2 s")

    @property
    def opened(self) -> bool:
        """Whether one of the folded fields is in use."""
        return any(self.data.get(name) for name in self.more)


@dataclass(frozen=True, slots=True)
class TracesPage:
    """What the template shows. `problem` says why there is no list."""

    form: TracesForm
    page: TracePage
    longest_ns: int
    place: Place
    problem: str | None
    between: tuple[int, int] | None
    """The range that a chart asked for, nanoseconds."""
    nav: str = "traces"


@require_GET
async def traces(request: HttpRequest) -> HttpResponse:
    """Show traces, newest first; with htmx, only the table."""
    form = TracesForm(request.GET)
    form.full_clean()
    values = form.cleaned_data
    between = _between(request)
    identifier = values.get("actor", "").strip()
    hexadecimal = bool(_HEX_ID.match(identifier))
    criteria = TraceFilter(
        status=TraceStatus(values["status"]) if values.get("status") else None,
        started_from=between[0] if between else since_ns(values.get("since", "")),
        started_to=between[1] if between else None,
        actor_type=_given(values, "type"),
        actor=identifier if "/" in identifier else None,
        correlation=identifier if identifier and "/" not in identifier else None,
        message_type=_given(values, "message"),
        error_type=_given(values, "error"),
        shortest=values.get("least"),
        longest=values.get("most"),
    )
    reader = services.current().reader
    page, problem = await ask(
        reader.find_traces(criteria, cursor=cursor_of(request), limit=PAGE), TracePage([], None)
    )
    if hexadecimal and not page.traces and problem is None:
        # No first message has this correlation id: it is a trace's.
        trace = reverse("tracing:trace", args=[identifier.lower()])
        htmx = request.htmx  # type: ignore[attr-defined]
        return HttpResponseClientRedirect(trace) if htmx else redirect(trace)
    for name in ("least", "most"):
        # A list that silently ignored a bound would mislead; htmx does not render the form again.
        for error in form.errors.get(name, ()):
            page, problem = TracePage([], None), str(error)
    longest = max((trace.duration_ns for trace in page.traces), default=0)
    return render_list(
        request,
        "traces",
        TracesPage(form, page, longest, place(request, page.cursor), problem, between),
    )


def _given(values: dict[str, Any], name: str) -> str | None:
    return str(values.get(name) or "").strip() or None


def _between(request: HttpRequest) -> tuple[int, int] | None:
    """Return the range that `from` and `to` ask for in milliseconds since the epoch."""
    asked = [request.GET.get(name, "") for name in ("from", "to")]
    if not all(text.isascii() and text.isdigit() and len(text) <= 14 for text in asked):
        return None
    start, end = (int(text) * 1_000_000 for text in asked)
    return (start, end) if start < end else None
