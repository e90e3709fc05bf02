"""The actors of one type: those with something in the queue, and those that traces tell of."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from actors import services
from actors.errors import InvalidMessage
from actors.message import address
from actors.pages.actor_rows import (
    ActorRow,
    actor_address,
    note_errors_seen,
    rows_of,
    usual_of,
)
from actors.pages.asking import may_see_payloads
from actors.queues.port import MailboxState, Tally
from storage import StorageError
from tracing import services as tracing_services
from tracing.analytics import Row, Statistics
from tracing.failure import Failure, FailureOutcome
from tracing.filters import FailureFilter, TraceFilter
from tracing.pages.failure_rows import resolved_of
from tracing.pages.listing import PAGE, Place, ask, cursor_of, place
from tracing.pages.ranges import DEFAULT, Range, chosen, in_words, ranges, until
from tracing.resolutions import Resolved
from tracing.summary import Summary

READ = 200
"""Traces or failures that a page of actors is made from; one actor may be in many of them."""
MAX_PREFIX = 200


@dataclass(frozen=True, slots=True)
class Seen:
    """An actor that traces tell of: the latest of them that this page was made from.

    `resolved` says what somebody did with a message that was given up.
    """

    actor_id: str
    address: str
    trace: str
    what: str
    status: str
    at_ns: int
    resolved: Resolved | None = None


@dataclass(frozen=True, slots=True)
class Tab:
    """A choice of actors. `count` is None where no index can tell it."""

    slug: str
    label: str
    count: int | None
    query: str
    current: bool


@dataclass(frozen=True, slots=True)
class TypePage:
    """What the template shows.

    Attributes:
        status: which of the tabs is chosen.
        key: what the actors' keys begin with.
        rows: of actors with something in the queue; `seen` of those that traces tell of.
        row, messages: what was counted of the type in the range, and of its message types.
    """

    actor_type: str
    since: str
    range: str
    ranges: list[Range]
    now_ns: int
    status: str
    key: str
    tabs: list[Tab]
    place: Place
    rows: list[ActorRow]
    seen: list[Seen]
    rate: float
    row: Row | None
    messages: list[Row]
    may_see: bool
    problem: str | None
    list_problem: str | None
    read: int = READ
    nav: str = "actors"

    @property
    def query(self) -> str:
        """The list that is shown, for an address with another time range."""
        chosen = {"status": self.status, "key": self.key}
        return urlencode({name: value for name, value in chosen.items() if value})


_STATES = {state.value: state for state in MailboxState}
_FROM_TRACES = ("dead", "seen")
_LABELS = {
    "": "In the queue",
    "running": "Running",
    "waiting": "Waiting",
    "retrying": "Retrying",
    "suspended": "Suspended",
    "paused": "Paused",
    "dead": "Dead-lettered",
    "seen": "Seen in traces",
}


@never_cache
@require_GET
async def actor_type(request: HttpRequest, actor_type: str) -> HttpResponse:
    """Show a type's actors, by id; `status`, `key` (a prefix) and `cursor` say which."""
    _check(actor_type)
    since = chosen(request.GET.get("since", ""), DEFAULT)
    status = request.GET.get("status", "")
    status = status if status in _LABELS else ""
    key = request.GET.get("key", "").strip()[:MAX_PREFIX]
    now_ns = time.time_ns()
    may_see = await may_see_payloads(request)
    (statistics, problem), (tallies, _) = await asyncio.gather(
        ask(_statistics(since, now_ns), None), ask(services.current().watch.tally(), [])
    )
    tally = next((found for found in tallies if found.actor_type == actor_type), None)
    rows: list[ActorRow] = []
    seen: list[Seen] = []
    next_cursor: str | None = None
    list_problem: str | None = None
    if status in _FROM_TRACES:
        find = _dead if status == "dead" else _seen
        (seen, next_cursor), list_problem = await ask(
            find(actor_type, key, since, now_ns, cursor_of(request)), ([], None)
        )
    else:
        try:
            rows, next_cursor = await _queued(
                actor_type, status, key, cursor_of(request), statistics, now_ns, since, may_see
            )
        except StorageError as error:
            list_problem = f"The queue does not answer ({type(error).__name__})."
    await note_errors_seen(request, rows)
    counted = () if statistics is None else statistics.actor_types
    row = next((found for found in counted if found.actor_type == actor_type), None)
    seconds = 1.0 if statistics is None else statistics.elapsed_seconds(now_ns)
    page = TypePage(
        actor_type,
        since,
        in_words(since),
        ranges(since),
        now_ns,
        status,
        key,
        _tabs(tally, status, key, since),
        place(request, next_cursor),
        rows,
        seen,
        0.0 if row is None else row.handled / seconds,
        row,
        []
        if statistics is None
        else [found for found in statistics.message_types if found.actor_type == actor_type],
        may_see,
        problem,
        list_problem,
    )
    return render(
        request, "actors/actor_type.html", {"page": page}, status=503 if list_problem else 200
    )


def _check(actor_type: str) -> None:
    try:
        address(actor_type, "any")
    except InvalidMessage as error:
        raise Http404(str(error)) from None


async def _statistics(since: str, now_ns: int) -> Statistics | None:
    return await tracing_services.current().analytics.statistics(*until(since, now_ns))


async def _queued(
    actor_type: str,
    status: str,
    key: str,
    after: str | None,
    statistics: Statistics | None,
    now_ns: int,
    since: str,
    may_see: bool,
) -> tuple[list[ActorRow], str | None]:
    accounts = await services.current().watch.of_type(
        actor_type, state=_STATES.get(status), prefix=key, after=after or "", limit=PAGE + 1
    )
    more = len(accounts) > PAGE
    shown = accounts[:PAGE]
    rows = await rows_of(shown, usual_of(statistics), now_ns, since, may_see=may_see)
    return rows, shown[-1].mailbox.actor_id if more else None


async def _seen(
    actor_type: str, key: str, since: str, now_ns: int, cursor: str | None
) -> tuple[list[Seen], str | None]:
    """Return the actors of a type with which traces began, from one page of traces."""
    criteria = TraceFilter(actor_type=actor_type, started_from=until(since, now_ns)[0])
    reader = tracing_services.current().reader
    page = await reader.find_traces(criteria, cursor=cursor, limit=READ)
    found: dict[str, Summary] = {}
    for trace in page.traces:
        if trace.root_actor is not None:
            found.setdefault(trace.root_actor, trace)
    seen = [
        Seen(
            actor_id,
            actor_address(actor_id, since),
            reverse("tracing:trace", args=[trace.trace_id]),
            trace.root,
            trace.status.value,
            trace.started_ns,
        )
        for actor_id, trace in found.items()
        if actor_id.startswith(f"{actor_type}/{key}")
    ]
    return seen, page.cursor


async def _dead(
    actor_type: str, key: str, since: str, now_ns: int, cursor: str | None
) -> tuple[list[Seen], str | None]:
    """Return the actors of a type of which a message was given up, from one page of failures."""
    criteria = FailureFilter(
        from_ns=until(since, now_ns)[0],
        actor_type=actor_type,
        outcome=FailureOutcome.DEAD_LETTERED,
    )
    reader = tracing_services.current().reader
    page = await reader.find_failures(criteria, cursor=cursor, limit=READ)
    found: dict[str, Failure] = {}
    for failure in page.failures:
        if failure.actor is not None:
            found.setdefault(failure.actor, failure)
    shown = {a: f for a, f in found.items() if a.startswith(f"{actor_type}/{key}")}
    resolved = await resolved_of(list(shown.values()))
    seen = [
        Seen(
            actor_id,
            actor_address(actor_id, since),
            f"{reverse('tracing:trace', args=[failure.trace_id])}"
            f"?{urlencode({'span': failure.span_id})}",
            f"{failure.message_type}: {failure.error_type}",
            failure.outcome.value,
            failure.at_ns,
            resolved.get((failure.trace_id, failure.span_id)),
        )
        for actor_id, failure in shown.items()
    ]
    return seen, page.cursor


def _tabs(tally: Tally | None, status: str, key: str, since: str) -> list[Tab]:
    states = {} if tally is None else tally.mailboxes
    tabs = []
    for slug, label in _LABELS.items():
        count: int | None = None
        if slug in _STATES:
            count = states.get(_STATES[slug], 0)
        elif not slug:
            count = sum(states.values())
        query = {"status": slug, "key": key, "since": since}
        text = urlencode({name: value for name, value in query.items() if value})
        tabs.append(Tab(slug, label, count, text, slug == status))
    return tabs
