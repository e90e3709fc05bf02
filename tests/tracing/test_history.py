"""Which state an actor had when, as the events of a trace tell it."""

from __future__ import annotations

from tests.builders import TRACE, event
from tracing import Event, Ref, RefKind, Trace
from tracing.build import build_tree
from tracing.history import History
from tracing.spanlog import logs_of
from tracing.tally import Tally

ORDER, SHELF = "Order/1", "Shelf/1"


def state(version: int | str, actor: str = ORDER) -> Ref:
    return Ref(RefKind.ACTOR_STATE, actor, str(version))


def journal(first: int, count: int, actor: str = ORDER) -> Ref:
    return Ref(RefKind.JOURNAL_ENTRY, actor, f"{first}:{count}")


def history(*events: Event) -> History:
    tally = Tally()
    tally.add(logs_of(events))
    ordered = sorted(events, key=lambda each: each.time_ns)
    return build_tree(Trace(tally.summary(TRACE), ordered, [])).history


def told(found: History) -> list[tuple[int, str, str, str]]:
    start = 1_800_000_000_000_000_000
    return [
        ((moment.time_ns - start) // 1_000_000, moment.actor, moment.kind, moment.state.id)
        for moment in found.moments
    ]


def turn(span: int, at: int, *refs: Ref, actor: str = ORDER, changes: bool = True) -> list[Event]:
    """Return the events of a turn that begins at `at` and ends 10 ms later."""
    _, after, written = refs
    change = event("actor:state_changed", span, at=at + 10, actor=actor, refs=refs)
    return [
        event("queue:enqueued", span, at=at - 1, actor=actor),
        event("message:started", span, at=at, actor=actor),
        *([change] if changes else []),
        event("message:completed", span, at=at + 10, actor=actor, refs=(written, after)),
    ]


def test_an_actor_is_without_a_state_until_its_first_turn_ends() -> None:
    found = history(event("actor:created", 1, at=1), *turn(1, 2, state(0), state(3), journal(0, 3)))
    assert told(found) == [(1, ORDER, "created", "0"), (12, ORDER, "changed", "3")]
    assert found.moments[1].before == state(0)


def test_an_actor_in_memory_had_its_state_since_its_turn_began() -> None:
    found = history(*turn(1, 20, state(5), state(7), journal(5, 2)))
    assert told(found) == [(20, ORDER, "seen", "5"), (30, ORDER, "changed", "7")]


def test_what_a_turn_journals_besides_its_state_is_no_change() -> None:
    found = history(
        *turn(1, 10, state(0), state(2), journal(0, 2)),
        event("activity:scheduled", 3, parent=2, at=41),
        event("activity:completed", 3, parent=2, at=42, refs=(journal(2, 2),)),
        event("message:started", 2, at=40),
        event("message:failed", 2, at=45, error_type="Odd", refs=(journal(4, 1), state(2))),
        event("message:started", 2, at=50, attempt=2),
        event("actor:state_changed", 2, at=60, refs=(state(5), state(7), journal(5, 2))),
        event("message:completed", 2, at=61, refs=(journal(5, 2), state(7))),
        *turn(4, 70, state(7), state(8), journal(7, 1), changes=False),
    )
    assert told(found)[2:] == [(45, ORDER, "failed", "2"), (60, ORDER, "changed", "7")]
    assert found.moments[2].error_type == "Odd"


def test_what_changed_it_outside_of_the_trace_is_told_when_a_turn_finds_it() -> None:
    found = history(
        *turn(1, 10, state(0), state(2), journal(0, 2)),
        *turn(2, 40, state(9), state(11), journal(9, 2)),
    )
    assert told(found)[2:] == [(40, ORDER, "elsewhere", "9"), (50, ORDER, "changed", "11")]
    assert found.moments[2].before == state(2)


def test_at_an_instant_each_actor_has_what_it_had_last() -> None:
    found = history(
        *turn(1, 10, state(0), state(2), journal(0, 2)),
        *turn(2, 30, state(0, SHELF), state(4, SHELF), journal(0, 4, SHELF), actor=SHELF),
        event("message:started", 3, at=50),
        event("message:failed", 3, at=60, error_type="Odd", refs=(journal(2, 1), state(2))),
    )
    start = 1_800_000_000_000_000_000

    def at(milliseconds: int) -> dict[str, tuple[str, str, bool]]:
        place = found.place(start + milliseconds * 1_000_000)
        return {
            each.actor: (each.since.state.id, each.latest.kind, each.now)
            for each in found.held(place)
        }

    assert at(0) == {}
    assert at(15) == {ORDER: ("0", "seen", True)}
    assert at(25) == {ORDER: ("2", "changed", True)}
    assert at(35) == {ORDER: ("2", "changed", False), SHELF: ("0", "seen", True)}
    assert at(100) == {ORDER: ("2", "failed", True), SHELF: ("4", "changed", False)}
    last = found.place(start + 100_000_000)
    assert [each.actor for each in found.held(last, [SHELF])] == [SHELF]


def test_versions_that_are_no_numbers_are_told_too() -> None:
    found = history(
        event("message:started", 1, at=1),
        event("actor:state_changed", 1, at=2, refs=(state("v-a"), state("v-b"))),
        event("message:started", 2, at=5),
        event("message:failed", 2, at=6, error_type="Odd", refs=(state("v-c"),)),
    )
    assert told(found) == [
        (1, ORDER, "seen", "v-a"),
        (2, ORDER, "changed", "v-b"),
        (5, ORDER, "elsewhere", "v-c"),
        (6, ORDER, "failed", "v-c"),
    ]
