"""The list of failed messages across traces."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.views.decorators.http import require_GET

from tracing import services
from tracing.filters import FailureFilter, FailurePage
from tracing.pages.failure_rows import FailureRow, failure_rows
from tracing.pages.groups import GroupList, group_list
from tracing.pages.listing import PAGE, Place, ask, cursor_of, place, render_list
from tracing.pages.ranges import CHOICES, since_ns
from tracing.templatetags.loom import clean, short


class Chip(forms.Widget):
    """A filter that is not typed: it shows what it is set to, and a link that takes it away."""

    def __init__(self, without: str) -> None:
        super().__init__()
        self.without = without

    def render(self, name: str, value: Any, *args: Any, **options: Any) -> SafeString:
        return format_html(
            '<span class="chip-filter"><input type="hidden" name="{}" value="{}">'
            '<code>{}</code> <a href="?{}" aria-label="Show every group">✕</a></span>',
            *(name, value, short(clean(value)), self.without),
        )

    def id_for_label(self, id_: str, index: Any = None) -> str:
        return ""


class FailuresForm(forms.Form):
    """The filters, as they stand in the URL. A group is one only while it is asked for."""

    more: ClassVar[tuple[str, ...]] = ()
    """No field is folded away."""

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

    def __init__(self, query: dict[str, str]) -> None:
        super().__init__(query)
        if query.get("fingerprint"):
            others = {k: v for k, v in query.items() if v and k not in ("fingerprint", "cursor")}
            self.fields["fingerprint"] = forms.CharField(
                label="Failure group", widget=Chip(urlencode(others))
            )


@dataclass(frozen=True, slots=True)
class FailuresPage:
    """What the template shows. `problem` says why there is no list."""

    form: FailuresForm
    rows: list[FailureRow]
    place: Place
    problem: str | None
    groups: GroupList | None
    nav: str = "failures"


@require_GET
async def failures(request: HttpRequest) -> HttpResponse:
    """Show failed messages across traces, newest first; with htmx, only the table."""
    form = FailuresForm(request.GET.dict())
    form.full_clean()
    values = form.cleaned_data
    criteria = FailureFilter(
        from_ns=since_ns(values.get("since", "")),
        actor_type=values.get("type", "").strip() or None,
        error_type=values.get("error", "").strip() or None,
        fingerprint=request.GET.get("fingerprint", "").strip() or None,
    )
    listed = ask(
        services.current().reader.find_failures(criteria, cursor=cursor_of(request), limit=PAGE),
        FailurePage([], None),
    )
    groups = None
    if request.htmx:  # type: ignore[attr-defined]
        page, problem = await listed
    else:
        (page, problem), groups = await asyncio.gather(listed, group_list(request.GET))
    return render_list(
        request,
        "failures",
        FailuresPage(
            form,
            await failure_rows(page.failures),
            place(request, page.cursor),
            problem,
            groups,
        ),
    )
