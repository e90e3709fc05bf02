"""A trace as a tree of spans."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import msgspec

from tracing.event import Event, Ref
from tracing.history import History
from tracing.idle import idle_gaps
from tracing.registry import SpanKind
from tracing.summary import Summary


class Attempt(msgspec.Struct, frozen=True, gc=False):
    """One attempt at handling a message or running an activity, or a part of one between waits.
    Nanoseconds since the epoch.

    A struct, as spans are: there are many of them, and these are made several times faster.
    """

    number: int
    started_ns: int
    ended_ns: int | None
    """None while it runs."""
    error_type: str | None
    suspended: bool = False
    """It ended by waiting for an event or a time, and the next one goes on with the same try."""


class Span(msgspec.Struct):
    """One piece of work, with every event that shares its span id, in order of time.

    Attributes:
        parent_id: the span that caused it, even when that span is not in the trace.
        depth: 0 for a span without a parent in this trace.
        start_ns, end_ns: first event; closing event, or None while the span is open.
        handling_ns: when handling first began; None before that. Before it the span waited.
        failed: this span ended in failure (dead letter, failed activity, failed workflow).
        errors: failed events of this span itself, retried ones included.
        failed_below: number of descendant spans with errors.
    """

    span_id: str
    parent_id: str | None
    kind: SpanKind
    name: str
    actor: str | None
    start_ns: int
    end_ns: int | None
    last_ns: int
    handling_ns: int | None
    attempts: list[Attempt]
    failed: bool
    errors: int
    error_type: str | None
    events: list[Event]
    depth: int = 0
    failed_below: int = 0
    children: list[Span] = msgspec.field(default_factory=list)

    @property
    def tries(self) -> int:
        """How often it was tried: going on after a wait is not another try."""
        ended = sum(not attempt.suspended for attempt in self.attempts)
        return ended + bool(self.attempts and self.attempts[-1].suspended)

    def refs(self) -> list[Ref]:
        """Return the references of all events, each once, in order of appearance."""
        return list(dict.fromkeys(ref for event in self.events for ref in event.refs))


@dataclass(frozen=True)
class TraceTree:
    """A reconstructed trace.

    Attributes:
        roots: spans without a parent in this trace: normally one.
        spans: every span, in depth-first order, children by start time.
        notices: what is odd about the trace, in sentences for a person ("3 spans name a parent
            that is not in this trace").
    """

    summary: Summary
    roots: list[Span]
    spans: list[Span]
    notices: list[str]

    @cached_property
    def positions(self) -> dict[str, int]:
        """Where each span is in `spans`, by id."""
        return {span.span_id: number for number, span in enumerate(self.spans)}

    @cached_property
    def bounds(self) -> tuple[int, int]:
        """When the first span begins and the last one ends, in nanoseconds since the epoch."""
        begin = min(span.start_ns for span in self.spans)
        end = max(max(span.last_ns, span.end_ns or 0) for span in self.spans)
        return begin, max(end, begin + 1)

    @cached_property
    def failing(self) -> list[int]:
        """Positions of the spans that have errors of their own."""
        return [number for number, span in enumerate(self.spans) if span.errors]

    @cached_property
    def gaps(self) -> list[tuple[int, int]]:
        """The long stretches without any work, in nanoseconds from the trace's start."""
        return idle_gaps(self.spans, *self.bounds)

    @cached_property
    def history(self) -> History:
        """When the states of its actors changed."""
        return History.of(self.spans)

    def span(self, span_id: str) -> Span | None:
        """Return the span of that id, or None."""
        position = self.positions.get(span_id)
        return None if position is None else self.spans[position]
