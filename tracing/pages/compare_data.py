"""What two traces' payloads and states hold, compared on demand. Every look is written down."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from tracing import services
from tracing.compare import Comparison
from tracing.compare_data import MAX_PAIRS, DataDivergence, PairData, PairReader, PartDifference
from tracing.compare_words import name_of
from tracing.diff import Difference
from tracing.models import PayloadAccess
from tracing.pages.compare import compared
from tracing.pages.trace import asked_row
from tracing.pages.who import who_asks

MAX_CHANGES = 100
"""Differences of one part that are shown."""
MAX_IGNORED = 40
_TITLES = {"payload": "Payload", "before": "State before", "after": "State after"}


@dataclass(frozen=True, slots=True)
class PartView:
    """One part of a pair: what differs, what was ignored, or why it cannot be compared."""

    title: str
    changes: list[Difference]
    more: int
    ignored: list[tuple[str, str]]
    more_ignored: int
    why_not: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A pair with the parts of it to show."""

    title: str
    name: str
    parts: list[PartView]


@dataclass(frozen=True, slots=True)
class DataView:
    """What the template shows of the walk to the first differences, or of one pair (`pair`)."""

    back: str
    allowed: bool
    everything: bool
    switch: str
    """The address of the same with ids and times compared, or without."""
    pair: Finding | None = None
    walk: DataDivergence | None = None
    findings: tuple[Finding, ...] = ()
    further: str = ""
    """The address that looks at the next pairs; "" when all that is wanted was found."""
    nav: str = "traces"


@never_cache
@require_GET
async def first(request: HttpRequest, trace_id: str, other_id: str) -> HttpResponse:
    """Find the first difference in payload and in state, up to the first divergence.

    `?all=1` counts differences of ids and times as well, `?from=` goes on at a pair.
    """
    comparison, reader = await _open(request, trace_id, other_id)
    everything, start = _everything(request), asked_row(request) or 0
    walk = await reader.first(start=start)
    await _audit(request, comparison, reader)
    here = reverse("tracing:compare-data", args=(trace_id, other_id))
    unfinished = walk.end < walk.total and (walk.payload is None or walk.state is None)
    view = DataView(
        back=reverse("tracing:compare", args=(trace_id, other_id)),
        allowed=reader.allowed,
        everything=everything,
        switch=_address(here, not everything, walk.start),
        walk=walk,
        findings=tuple(
            _finding(comparison, title, found, names)
            for title, found, names in (
                ("payload", walk.payload, ("payload",)),
                ("state", walk.state, ("before", "after")),
            )
            if found is not None
        ),
        further=_address(here, everything, walk.end) if unfinished else "",
    )
    return _rendered(request, view)


@never_cache
@require_GET
async def pair(request: HttpRequest, trace_id: str, other_id: str, span_id: str) -> HttpResponse:
    """Compare the payload and the states of one span with those of the one it corresponds to."""
    comparison, reader = await _open(request, trace_id, other_id)
    found = await reader.pair(_row_of(comparison, span_id))
    await _audit(request, comparison, reader)
    everything = _everything(request)
    here = reverse("tracing:compare-pair", args=(trace_id, other_id, span_id))
    view = DataView(
        back=reverse("tracing:compare", args=(trace_id, other_id)),
        allowed=reader.allowed,
        everything=everything,
        switch=_address(here, not everything, 0),
        pair=_finding(comparison, "", found, tuple(_TITLES)),
    )
    return _rendered(request, view)


async def _open(
    request: HttpRequest, trace_id: str, other_id: str
) -> tuple[Comparison, PairReader]:
    comparison = await compared(trace_id, other_id)
    if isinstance(comparison, str):
        raise Http404("there is no such trace")
    user = await request.auser()
    allowed = await user.ahas_perm("tracing.view_payloads")
    reader = PairReader(
        services.current().reconstructor,
        comparison,
        allowed=allowed,
        everything=_everything(request),
    )
    return comparison, reader


async def _audit(request: HttpRequest, comparison: Comparison, reader: PairReader) -> None:
    name = await who_asks(request)
    looks = [
        PayloadAccess(
            user=name, trace_id=tree.summary.trace_id, span_id=span.span_id, tab="compare"
        )
        for tree, spans in zip((comparison.left, comparison.right), reader.read, strict=True)
        for span in spans
    ]
    if looks:
        await PayloadAccess.objects.abulk_create(looks)


def _row_of(comparison: Comparison, span_id: str) -> int:
    for number, row in enumerate(comparison.rows):
        if row.left is not None and row.right is not None and row.left.span_id == span_id:
            return number
    raise Http404("the traces do not both have such a span")


def _finding(
    comparison: Comparison, title: str, found: PairData, names: tuple[str, ...]
) -> Finding:
    span = comparison.rows[found.row].span
    parts = [_part(part) for part in found.parts if part.part in names]
    return Finding(title, name_of(span), parts)


def _part(part: PartDifference) -> PartView:
    return PartView(
        _TITLES[part.part],
        part.changes[:MAX_CHANGES],
        part.more + max(0, len(part.changes) - MAX_CHANGES),
        list(part.ignored[:MAX_IGNORED]),
        max(0, len(part.ignored) - MAX_IGNORED),
        part.why_not,
    )


def _everything(request: HttpRequest) -> bool:
    return request.GET.get("all") == "1"


def _address(path: str, everything: bool, start: int) -> str:
    query = {**({"all": "1"} if everything else {}), **({"from": str(start)} if start else {})}
    return f"{path}?{urlencode(query)}" if query else path


def _rendered(request: HttpRequest, view: DataView) -> HttpResponse:
    htmx = request.htmx  # type: ignore[attr-defined]
    name = "tracing/_compare_data.html" if htmx else "tracing/compare_data.html"
    return render(request, name, {"page": view, "batch": MAX_PAIRS})
