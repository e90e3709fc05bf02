"""The turns of a trace that wait out of memory: for what, and since when. From its events alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tracing.effects import waits_of
from tracing.registry import SpanKind
from tracing.tree import Span
from tracing.turns import message_of

ANSWER = "reply."
"""Begins the name of the event that answers a message; the message's id follows, cut if long."""
_CUT = 60


@dataclass(frozen=True, slots=True)
class Suspension:
    """One wait of a turn that is suspended.

    Attributes:
        span: the message whose turn waits.
        event: the event's name; "" waits for nothing but time.
        called: the message whose answer it waits for, where that is in the trace.
    """

    span: Span
    event: str
    since_ns: int
    called: Span | None = None

    @property
    def for_answer(self) -> bool:
        """Whether another actor ends it."""
        return self.event.startswith(ANSWER)

    @property
    def for_event(self) -> bool:
        """Whether a person can send what it waits for."""
        return bool(self.event) and not self.for_answer


def is_suspended(span: Span) -> bool:
    """Return whether a message's turn is under way and out of memory."""
    return span.end_ns is None and bool(span.attempts) and span.attempts[-1].suspended


def suspensions(spans: Iterable[Span]) -> list[Suspension]:
    """Return what turns wait for: events first, then times, then answers; the oldest first."""
    found = [
        wait
        for span in spans
        if span.kind is SpanKind.MESSAGE and is_suspended(span)
        for wait in _waits(span)
    ]
    return sorted(found, key=lambda wait: (not wait.for_event, wait.for_answer, wait.since_ns))


def only_waits(spans: Iterable[Span]) -> bool:
    """Return whether nothing but time or somebody from outside makes a trace go on.

    A message that has not been handled yet waits with its actor's turn.
    """
    under_way = [span for span in spans if span.kind is SpanKind.MESSAGE and span.end_ns is None]
    waiting = {span.actor for span in under_way if is_suspended(span)}
    return bool(waiting) and all(
        is_suspended(span) or (not span.attempts and span.actor in waiting) for span in under_way
    )


def _waits(span: Span) -> Iterable[Suspension]:
    called = {
        f"{ANSWER}{message.id[:_CUT]}": child
        for child in span.children
        if child.kind is SpanKind.MESSAGE and (message := message_of(child)) is not None
    }
    begun = [(wait.name, wait.began) for wait in waits_of(span.events) if wait.end == "open"]
    if not begun:
        # The event that says so was not recorded; that it is suspended was.
        last = next(event for event in reversed(span.events) if event.type == "turn:suspended")
        begun = [(last.name or "", last)]
    for name, event in begun:
        yield Suspension(span, name, event.time_ns, called.get(name))
