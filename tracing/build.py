"""From events to a tree of spans: iterative, linear, and honest about what does not fit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tracing.counted import counted
from tracing.event import Event
from tracing.filters import Trace
from tracing.registry import REGISTRY, SpanKind
from tracing.tree import Attempt, Span, TraceTree

_STARTS = frozenset({"message:started", "activity:started"})
_ENDS = frozenset(
    {
        "message:completed",
        "message:failed",
        "message:dead_lettered",
        "message:duplicate",
        "activity:completed",
        "activity:failed",
        "activity:retried",
        "lock:lost",
        "turn:suspended",
        "turn:parked",
    }
)
SKEW_NS = 1_000_000
"""A child may seem to begin this much before its parent without a word: clocks are not exact."""
# A dead letter reports the failure of its last attempt a second time.
_COUNTED_FAILURES = frozenset({"message:failed", "activity:failed", "activity:retried"})


def build_tree(trace: Trace) -> TraceTree:
    """Return the spans of a trace as a tree. Never raises, whatever the events are."""
    by_span: dict[str, list[Event]] = {}
    for event in trace.events:
        by_span.setdefault(event.span_id, []).append(event)
    spans = {span_id: _span(span_id, events) for span_id, events in by_span.items()}
    notices = list(trace.notices)
    roots = _link(spans, notices)
    ordered = _depth_first(roots)
    if len(ordered) < len(spans):
        # What no root reaches hangs in a circle of parents; its earliest span becomes a root.
        reached = {span.span_id for span in ordered}
        rest = [span for span in spans.values() if span.span_id not in reached]
        notices.append(f"{len(rest)} spans name each other as parents; the circle was cut")
        ordered += _cut(rest, roots)
    _count_below(ordered)
    notices += _skew(ordered)
    return TraceTree(trace.summary, roots, ordered, notices)


def _link(spans: dict[str, Span], notices: list[str]) -> list[Span]:
    roots: list[Span] = []
    orphans = 0
    for span in spans.values():
        parent = spans.get(span.parent_id) if span.parent_id is not None else None
        if parent is None or parent is span:
            roots.append(span)
            orphans += span.parent_id is not None
        else:
            parent.children.append(span)
    for span in spans.values():
        span.children.sort(key=lambda child: (child.start_ns, child.span_id))
    roots.sort(key=lambda root: (root.start_ns, root.span_id))
    # One root may continue a trace that began elsewhere, in a web request of another service.
    if orphans and len(roots) > 1:
        notices.append(
            f"{counted(orphans, 'span names', 'spans name')} a parent that is not in this trace"
        )
    return roots


def _skew(ordered: list[Span]) -> list[str]:
    early = sum(
        child.start_ns < span.start_ns - SKEW_NS for span in ordered for child in span.children
    )
    if not early:
        return []
    notice = (
        counted(early, "span begins before what caused it", "spans begin before what caused them")
        + ": the clocks of the machines differ, so times of different machines are off by as much"
    )
    return [notice]


def _depth_first(roots: Iterable[Span]) -> list[Span]:
    ordered: list[Span] = []
    stack: list[tuple[Span, int]] = [(root, 0) for root in reversed(list(roots))]
    while stack:
        span, depth = stack.pop()
        span.depth = depth
        ordered.append(span)
        stack += [(child, depth + 1) for child in reversed(span.children)]
    return ordered


def _cut(rest: list[Span], roots: list[Span]) -> list[Span]:
    ordered: list[Span] = []
    by_id = {span.span_id: span for span in rest}
    seen: set[str] = set()
    for start in sorted(rest, key=lambda span: (span.start_ns, span.span_id)):
        if start.span_id in seen:
            continue
        parent = by_id.get(start.parent_id or "")
        if parent is not None:
            parent.children = [child for child in parent.children if child is not start]
        roots.append(start)
        for span in _depth_first([start]):
            if span.span_id not in seen:
                seen.add(span.span_id)
                ordered.append(span)
    return ordered


def _count_below(ordered: list[Span]) -> None:
    for span in reversed(ordered):
        for child in span.children:
            span.failed_below += child.failed_below + (1 if child.errors else 0)


def _span(span_id: str, events: list[Event]) -> Span:
    first = events[0]
    kind: SpanKind | None = None
    parent_id = actor = None
    handling_ns = end = failure = None
    failures = 0
    attempts: list[Attempt] = []
    for event in events:
        what = _TRAITS[event.type]
        if kind is None and what.phase != "instant":
            kind = what.kind
        parent_id = parent_id or event.parent_span_id
        actor = actor or event.actor
        # Retried from the dead letters, a message may close more than once: the last word counts.
        if what.phase == "close":
            end = event
        if what.starts:
            if handling_ns is None:
                handling_ns = event.time_ns
            attempts.append(Attempt(event.attempt, event.time_ns, None, None))
        elif what.ends and attempts and attempts[-1].ended_ns is None:
            begun = attempts[-1]
            attempts[-1] = Attempt(
                begun.number,
                begun.started_ns,
                event.time_ns,
                event.error_type,
                event.type == "turn:suspended",
            )
        if what.counted:
            failures, failure = failures + 1, event
    kind = kind or REGISTRY[first.type].span
    failed = end is not None and REGISTRY[end.type].failed
    worst = end if failed else failure
    start = first.time_ns
    # These tell of themselves when they end.
    if kind in (SpanKind.HTTP, SpanKind.FOREIGN) and first.duration_ns is not None:
        start -= first.duration_ns
    return Span(
        span_id=span_id,
        parent_id=parent_id,
        kind=kind,
        name=_name(kind, events),
        actor=actor,
        start_ns=start,
        end_ns=end.time_ns if end else None,
        last_ns=events[-1].time_ns,
        handling_ns=handling_ns,
        attempts=attempts,
        failed=failed,
        errors=failures or int(failed),
        error_type=worst.error_type if worst else None,
        events=events,
    )


def _name(kind: SpanKind, events: list[Event]) -> str:
    """Return what the span is named after: what opens it, before what merely happened in it."""
    spare = None
    for event in events:
        if not event.name:
            continue
        what = _TRAITS[event.type]
        if what.kind is not kind:
            continue
        if what.phase == "open":
            return event.name
        if spare is None and not what.names_another:
            spare = event
    first = spare or events[0]
    return first.name or first.type


_FOREIGN_NAMES = frozenset(
    {
        "message:sent",
        "message:withheld",
        "child:spawned",
        "store:read",
        "store:write",
        "cosmosdb:read",
        "cosmosdb:write",
    }
)


class _Traits(NamedTuple):
    """What building needs to know of an event type, looked up once for each event."""

    kind: SpanKind
    phase: str
    starts: bool
    ends: bool
    counted: bool
    names_another: bool


_TRAITS = {
    name: _Traits(
        kind.span,
        kind.phase,
        name in _STARTS,
        name in _ENDS,
        name in _COUNTED_FAILURES,
        # What a turn sent carries the name of what was sent.
        name in _FOREIGN_NAMES,
    )
    for name, kind in REGISTRY.items()
}
