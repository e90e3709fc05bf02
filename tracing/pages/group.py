"""One failure group: how it stands, and its samples, each opened at the failing event."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, field
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from tracing import services
from tracing.analytics import FailureGroup
from tracing.failure import Failure, FailureOutcome
from tracing.filters import FailureFilter, FailurePage
from tracing.group_survey import SURVEYED, GroupSurvey, survey
from tracing.models import FailureRemark
from tracing.pages.failure_rows import FailureRow, failure_rows
from tracing.pages.groups import is_group
from tracing.pages.listing import Place, ask, cursor_of
from tracing.pages.ranges import LONGEST, RANGES, chosen, in_words, until
from tracing.remarks import Remarks, history_of, remarks_on
from tracing.resolutions import Resolved

SAMPLES = 30
_SAMPLE = re.compile(r"([0-9A-Za-z_-]{1,64})\.([0-9A-Za-z_-]{1,64})\Z")


@dataclass(frozen=True, slots=True)
class RangeLink:
    """A time range that can be chosen."""

    slug: str
    label: str
    address: str
    current: bool


@dataclass(frozen=True, slots=True)
class Sample:
    """A failed message and the addresses that it leads to.

    Attributes:
        address: of this page with the sample selected.
        panel: where the details of its span are loaded.
        compare: its trace beside the last one in which such a message succeeded.
        resolved: what somebody did with it since it was given up; None when nobody did anything.
    """

    failure: Failure
    address: str
    resolved: Resolved | None
    selected: bool = False

    @property
    def trace(self) -> str:
        address = reverse("tracing:trace", args=[self.failure.trace_id])
        return f"{address}?{urlencode({'span': self.failure.span_id})}"

    @property
    def panel(self) -> str:
        return reverse("tracing:span", args=[self.failure.trace_id, self.failure.span_id])

    @property
    def compare(self) -> str:
        address = reverse("tracing:compare-last", args=[self.failure.trace_id])
        return f"{address}?{urlencode({'span': self.failure.span_id})}"


@dataclass(frozen=True, slots=True)
class GroupPage:
    """What the template shows.

    Attributes:
        group: its numbers in the time range; its count is 0 when it did not fail in it.
        selected: the sample that is open; `elsewhere` when it is on another page of the list.
        max_attempts: how often a message is tried; None: nobody says.
        came_back: whether it has failed since somebody resolved it.
        letters_done: whether every message of it that was given up was retried or discarded.
        problem: why something is missing.
    """

    group: FailureGroup
    survey: GroupSurvey
    since: str
    range: str
    ranges: list[RangeLink]
    samples: list[Sample]
    selected: Sample | None
    elsewhere: bool
    place: Place
    remarks: Remarks
    came_back: bool
    letters_done: bool
    history: list[FailureRemark]
    max_attempts: int | None
    may_triage: bool
    problem: str
    note: str = ""
    note_problem: str = ""
    nav: str = "failures"
    modules: tuple[str, ...] = field(
        default=("js/failures/samples.js", "js/trace/panel.js", "js/trace/words.js")
    )


@dataclass(frozen=True, slots=True)
class MissingPage:
    """What the template shows when nothing of the group is stored, or the store is silent."""

    fingerprint: str
    problem: str | None
    history: list[FailureRemark]
    nav: str = "failures"


@dataclass(frozen=True, slots=True)
class Refused:
    """A note that was not saved: its text, and why."""

    text: str
    problem: str


@never_cache
@require_GET
async def group(request: HttpRequest, fingerprint: str) -> HttpResponse:
    """Show a failure group; `?sample=<trace>.<span>` opens another than its latest."""
    return await show(request, fingerprint)


async def show(
    request: HttpRequest, fingerprint: str, refused: Refused | None = None
) -> HttpResponse:
    """Show a failure group, with a note that could not be saved."""
    if not is_group(fingerprint):
        raise Http404("no failure group has an id like that")
    reader = services.current().reader
    since = chosen(request.GET.get("since", ""), LONGEST)
    criteria = FailureFilter(fingerprint=fingerprint)
    listed, latest, counted, asked = await asyncio.gather(
        ask(
            reader.find_failures(criteria, cursor=cursor_of(request), limit=SAMPLES),
            FailurePage([], None),
        ),
        ask(reader.find_failures(criteria, limit=SURVEYED), FailurePage([], None)),
        ask(_counted(fingerprint, since), None),
        ask(_asked(request, fingerprint), None),
    )
    problem = next((said for _, said in (listed, latest, counted, asked) if said), "")
    failures = [*latest[0].failures, *listed[0].failures]
    facts = counted[0] or (_uncounted(fingerprint, failures[0]) if failures else None)
    history = await history_of(fingerprint)
    if facts is None:
        missing = MissingPage(fingerprint, problem or None, history)
        status = 503 if problem else 404
        return render(request, "tracing/group_missing.html", {"page": missing}, status=status)
    dated, trouble = await ask(services.current().analytics.with_first_seen([facts]), [facts])
    facts = dated[0]
    user = await request.auser()
    remarks = (await remarks_on([fingerprint])).get(fingerprint, Remarks())
    samples, selected, elsewhere = _samples(
        request, await failure_rows(listed[0].failures), asked[0]
    )
    surveyed = survey(latest[0].failures, more=latest[0].cursor is not None)
    page = GroupPage(
        group=facts,
        survey=surveyed,
        since=since,
        range=in_words(since),
        ranges=[
            RangeLink(slug, label, _with(request, since=slug), slug == since)
            for slug, label, _ in RANGES
        ],
        samples=samples,
        selected=selected,
        elsewhere=elsewhere,
        place=_place(request, listed[0].cursor),
        remarks=remarks,
        came_back=remarks.came_back(facts.last_ns),
        letters_done=surveyed.outcome is FailureOutcome.DEAD_LETTERED
        and await _letters_done(fingerprint),
        history=history,
        max_attempts=services.current().max_attempts,
        may_triage=await user.ahas_perm("tracing.triage_failures"),
        problem=problem or trouble or "",
        note=refused.text if refused else remarks.note.text if remarks.note else "",
        note_problem=refused.problem if refused else "",
    )
    status = 422 if refused else 200
    return render(request, "tracing/group.html", {"page": page}, status=status)


async def _counted(fingerprint: str, since: str) -> FailureGroup | None:
    """Return the group's numbers in a range; None when it did not fail in it."""
    statistics = await services.current().analytics.statistics(*until(since, time.time_ns()))
    return next((one for one in statistics.groups if one.fingerprint == fingerprint), None)


def _uncounted(fingerprint: str, latest: Failure) -> FailureGroup:
    """Return what is known of a group that did not fail in the range."""
    actor_type = (latest.actor or "").partition("/")[0]
    return FailureGroup(
        fingerprint=fingerprint,
        error_type=latest.error_type,
        actor_type=actor_type,
        message_type=latest.message_type,
        failures=0,
        dead_letters=0,
        first_ns=latest.at_ns,
        last_ns=latest.at_ns,
        trace_id=latest.trace_id,
        span_id=latest.span_id,
        sparkline=(),
    )


async def _asked(request: HttpRequest, fingerprint: str) -> Failure | None:
    """Return the sample that the address names, if it is one of the group."""
    named = _SAMPLE.match(request.GET.get("sample", ""))
    if named is None:
        return None
    found = await services.current().reader.get_failure(named[1], named[2])
    return found if found is not None and found.fingerprint == fingerprint else None


async def _letters_done(fingerprint: str) -> bool:
    resolutions = services.current().resolutions
    if resolutions is None:
        return False
    done, _ = await ask(resolutions.all_done(fingerprint), False)
    return done


def _samples(
    request: HttpRequest, failed: list[FailureRow], asked: Failure | None
) -> tuple[list[Sample], Sample | None, bool]:
    """Return the samples of the page, the one that is open, and whether it is not among them."""
    chosen_one = asked or next((row.failure for row in failed), None)
    if chosen_one is None:
        return [], None, False
    opened = _key(chosen_one)
    rows = [
        Sample(row.failure, _at(request, row.failure), row.resolved, _key(row.failure) == opened)
        for row in failed
    ]
    selected = next((row for row in rows if row.selected), None)
    if selected is not None:
        return rows, selected, False
    return rows, Sample(chosen_one, _at(request, chosen_one), None, selected=True), True


def _key(failure: Failure) -> str:
    return f"{failure.trace_id}.{failure.span_id}"


def _at(request: HttpRequest, failure: Failure) -> str:
    return _with(request, sample=_key(failure))


def _with(request: HttpRequest, **more: str) -> str:
    """Return the query of this page with something changed in it."""
    kept = {k: v for k in ("since", "cursor", "sample") if (v := request.GET.get(k))}
    return f"?{urlencode({**kept, **more})}"


def _place(request: HttpRequest, next_cursor: str | None) -> Place:
    """Return the neighbours of this page of samples; each opens at its own first."""
    kept = {"since": since} if (since := request.GET.get("since")) else {}
    following = f"?{urlencode({**kept, 'cursor': next_cursor})}" if next_cursor else None
    return Place(False, following, f"?{urlencode(kept)}" if cursor_of(request) else None)
