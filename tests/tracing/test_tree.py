"""From events to a tree: shapes, damage, and sizes at which recursion would end."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import TRACE, event
from tracing import Event, Trace, TraceStatus, TraceTree
from tracing.build import build_tree
from tracing.registry import REGISTRY
from tracing.rows import rows_document
from tracing.spanlog import logs_of
from tracing.statistics import statistics
from tracing.tally import Tally
from tracing.waterfall import WINDOW, lay_out
from tracing.words import sentence


def tree_of(events: list[Event]) -> TraceTree:
    tally = Tally()
    tally.add(logs_of(events))
    ordered = sorted(events, key=lambda e: e.time_ns)
    return build_tree(Trace(tally.summary(TRACE), ordered, []))


def shape(tree: TraceTree) -> list[tuple[int, int]]:
    return [(int(span.span_id, 16), span.depth) for span in tree.spans]


def handled(span: int, parent: int | None, at: int) -> list[Event]:
    return [
        event("queue:enqueued", span, parent=parent, at=at, attempt=0),
        event("message:started", span, parent=parent, at=at + 4),
        event("message:completed", span, parent=parent, at=at + 10),
    ]


def test_children_follow_their_parent_in_order_of_time() -> None:
    tree = tree_of(
        [*handled(1, None, 0), *handled(3, 1, 20), *handled(2, 1, 30), *handled(4, 3, 40)]
    )
    assert shape(tree) == [(1, 0), (3, 1), (4, 2), (2, 1)]
    assert tree.notices == []


def test_waiting_and_handling_are_told_apart() -> None:
    (span,) = tree_of(handled(1, None, 0)).spans
    assert span.handling_ns is not None
    assert span.end_ns is not None
    assert span.handling_ns - span.start_ns == 4_000_000
    assert span.end_ns - span.start_ns == 10_000_000


def test_going_on_after_a_wait_is_no_other_attempt() -> None:
    events = [
        event("queue:enqueued", 1, at=0, attempt=0),
        event("message:started", 1, at=1),
        event("turn:suspended", 1, at=2, name="decision"),
    ]
    (span,) = tree_of(events).spans
    assert span.tries == 1
    events += [
        event("message:started", 1, at=90),
        event("message:failed", 1, at=91, error_type="Boom"),
        event("message:started", 1, at=95, attempt=2),
        event("message:dead_lettered", 1, at=96, attempt=2, error_type="Boom"),
    ]
    tree = tree_of(events)
    (span,) = tree.spans
    assert [attempt.suspended for attempt in span.attempts] == [True, False, False]
    assert span.tries == 2
    assert "after 2 attempts" in "".join(word.text for word in sentence(tree))
    ((_, *parts),) = rows_document(tree)["A"]
    assert parts[3] == -2


def test_attempts_of_one_message_share_a_span() -> None:
    tree = tree_of(
        [
            event("queue:enqueued", 1, at=0, attempt=0),
            event("message:started", 1, at=1),
            event("message:failed", 1, at=2, error_type="Boom"),
            event("message:retried", 1, at=2, duration_ns=5),
            event("message:started", 1, at=10, attempt=2),
            event("message:completed", 1, at=12, attempt=2),
        ]
    )
    (span,) = tree.spans
    assert [(a.number, a.error_type) for a in span.attempts] == [(1, "Boom"), (2, None)]
    assert (span.failed, span.errors, span.error_type) == (False, 1, "Boom")
    kinds = [bar.kind for bar in lay_out(tree).rows[0].bars]
    assert kinds == ["waiting", "handling", "backoff", "handling"]


def test_a_row_is_as_long_as_its_duration_says() -> None:
    """The last attempt at a dead letter ends before the letter is written."""
    tree = tree_of(
        [
            event("queue:enqueued", 1, at=0),
            event("message:started", 1, at=10),
            event("message:failed", 1, at=40, error_type="Boom"),
            event("message:dead_lettered", 1, at=90, error_type="Boom"),
            event("queue:enqueued", 2, parent=1, at=50),
            event("message:started", 2, at=60),
            event("message:completed", 2, at=100),
        ]
    )
    dead, fine = lay_out(tree).rows
    assert [bar.kind for bar in dead.bars] == ["waiting", "handling", "backoff"]
    assert [bar.kind for bar in fine.bars] == ["waiting", "handling"]
    begin, end = tree.bounds
    for row in (dead, fine):
        last = row.bars[-1]
        ends = float(last.x.rstrip("%")) + float(last.width.rstrip("%"))
        lasts = 100 * row.duration_ns / (end - begin)
        assert abs(ends - float(row.start) - lasts) < 0.01


def test_a_failure_is_counted_once_and_shown_on_its_ancestors() -> None:
    tree = tree_of(
        [
            *handled(1, None, 0),
            event("message:started", 2, parent=1, at=20),
            event("message:failed", 2, parent=1, at=21, error_type="Boom"),
            event("message:dead_lettered", 2, parent=1, at=22, error_type="Boom"),
        ]
    )
    root, child = tree.spans
    assert (root.failed, root.errors, root.failed_below) == (False, 0, 1)
    assert (child.failed, child.errors, child.error_type) == (True, 1, "Boom")


def test_a_span_whose_parent_is_missing_becomes_a_root_and_that_is_said() -> None:
    tree = tree_of([*handled(1, None, 0), *handled(2, 99, 10)])
    assert shape(tree) == [(1, 0), (2, 0)]
    assert tree.notices == ["1 span names a parent that is not in this trace"]


def test_a_circle_of_parents_is_cut_and_nothing_is_lost() -> None:
    tree = tree_of(
        [*handled(1, 3, 0), *handled(2, 1, 10), *handled(3, 2, 20), *handled(9, None, 5)]
    )
    assert sorted(span for span, _ in shape(tree)) == [1, 2, 3, 9]
    assert "circle" in tree.notices[0]


def test_clocks_that_differ_are_said_and_the_causes_still_stand_above() -> None:
    tree = tree_of(
        [
            event("queue:enqueued", 1, at=100),
            event("message:started", 1, at=101),
            event("queue:enqueued", 2, parent=1, at=40),
            event("message:completed", 2, parent=1, at=60),
            event("message:completed", 1, at=110),
        ]
    )
    assert [span.span_id for span in tree.spans] == [f"{1:016x}", f"{2:016x}"]
    assert "1 span begins before what caused it" in tree.notices[0]
    assert all(row.duration_ns >= 0 and row.waited_ns >= 0 for row in lay_out(tree).rows)


def test_events_in_any_order_and_unfinished_work_give_the_same_tree() -> None:
    run = [
        event("queue:enqueued", 1, at=0),
        event("message:started", 1, at=1),
        event("queue:enqueued", 2, parent=1, at=2),
        event("message:started", 2, parent=1, at=3),
        event("message:completed", 1, at=4),
    ]
    wanted = tree_of(run)
    assert [span.end_ns is None for span in wanted.spans] == [False, True]
    assert wanted.summary.status is TraceStatus.RUNNING
    for seed in range(20):
        shuffled = random.Random(seed).sample(run, len(run))
        assert tree_of(shuffled) == wanted


def test_a_hundred_thousand_siblings_are_built_laid_out_and_summed_up() -> None:
    events = [event("queue:enqueued", 1, at=0)]
    for number in range(100_000):
        events.append(event("queue:enqueued", number + 2, parent=1, at=1 + number % 50))
    tree = tree_of(events)
    assert len(tree.roots[0].children) == 100_000
    found = lay_out(tree, selected=f"{99_999:016x}")
    assert (len(found.rows), found.total) == (1_000, 100_001)
    assert rows_document(tree)["total"] == 100_001
    assert sentence(tree)
    assert sum(line.spans for line in statistics(tree)) == 100_001


def test_a_span_that_names_itself_as_parent_is_a_root() -> None:
    assert shape(tree_of(handled(1, 1, 0))) == [(1, 0)]


def test_a_chain_of_fifty_thousand_levels_is_built_and_laid_out() -> None:
    depth = 50_000
    events = [
        event("message:started", n, parent=n - 1 if n > 1 else None, at=n)
        for n in range(1, depth + 1)
    ]
    tree = tree_of(events)
    assert tree.spans[-1].depth == depth - 1
    last = tree.spans[-1].span_id
    waterfall = lay_out(tree, selected=last)
    assert len(waterfall.rows) == WINDOW
    assert waterfall.total == depth
    assert last in {row.span_id for row in waterfall.rows}


def test_a_window_is_placed_around_the_selection_or_where_it_is_asked_for() -> None:
    tree = tree_of([event("message:started", n, at=n) for n in range(1, 3_001)])
    start = lay_out(tree)
    assert (start.first, start.last, start.whole, start.previous) == (0, 1_000, False, None)
    middle = lay_out(tree, selected=f"{1_500:016x}")
    assert (middle.first, middle.previous, middle.next) == (999, 0, 1_999)
    end = lay_out(tree, first=2_500)
    assert (end.last, end.next) == (3_000, None)
    assert lay_out(tree, first=99_999).rows


SPANS = st.integers(1, 8)
EVENTS = st.lists(
    st.builds(
        lambda kind, span, parent, at: event(kind, span, parent=parent, at=at),
        st.sampled_from(sorted(REGISTRY)),
        SPANS,
        st.none() | SPANS,
        st.integers(0, 50),
    ),
    min_size=1,
    max_size=40,
)


@given(EVENTS, st.integers(0, 100))
def test_any_events_give_a_tree_that_holds_each_of_them_once(
    events: list[Event], seed: int
) -> None:
    random.Random(seed).shuffle(events)
    tree = tree_of(events)
    assert sum(len(span.events) for span in tree.spans) == len(events)
    ids = [span.span_id for span in tree.spans]
    assert len(ids) == len(set(ids)) == len({found.span_id for found in events})
    for row in lay_out(tree).rows:
        for bar in row.bars:
            x, width = float(bar.x[:-1]), float(bar.width[:-1])
            assert 0 <= x <= 100
            assert width >= 0
            assert x + width <= 100.01
