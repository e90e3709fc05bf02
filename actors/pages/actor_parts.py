"""What an actor's page shows beside its state and journal: mailbox, messages, traces, letters."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from django.urls import reverse

from actors import services
from actors.deadletters import OF_ACTOR, DeadLetter
from actors.inspect import Line
from actors.journal import EntryType
from actors.message import Message
from actors.pages.actor_rows import ActorRow, rows_of
from actors.pages.letter_rows import LetterRow, with_fates
from storage import StorageError
from tracing import services as tracing_services
from tracing.filters import TraceFilter, TracePage
from tracing.summary import Summary

WAITING = 10
TRACES = LETTERS = 5


@dataclass(frozen=True, slots=True)
class TurnLine:
    """One message's turn, as far as the journal entries that are shown tell of it.

    Attributes:
        first, last: indexes of its first and last entry among them.
        ended: "completed", "failed" (it is given up) or "" while it is under way.
        failures: attempts that failed.
        run: the address that lists the traces of its run; "" where the journal does not name it.
    """

    message_id: str
    first: int
    last: int
    at_ns: int
    ended: str
    failures: int
    run: str


@dataclass(frozen=True, slots=True)
class Parts:
    """What stands around an actor's state.

    Attributes:
        row: its mailbox and what holds it up; None when there is nothing in it.
        waiting: the messages in it that come next, the one whose turn is under way left out.
        traces: the latest traces that began with it.
        letters: its latest dead letters; of all that were read, `unresolved` wait for somebody.
        problems: what could not be read, in sentences.
    """

    row: ActorRow | None
    waiting: list[Message]
    traces: list[Summary]
    letters: list[LetterRow]
    all_letters: int
    unresolved: int
    problems: list[str] = field(default_factory=list)
    read_letters: int = OF_ACTOR

    @property
    def more_letters(self) -> int:
        return self.all_letters - len(self.letters)


async def parts_of(actor_id: str, since: str, *, may_see: bool) -> Parts:
    """Read what stands around an actor's state.

    Raises:
        storage.StorageError: the queue does not answer.
    """
    watch = services.current().watch
    account, messages, traces, letters = await asyncio.gather(
        watch.of_actor(actor_id),
        watch.waiting(actor_id, limit=WAITING + 1),
        _traces(actor_id),
        _letters(actor_id),
    )
    row = None
    if account is not None:
        (row,) = await rows_of([account], {}, time.time_ns(), since, may_see=may_see)
    under_way = None if account is None or not account.begun else account.head
    problems = []
    if traces is None:
        problems.append("The trace store does not answer, so its traces cannot be listed.")
    if letters is None:
        problems.append("The store does not answer, so its dead letters cannot be listed.")
    return Parts(
        row,
        [m for m in messages if under_way is None or m.message_id != under_way.message_id][
            :WAITING
        ],
        [] if traces is None else traces.traces,
        await with_fates((letters or [])[:LETTERS]),
        len(letters or []),
        sum(letter.unresolved for letter in letters or []),
        problems,
    )


async def _traces(actor_id: str) -> TracePage | None:
    try:
        return await tracing_services.current().reader.find_traces(
            TraceFilter(actor=actor_id), limit=TRACES
        )
    except StorageError:
        return None


async def _letters(actor_id: str) -> list[DeadLetter] | None:
    try:
        return await services.current().redrive.of_actor(actor_id)
    except StorageError:
        return None


def turns_of(lines: Sequence[Line]) -> list[TurnLine]:
    """Return the turns that journal entries tell of, the latest first; `lines` are newest first."""
    by_message: dict[str, list[Line]] = {}
    for line in lines:
        by_message.setdefault(line.message_id, []).append(line)
    return [_turn(message_id, found) for message_id, found in by_message.items()]


def _turn(message_id: str, lines: Sequence[Line]) -> TurnLine:
    ended = ""
    failures = [line for line in lines if line.entry.type is EntryType.TURN_FAILED]
    if any(line.entry.data["final"] for line in failures):
        ended = "failed"
    # Of a failure that an earlier version journaled, nobody knows the run.
    named = [run for line in failures if (run := line.entry.data.get("correlationId"))]
    for line in lines:
        if line.entry.type is EntryType.TURN_COMPLETED:
            ended = "completed"
            named = [line.entry.data.get("correlationId", message_id)]
    run = f"{reverse('tracing:traces')}?{urlencode({'actor': named[0]})}" if named else ""
    return TurnLine(
        *(message_id, lines[-1].index, lines[0].index, lines[0].at_ns),
        *(ended, len(failures), run),
    )
