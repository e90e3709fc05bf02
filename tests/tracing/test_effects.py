"""What a span has to do with a turn, and what the turn did: read from events alone."""

from __future__ import annotations

from tests.builders import event
from tests.tracing.test_tree import tree_of
from tracing import Event, Ref, RefKind
from tracing.effects import effects_of
from tracing.turns import failures_of, latest_states_of, message_of, states_of, turn_of

M1, M2, M3 = (Ref(RefKind.MESSAGE, "run", f"m{n}") for n in (1, 2, 3))


def state(version: int) -> Ref:
    return Ref(RefKind.ACTOR_STATE, "Order/1", str(version))


def record(index: int) -> Ref:
    return Ref(RefKind.JOURNAL_ENTRY, "Order/1", f"{index}:1")


def turn(*more: Event, span: int = 2, message: Ref = M1) -> list[Event]:
    return [
        event("queue:enqueued", span, parent=1, refs=(message,)),
        event("message:started", span, parent=1, at=1, refs=(message,)),
        *more,
    ]


def in_turn(type: str, at: int, *refs: Ref, name: str = "place", span: int = 2) -> Event:
    return event(type, span, parent=1, at=at, refs=refs, name=name)


def test_an_activity_belongs_to_its_turn_and_a_run_to_its_first_message() -> None:
    run = event("workflow:started", 1, refs=(M1,))
    other = turn(span=4, message=M2)
    activity = event("activity:scheduled", 3, parent=2, at=5)
    foreign = event("foreign:completed", 5, parent=2, at=6)
    lost = event("activity:scheduled", 6, parent=99, at=6)
    tree = tree_of([run, *other, *turn(), activity, foreign, lost])

    def of(span: int) -> str | None:
        found = tree.span(f"{span:016x}")
        assert found is not None
        subject = turn_of(tree, found)
        return None if subject is None else subject.span_id[-1]

    assert [of(span) for span in (1, 2, 3, 4, 5, 6)] == ["2", "2", "2", "4", None, None]


def test_the_own_message_is_told_from_those_that_were_sent() -> None:
    (span,) = tree_of([in_turn("message:sent", 1, M2), in_turn("message:completed", 2, M1)]).spans
    assert message_of(span) == M1
    (bare,) = tree_of([event("actor:created", 7)]).spans
    assert message_of(bare) is None


def test_states_are_those_before_and_after_each_change() -> None:
    changed = turn(
        in_turn("actor:activated", 2, state(1)),
        in_turn("actor:state_changed", 3, state(1), state(4), record(1)),
        in_turn("message:completed", 4, M1, record(1), state(4)),
    )
    (span,) = tree_of(changed).spans
    assert states_of(span) == [(state(1), state(4))]
    assert latest_states_of(span) == (state(1), state(4))
    (unchanged,) = tree_of(turn(in_turn("message:completed", 4, M1, state(4)))).spans
    assert states_of(unchanged) == [(state(4), None)]
    (nothing,) = tree_of(turn()).spans
    assert states_of(nothing) == []
    assert latest_states_of(nothing) is None


def test_a_failed_turn_has_the_state_that_its_last_attempt_saw() -> None:
    failed = turn(
        in_turn("message:failed", 2, M1, record(1), state(1)),
        in_turn("message:failed", 4, M1, record(2), state(2)),
        in_turn("message:dead_lettered", 5, M1, record(2)),
    )
    (span,) = tree_of(failed).spans
    assert latest_states_of(span) == (state(2), None)
    assert [e.type for e in failures_of(span)] == [
        *("message:dead_lettered", "message:failed", "message:failed")
    ]


def test_sent_messages_are_matched_with_the_spans_that_handle_them() -> None:
    events = [
        *turn(
            in_turn("message:sent", 2, M2, record(1), name="ship"),
            in_turn("child:spawned", 3, M3, record(1), name="born"),
        ),
        event("queue:enqueued", 3, parent=2, at=4, name="ship", refs=(M2,)),
        event("foreign:completed", 9, parent=2, at=5),
        event("activity:scheduled", 8, parent=2, at=5),
    ]
    tree = tree_of(events)
    effects = effects_of(tree.spans[0])
    ((sent,), (spawned,)) = effects.sent, effects.spawned
    assert sent.receiver is tree.span(f"{3:016x}")
    assert (spawned.receiver, spawned.event.name) == (None, "born")
    assert [span.span_id[-1] for span in effects.activities] == ["8"]
    assert [span.span_id[-1] for span in effects.others] == ["9"]


def test_what_an_unfinished_turn_sent_is_known_from_its_receivers() -> None:
    events = [*turn(), event("queue:enqueued", 3, parent=2, at=4, name="ship", refs=(M2,))]
    ((sent,),) = [effects_of(tree_of(events).spans[0]).sent]
    assert sent.ref == M2
    assert sent.receiver is not None


def test_waits_are_paired_with_what_ended_them() -> None:
    events = turn(
        in_turn("event:awaited", 2, name="paid"),
        in_turn("event:awaited", 3, name="paid"),
        in_turn("timer:set", 4),
        in_turn("event:awaited", 5, name="signed"),
        in_turn("event:awaited", 6, name="stamped"),
        in_turn("event:awaited", 7, name="never"),
        in_turn("event:received", 12, record(1), name="paid"),
        in_turn("timer:fired", 13, record(2)),
        in_turn("timer:fired", 14, record(3), name="signed"),
        in_turn("turn:cancelled", 15, record(4), name="stamped"),
    )
    waits = effects_of(tree_of(events).spans[0]).waits
    assert [(wait.name, wait.end) for wait in waits] == [
        ("paid", "received"),
        ("paid", "open"),
        ("", "time"),
        ("signed", "time"),
        ("stamped", "cancelled"),
        ("never", "open"),
    ]
    assert [wait.ref for wait in waits if wait.ref] == [record(n) for n in (1, 2, 3, 4)]


def test_a_saga_is_its_steps_and_how_far_it_came() -> None:
    events = turn(
        in_turn("saga:started", 2, name="trip"),
        in_turn("saga:step_completed", 3, name="trip"),
        in_turn("saga:compensating", 4, name="trip"),
        in_turn("saga:compensated", 5, name="trip"),
        in_turn("saga:started", 6, name="trip"),
        in_turn("saga:started", 7, name="other"),
        in_turn("saga:completed", 8, name="other"),
    )
    sagas = effects_of(tree_of(events).spans[0]).sagas
    assert [(saga.name, len(saga.events), saga.end) for saga in sagas] == [
        ("trip", 4, "compensated"),
        ("trip", 1, "started"),
        ("other", 2, "completed"),
    ]


def test_documents_are_told_by_container_and_id() -> None:
    document = Ref(RefKind.DOCUMENT, "Order/1", "actor-journals/000/7")
    events = turn(
        in_turn("store:write", 2, document, name="actor-journals"),
        in_turn("cosmosdb:read", 3, document, name="actor-journals"),
    )
    effects = effects_of(tree_of(events).spans[0])
    ((write,), (read,)) = effects.writes, effects.reads
    assert (write.container, write.document) == ("actor-journals", "000/7")
    assert read.event.type == "cosmosdb:read"


def test_only_the_last_attempt_of_a_turn_that_failed_for_good_withheld_something() -> None:
    def failing(at: int, *names: str, end: str = "message:dead_lettered") -> list[Event]:
        withheld = [in_turn("message:withheld", at + 1, name=name) for name in names]
        return [in_turn("message:started", at), *withheld, in_turn(end, at + 5)]

    once = failing(0, "ship", "bill")
    (span,) = tree_of(once).spans
    assert effects_of(span).withheld == ["ship", "bill"]
    assert span.name == "place"
    (span,) = tree_of([*once, *failing(10, "ship")]).spans
    assert effects_of(span).withheld == ["ship"]
    (span,) = tree_of([*once, *failing(10, end="message:completed")]).spans
    assert effects_of(span).withheld == []
