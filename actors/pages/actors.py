"""All actors: a row per type, the turns that fail and go on, and what waits too long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from actors import services
from actors.pages.actor_rows import (
    ActorRow,
    note_errors_seen,
    rows_of,
    usual_of,
)
from actors.pages.asking import may_see_payloads
from actors.queues.port import MailboxState, Tally
from actors.watch import Account
from storage import StorageError
from tracing import services as tracing_services
from tracing.analytics import Row, Statistics
from tracing.pages.listing import ask
from tracing.pages.ranges import DEFAULT, Range, chosen, in_words, ranges, until
from tracing.rollup import OTHERS
from tracing.waterfall import COLOURS

SHOWN = 8
ALL = 100
HELD = (
    MailboxState.SUSPENDED,
    MailboxState.PAUSED,
    MailboxState.WAITING,
    MailboxState.RUNNING,
)
"""States in which an actor may be held up without failing."""


@dataclass(frozen=True, slots=True)
class TypeRow:
    """An actor type: what was counted of it in the range, and what is in the queue now.

    Attributes:
        row: None when nothing was handled in the range.
        tally: None when nothing of it is in the queue.
    """

    actor_type: str
    colour: int
    rate: float
    row: Row | None
    tally: Tally | None

    @property
    def is_type(self) -> bool:
        """Whether it is one type, and not what was counted beyond a bound."""
        return self.actor_type != OTHERS

    def in_state(self, state: MailboxState) -> int:
        return 0 if self.tally is None else self.tally.mailboxes.get(state, 0)

    @property
    def under_way(self) -> int:
        """How many of its actors have something in their mailbox."""
        return 0 if self.tally is None else sum(self.tally.mailboxes.values())

    @property
    def retrying(self) -> int:
        return self.in_state(MailboxState.RETRYING)

    @property
    def suspended(self) -> int:
        return self.in_state(MailboxState.SUSPENDED)

    @property
    def messages(self) -> int:
        return 0 if self.tally is None else self.tally.messages


@dataclass(frozen=True, slots=True)
class Board:
    """What the queue tells: turns that fail, and those that are held up.

    Attributes:
        retrying: how many actors wait for a next attempt, those that are not shown included.
        more_stuck: how many of those that were found are not shown.
        suspended: how many turns are suspended in all.
    """

    tallies: list[Tally]
    failing: list[ActorRow] = field(default_factory=list)
    stuck: list[ActorRow] = field(default_factory=list)
    more_stuck: int = 0

    @property
    def retrying(self) -> int:
        return self._count(MailboxState.RETRYING)

    @property
    def suspended(self) -> int:
        return self._count(MailboxState.SUSPENDED)

    @property
    def longer(self) -> int:
        return sum(row.holdup.longer for row in self.stuck)

    @property
    def more_failing(self) -> int:
        return max(0, self.retrying - len(self.failing))

    def _count(self, state: MailboxState) -> int:
        return sum(tally.mailboxes.get(state, 0) for tally in self.tallies)


@dataclass(frozen=True, slots=True)
class ActorsPage:
    """What the template shows.

    Attributes:
        all: "failing" or "stuck" when only that list is asked for, longer; else "".
        board: None when the queue does not answer.
        problem, queue_problem: why there are no statistics, or no board.
    """

    since: str
    range: str
    ranges: list[Range]
    now_ns: int
    all: str
    types: list[TypeRow]
    board: Board | None
    may_see: bool
    problem: str | None
    queue_problem: str
    nav: str = "actors"


@never_cache
@require_GET
async def actors(request: HttpRequest) -> HttpResponse:
    """Show all actor types; `?all=failing` or `?all=stuck` shows one of the lists alone."""
    since = chosen(request.GET.get("since", ""), DEFAULT)
    only = request.GET.get("all", "")
    only = only if only in ("failing", "stuck") else ""
    now_ns = time.time_ns()
    may_see = await may_see_payloads(request)
    statistics, problem = await ask(_statistics(since, now_ns), None)
    board, queue_problem = None, ""
    try:
        board = await _board(statistics, now_ns, since, only, may_see=may_see)
    except StorageError as error:
        queue_problem = f"The queue does not answer ({type(error).__name__})."
    if board is not None:
        await note_errors_seen(request, board.failing)
    page = ActorsPage(
        since=since,
        range=in_words(since),
        ranges=ranges(since),
        now_ns=now_ns,
        all=only,
        types=_types(statistics, () if board is None else board.tallies, now_ns),
        board=board,
        may_see=may_see,
        problem=problem,
        queue_problem=queue_problem,
    )
    return render(
        request, "actors/actors.html", {"page": page}, status=503 if queue_problem else 200
    )


async def _statistics(since: str, now_ns: int) -> Statistics | None:
    return await tracing_services.current().analytics.statistics(*until(since, now_ns))


async def _board(
    statistics: Statistics | None, now_ns: int, since: str, only: str, *, may_see: bool
) -> Board:
    watch = services.current().watch
    # One more than is shown, of each state, tells whether there are more.
    limit = ALL if only else SHOWN + 1
    tallies, failing, held = await asyncio.gather(
        watch.tally(),
        _nothing() if only == "stuck" else watch.failing(limit=limit),
        _nothing() if only == "failing" else watch.held_up(HELD, limit=limit),
    )
    usual = usual_of(statistics)
    rows = await rows_of([*failing, *held], usual, now_ns, since, may_see=may_see)
    stuck = [row for row in rows[len(failing) :] if _is_stuck(row)]
    # What takes too long comes first; within both, what came first.
    stuck.sort(key=lambda row: (not row.holdup.longer, row.holdup.since_us or row.since_ns // 1000))
    shown = ALL if only else SHOWN
    return Board(tallies, rows[: len(failing)][:shown], stuck[:shown], max(0, len(stuck) - shown))


async def _nothing() -> list[Account]:
    return []


def _is_stuck(row: ActorRow) -> bool:
    """Whether it belongs among those that wait: work that goes on as usual does not."""
    return row.holdup.longer or row.state in (MailboxState.SUSPENDED, MailboxState.PAUSED)


def _types(statistics: Statistics | None, tallies: Sequence[Tally], now_ns: int) -> list[TypeRow]:
    counted = {} if statistics is None else {r.actor_type: r for r in statistics.actor_types}
    queued = {tally.actor_type: tally for tally in tallies}
    seconds = 1.0 if statistics is None else statistics.elapsed_seconds(now_ns)
    rows = [
        TypeRow(
            name,
            place % COLOURS,
            row.handled / seconds if (row := counted.get(name)) is not None else 0.0,
            row,
            queued.get(name),
        )
        for place, name in enumerate(sorted({*counted, *queued}))
    ]
    return sorted(rows, key=lambda row: (-row.rate, -row.messages))
