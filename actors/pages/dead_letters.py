"""The list of dead letters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urlencode

from django import forms
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from actors import services
from actors.deadletters import UNRESOLVED, LetterCount, LetterFilter, LetterState
from actors.pages.asking import may_resolve
from actors.pages.letter_rows import LetterRow, with_fates
from storage import InvalidQuery, StorageError
from tracing.pages.failures import Chip
from tracing.pages.listing import PAGE, Place, cursor_of, place

GROUPING = ("error", "type", "fingerprint")
"""Filters that a group retry takes over."""
_STATES = {
    "": UNRESOLVED,
    "retried": (LetterState.RETRIED,),
    "discarded": (LetterState.DISCARDED,),
    "any": (),
}


class LettersForm(forms.Form):
    """The filters, as they stand in the URL."""

    more: ClassVar[tuple[str, ...]] = ()
    """No field is folded away."""

    state = forms.ChoiceField(
        required=False,
        choices=[
            ("", "Unresolved"),
            ("retried", "Retried"),
            ("discarded", "Discarded"),
            ("any", "Any"),
        ],
    )
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

    def __init__(self, query: QueryDict) -> None:
        if query.get("batch") and not query.get("state"):
            # What was retried together is looked at whole.
            query = query.copy()
            query["state"] = "any"
        super().__init__(query)
        for name, label in (("fingerprint", "Failure group"), ("batch", "Retried together")):
            if query.get(name):
                others = {k: v for k, v in query.items() if v and k not in (name, "cursor")}
                chip = Chip(urlencode(others))
                self.fields[name] = forms.CharField(label=label, widget=chip)


@dataclass(frozen=True, slots=True)
class LettersPage:
    """What the template shows. `problem` says why there is no list.

    Attributes:
        total: how many match, those of other pages included; None when nobody could tell.
        unresolved: whether only unresolved ones are listed.
        group: where all that match are retried; "" where there is nothing to retry.
        moving: whether a retry that is shown is still to be handled.
    """

    form: LettersForm
    rows: list[LetterRow]
    total: LetterCount | None
    unresolved: bool
    place: Place
    problem: str
    group: str
    moving: bool
    may_resolve: bool
    nav: str = "dead-letters"


@never_cache
@require_GET
async def dead_letters(request: HttpRequest) -> HttpResponse:
    """Show dead letters, the latest first; with htmx, only the table."""
    form = LettersForm(request.GET)
    criteria = letter_filter(request.GET, _STATES.get(form.data.get("state", ""), ()))
    rows, total, next_cursor, problem = [], None, None, ""
    try:
        page = await services.current().redrive.find(
            criteria, cursor=cursor_of(request), limit=PAGE
        )
        rows, next_cursor = await with_fates(page.letters), page.cursor
        total = await services.current().redrive.count(criteria)
    except InvalidQuery:
        problem = "This page of the list does not exist any more. Start again from the newest."
    except StorageError as error:
        problem = f"The store does not answer ({type(error).__name__}). Nothing is lost by it."
    grouped = {name: value for name in GROUPING if (value := request.GET.get(name, "").strip())}
    waits = any(row.letter.unresolved for row in rows) and criteria.batch is None
    address = reverse("actors:dead-letters-retry")
    shown = LettersPage(
        form=form,
        rows=rows,
        total=total,
        unresolved=criteria.states == UNRESOLVED,
        place=place(request, next_cursor),
        problem=problem,
        group=f"{address}?{urlencode(grouped)}" if waits else "",
        moving=any(row.moving for row in rows),
        may_resolve=await may_resolve(request),
    )
    htmx = request.htmx  # type: ignore[attr-defined]
    template = "actors/_dead_letters.html" if htmx else "actors/dead_letters.html"
    response = render(request, template, {"page": shown})
    response["Vary"] = "HX-Request"
    return response


def letter_filter(query: QueryDict, states: tuple[LetterState, ...] = ()) -> LetterFilter:
    """Return what an address or a form narrows dead letters to."""

    def given(name: str) -> str | None:
        return query.get(name, "").strip()[:300] or None

    return LetterFilter(
        states=states,
        actor_type=given("type"),
        error_type=given("error"),
        fingerprint=given("fingerprint"),
        batch=given("batch"),
    )
