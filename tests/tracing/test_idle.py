"""Stretches without work, found without sorting: the same as a plain search finds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import TRACE, event
from tracing import Event, Trace, TraceTree
from tracing.build import build_tree
from tracing.idle import MIN_NS, MIN_SHARE
from tracing.spanlog import logs_of
from tracing.tally import Tally


def tree_of(turns: list[tuple[int, int, int]]) -> TraceTree:
    """Return a trace of turns: when each is sent, begins and ends, in milliseconds."""
    events: list[Event] = []
    for span, (sent, begins, ends) in enumerate(turns, 1):
        events += [
            event("queue:enqueued", span, at=sent),
            event("message:started", span, at=begins),
            event("message:completed", span, at=ends),
        ]
    tally = Tally()
    tally.add(logs_of(events))
    return build_tree(Trace(tally.summary(TRACE), sorted(events, key=lambda e: e.time_ns), []))


def plainly(tree: TraceTree) -> list[tuple[int, int]]:
    begin, end = tree.bounds
    least = max(MIN_NS, int((end - begin) * MIN_SHARE))
    busy = [(span.start_ns, span.start_ns) for span in tree.spans]
    busy += [(a.started_ns, a.ended_ns or end) for span in tree.spans for a in span.attempts]
    gaps, reached = [], begin
    for start, stop in [*sorted(busy), (end, end)]:
        if start - reached >= least:
            gaps.append((reached - begin, start - begin))
        reached = max(reached, stop)
    return gaps


turns = st.tuples(st.integers(0, 2_000), st.integers(0, 300), st.integers(0, 300)).map(
    lambda turn: (turn[0], turn[0] + turn[1], turn[0] + turn[1] + turn[2])
)


@given(st.lists(turns, min_size=1, max_size=12))
def test_gaps_are_those_that_a_plain_search_finds(found: list[tuple[int, int, int]]) -> None:
    tree = tree_of(found)
    assert tree.gaps == plainly(tree)


def test_waiting_is_no_work_and_short_pauses_stay() -> None:
    tree = tree_of([(0, 10, 50), (50, 900, 1_000), (60, 70, 80)])
    assert tree.gaps == [(80_000_000, 900_000_000)]
