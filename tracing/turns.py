"""What a span has to do with a turn: whose message it handles, which states it saw, what failed."""

from __future__ import annotations

from collections.abc import Iterable

from tracing.event import Event, Ref, RefKind
from tracing.registry import SpanKind
from tracing.tree import Span, TraceTree

_OF_OTHERS = frozenset({"message:sent", "child:spawned"})
_FAILURES = frozenset(
    {"message:failed", "activity:failed", "message:dead_lettered", "workflow:failed"}
)


def turn_of(tree: TraceTree, span: Span) -> Span | None:
    """Return the span of the message whose handling `span` is about, or None.

    An activity belongs to the turn that ran it; a run to its first message.
    """
    if span.kind is SpanKind.MESSAGE:
        return span
    if span.kind is SpanKind.WORKFLOW:
        own = message_of(span)
        messages = [child for child in span.children if child.kind is SpanKind.MESSAGE]
        first = next((child for child in messages if message_of(child) == own), None)
        return first or next(iter(messages), None)
    if span.kind is SpanKind.ACTIVITY and span.parent_id is not None:
        parent = tree.span(span.parent_id)
        return parent if parent is not None and parent.kind is SpanKind.MESSAGE else None
    return None


def message_of(span: Span) -> Ref | None:
    """Return the message that the span is of; a turn's events also name those that it sent."""
    return next(
        (
            ref
            for event in span.events
            if event.type not in _OF_OTHERS
            for ref in event.refs
            if ref.kind is RefKind.MESSAGE
        ),
        None,
    )


def dead_letter_of(span: Span) -> Ref | None:
    """Return the document that says that the span's message was given up, or None."""
    given_up = [event for event in span.events if event.type == "message:dead_lettered"]
    return next(iter(refs_of(given_up, RefKind.DOCUMENT)), None)


def failures_of(span: Span) -> list[Event]:
    """Return the events that say that the span, or an attempt at it, failed; the latest first."""
    return [event for event in reversed(span.events) if event.type in _FAILURES]


def refs_of(events: Iterable[Event], kind: RefKind) -> list[Ref]:
    """Return the references of one kind, each once, in order of appearance."""
    return list(dict.fromkeys(ref for event in events for ref in event.refs if ref.kind is kind))


def states_of(span: Span) -> list[tuple[Ref, Ref | None]]:
    """Return the states before and after, once for each time that the span changed them.

    One that changed nothing has the state that it saw last, and None.
    """
    changes: list[tuple[Ref, Ref | None]] = []
    last: Ref | None = None
    for event in span.events:
        refs = [ref for ref in event.refs if ref.kind is RefKind.ACTOR_STATE]
        if event.type == "actor:state_changed" and len(refs) == 2:
            changes.append((refs[0], refs[1]))
        elif refs:
            last = refs[-1]
    if not changes and last is not None:
        return [(last, None)]
    return changes


def latest_states_of(span: Span) -> tuple[Ref, Ref | None] | None:
    """Return the state that the last attempt saw, and the one it left if it changed anything."""
    states = states_of(span)
    if not states:
        return None
    if span.failed or span.end_ns is None:
        seen = refs_of(span.events, RefKind.ACTOR_STATE)
        return seen[-1], None
    return states[-1]
