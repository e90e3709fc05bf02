"""What two traces hold, compared: in bounded batches, and without what differs in every run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import event
from tests.tracing.test_tree import tree_of
from tracing import Event, Ref, RefKind, Resolved
from tracing.compare import compare
from tracing.compare_data import BATCH, MAX_PAIRS, DataDivergence, PairReader
from tracing.diff import diff
from tracing.resolve import Outcome
from tracing.trivial import Trivial, last_name

Value = Callable[[int, str], Any]


def messages(count: int, run: str) -> list[Event]:
    """Return a chain of messages that refer to their payload and to two states."""
    events = []
    for number in range(1, count + 1):
        message = Ref(RefKind.MESSAGE, f"correlation-{run}", f"{run}-{number}")
        states = [Ref(RefKind.ACTOR_STATE, f"Order/{run}", f"{number + n}") for n in range(2)]
        parent = number - 1 or None
        at, actor = 10 * number, f"Order/{run}"
        events += [
            event("queue:enqueued", number, parent=parent, at=at, actor=actor, refs=(message,)),
            event(
                "actor:state_changed",
                number,
                parent=parent,
                at=at + 1,
                actor=actor,
                refs=tuple(states),
            ),
            event("message:completed", number, parent=parent, at=at + 2, actor=actor),
        ]
    return events


class Data:
    """Loads payloads and states that depend on their number and run alone; counts its calls."""

    def __init__(self, payload: Value, state: Value = lambda number, run: {}) -> None:
        self._payload = payload
        self._state = state
        self.calls: list[int] = []

    async def load(
        self, refs: Sequence[Ref], *, allowed: bool = True, seen_ns: int | None = None
    ) -> dict[Ref, Resolved]:
        self.calls.append(len(refs))
        return {ref: self._resolved(ref, allowed) for ref in refs}

    def _resolved(self, ref: Ref, allowed: bool) -> Resolved:
        if not allowed:
            return Resolved(ref, Outcome.FORBIDDEN)
        if ref.kind is RefKind.MESSAGE:
            run, _, number = ref.id.partition("-")
            value = self._payload(int(number), run)
            if value is None:
                return Resolved(ref, Outcome.EXPIRED, detail="expired on 2026-01-01")
            return Resolved(ref, Outcome.LOADED, {"payload": value})
        run = ref.partition.partition("/")[2]
        return Resolved(ref, Outcome.LOADED, {"state": self._state(int(ref.id), run)})


def reader(data: Data, count: int = 120, **options: bool) -> PairReader:
    comparison = compare(tree_of(messages(count, "x")), tree_of(messages(count, "y")))
    return PairReader(data, comparison, **{"allowed": True, "everything": False, **options})


async def test_the_walk_stops_at_the_first_differences() -> None:
    data = Data(
        lambda number, run: {"amount": 5 if run == "x" and number >= 13 else 4},
        lambda number, run: {"paid": run == "x" and number >= 5},
    )
    walked = reader(data)
    found = await walked.first()
    assert found.payload is not None
    assert found.state is not None
    assert (found.payload.row, found.state.row) == (12, 3)
    part = found.state.part("before", "after")
    assert part is not None
    # The fourth message brings its actor to version five.
    assert part.part == "after"
    assert [change.path for change in part.changes] == ["$.paid"]
    assert (found.start, found.end, found.total) == (0, 2 * BATCH, 120)
    assert len(data.calls) == 4
    assert [len(spans) for spans in walked.read] == [2 * BATCH, 2 * BATCH]


async def test_a_walk_looks_at_a_bounded_number_and_goes_on_from_there() -> None:
    def same(number: int, run: str) -> dict[str, int]:
        return {"amount": number}

    async def walk(start: int) -> tuple[DataDivergence, Data]:
        data = Data(same)
        return await reader(data).first(start=start), data

    found, data = await walk(0)
    assert (found.payload, found.state, found.looked) == (None, None, MAX_PAIRS)
    assert max(data.calls) <= 3 * BATCH
    assert len(data.calls) == 2 * MAX_PAIRS // BATCH
    found, _ = await walk(100)
    assert (found.start, found.end, found.total) == (100, 120, 120)
    found, data = await walk(10**9)
    assert (found.looked, data.calls) == (0, [])


async def test_what_differs_in_every_run_is_ignored_and_counted() -> None:
    def payload(number: int, run: str) -> dict[str, Any]:
        return {
            "order_id": f"{run}{number}",
            "to": f"Order/{run}-2",
            "amount": 4,
            "placed_at": 1_800_000_000 + (run == "x"),
        }

    found = await reader(Data(payload), 3).first()
    assert found.payload is None
    assert found.ignored == [
        ("$.order_id", "id", 3),
        ("$.to", "id", 3),
        ("$.placed_at", "time", 3),
    ]
    found = await reader(Data(payload), 3, everything=True).first()
    assert found.payload is not None
    assert found.ignored == []


async def test_without_the_permission_nothing_is_read() -> None:
    asked = reader(Data(lambda number, run: {"amount": run}), 3, allowed=False)
    found = await asked.first()
    assert (found.payload, found.state) == (None, None)
    assert asked.read == ([], [])
    assert [times for _, times in found.failures] == [6, 3]


async def test_what_has_expired_is_not_taken_for_alike() -> None:
    data = Data(lambda number, run: None if run == "y" and number == 2 else {"amount": 1})
    asked = reader(data, 3)
    found = await asked.first()
    assert found.failures == [
        ("the payload in trace B is expired: expired on 2026-01-01", 1),
    ]
    (payload, before, after) = (await asked.pair(1)).parts
    assert (payload.why_not != "", before.differs, after.differs) == (True, False, False)


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ({"id": 1}, {"id": 2}, "id"),
        ({"orderId": "A"}, {"orderId": "B"}, "id"),
        ({"orders": [{"order_id": 3}]}, {"orders": [{"order_id": 4}]}, "id"),
        ({"quantity": 1}, {"quantity": 2}, None),
        ({"paid": 1}, {"paid": 2}, None),
        ({"valid": 1}, {"valid": 2}, None),
        ({"to": "Order/a1-3"}, {"to": "Order/b2-3"}, "id"),
        ({"to": "Order/a1-3"}, {"to": "Order/b2-4"}, None),
        ({"to": "Depot/berlin"}, {"to": "Depot/paris"}, None),
        ({"receipt": "r-ab12cd34"}, {"receipt": "r-ab12cd35"}, "id"),
        ({"word": "deadbeef"}, {"word": "feedface"}, None),
        ({"x y": {"sent_at": 1_700_000_000}}, {"x y": {"sent_at": 1_800_000_000}}, "time"),
        ({"sent_at": 5}, {"sent_at": 6}, None),
        ({"note": "2026-01-01T10:00:00Z"}, {"note": "2026-01-02 11:00"}, "time"),
        ({"due": "2026-01-01"}, {"due": "2026-01-02"}, None),
        ({"id": None}, {"id": 1}, None),
        ({"id": True}, {"id": False}, None),
        ({"id": [1]}, {"id": {"a": 1}}, None),
        ({}, {"id": 1}, None),
        ({"id": "a" * 5_000}, {"id": "b" * 5_000}, None),
        ({'a"].id': 1}, {'a"].id': 2}, None),
    ],
)
def test_ids_and_times_are_told_from_what_counts(before: Any, after: Any, reason: str) -> None:
    (change,) = diff(before, after).changes
    assert Trivial(["a1"], ["b2", ""]).reason(change) == reason


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=40) | st.integers(), max_size=4))
def test_any_names_and_texts_are_taken(value: dict[str, Any]) -> None:
    trivial = Trivial(["a[", "\\"], ["b"])
    other = {key: f"{item}0" if isinstance(item, str) else item + 1 for key, item in value.items()}
    for change in diff({"x": [value]}, {"x": [other]}).changes:
        assert trivial.reason(change) in ("id", "time", None)
        last_name(change.path)
