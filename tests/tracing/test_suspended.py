"""What the turns of a trace wait for, from its events."""

from __future__ import annotations

from tests.builders import TRACE, event
from tests.tracing.test_showing import text_of
from tests.tracing.test_tree import tree_of
from tracing import Event, Ref, RefKind
from tracing.suspended import only_waits, suspensions


def waiting(span: int, *names: str, actor: str = "Loan/1", at: int = 0) -> list[Event]:
    """Return the events of a turn that waits for events of these names, "" for a time."""
    begun = [
        event("event:awaited" if name else "timer:set", span, at=at + 2 + n, actor=actor, name=name)
        for n, name in enumerate(names)
    ]
    return [
        event("queue:enqueued", span, at=at, actor=actor, name="decide", attempt=0),
        event("message:started", span, at=at + 1, actor=actor, name="decide"),
        *begun,
        event(
            "turn:suspended", span, at=at + 9, actor=actor, name=names[0] if names else "decision"
        ),
    ]


def told(events: list[Event]) -> list[tuple[str, str, int]]:
    return [
        (wait.span.actor or "", wait.event, (wait.since_ns // 1_000_000) % 1_000)
        for wait in suspensions(tree_of(events).spans)
    ]


def test_events_come_before_times_and_the_oldest_first() -> None:
    events = [*waiting(1, "", "paid"), *waiting(2, "decision", actor="Loan/2", at=10)]
    assert told(events) == [("Loan/1", "paid", 3), ("Loan/2", "decision", 12), ("Loan/1", "", 2)]
    assert text_of(events) == (
        "decide is suspended: Loan/1 waits for the event paid, and 2 other waits"
    )


def test_a_wait_that_ended_is_none() -> None:
    events = waiting(1, "decision")
    events += [
        event("message:started", 1, at=20, actor="Loan/1"),
        event("event:received", 1, at=21, actor="Loan/1", name="decision"),
    ]
    assert told(events) == []
    assert text_of(events).startswith("decide is running")


def test_where_the_beginning_of_a_wait_is_missing_its_suspension_tells() -> None:
    assert told(waiting(1)) == [("Loan/1", "decision", 9)]


def test_an_answer_is_named_by_the_message_that_was_sent() -> None:
    call = Ref(RefKind.MESSAGE, TRACE, "a" * 32)
    child = event("queue:enqueued", 2, parent=1, at=3, actor="Bank/1", name="ask", refs=(call,))
    tree = tree_of([*waiting(1, f"reply.{'a' * 32}"), child])
    (wait,) = suspensions(tree.spans)
    assert wait.called is not None
    assert (wait.called.actor, wait.for_event, wait.for_answer) == ("Bank/1", False, True)
    # The bank has yet to begin.
    assert not only_waits(tree.spans)


def test_what_waits_behind_a_suspended_turn_waits_with_it() -> None:
    behind = event("queue:enqueued", 2, at=12, actor="Loan/1", name="ask", attempt=0)
    assert only_waits(tree_of([*waiting(1, "decision"), behind]).spans)
    other = event("queue:enqueued", 3, at=12, actor="Loan/2", name="ask", attempt=0)
    assert not only_waits(tree_of([*waiting(1, "decision"), behind, other]).spans)


def test_a_turn_that_failed_once_and_waits_now_is_not_said_to_be_failing() -> None:
    failed = [
        event("message:started", 1, at=1, actor="Loan/1"),
        event("message:failed", 1, at=2, actor="Loan/1", error_type="Boom"),
    ]
    again = waiting(1, "decision", at=10)[1:]
    queued = event("queue:enqueued", 1, at=0, actor="Loan/1", name="decide", attempt=0)
    assert text_of([queued, *failed, *again]) == (
        "decide is suspended: Loan/1 waits for the event decision"
    )
