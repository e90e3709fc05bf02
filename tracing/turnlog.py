"""`TurnLog`: a turn and its activities in one log, the way a segment stores them.

Nearly every turn tells the same twenty-odd events, which differ in little but their times. So the
times are stored, and the events are spelled out when somebody reads them. Storing every event took
half as much work again for a run, and two and a half times its bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from tracing.draft import ActivityNote, Draft, Telling, TurnNote
from tracing.event import Event
from tracing.spanlog import Entry, SpanLog

TurnRow = tuple[int, int, int, str, str, TurnNote, list[ActivityNote]]
"""A turn as a segment has it; `tracing.segment` says what is what."""
_JOURNAL = re.compile(r"[\w-]+/[\w-]*\{:0[1-9]\dd\}")
"""What is stored is formatted: it must not be able to ask for more than a number."""


class TurnLog(SpanLog, kw_only=True):
    """A turn that handled its message, and told all at once.

    Whoever counts looks at `turn`, which costs a fraction of what its events do.

    Attributes:
        entries: none; `events` has all.
        draft: what was told.
        turn: the draft's.
    """

    draft: Draft
    turn: TurnNote

    @classmethod
    def of_turn(cls, draft: Draft, turn: TurnNote) -> TurnLog:
        """Return the log of a draft that is whole; `turn` is its own."""
        return cls(
            draft.trace_id,
            draft.span_id,
            draft.parent_span_id,
            draft.actor,
            draft.name,
            draft.attempt,
            draft.sampled,
            (_first(draft, turn) + draft.epoch_ns) // 1000,
            draft.message,
            draft=draft,
            turn=turn,
        )

    @property
    def size(self) -> int:
        return self.draft.events

    @property
    def notable(self) -> list[Entry]:
        zero, _ = self.draft.zero(_first(self.draft, self.turn))
        found = [self.turn.leased(zero), self.turn.ended(zero)]
        if self.turn.enqueued:
            found.insert(0, self.turn.put(zero))
        return found

    @property
    def first_us(self) -> int:
        return self.start_us

    @property
    def last_us(self) -> int:
        return (self.turn.released + self.draft.epoch_ns) // 1000

    def events(self) -> Iterator[Event]:
        for log in self.draft.spelled_out():
            yield from log.events()

    def row(self, head: int, after_us: int) -> tuple[object, ...]:
        """Return the `TurnRow` that a segment stores, ready to be JSON; it begins `after_us`
        microseconds after the segment."""
        draft = self.draft
        # One before the first microsecond, so that none of the times is 0, which is no time.
        origin = draft.zero(_first(draft, self.turn))[0] - 1
        return (
            head,
            self.attempt,
            after_us,
            str(origin),
            draft.journal,
            self.turn.moved(-origin),
            [activity.moved(-origin) for activity in draft.activities],
        )


def _first(draft: Draft, turn: TurnNote) -> int:
    """Return the earliest tick that a whole turn tells of."""
    return turn.enqueued or draft.began


def packed(told: Iterable[Telling]) -> list[SpanLog]:
    """Return what was told as logs: one for a whole turn, of all else one for each span."""
    logs: list[SpanLog] = []
    for each in told:
        if isinstance(each, Draft) and each.whole and each.turn is not None:
            logs.append(TurnLog.of_turn(each, each.turn))
        else:
            logs += each.spelled_out()
    return logs


def spelled_out(row: TurnRow, of: SpanLog) -> list[SpanLog]:
    """Return the logs of a turn that a segment stores, one for each span.

    `of` says what the turn's span is, and when it begins.

    Raises:
        ValueError: the row cannot be one that was stored by this code.
    """
    ticks, journal, turn, activities = row[3:]
    if not _JOURNAL.fullmatch(journal):
        raise ValueError("it names no journal")
    origin = int(ticks)
    draft = Draft(
        of.trace_id,
        of.span_id,
        of.parent_span_id,
        of.actor,
        of.name,
        of.attempt,
        of.sampled,
        origin + 1,
        of.start_us * 1000 - origin - 1,
        of.message,
        turn.moved(origin),
        activities=[activity.moved(origin) for activity in activities],
        journal=journal,
    )
    return draft.spelled_out()
