"""Retrying many dead letters: what will be retried, then step by step with an outcome for each.

The steps are asked for by the page, one after the other, so nothing runs where nobody looks: who
closes the page stops it, and whoever opens the preview again goes on with what is left.
"""

from __future__ import annotations

import re
import secrets
import time
from collections import Counter
from dataclasses import dataclass
from urllib.parse import urlencode

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from actors import services
from actors.deadletters import COUNTED, UNRESOLVED, DeadLetter, LetterFilter
from actors.errors import ActorError
from actors.pages.access import unknown, write_down_all
from actors.pages.asking import may_resolve, may_see_payloads, need_may_resolve
from actors.pages.dead_letters import GROUPING, letter_filter
from actors.pages.letter_rows import LetterRow, in_words
from actors.redrive import Outcome
from storage import InvalidQuery, StorageError
from tracing.pages.who import who_asks

SHOWN = 20
"""Dead letters that the preview lists."""
_BATCH = re.compile(r"[0-9a-f]{12}\Z")


@dataclass(frozen=True, slots=True)
class Kind:
    """Dead letters of one error, actor and message type."""

    error_type: str
    actor_type: str
    message_type: str
    count: int


@dataclass(frozen=True, slots=True)
class Hidden:
    """A field of the form that asks for the next step."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class PreviewPage:
    """What will be retried.

    Attributes:
        more: whether there are more than were counted.
    """

    total: int
    more: bool
    actors: int
    kinds: list[Kind]
    rows: list[LetterRow]
    hidden: list[Hidden]
    back: str
    problem: str
    may_resolve: bool
    nav: str = "dead-letters"


@dataclass(frozen=True, slots=True)
class ProgressPage:
    """How far it has come, and the outcomes of this step.

    Attributes:
        hidden: of the form for the next step; empty when nothing is left.
        goes_on: whether the page asks for the next step by itself.
        results: the list of all that was retried, with what became of it.
    """

    total: int
    sent: int
    failed: int
    rows: list[LetterRow]
    hidden: list[Hidden]
    goes_on: bool
    results: str
    back: str
    problem: str
    nav: str = "dead-letters"

    @property
    def done(self) -> int:
        return self.sent + self.failed

    @property
    def most(self) -> int:
        """What the bar ends at: more may have come than the preview counted."""
        return max(1, self.total if self.hidden else self.done, self.done)


@never_cache
@require_http_methods(["GET", "POST"])
async def group_retry(request: HttpRequest) -> HttpResponse:
    """Show what would be retried; POST retries the next of it, with htmx as a part of the page."""
    if request.method == "GET":
        return await _preview(request)
    await need_may_resolve(request)
    return await _step(request)


async def _preview(request: HttpRequest) -> HttpResponse:
    until_us = time.time_ns() // 1000
    letters: list[DeadLetter] = []
    more, problem = False, ""
    try:
        page = await services.current().redrive.find(
            letter_filter(request.GET, UNRESOLVED), limit=COUNTED, oldest_first=True
        )
        letters, more = page.letters, page.cursor is not None
    except StorageError as error:
        problem = _unanswered(error)
    grouped = _grouped(request.GET)
    kinds = Counter(
        (letter.error_type, letter.actor_id.partition("/")[0], letter.message_type)
        for letter in letters
    )
    shown = PreviewPage(
        total=len(letters),
        more=more,
        actors=len({letter.actor_id for letter in letters}),
        kinds=[Kind(*kind, count) for kind, count in kinds.most_common(SHOWN)],
        rows=[LetterRow(letter) for letter in letters[:SHOWN]],
        hidden=_hidden(
            {
                **grouped,
                "until": str(until_us),
                "batch": secrets.token_hex(6),
                "total": str(len(letters)),
            }
        ),
        back=_list(grouped),
        problem=problem,
        may_resolve=await may_resolve(request),
    )
    return render(request, "actors/group_retry.html", {"page": shown})


async def _step(request: HttpRequest) -> HttpResponse:
    form = request.POST
    batch, cursor = form.get("batch", ""), form.get("cursor") or None
    until_us = min(_number(form.get("until")), time.time_ns() // 1000)
    if not _BATCH.match(batch) or not until_us:
        raise BadRequest("a group retry begins with its preview")
    found = letter_filter(form)
    criteria = LetterFilter(
        actor_type=found.actor_type,
        error_type=found.error_type,
        fingerprint=found.fingerprint,
        until_us=until_us,
    )
    outcomes: list[Outcome] = []
    following, problem = cursor, ""
    try:
        step = await services.current().redrive.step(
            criteria, by=await who_asks(request), batch=batch, cursor=cursor
        )
    except InvalidQuery:
        raise BadRequest("this is no place in a group retry") from None
    except StorageError as error:
        problem = _unanswered(error)
    else:
        outcomes, following = step.outcomes, step.cursor
    sent = [outcome.letter for outcome in outcomes if outcome.problem is None]
    await write_down_all(
        request,
        [
            (outcome.letter.actor_id, _noted(outcome, batch))
            for outcome in outcomes
            if not isinstance(outcome.problem, ActorError)
        ],
    )
    grouped = _grouped(form)
    counted = {name: _number(form.get(name)) for name in ("total", "sent", "failed")}
    counted["sent"] += len(sent)
    counted["failed"] += len(outcomes) - len(sent)
    left = bool(problem) or following is not None
    fields = {name: form.get(name, "") for name in ("until", "batch")}
    numbers = {name: str(number) for name, number in counted.items()}
    sees = await may_see_payloads(request)
    shown = ProgressPage(
        total=counted["total"],
        sent=counted["sent"],
        failed=counted["failed"],
        rows=[LetterRow(o.letter, problem=_said(o, may_see=sees)) for o in outcomes],
        hidden=_hidden({**grouped, **fields, **numbers, "cursor": following or ""}) if left else [],
        goes_on=left and not problem,
        results=f"{reverse('actors:dead-letters')}?{urlencode({'batch': batch})}",
        back=_list(grouped),
        problem=problem,
    )
    htmx = request.htmx  # type: ignore[attr-defined]
    template = "actors/_group_progress.html" if htmx else "actors/group_progress.html"
    return render(request, template, {"page": shown, "part": bool(htmx)})


def _noted(outcome: Outcome, batch: str) -> str:
    """Return what the log says of a letter that was sent, or of which no answer tells that."""
    action = f"retried the dead letter {outcome.letter.message_id[:40]} in group {batch}"
    return action if outcome.problem is None else unknown(action)


def _said(outcome: Outcome, *, may_see: bool) -> str:
    if outcome.problem is None:
        return ""
    if isinstance(outcome.problem, ActorError):
        return in_words(outcome.problem, may_see=may_see)
    return _unanswered(outcome.problem)


def _grouped(query: QueryDict) -> dict[str, str]:
    return {name: value for name in GROUPING if (value := query.get(name, "").strip()[:300])}


def _list(grouped: dict[str, str]) -> str:
    query = urlencode(grouped)
    address = reverse("actors:dead-letters")
    return f"{address}?{query}" if query else address


def _hidden(fields: dict[str, str]) -> list[Hidden]:
    return [Hidden(name, value) for name, value in fields.items() if value]


def _number(text: str | None) -> int:
    found = text or ""
    return int(found) if found.isascii() and found.isdigit() and len(found) < 18 else 0


def _unanswered(error: StorageError) -> str:
    return (
        f"The store or queue does not answer ({type(error).__name__}). What was sent is sent once;"
        " going on is safe."
    )
