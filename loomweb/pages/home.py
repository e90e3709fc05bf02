"""The front page: how things are going, or straight to whatever id was asked for."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_GET

from actors.queues import Depth
from loomweb import overview, wiring
from loomweb.guess import Guess, guesses
from loomweb.heatmap import Heatmap, heatmap
from loomweb.lookup import LONGEST as LONGEST_ID
from loomweb.lookup import lead
from loomweb.wiring import Loom
from tracing.analytics import Statistics
from tracing.filters import TraceFilter, TracePage
from tracing.pages.groups import GroupRow, group_rows
from tracing.pages.listing import ask
from tracing.pages.ranges import DEFAULT, LONGEST, Range, chosen, in_words, ranges, until
from tracing.pages.scatter import MOST as MOST_POINTS
from tracing.pages.scatter import Scatter, scatter
from tracing.summary import Summary
from tracing.timeaxis import Mark, marks

GROUPS = EDGES = 8
COUNTING_NS = 30_000_000_000
"""A run so new may not be counted yet: writers save their rollups every few seconds."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """The statistics of a range and what was made of them.

    Attributes:
        latest: the latest trace, looked for only when nothing was counted.
        counting: that trace is so new that its numbers are still to come.
    """

    statistics: Statistics
    tiles: list[overview.Tile]
    slots: list[overview.SlotRow]
    busiest: overview.SlotRow | None
    heat: Heatmap | None
    ticks: list[Mark]
    chart: dict[str, Any]
    scatter: Scatter | None
    edges: list[overview.EdgeRow]
    more_edges: list[overview.EdgeRow]
    groups: list[GroupRow]
    more_groups: int
    colours: dict[str, int]
    latest: Summary | None
    counting: bool


@dataclass(frozen=True, slots=True)
class HomePage:
    """What the template shows. `problem` says why there are no numbers."""

    since: str
    range: str
    ranges: list[Range]
    longest: str
    now_ns: int
    numbers: Numbers | None
    problem: str | None
    queue: list[overview.Tile]
    tracing_on: bool
    nav: str = "home"


@dataclass(frozen=True, slots=True)
class NowherePage:
    """Shown for an id that leads nowhere, or to several places.

    Attributes:
        guesses: what may have been meant.
        problem: why it is not certain that there is nothing.
    """

    wanted: str
    guesses: list[Guess]
    problem: str | None
    nav: str = "home"


@gzip_page
@require_GET
async def home(request: HttpRequest) -> HttpResponse:
    """Show the numbers of a range, or go to whatever has the id in `?q=`."""
    loom = wiring.current()
    wanted = request.GET.get("q", "").strip()[:LONGEST_ID]
    if wanted:
        return await _go(request, loom, wanted)
    since = chosen(request.GET.get("since", ""), DEFAULT)
    now_ns = time.time_ns()
    (numbers, problem), (depth, _) = await asyncio.gather(
        ask(_numbers(loom, since, now_ns), None), ask(_depth(loom), None)
    )
    page = HomePage(
        since=since,
        range=in_words(since),
        ranges=ranges(since),
        longest=LONGEST,
        now_ns=now_ns,
        numbers=numbers,
        problem=problem,
        queue=[] if depth is None else overview.queue_tiles(depth, now_ns),
        tracing_on=loom.writer is not None,
    )
    return render(request, "loomweb/home.html", {"page": page})


async def _go(request: HttpRequest, loom: Loom, wanted: str) -> HttpResponse:
    address, problem = await ask(lead(loom, wanted), None)
    if address is not None:
        return redirect(address)
    found: list[Guess] = []
    if problem is None:
        found, problem = await ask(guesses(loom, wanted), found)
    if len(found) == 1:
        return redirect(found[0].address)
    page = NowherePage(wanted, found, problem)
    status = 503 if problem else 200 if found else 404
    return render(request, "loomweb/nowhere.html", {"page": page}, status=status)


async def _depth(loom: Loom) -> Depth | None:
    return await loom.queue.depth()


async def _numbers(loom: Loom, since: str, now_ns: int) -> Numbers | None:
    now = await loom.analytics.statistics(*until(since, now_ns))
    before, groups, latest, traces = await asyncio.gather(
        loom.analytics.statistics(2 * now.from_ns - now.to_ns, now.from_ns),
        loom.analytics.with_first_seen(now.groups[:GROUPS]),
        _latest(loom, now),
        loom.reader.find_traces(TraceFilter(started_from=now.from_ns), limit=MOST_POINTS),
    )
    rows = await group_rows(groups, since)
    return _prepared(now, before, rows, latest, traces, since, now_ns)


async def _latest(loom: Loom, now: Statistics) -> Summary | None:
    if now.events:
        return None
    return next(iter((await loom.reader.find_traces(limit=1)).traces), None)


def _prepared(
    now: Statistics,
    before: Statistics,
    groups: list[GroupRow],
    latest: Summary | None,
    traces: TracePage,
    since: str,
    now_ns: int,
) -> Numbers:
    slots, heat = overview.slot_rows(now), heatmap(now.slots)
    edges = overview.edge_rows(now.edges)
    ticks = marks(now.from_ns, now.to_ns)
    return Numbers(
        statistics=now,
        tiles=overview.tiles(now, before, now_ns),
        slots=slots,
        busiest=overview.busiest(slots),
        heat=heat,
        ticks=ticks,
        chart=overview.chart_data(now, slots, heat, ticks),
        scatter=scatter(traces, now.from_ns, now.to_ns),
        edges=edges[:EDGES],
        more_edges=edges[EDGES:],
        groups=groups,
        more_groups=len(now.groups) - len(groups),
        colours=overview.colours(now),
        latest=latest,
        counting=latest is not None and abs(now_ns - latest.started_ns) < COUNTING_NS,
    )
