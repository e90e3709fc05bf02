"""How the dead letters of a failure group stand, as part of the group's page."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from actors import services
from actors.deadletters import COUNTED, LetterFilter, LetterState
from actors.pages.asking import may_resolve
from storage import StorageError


@dataclass(frozen=True, slots=True)
class CountsPart:
    """What the template shows; `more` says that there are others beyond those counted."""

    unresolved: int
    retried: int
    discarded: int
    more: bool
    address: str
    retry: str
    may_resolve: bool
    problem: str = ""


@never_cache
@require_GET
async def letter_counts(request: HttpRequest) -> HttpResponse:
    """Count the dead letters of `?fingerprint=` by what became of them."""
    fingerprint = request.GET.get("fingerprint", "")[:300]
    counts: Counter[LetterState] = Counter()
    more, problem = False, ""
    try:
        page = await services.current().redrive.find(
            LetterFilter(fingerprint=fingerprint), limit=COUNTED
        )
        counts, more = Counter(letter.state for letter in page.letters), page.cursor is not None
    except StorageError as error:
        problem = f"They cannot be counted now: {type(error).__name__}"
    query = urlencode({"fingerprint": fingerprint})
    part = CountsPart(
        unresolved=counts[LetterState.OPEN] + counts[LetterState.SENDING],
        retried=counts[LetterState.RETRIED],
        discarded=counts[LetterState.DISCARDED],
        more=more,
        address=f"{reverse('actors:dead-letters')}?{query}",
        retry=f"{reverse('actors:dead-letters-retry')}?{query}",
        may_resolve=await may_resolve(request),
        problem=problem,
    )
    return render(request, "actors/_letter_counts.html", {"part": part})
