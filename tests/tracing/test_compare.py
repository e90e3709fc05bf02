"""Which spans of two traces correspond, and where the traces first went apart."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given

from tests.builders import event
from tests.tracing.test_critical import EVENTS, done, foreign, run, told
from tests.tracing.test_tree import tree_of
from tracing import Event
from tracing.compare import Comparison, compare
from tracing.compare_words import describe
from tracing.pages.compare_rows import EDGE, FOLD, Fold, RowView, window


def failing(span: int, parent: int | None, *times: int, name: str = "reserve") -> list[Event]:
    """Return the events of a message that fails at these times and then is a dead letter."""
    found = [event("queue:enqueued", span, parent=parent, at=times[0] - 2, attempt=0, name=name)]
    for attempt, at in enumerate(times, 1):
        found.append(
            event("message:started", span, parent=parent, at=at - 1, attempt=attempt, name=name)
        )
        found.append(
            event(
                "message:failed",
                span,
                parent=parent,
                at=at,
                attempt=attempt,
                error_type="OutOfStock",
                name=name,
            )
        )
    last = event(
        "message:dead_lettered",
        span,
        parent=parent,
        at=times[-1] + 1,
        error_type="OutOfStock",
        name=name,
    )
    return [*found, last]


def named(events: Iterable[Event], name: str, actor: str = "Order/1") -> list[Event]:
    return [
        Event(e.type, e.trace_id, e.span_id, e.parent_span_id, e.time_ns, actor, name, e.attempt)
        for e in events
    ]


def of(left: list[Event], right: list[Event]) -> Comparison:
    return compare(tree_of(left), tree_of(right))


def shape(comparison: Comparison) -> list[tuple[int, int, int]]:
    """Return depth, left and right span of each row; 0 for none."""
    return [
        (
            row.depth,
            int(row.left.span_id, 16) if row.left else 0,
            int(row.right.span_id, 16) if row.right else 0,
        )
        for row in comparison.rows
    ]


def said(comparison: Comparison, number: int = 0) -> str:
    return "".join(word.text for word in describe(comparison, comparison.divergences[number]))


def sides(comparison: Comparison, divergence: int = 0) -> tuple[str | None, str | None]:
    row = comparison.rows[comparison.divergences[divergence].row]
    return row.left and row.left.span_id, row.right and row.right.span_id


def test_spans_correspond_by_their_place_among_those_of_their_kind() -> None:
    left = [*told(1, None, 0, 1, 9), *named(told(2, 1, 2, 3, 4), "a"), *done(3, 1, 5, 6)]
    right = [*told(1, None, 0, 1, 9), *done(7, 1, 2, 3), *named(told(8, 1, 5, 6, 7), "a")]
    comparison = of(left, right)
    assert shape(comparison) == [(0, 1, 1), (1, 2, 8), (1, 3, 7)]
    assert comparison.first is None


def test_the_same_actors_correspond_before_the_same_places() -> None:
    def spread(run: str, *numbers: int) -> list[Event]:
        events = named(told(1, None, 0, 1, 9), "spread", f"Spread/{run}")
        for place, number in enumerate(numbers):
            events += named(told(number, 1, 2 + place, 3, 4), "count", f"Count/{run}-{number}")
        return events

    # The second is missing, not the last.
    assert shape(of(spread("x", 2, 3, 4), spread("longer", 2, 4))) == [
        (0, 1, 1),
        (1, 2, 2),
        (1, 3, 0),
        (1, 4, 4),
    ]
    assert shape(of(spread("x", 2, 3, 4), spread("y", 4, 5))) == [
        (0, 1, 1),
        (1, 2, 5),
        (1, 3, 0),
        (1, 4, 4),
    ]


def test_what_only_one_trace_has_is_shown_with_all_below_it_and_counted_once() -> None:
    left = told(1, None, 0, 1, 9)
    right = [*left, *named(told(2, 1, 5, 6, 7), "ship"), *named(told(3, 2, 6, 7, 8), "pack")]
    comparison = of(left, right)
    assert shape(comparison) == [(0, 1, 1), (1, 0, 2), (2, 0, 3)]
    assert [row.presence for row in comparison.rows] == ["both", "right", "right"]
    assert len(comparison.divergences) == 1
    assert said(comparison) == "Order/1 ship is only in B; in A, Order/1 place did not lead to it"
    assert comparison.counts() == Counter(both=1, right=2)


def test_a_failure_comes_before_what_did_not_happen_for_it() -> None:
    # What a turn sends is enqueued before the turn is said to have completed.
    well = [
        *named(told(1, None, 0, 1, 20), "reserve"),
        *named(told(2, 1, 18, 22, 30), "ship", "Shipment/1"),
    ]
    badly = failing(1, None, 10, 13)
    comparison = of(badly, well)
    assert said(comparison) == (
        "Order/1 reserve failed with OutOfStock after 2 attempts in A; in B it completed"
    )
    assert said(comparison, 1) == (
        "Shipment/1 ship is only in B; in A, Order/1 reserve failed with OutOfStock after 2"
        " attempts and did not lead to it"
    )
    assert said(of(well, badly)) == (
        "Order/1 reserve failed with OutOfStock after 2 attempts in B; in A it completed"
    )


def test_of_a_failed_activity_and_its_message_and_run_the_activity_is_first() -> None:
    def order(ends: str) -> list[Event]:
        failed = ends == "failed"
        events = [
            event("workflow:started", 1, name="order"),
            event("queue:enqueued", 2, parent=1, name="reserve"),
            event("message:started", 2, parent=1, at=2, name="reserve"),
            event("activity:scheduled", 3, parent=2, at=3, name="look"),
        ]
        if not failed:
            return [
                *events,
                event("activity:completed", 3, parent=2, at=4, name="look"),
                event("message:completed", 2, parent=1, at=6, name="reserve"),
                event("workflow:completed", 1, at=7, name="order"),
            ]
        return [
            *events,
            event("activity:failed", 3, parent=2, at=4, name="look", error_type="Gone"),
            event("message:failed", 2, parent=1, at=5, name="reserve", error_type="Gone"),
            event("message:dead_lettered", 2, parent=1, at=6, name="reserve", error_type="Gone"),
            event("workflow:failed", 1, at=7, name="order", error_type="Gone"),
        ]

    comparison = of(order("failed"), order("well"))
    assert [said(comparison, number) for number in range(3)] == [
        "The activity look of Order/1 reserve failed with Gone in A; in B it completed",
        "Order/1 reserve failed with Gone in A; in B it completed",
        "The run order failed with Gone in A; in B it completed",
    ]
    assert [comparison.rows[place].span.name for place in comparison.messages()] == ["reserve"]


def test_attempts_alone_are_a_difference_and_no_divergence() -> None:
    again = [
        event("queue:enqueued", 1, at=0, attempt=0),
        event("message:started", 1, at=1),
        event("message:failed", 1, at=2, error_type="Boom"),
        event("message:started", 1, at=10, attempt=2),
        event("message:completed", 1, at=12, attempt=2),
    ]
    comparison = of(again, told(1, None, 0, 1, 2))
    (row,) = comparison.rows
    assert comparison.first is None
    assert (row.differs, row.outcome_differs, row.tries_differ) == (True, False, True)
    assert row.ratio == 6
    assert comparison.slower(row)


def test_traces_that_failed_otherwise_went_apart_at_the_first_other_error() -> None:
    def failed(*errors: str) -> list[Event]:
        events = [event("queue:enqueued", 1, at=0, attempt=0)]
        for attempt, error in enumerate(errors, 1):
            at = 10 * attempt
            events.append(event("message:started", 1, at=at, attempt=attempt))
            events.append(event("message:failed", 1, at=at + 1, attempt=attempt, error_type=error))
        return [*events, event("message:dead_lettered", 1, at=99, error_type=errors[-1])]

    comparison = of(failed("Busy", "Busy", "Gone"), failed("Busy", "Lost", "Lost"))
    assert said(comparison) == "Order/1 place failed with Gone in A and with Lost in B"
    first = comparison.first
    assert first is not None
    assert (first.left_ns, first.right_ns) == (21_000_000, 21_000_000)


def test_what_has_not_ended_and_what_is_yet_to_come_are_said() -> None:
    running = [
        *told(1, None, 0, 1, 9),
        event("queue:enqueued", 2, parent=1, at=5, name="ship"),
    ]
    ended = [
        *told(1, None, 0, 1, 9),
        *named(told(2, 1, 5, 6, 7), "ship"),
        *named(told(3, 1, 6, 7, 8), "bill"),
    ]
    comparison = of(running, ended)
    assert sorted(said(comparison, number) for number in range(2)) == [
        "Order/1 bill is only in B; in A, Order/1 place has not led to it yet",
        "Order/1 ship has not ended in A; in B it completed",
    ]


def test_how_a_trace_was_started_is_no_divergence() -> None:
    command = [*run(2, None, 0, 31), *told(3, 2, 0, 9, 30)]
    request = event("http:request", 1, at=12, duration_ns=12_000_000, actor=None, name="POST /x")
    web = [request, *run(2, 1, 8, 31), *told(3, 2, 8, 9, 30)]
    comparison = of(web, command)
    assert shape(comparison) == [(0, 1, 0), (1, 2, 2), (2, 3, 3)]
    assert comparison.rows[0].entry
    assert comparison.first is None
    # Traces that have nothing in common went apart at once.
    assert said(of(web, named(told(5, None, 0, 1, 2), "other"))) in (
        "The request POST /x is only in A",
        "Order/1 other is only in B",
    )


def test_durations_of_open_spans_have_no_ratio() -> None:
    comparison = of(told(1, None, 0, 1, 9), [event("queue:enqueued", 1)])
    assert comparison.rows[0].ratio is None


def test_long_stretches_are_folded_and_what_is_linked_to_never_is() -> None:
    def wide(count: int, *, fails: bool = False) -> list[Event]:
        events = told(1, None, 0, 1, 50)
        for number in range(2, count):
            if fails and number == 40:
                events += failing(number, 1, 12, name="count")
            else:
                events += named(told(number, 1, 10, 11, 12), "count")
        return events

    comparison = of(wide(80, fails=True), wide(60))
    shown = window(comparison, everything=False, start=0)
    folds = [item for item in shown.items if isinstance(item, Fold)]
    assert [(fold.number, fold.folded, fold.text) for fold in folds] == [
        (EDGE, 39 - 2 * EDGE, "35 rows alike"),
        (40 + EDGE, 19 - 2 * EDGE, "15 rows alike"),
        (60 + EDGE, 19 - 2 * EDGE, "15 more rows only in A"),
    ]
    assert min(fold.folded for fold in folds) >= FOLD
    linked = [divergence.row for divergence in comparison.divergences[:6]]
    assert linked == [39, 59]
    assert said(comparison, 1) == (
        "Order/1 count and 19 more like it are only in A; in B, Order/1 place did not lead to them"
    )
    assert set(linked) <= {item.number for item in shown.items if isinstance(item, RowView)}
    assert set(shown.places) == set(linked)
    everything = window(comparison, everything=True, start=0)
    assert [item.number for item in everything.items] == list(range(79))


def test_pages_of_rows_follow_each_other_and_links_name_their_page() -> None:
    events = told(1, None, 0, 1, 9)
    for number in range(2, 702):
        events += named(told(number, 1, 10, 11, 12), "count")
    comparison = of([*events, *failing(5_000, 1, 20)], events)
    first = window(comparison, everything=True, start=0)
    assert (first.total, len(first.items), first.previous) == (702, 300, None)
    assert first.next == "?rows=all&from=300"
    last = window(comparison, everything=True, start=650)
    assert (last.first, len(last.items), last.next) == (600, 102, None)
    assert first.places == {701: "?rows=all&from=600#row-701"}
    assert window(comparison, everything=True, start=10**9).first == 600


def chain(depth: int) -> list[Event]:
    return [e for n in range(1, depth + 1) for e in told(n, n - 1 or None, n, n, n + 2)]


def siblings(count: int) -> list[Event]:
    return [foreign(1, None, 0, count), *(foreign(n + 2, 1, n, n + 1) for n in range(count))]


@pytest.mark.parametrize(("events", "seconds"), [(chain, 10), (siblings, 10)])
def test_deep_and_wide_traces_are_compared_in_time(
    events: Callable[[int], list[Event]], seconds: float
) -> None:
    left, right = tree_of(events(10_000)), tree_of(events(9_000))
    begun = time.process_time()
    comparison = compare(left, right)
    window(comparison, everything=False, start=0)
    assert time.process_time() - begun < seconds
    counts = comparison.counts()
    assert counts["left"] == 1_000
    assert counts["both"] == len(right.spans)
    assert comparison.divergences


def pairs(comparison: Comparison) -> set[tuple[str | None, str | None]]:
    return {
        (row.left and row.left.span_id, row.right and row.right.span_id) for row in comparison.rows
    }


@given(EVENTS)
def test_a_trace_compared_with_itself_has_no_divergence(events: list[Event]) -> None:
    tree = tree_of(events)
    comparison = compare(tree, tree)
    assert comparison.first is None
    assert [row.left for row in comparison.rows] == tree.spans
    assert all(row.left is row.right and not row.differs for row in comparison.rows)
    assert [row.depth for row in comparison.rows] == [span.depth for span in tree.spans]


@given(EVENTS, EVENTS)
def test_every_span_is_in_one_row_and_both_ways_tell_the_same(
    one: list[Event], other: list[Event]
) -> None:
    left, right = tree_of(one), tree_of(other)
    there, back = compare(left, right), compare(right, left)
    for of_side, tree in (
        ([row.left for row in there.rows], left),
        ([row.right for row in there.rows], right),
    ):
        assert sorted(span.span_id for span in of_side if span) == sorted(
            span.span_id for span in tree.spans
        )
    assert pairs(there) == {pair[::-1] for pair in pairs(back)}
    assert len(there.divergences) == len(back.divergences)
    for number in range(len(there.divergences)):
        assert sides(there, number) == sides(back, number)[::-1]
    for divergence in there.divergences:
        assert describe(there, divergence)
    for everything in (False, True):
        shown = window(there, everything=everything, start=0)
        assert sum(item.folded or 1 for item in shown.items) == len(there.rows)


@given(EVENTS)
def test_every_row_stands_below_its_parent(events: list[Event]) -> None:
    other = tree_of([*told(1, None, 0, 1, 9), *told(2, 1, 2, 3, 4)])
    comparison = compare(tree_of(events), other)
    for place, row in enumerate(comparison.rows):
        assert row.parent < place
        if row.parent >= 0:
            assert row.depth == comparison.rows[row.parent].depth + 1
