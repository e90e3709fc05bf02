"""What each tab of the detail panel shows, made of a span's events and of what was loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import msgspec

from tracing.diff import Difference, Differences, diff
from tracing.event import Event, Ref, RefKind
from tracing.jsontree import plain
from tracing.pages.pointers import Pointer, Pointers
from tracing.registry import SpanKind
from tracing.resolve import Resolved
from tracing.tree import Span
from tracing.turns import failures_of, refs_of

Loaded = Mapping[Ref, Resolved]

HEAD_FRAMES = 3
"""Stack frames that are shown before one asks for the others."""
MAX_FRAMES = 50
MAX_ATTEMPTS = 10
"""Failed attempts of one message whose errors are loaded: the latest."""
MAX_RECORDS = 60
"""Journal records of one turn that are loaded: half of them its first, half its last."""
MAX_ENTRIES = 300
FEW_CHANGES = 10
MANY_CHANGES = 200


@dataclass(frozen=True, slots=True)
class StateShown:
    """A state before and after; `unchanged` says in words why there is no after.

    `last_change` is where to ask, with a `path`, which message changed it before.
    """

    before: Pointer
    after: Pointer | None
    differences: Differences | None
    unchanged: str
    last_change: str

    def changes(self, most: int) -> tuple[list[Difference], int]:
        """Return the first differences, and how many there are beyond."""
        if self.differences is None:
            return [], 0
        found = self.differences.changes
        return found[:most], max(0, len(found) - most) + self.differences.more

    @property
    def few(self) -> tuple[list[Difference], int]:
        """Differences for one screen."""
        return self.changes(FEW_CHANGES)

    @property
    def many(self) -> tuple[list[Difference], int]:
        """Differences for a tab of their own."""
        return self.changes(MANY_CHANGES)

    @property
    def is_empty(self) -> bool:
        """Whether the actor had no state at all before."""
        return self.before.loaded and not state_in(self.before)


@dataclass(frozen=True, slots=True)
class Raised:
    """One journaled failure: of a turn, or of an activity within it.

    Attributes:
        of: "turn" or "activity".
        head, rest: frames, the user's own first and the innermost of them first.
    """

    of: str
    attempt: str
    type: str
    text: str
    retryable: bool
    head: list[dict[str, Any]]
    rest: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class ErrorView:
    """The error, the message that it failed and the state that it failed on, together.

    Attributes:
        error_type: what the events say, where the journal cannot be read.
        raised: the latest failure first.
        causes: activities whose failure ended the turn.
        unread: journal references that could not be loaded.
        payload, state: of the turn; None where there is none.
    """

    error_type: str
    raised: list[Raised]
    causes: list[Span]
    unread: list[Pointer]
    payload: Pointer | None
    state: StateShown | None


@dataclass(frozen=True, slots=True)
class RecordShown:
    """A journal record; `more` counts entries that are left out."""

    pointer: Pointer
    index: int = 0
    count: int = 0
    at_ns: int = 0
    entries: list[dict[str, Any]] = field(default_factory=list)
    more: int = 0


@dataclass(frozen=True, slots=True)
class EventShown:
    """One event of the span, with its references."""

    event: Event
    after_ns: int
    pointers: list[Pointer]


def state_in(pointer: Pointer) -> Any:
    """Return the state that a loaded pointer holds."""
    return pointer.body.get("state", {})


def state_shown(turn: Span, states: tuple[Ref, Ref | None], pointers: Pointers) -> StateShown:
    """Return a state before and after, with the difference if both were loaded."""
    before, address = pointers.to(states[0]), pointers.last_change(states[0])
    if states[1] is None:
        return StateShown(before, None, None, _unchanged(turn), address)
    after = pointers.to(states[1])
    both = before.loaded and after.loaded
    found = diff(state_in(before), state_in(after)) if both else None
    return StateShown(before, after, found, "the turn wrote the same values again", address)


def _unchanged(turn: Span) -> str:
    if turn.failed:
        return "the turn failed, so this message did not change it"
    if turn.end_ns is not None:
        return "this message did not change it"
    if turn.errors:
        return "the attempts so far failed, and an attempt that fails changes nothing"
    return "the turn has not ended"


def error_refs(span: Span) -> list[Ref]:
    """Return the journal references of the span's failures, the latest first."""
    return refs_of(failures_of(span), RefKind.JOURNAL_ENTRY)[:MAX_ATTEMPTS]


def error_view(
    span: Span,
    turn: Span | None,
    failing: Span,
    pointers: Pointers,
    payload: Pointer | None,
    state: StateShown | None,
) -> ErrorView:
    """Return the Error tab of `span`; the failure itself was journaled by `failing`."""
    sources = [pointers.to(ref) for ref in error_refs(failing)]
    raised = [error for pointer in sources if pointer.loaded for error in _raised(pointer)]
    causes = [
        child
        for child in (turn.children if turn is not None and turn is failing else ())
        if child.kind is SpanKind.ACTIVITY and child.failed
    ]
    return ErrorView(
        error_type=span.error_type or "",
        raised=raised,
        causes=causes[-1:],
        unread=[pointer for pointer in sources if not pointer.loaded],
        payload=payload,
        state=state,
    )


def _raised(pointer: Pointer) -> list[Raised]:
    """Return the failures that a journal record tells of, the last one first."""
    found = []
    for entry in reversed(_entries(pointer)):
        error = entry.get("error")
        if not isinstance(error, dict):
            continue
        stack = error.get("stack")
        frames = [f for f in stack if isinstance(f, dict)] if isinstance(stack, list) else []
        # Innermost first, as one reads it: where it was raised, then who called.
        frames.reverse()
        frames.sort(key=lambda frame: not frame.get("own"))
        found.append(
            Raised(
                "turn" if entry.get("type") == "turn_failed" else "activity",
                plain(entry.get("attempt")),
                plain(error.get("type")),
                plain(error.get("message")),
                bool(error.get("retryable", True)),
                frames[:HEAD_FRAMES],
                frames[HEAD_FRAMES:MAX_FRAMES],
            )
        )
    return found


def _entries(pointer: Pointer) -> list[dict[str, Any]]:
    entries = pointer.body.get("entries")
    if not isinstance(entries, list):
        return []
    return [entry for entry in entries if isinstance(entry, dict)]


def journal_refs(span: Span) -> tuple[list[tuple[Ref, Span]], int]:
    """Return the references of the span's journal records with the spans that name them, and how
    many are left out between the first ones and the last.

    What the activities of a turn came to is journaled with it, so it is among them.
    """
    activities = [child for child in span.children if child.kind is SpanKind.ACTIVITY]
    owners = {
        ref: owner
        for owner in [*activities, span]
        for ref in refs_of(owner.events, RefKind.JOURNAL_ENTRY)
    }
    found = sorted(owners.items(), key=lambda item: _place(item[0]))
    if len(found) <= MAX_RECORDS:
        return found, 0
    half = MAX_RECORDS // 2
    return [*found[:half], *found[-half:]], len(found) - 2 * half


def _place(ref: Ref) -> int:
    first = ref.id.partition(":")[0]
    return int(first) if first.isascii() and first.isdigit() else 0


def records_shown(trace_id: str, refs: list[tuple[Ref, Span]], loaded: Loaded) -> list[RecordShown]:
    """Return the journal records in order; together they show a bounded number of entries."""
    makers: dict[str, Pointers] = {}
    shown = []
    room = MAX_ENTRIES
    for ref, owner in refs:
        if owner.span_id not in makers:
            makers[owner.span_id] = Pointers(trace_id, owner, loaded)
        pointer = makers[owner.span_id].to(ref)
        if not pointer.loaded:
            shown.append(RecordShown(pointer))
            continue
        value = pointer.body
        index = value.get("index")
        entries = _entries(pointer)
        some = list(islice(entries, room))
        room -= len(some)
        shown.append(
            RecordShown(
                pointer,
                index if isinstance(index, int) else 0,
                len(entries),
                time_ns(value.get("at")) or 0,
                some,
                len(entries) - len(some),
            )
        )
    return shown


def events_shown(span: Span, pointers: Pointers, most: int) -> list[EventShown]:
    """Return the first events of a span."""
    return [
        EventShown(event, event.time_ns - span.start_ns, [pointers.to(ref) for ref in event.refs])
        for event in span.events[:most]
    ]


def time_ns(microseconds: Any) -> int | None:
    """Return a document's time in nanoseconds; None for what is no time."""
    if not isinstance(microseconds, int) or not 0 < microseconds < _FAR_FUTURE_US:
        return None
    return microseconds * 1000


_FAR_FUTURE_US = 10**16


def json_size(value: Any) -> int | None:
    """Return how many bytes a value takes as JSON; None for what is not JSON."""
    try:
        return len(msgspec.json.encode(value))
    except (TypeError, ValueError, RecursionError):
        return None
