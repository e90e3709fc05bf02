"""The critical path: which span the walk back goes to, what it was doing, and any events at all."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from tests.builders import event
from tests.tracing.test_tree import handled, tree_of
from tracing import Event, TraceTree
from tracing.critical import critical_path, ends
from tracing.registry import REGISTRY
from tracing.waterfall import bounds

MS = 1_000_000
ZERO = event("queue:enqueued").time_ns


def run(span: int, parent: int | None, start: int, end: int) -> list[Event]:
    return [
        event("workflow:started", span, parent=parent, at=start),
        event("workflow:completed", span, parent=parent, at=end),
    ]


def told(span: int, parent: int | None, queued: int, started: int, ended: int) -> list[Event]:
    """Return a message's events."""
    return [
        event("queue:enqueued", span, parent=parent, at=queued, attempt=0),
        event("message:started", span, parent=parent, at=started),
        event("message:completed", span, parent=parent, at=ended),
    ]


def done(span: int, parent: int, start: int, end: int) -> list[Event]:
    """Return an activity's events."""
    return [
        event("activity:scheduled", span, parent=parent, at=start),
        event("activity:started", span, parent=parent, at=start),
        event("activity:completed", span, parent=parent, at=end),
    ]


def foreign(span: int, parent: int | None, start: int, end: int) -> Event:
    return event(
        "foreign:completed", span, parent=parent, at=end, duration_ns=(end - start) * MS, actor=None
    )


def path(*events: Event) -> list[tuple[int, int, int, str]]:
    """Return span, start, end (in milliseconds) and part of each segment."""
    return path_of(tree_of(list(events)))


def path_of(tree: TraceTree) -> list[tuple[int, int, int, str]]:
    return [
        (int(s.span_id, 16), (s.start_ns - ZERO) // MS, (s.end_ns - ZERO) // MS, s.part)
        for s in critical_path(tree)
    ]


def test_a_message_waits_and_is_handled() -> None:
    assert path(*handled(1, None, 0)) == [(1, 0, 4, "waiting"), (1, 4, 10, "handling")]


def test_the_path_goes_through_an_activity_and_back_into_the_turn_that_called_it() -> None:
    assert path(*told(1, None, 0, 2, 20), *done(2, 1, 5, 15)) == [
        (1, 0, 2, "waiting"),
        (1, 2, 5, "handling"),
        (2, 5, 15, "handling"),
        (1, 15, 20, "handling"),
    ]


def test_of_parallel_activities_the_last_to_end_is_on_the_path() -> None:
    assert path(*told(1, None, 0, 0, 30), *done(2, 1, 5, 12), *done(3, 1, 7, 20)) == [
        (1, 0, 7, "handling"),
        (3, 7, 20, "handling"),
        (1, 20, 30, "handling"),
    ]


def test_of_spans_that_end_together_the_first_to_begin_is_on_the_path() -> None:
    activities = [*done(2, 1, 5, 20), *done(3, 1, 7, 20)]
    assert [span for span, *_ in path(*told(1, None, 0, 0, 30), *activities)] == [1, 2, 1]
    messages = [*told(2, 1, 5, 5, 20), *told(3, 1, 7, 7, 20)]
    assert [span for span, *_ in path(*told(1, None, 0, 0, 10), *messages)] == [1, 2]


def test_activities_one_after_the_other_are_all_on_the_path() -> None:
    assert path(*told(1, None, 0, 0, 30), *done(2, 1, 5, 10), *done(3, 1, 10, 20)) == [
        (1, 0, 5, "handling"),
        (2, 5, 10, "handling"),
        (3, 10, 20, "handling"),
        (1, 20, 30, "handling"),
    ]


def test_a_message_that_outlives_its_sender_is_what_the_trace_waited_for() -> None:
    assert path(*told(1, None, 0, 2, 12), *told(2, 1, 10, 40, 50)) == [
        (1, 0, 2, "waiting"),
        (1, 2, 10, "handling"),
        (2, 10, 40, "waiting"),
        (2, 40, 50, "handling"),
    ]


def test_of_several_messages_sent_the_one_that_ends_last_is_on_the_path() -> None:
    spans = path(*told(1, None, 0, 0, 10), *told(2, 1, 9, 20, 60), *told(3, 1, 9, 15, 50))
    assert [span for span, *_ in spans] == [1, 2, 2]


def test_a_turn_does_not_wait_for_a_message_that_it_sent() -> None:
    assert path(*told(1, None, 0, 0, 30), *told(2, 1, 10, 12, 20)) == [(1, 0, 30, "handling")]


def test_a_run_waits_for_its_first_message() -> None:
    assert path(*run(1, None, 0, 21), *told(2, 1, 0, 5, 20)) == [
        (2, 0, 5, "waiting"),
        (2, 5, 20, "handling"),
        (1, 20, 21, "handling"),
    ]


def test_the_request_that_started_a_run_is_on_its_path() -> None:
    request = event("http:request", 1, at=12, duration_ns=12 * MS, actor=None)
    assert path(request, *run(2, 1, 8, 31), *told(3, 2, 8, 9, 30)) == [
        (1, 0, 8, "handling"),
        (3, 8, 9, "waiting"),
        (3, 9, 30, "handling"),
        (2, 30, 31, "handling"),
    ]


def test_a_span_of_another_service_that_an_activity_called_is_on_the_path() -> None:
    assert path(*told(1, None, 0, 0, 20), *done(2, 1, 2, 18), foreign(3, 2, 4, 16)) == [
        (1, 0, 2, "handling"),
        (2, 2, 4, "handling"),
        (3, 4, 16, "handling"),
        (2, 16, 18, "handling"),
        (1, 18, 20, "handling"),
    ]


def test_between_attempts_a_message_is_in_backoff() -> None:
    assert path(
        event("queue:enqueued", 1, at=0, attempt=0),
        event("message:started", 1, at=1),
        event("message:failed", 1, at=2, error_type="Boom"),
        event("message:retried", 1, at=2),
        event("message:started", 1, at=10, attempt=2),
        event("message:completed", 1, at=12, attempt=2),
    ) == [
        (1, 0, 1, "waiting"),
        (1, 1, 2, "handling"),
        (1, 2, 10, "backoff"),
        (1, 10, 12, "handling"),
    ]


def test_an_attempt_whose_end_was_not_recorded_is_open_until_the_next() -> None:
    assert path(
        event("message:started", 1, at=0),
        event("message:started", 1, at=30, attempt=2),
        event("message:completed", 1, at=35, attempt=2),
    ) == [(1, 0, 30, "open"), (1, 30, 35, "handling")]


def test_open_spans_last_until_the_end_of_the_trace() -> None:
    assert path(
        event("workflow:started", 1, at=0),
        event("message:started", 2, parent=1, at=5),
        event("activity:started", 3, parent=2, at=8),
        event("store:read", 2, parent=1, at=20),
    ) == [(1, 0, 5, "open"), (2, 5, 8, "open"), (3, 8, 20, "open")]


def test_a_message_that_nobody_took_is_waiting() -> None:
    assert path(
        *told(1, None, 0, 0, 10),
        event("queue:enqueued", 2, parent=1, at=8),
        event("lock:released", 1, at=15),
    ) == [(1, 0, 8, "handling"), (2, 8, 15, "waiting")]


def test_an_activity_that_a_killed_worker_left_open_ends_with_its_attempt() -> None:
    tree = tree_of(
        [
            event("message:started", 1, at=0),
            event("activity:started", 2, parent=1, at=5),
            event("message:started", 1, at=30, attempt=2),
            *done(3, 1, 32, 38),
            event("message:completed", 1, at=40, attempt=2),
            *told(4, 1, 39, 41, 90),
        ]
    )
    assert ends(tree)[f"{2:016x}"] == ZERO + 30 * MS
    assert path_of(tree) == [
        (1, 0, 5, "open"),
        (2, 5, 30, "open"),
        (1, 30, 32, "handling"),
        (3, 32, 38, "handling"),
        (1, 38, 39, "handling"),
        (4, 39, 41, "waiting"),
        (4, 41, 90, "handling"),
    ]


def test_time_between_a_parents_end_and_its_childs_start_is_left_out() -> None:
    assert path(*told(1, None, 0, 0, 10), *told(2, 1, 14, 14, 20)) == [
        (1, 0, 10, "handling"),
        (2, 14, 20, "handling"),
    ]


def test_a_child_whose_clock_is_ahead_of_its_parents_leads_on_to_the_grandparent() -> None:
    assert path(*run(1, None, 0, 20), *told(2, 1, 10, 10, 19), *done(3, 2, 7, 18)) == [
        (1, 0, 7, "handling"),
        (3, 7, 18, "handling"),
        (2, 18, 19, "handling"),
        (1, 19, 20, "handling"),
    ]


def test_a_child_that_ends_after_its_parent_is_not_what_the_parent_waited_for() -> None:
    assert path(*told(1, None, 0, 0, 10), *done(2, 1, 5, 12), *told(3, 1, 9, 9, 30)) == [
        (1, 0, 9, "handling"),
        (3, 9, 30, "handling"),
    ]


def test_spans_that_take_no_time_are_passed_over() -> None:
    assert path(*told(1, None, 0, 0, 10), *done(2, 1, 5, 5)) == [(1, 0, 10, "handling")]
    assert path(event("message:completed", 1, at=0), event("message:completed", 2, at=0)) == []
    again = event("message:duplicate", 2, parent=1, at=12)
    assert path(*told(1, None, 0, 0, 10), again, *told(3, None, 11, 11, 12)) == [
        (1, 0, 10, "handling"),
        (3, 11, 12, "handling"),
    ]


def test_from_a_root_the_path_goes_on_in_the_span_that_was_under_way_or_ended_last() -> None:
    orphan = told(9, 77, 30, 30, 50)
    assert path(*told(1, None, 0, 0, 10), *told(2, 1, 10, 10, 40), *orphan) == [
        (1, 0, 10, "handling"),
        (2, 10, 30, "handling"),
        (9, 30, 50, "handling"),
    ]
    assert path(*told(1, None, 0, 0, 10), *told(2, 1, 5, 5, 20), *orphan) == [
        (1, 0, 5, "handling"),
        (2, 5, 20, "handling"),
        (9, 30, 50, "handling"),
    ]


def test_a_circle_of_parents_has_a_path() -> None:
    assert path(*told(1, 3, 0, 0, 6), *told(2, 1, 5, 5, 12), *told(3, 2, 10, 10, 20)) == [
        (1, 0, 5, "handling"),
        (2, 5, 10, "handling"),
        (3, 10, 20, "handling"),
    ]


def test_a_trace_without_spans_has_no_path() -> None:
    tree = tree_of(handled(1, None, 0))
    assert critical_path(TraceTree(tree.summary, [], [], [])) == []


def test_a_chain_of_ten_thousand_levels_has_a_path() -> None:
    depth = 10_000
    levels = [
        one for n in range(1, depth + 1) for one in told(n, n - 1 if n > 1 else None, n, n, n + 2)
    ]
    spans = path(*levels)
    assert [span for span, *_ in spans] == list(range(1, depth + 1))
    assert spans[-1] == (depth, depth, depth + 2, "handling")


def test_ten_thousand_levels_whose_clocks_are_behind_their_leaves_have_a_path() -> None:
    depth = 10_000
    chain = [foreign(n, n - 1 if n > 1 else None, depth, 2 * depth) for n in range(1, depth + 1)]
    leaves = [foreign(depth + n, depth, n - 1, n) for n in range(1, depth + 1)]
    spans = path(*chain, *leaves)
    assert spans[:-1] == [(depth + n, n - 1, n, "handling") for n in range(1, depth + 1)]
    assert spans[-1][1:] == (depth, 2 * depth, "handling")


def test_a_hundred_thousand_siblings_have_a_path() -> None:
    count = 100_000
    siblings = [foreign(n + 2, 1, 2 * n, 2 * n + 1) for n in range(count)]
    spans = path(foreign(1, None, 0, 2 * count), *siblings)
    assert len(spans) == 2 * count
    assert spans[:3] == [(2, 0, 1, "handling"), (1, 1, 2, "handling"), (3, 2, 3, "handling")]


SPANS = st.integers(1, 6)
USUAL = [
    "queue:enqueued",
    "message:started",
    "message:failed",
    "message:completed",
    "activity:scheduled",
    "activity:started",
    "activity:completed",
    "foreign:completed",
]
TIMES = st.integers(0, 50)
EVENTS = st.lists(
    st.builds(
        lambda kind, span, parent, at, duration: event(
            kind, span, parent=parent, at=at, duration_ns=duration
        ),
        st.sampled_from(USUAL) | st.sampled_from(sorted(REGISTRY)),
        SPANS,
        st.none() | SPANS,
        TIMES,
        st.none() | st.integers(-5 * MS, 60 * MS),
    ),
    min_size=1,
    max_size=40,
)


@given(EVENTS)
@example([event("workflow:started", 1, at=0)])
def test_the_path_of_any_events_is_in_order_and_within_the_trace(events: list[Event]) -> None:
    tree = tree_of(events)
    begin, end = bounds(tree)
    spans = {span.span_id: span for span in tree.spans}
    ended = ends(tree)
    assert all(span.start_ns <= ended[span.span_id] for span in tree.spans)
    segments = critical_path(tree)
    for segment in segments:
        span = spans[segment.span_id]
        assert begin <= segment.start_ns < segment.end_ns <= end
        assert span.start_ns <= segment.start_ns < segment.end_ns <= ended[span.span_id]
    for one, next_one in pairwise(segments):
        assert one.end_ns <= next_one.start_ns


@given(EVENTS)
def test_the_path_of_any_events_ends_with_the_last_span_that_took_time(
    events: list[Event],
) -> None:
    tree = tree_of(events)
    ended = ends(tree)
    lasting = [end for s in tree.spans if s.start_ns < (end := ended[s.span_id])]
    assert [s.end_ns for s in critical_path(tree)[-1:]] == ([max(lasting)] if lasting else [])


@given(st.lists(st.tuples(SPANS, st.none() | SPANS, TIMES, TIMES), min_size=1, max_size=8))
def test_a_path_covers_all_time_of_any_span_when_children_begin_before_their_parents_end(
    drawn: list[tuple[int, int | None, int, int]],
) -> None:
    tree = tree_of([foreign(span, parent, *sorted(times)) for span, parent, *times in drawn])
    late = [c for s in tree.spans for c in s.children if c.start_ns > ends(tree)[s.span_id]]
    if late:
        return
    covered = {ms for s in tree.spans for ms in range(s.start_ns, ends(tree)[s.span_id], MS)}
    assert covered == {ms for s in critical_path(tree) for ms in range(s.start_ns, s.end_ns, MS)}
