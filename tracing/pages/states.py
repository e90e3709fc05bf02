"""Time travel: the state of each actor of a trace at an instant, rebuilt from the journal."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, replace
from decimal import Decimal

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from tracing import services
from tracing.diff import Difference, diff
from tracing.history import Held, History, Moment
from tracing.jsontree import BRIEF, Budget, Line, Marks, tree_lines
from tracing.pages.details import Loaded, state_in
from tracing.pages.panel import write_down_all
from tracing.pages.pointers import Pointer, Pointers
from tracing.pages.trace import asked_row, tree_of
from tracing.reader import MANY
from tracing.resolve import Outcome
from tracing.tree import TraceTree
from tracing.waterfall import actor_colours

MAX_ACTORS = 24
"""Actors whose states are loaded at a time: those that something happened to last."""
MAX_STEPS = 100
"""Steps before and after the instant that the page's scripts are told."""
MAX_MISSED = 10
_AT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?\Z")


@dataclass(frozen=True, slots=True)
class ActorState:
    """One actor at the instant.

    Attributes:
        lines: its state as a tree, with what its last change changed pointed out.
        missed: changes that the tree does not show: what was removed, or is beyond its bounds.
        cut: the tree is not all of it.
        unchanged_ns: how long the state has been what it is.
        changed: nothing happened later than its change, until the instant.
    """

    held: Held
    colour: int
    pointer: Pointer
    lines: list[Line]
    missed: list[Difference]
    more: int
    cut: bool
    unchanged_ns: int
    changed: bool

    @property
    def is_empty(self) -> bool:
        return self.pointer.loaded and not state_in(self.pointer)


@dataclass(frozen=True, slots=True)
class StatesView:
    """What the template shows.

    Attributes:
        at: the instant, milliseconds from the trace's start, as addresses have it.
        moment: the last thing that happened to an actor until then.
        number, steps: its place among all of them.
        actors: those shown, of `total` that there were at the instant.
        later: actors that come to be only afterwards.
        around: steps before and after, in milliseconds; "!" marks a failure.
        begins, ends: the first step and the last.
        previous, next: addresses of the steps beside this one.
        further: the address of the actors beyond those shown.
    """

    trace_id: str
    at: str
    at_ns: int
    duration_ns: int
    moment: Moment | None
    number: int
    steps: int
    actors: list[ActorState]
    total: int
    later: int
    among: str
    skipped: int
    forbidden: bool
    around: str
    begins: str
    ends: str
    previous: str = ""
    next: str = ""
    further: str = ""
    nav: str = "traces"

    @property
    def until(self) -> int:
        return self.skipped + len(self.actors)


@never_cache
@require_GET
async def states(request: HttpRequest, trace_id: str) -> HttpResponse:
    """Show the states at `?at=` (milliseconds from the start; else at the last change).

    `?among=` narrows them to actors whose id holds it, `?from=` goes on where they are too many.
    """
    tree = await tree_of(trace_id)
    if tree is None:
        raise Http404("there is no such trace")
    # Of a large trace this takes a moment, once.
    large = tree.summary.events > MANY
    history = await asyncio.to_thread(lambda: tree.history) if large else tree.history
    view = await _view(request, tree, history)
    htmx = request.htmx  # type: ignore[attr-defined]
    return render(
        request, "tracing/_states.html" if htmx else "tracing/states.html", {"page": view}
    )


async def _view(request: HttpRequest, tree: TraceTree, history: History) -> StatesView:
    begin, end = tree.bounds
    asked = request.GET.get("at", "")
    latest = history.moments[-1].time_ns if history.moments else end
    at = min(_nanoseconds(asked), end - begin) if _AT.match(asked) else latest - begin
    place = history.place(begin + at)
    among = request.GET.get("among", "").strip()[:300]
    names = [name for name in history.actors if among.casefold() in name.casefold()]
    held = history.held(place, names)
    skipped = min(asked_row(request) or 0, len(held))
    chosen = _latest(held, skipped)
    loaded = await _load(request, tree, history, place, chosen)
    shown = _shown(tree, begin + at, chosen, loaded)
    address = reverse("tracing:trace-states", args=(tree.summary.trace_id,))

    def to(time_ns: int, **more: str) -> str:
        narrowed = {"among": among} if among else {}
        return f"{address}?{urlencode({'at': milliseconds(time_ns), **narrowed, **more})}"

    def to_step(step: int) -> str:
        return to(history.moments[step].time_ns - begin)

    steps = len(history.moments)
    before = history.place(begin + at - 1)
    return StatesView(
        trace_id=tree.summary.trace_id,
        at=milliseconds(at),
        at_ns=at,
        duration_ns=end - begin,
        moment=history.moments[place] if place >= 0 else None,
        number=place + 1,
        steps=steps,
        actors=shown,
        total=len(held),
        later=len(names) - len(held),
        among=among,
        skipped=skipped,
        forbidden=any(found.outcome is Outcome.FORBIDDEN for found in loaded.values()),
        around=_around(history, place, begin),
        begins=milliseconds(history.moments[0].time_ns - begin) if steps else "",
        ends=milliseconds(history.moments[-1].time_ns - begin) if steps else "",
        previous=to_step(before) if before >= 0 else "",
        next=to_step(place + 1) if place + 1 < steps else "",
        further=to(at, **{"from": str(skipped + len(shown))})
        if skipped + len(shown) < len(held)
        else "",
    )


def milliseconds(nanoseconds: int) -> str:
    """Write a time as addresses have it."""
    return f"{nanoseconds // 1_000_000}.{nanoseconds % 1_000_000:06d}".rstrip("0").rstrip(".")


def _nanoseconds(asked: str) -> int:
    return int(Decimal(asked) * 1_000_000)


def _around(history: History, place: int, begin: int) -> str:
    first = max(0, place - MAX_STEPS)
    some = history.moments[first : place + MAX_STEPS + 1]
    return " ".join(
        f"{milliseconds(moment.time_ns - begin)}{'!' * (moment.kind == 'failed')}"
        for moment in some
    )


def _latest(held: list[Held], skipped: int) -> list[Held]:
    """Return those that something happened to last, in order of appearance."""
    places = sorted(range(len(held)), key=lambda at: held[at].latest.time_ns, reverse=True)
    return [held[at] for at in sorted(places[skipped : skipped + MAX_ACTORS])]


async def _load(
    request: HttpRequest, tree: TraceTree, history: History, place: int, chosen: list[Held]
) -> Loaded:
    """Load the states and those before them, in one read per actor.

    Each actor's state that came is written down, under the turn that it is from.
    """
    wanted = [
        ref for each in chosen for ref in (each.since.before, each.since.state) if ref is not None
    ]
    if not wanted:
        return {}
    user = await request.auser()
    loaded = await services.current().reconstructor.load(
        wanted,
        allowed=await user.ahas_perm("tracing.view_payloads"),
        seen_ns=history.moments[place].time_ns,
    )
    seen = [
        each.since.span_id for each in chosen if loaded[each.since.state].outcome is Outcome.LOADED
    ]
    await write_down_all(request, tree, seen, "states")
    return loaded


def _shown(tree: TraceTree, at_ns: int, chosen: list[Held], loaded: Loaded) -> list[ActorState]:
    colours, budget = actor_colours(tree), Budget()
    return [
        _actor_state(
            tree, each, colours.get(each.actor.partition("/")[0], 0), at_ns, loaded, budget
        )
        for each in chosen
    ]


def _actor_state(
    tree: TraceTree, held: Held, colour: int, at_ns: int, loaded: Loaded, budget: Budget
) -> ActorState:
    pointer = _pointer(tree, held.since, loaded)
    before = None if held.since.before is None else loaded.get(held.since.before)
    found = None
    if pointer.loaded and before is not None and before.outcome is Outcome.LOADED:
        found = diff(state_in(replace(pointer, resolved=before)), state_in(pointer))
    changes = [] if found is None else found.changes
    lines = []
    if pointer.loaded:
        lines = tree_lines(state_in(pointer), BRIEF, budget, marks=Marks(changes))
    drawn = {line.path for line in lines if line.mark}
    missed = [each for each in changes if each.path not in drawn]
    return ActorState(
        held=held,
        colour=colour,
        pointer=pointer,
        lines=lines,
        missed=missed[:MAX_MISSED],
        more=max(0, len(missed) - MAX_MISSED) + (0 if found is None else found.more),
        cut=any(line.kind == "cut" for line in lines),
        unchanged_ns=max(0, at_ns - held.since.time_ns),
        changed=held.now and held.latest is held.since,
    )


def _pointer(tree: TraceTree, moment: Moment, loaded: Loaded) -> Pointer:
    span = tree.span(moment.span_id)
    if span is None or moment.kind == "created":
        # No event names what an actor has when it comes to be.
        return Pointer(moment.state, "", loaded.get(moment.state))
    return Pointers(tree.summary.trace_id, span, loaded).to(moment.state)
