"""The list of traces."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from typing import Any, ClassVar
from urllib.parse import urlencode

from django import forms
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_GET
from django_htmx.http import HttpResponseClientRedirect

from tracing import services
from tracing.filters import TraceFilter, TracePage
from tracing.pages.awaited import Awaited, awaited
from tracing.pages.listing import PAGE, Place, ask, cursor_of, place, render_list
from tracing.pages.ranges import CHOICES, since_ns
from tracing.pages.scatter import Scatter, scatter, with_more
from tracing.summary import TraceStatus
from tracing.waterfall import COLOURS

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
    place: Place
    problem: str | None
    between: tuple[int, int] | None
    """The range that a chart asked for, nanoseconds."""
    scatter: Scatter | None
    """Above the first page alone."""
    newer: str | None
    """Where to ask whether newer traces match; None when nothing newer can."""
    awaited: Awaited | None = None
    """Runs that somebody has just started."""
    nav: str = "traces"

    @property
    def longest_ns(self) -> int:
        return max((trace.duration_ns for trace in self.page.traces), default=0)

    @property
    def colours(self) -> dict[str, int]:
        """A colour per actor type on the page, by sorted type."""
        types = {name for trace in self.page.traces for name in trace.actor_types}
        return {name: at % COLOURS for at, name in enumerate(sorted(types))}


@dataclass(frozen=True, slots=True)
class NewerPage:
    """What the template of the pill shows: how many, and the list that has them."""

    count: int
    more: bool
    ask: str
    address: str


@gzip_page
@require_GET
async def traces(request: HttpRequest) -> HttpResponse:
    """Show traces, newest first; with htmx, only the table."""
    form, criteria = _asked(request)
    reader, now_ns = services.current().reader, time.time_ns()
    page, problem = await ask(
        reader.find_traces(criteria, cursor=cursor_of(request), limit=PAGE), TracePage([], None)
    )
    identifier = form.cleaned_data.get("actor", "").strip()
    if _HEX_ID.match(identifier) and not page.traces and problem is None:
        # No first message has this correlation id: it is a trace's.
        trace = reverse("tracing:trace", args=[identifier.lower()])
        htmx = request.htmx  # type: ignore[attr-defined]
        return HttpResponseClientRedirect(trace) if htmx else redirect(trace)
    for name in ("least", "most"):
        # A list that silently ignored a bound would mislead; htmx does not render the form again.
        for error in form.errors.get(name, ()):
            page, problem = TracePage([], None), str(error)
    first = cursor_of(request) is None and problem is None
    drawn, _ = await ask(with_more(reader, criteria, page), page) if first else (page, None)
    return render_list(
        request,
        "traces",
        TracesPage(
            form,
            page,
            place(request, page.cursor),
            problem,
            _between(request),
            _scatter(drawn, criteria, now_ns) if first else None,
            _newer(request, page, criteria, now_ns) if first else None,
            awaited(request, page.traces) if first else None,
        ),
    )


@require_GET
async def newer(request: HttpRequest) -> HttpResponse:
    """Say how many traces that match began after the ones that a person looks at."""
    after = request.GET.get("after", "")
    if not (after.isascii() and after.isdigit() and len(after) <= 20):
        raise Http404("it does not say after what")
    _, criteria = _asked(request)
    # Times are stored in microseconds.
    criteria = replace(criteria, started_from=(int(after) // 1_000 + 1) * 1_000)
    page, _ = await ask(
        services.current().reader.find_traces(criteria, limit=PAGE), TracePage([], None)
    )
    query = {k: v for k, v in request.GET.items() if v and k not in ("after", "cursor")}
    return render(
        request,
        "tracing/_newer.html",
        {
            "page": NewerPage(
                len(page.traces),
                page.cursor is not None,
                request.get_full_path(),
                f"{reverse('tracing:traces')}?{urlencode(query)}",
            )
        },
    )


def _asked(request: HttpRequest) -> tuple[TracesForm, TraceFilter]:
    form = TracesForm(request.GET)
    form.full_clean()
    values, between = form.cleaned_data, _between(request)
    identifier = values.get("actor", "").strip()
    return form, TraceFilter(
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


def _scatter(found: TracePage, criteria: TraceFilter, now_ns: int) -> Scatter | None:
    until = criteria.started_to
    if until is None and criteria.started_from is not None:
        until = now_ns
    return scatter(found, criteria.started_from, until)


def _newer(request: HttpRequest, page: TracePage, criteria: TraceFilter, now_ns: int) -> str | None:
    if criteria.started_to is not None and criteria.started_to <= now_ns:
        return None
    after = page.traces[0].started_ns if page.traces else now_ns
    query = {k: v for k, v in request.GET.items() if v}
    return f"{reverse('tracing:traces-newer')}?{urlencode({**query, 'after': after})}"


def _given(values: dict[str, Any], name: str) -> str | None:
    return str(values.get(name) or "").strip() or None


def _between(request: HttpRequest) -> tuple[int, int] | None:
    """Return the range that `from` and `to` ask for in milliseconds since the epoch."""
    asked = [request.GET.get(name, "") for name in ("from", "to")]
    if not all(text.isascii() and text.isdigit() and len(text) <= 14 for text in asked):
        return None
    start, end = (int(text) * 1_000_000 for text in asked)
    return (start, end) if start < end else None
