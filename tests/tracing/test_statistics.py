"""Statistics: whose time counts where, with attempts, overlaps, and any events at all."""

from __future__ import annotations

from hypothesis import given

from tests.builders import event
from tests.tracing.test_critical import EVENTS, MS, done, foreign, run, told
from tests.tracing.test_tree import handled, tree_of
from tracing import Event, TraceTree
from tracing.critical import critical_path
from tracing.statistics import Line, statistics


def lines(*events: Event) -> list[Line]:
    return statistics(tree_of(list(events)))


def line(kind: str, *events: Event) -> Line:
    (found,) = [line for line in lines(*events) if line.kind == kind]
    return found


def test_spans_are_grouped_by_kind_actor_type_and_name() -> None:
    found = lines(
        event("message:started", 1, at=0, actor="Order/1", name="place"),
        event("message:completed", 1, at=2, actor="Order/1", name="place"),
        event("message:started", 2, at=2, actor="Order/2", name="place"),
        event("message:completed", 2, at=7, actor="Order/2", name="place"),
        event("message:started", 3, at=7, actor="Order/2", name="cancel"),
        event("message:completed", 3, at=8, actor="Order/2", name="cancel"),
        event("message:started", 4, at=8, actor="Stock/1", name="place"),
        event("message:completed", 4, at=11, actor="Stock/1", name="place"),
        event("http:request", 5, at=11, actor=None, name="POST /", duration_ns=0),
    )
    assert [(one.kind, one.actor_type, one.name, one.spans) for one in found] == [
        ("message", "Order", "place", 2),
        ("message", "Stock", "place", 1),
        ("message", "Order", "cancel", 1),
        ("http", "", "POST /", 1),
    ]
    assert [one.total_ns // MS for one in found] == [7, 3, 1, 0]
    assert [one.longest_ns // MS for one in found] == [5, 3, 1, 0]


def test_waiting_attempts_and_backoff_are_told_apart() -> None:
    assert line(
        "message",
        event("queue:enqueued", 1, at=0, attempt=0),
        event("message:started", 1, at=1),
        event("message:failed", 1, at=4, error_type="Boom"),
        event("message:started", 1, at=10, attempt=2),
        event("message:completed", 1, at=12, attempt=2),
    ) == Line(
        kind="message",
        actor_type="Order",
        name="place",
        spans=1,
        failing=1,
        total_ns=5 * MS,
        self_ns=5 * MS,
        waiting_ns=MS,
        backoff_ns=6 * MS,
        longest_ns=5 * MS,
        critical_ns=12 * MS,
    )


def test_activities_side_by_side_are_taken_off_the_turns_own_time_once() -> None:
    turn = line("message", *told(1, None, 0, 0, 30), *done(2, 1, 5, 15), *done(3, 1, 10, 20))
    assert (turn.total_ns, turn.self_ns) == (30 * MS, 15 * MS)


def test_only_the_time_that_an_activity_shares_with_an_attempt_is_taken_off() -> None:
    turn = line(
        "message",
        event("message:started", 1, at=10),
        event("message:failed", 1, at=20),
        event("message:started", 1, at=40),
        event("message:completed", 1, at=50),
        *done(2, 1, 5, 11),
        *done(3, 1, 15, 25),
        *done(4, 1, 27, 35),
        *done(5, 1, 38, 45),
    )
    assert (turn.total_ns, turn.self_ns) == (20 * MS, 9 * MS)


def test_messages_that_a_turn_sent_are_not_taken_off_its_own_time() -> None:
    both = line("message", *told(1, None, 0, 0, 30), *told(2, 1, 5, 6, 25))
    assert (both.total_ns, both.self_ns, both.longest_ns) == (49 * MS, 49 * MS, 30 * MS)


def test_any_child_is_taken_off_the_own_time_of_runs_and_other_services() -> None:
    events = [*run(1, None, 0, 20), *told(2, 1, 0, 5, 18), *done(3, 2, 6, 10), foreign(4, 3, 7, 9)]
    own = {one.kind: (one.total_ns // MS, one.self_ns // MS) for one in lines(*events)}
    assert own == {"workflow": (20, 2), "message": (13, 9), "activity": (4, 4), "foreign": (2, 2)}


def test_an_open_attempt_counts_until_the_end_of_the_trace() -> None:
    turn = line("message", event("message:started", 1, at=3), event("store:read", 1, at=10))
    assert (turn.total_ns, turn.waiting_ns) == (7 * MS, 0)


def test_an_attempt_after_the_dead_letter_counts_once_it_has_ended() -> None:
    dead = [
        event("message:started", 1, at=0),
        event("message:dead_lettered", 1, at=10),
        event("message:started", 1, at=30),
        event("store:read", 1, at=40),
    ]
    again = line("message", *dead)
    assert (again.total_ns, again.backoff_ns) == (10 * MS, 0)
    tried = line("message", *dead, event("message:completed", 1, at=45))
    assert (tried.total_ns, tried.backoff_ns) == (25 * MS, 20 * MS)


def test_a_message_that_was_never_handled_only_waited() -> None:
    one = line("message", event("queue:enqueued", 1, at=0), event("actor:created", 1, at=8))
    assert (one.total_ns, one.waiting_ns, one.critical_ns) == (0, 8 * MS, 8 * MS)


def test_the_critical_share_is_that_of_the_path() -> None:
    found = lines(*told(1, None, 0, 2, 20), *done(2, 1, 5, 15), *done(3, 1, 6, 14))
    shares = {one.kind: one.critical_ns // MS for one in found}
    assert shares == {"message": 10, "activity": 10}


def test_lines_come_by_their_own_time() -> None:
    found = lines(*told(1, None, 0, 0, 20), *done(2, 1, 1, 18))
    assert [(one.kind, one.self_ns // MS) for one in found] == [("activity", 17), ("message", 3)]


def test_a_trace_without_spans_has_no_lines() -> None:
    tree = tree_of(handled(1, None, 0))
    assert statistics(TraceTree(tree.summary, [], [], [])) == []


def test_a_chain_of_ten_thousand_levels_has_statistics() -> None:
    depth = 10_000
    levels = (told(n, n - 1 if n > 1 else None, n, n, n + 2) for n in range(1, depth + 1))
    (only,) = lines(*(one for level in levels for one in level))
    assert (only.spans, only.total_ns, only.critical_ns) == (depth, 2 * depth * MS, 10_001 * MS)


def test_a_hundred_thousand_siblings_have_statistics() -> None:
    count = 100_000
    siblings = (foreign(n + 2, 1, 2 * n, 2 * n + 1) for n in range(count))
    parent = event("http:request", 1, at=2 * count, duration_ns=2 * count * MS)
    found = {one.kind: one for one in lines(parent, *siblings)}
    assert found["http"].self_ns == found["foreign"].self_ns == count * MS
    assert found["http"].critical_ns == found["foreign"].critical_ns == count * MS


@given(EVENTS)
def test_the_statistics_of_any_events_add_up(events: list[Event]) -> None:
    tree = tree_of(events)
    found = statistics(tree)
    path = sum(segment.end_ns - segment.start_ns for segment in critical_path(tree))
    assert sum(one.critical_ns for one in found) == path
    assert sum(one.spans for one in found) == len(tree.spans)
    assert sum(one.failing for one in found) == len(tree.failing)
    assert [one.self_ns for one in found] == sorted((one.self_ns for one in found), reverse=True)
    assert len({(one.kind, one.actor_type, one.name) for one in found}) == len(found)
    for one in found:
        assert 0 <= one.self_ns <= one.total_ns
        assert one.longest_ns <= one.total_ns <= one.spans * one.longest_ns
        assert min(one.waiting_ns, one.backoff_ns, one.critical_ns) >= 0
