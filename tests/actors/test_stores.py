"""Journal, snapshots and the fold: state is what the journal says, at every version."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import (
    ActorState,
    CosmosStateStore,
    EntryType,
    InMemoryStateStore,
    Journal,
    JournalConflict,
    JournalEntry,
    TooLarge,
)
from actors.journal import ACTOR_JOURNALS
from actors.patch import merge_patch
from actors.stores import ACTOR_STATES
from actors.telemetry import SpanEmitter
from storage.memory import MemoryContainer
from tests.builders import TRACE, remembering_writer
from tracing import RefKind, TraceContext
from tracing.containers import TRACE_EVENTS

ACTOR = "Order/1"


def patched(seq: int, **patch: Any) -> JournalEntry:
    return JournalEntry(EntryType.STATE_PATCHED, {"seq": seq, "patch": patch})


def completed(message_id: str = "m") -> JournalEntry:
    return JournalEntry(
        EntryType.TURN_COMPLETED, {"messageId": message_id, "attempt": 1, "outbox": []}
    )


async def test_a_record_is_appended_at_the_expected_index_or_not_at_all() -> None:
    journal = Journal(MemoryContainer(ACTOR_JOURNALS))
    first = await journal.append(ACTOR, 0, [patched(0, a=1), completed()], message_id="m", turn="t")
    assert (first.index, first.next_index) == (0, 2)
    with pytest.raises(JournalConflict):
        await journal.append(ACTOR, 0, [completed()], message_id="n", turn="u")
    second = await journal.append(ACTOR, 2, [completed("n")], message_id="n", turn="u")
    assert [record async for record in journal.records(ACTOR)] == [first, second]
    assert [record async for record in journal.records(ACTOR, since=2)] == [second]
    assert [record async for record in journal.records(ACTOR, until=2)] == [first]
    assert await journal.of_message(ACTOR, "n") == [second]


async def test_the_same_turn_may_append_again_after_a_lost_answer() -> None:
    journal = Journal(MemoryContainer(ACTOR_JOURNALS))
    for _ in range(2):
        await journal.append(ACTOR, 0, [completed()], message_id="m", turn="t")
    assert len([record async for record in journal.records(ACTOR)]) == 1


async def test_of_many_concurrent_owners_exactly_one_appends() -> None:
    journal = Journal(MemoryContainer(ACTOR_JOURNALS))
    results = await asyncio.gather(
        *(journal.append(ACTOR, 0, [completed()], message_id="m", turn=f"t{n}") for n in range(20)),
        return_exceptions=True,
    )
    assert sum(isinstance(result, JournalConflict) for result in results) == 19


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=6,
)
PATCHES = st.lists(st.dictionaries(st.sampled_from("abcd"), JSON, max_size=3), max_size=12)


@settings(deadline=None)
@given(PATCHES, st.integers(0, 12), st.data())
def test_a_snapshot_and_the_records_after_it_give_the_state_of_the_whole_journal(
    patches: list[dict[str, Any]], snapshot_after: int, data: st.DataObject
) -> None:
    async def main() -> None:
        store = InMemoryStateStore()
        state: Any = {}
        states = {0: state}
        version = 0
        for number, patch in enumerate(patches):
            await store.append(
                ACTOR,
                version,
                [patched(0, **patch), completed(f"m{number}")],
                message_id=f"m{number}",
                turn="t",
            )
            version += 2
            state = merge_patch(state, patch)
            states[version] = state
            if number == snapshot_after:
                await store.save(ACTOR, ActorState(ACTOR, version, state))
        fold = await store.load(ACTOR)
        assert (fold.version, fold.data) == (version, state)
        asked = data.draw(st.sampled_from(sorted(states)))
        found = await store.states(ACTOR, [asked, version + 1])
        assert {known: was.data for known, was in found.items()} == {asked: states[asked]}

    asyncio.run(main())


async def test_a_state_above_the_limit_is_not_saved() -> None:
    with pytest.raises(TooLarge, match="the state of Order/1"):
        await InMemoryStateStore().save(ACTOR, ActorState(ACTOR, 1, {"x": "y" * (1 << 20)}))


@pytest.mark.parametrize(("engine", "family"), [("cosmos", "cosmosdb"), ("sqlite", "store")])
async def test_accesses_leave_events_that_name_documents_and_hold_none(
    engine: str, family: str
) -> None:
    writer = remembering_writer(MemoryContainer(TRACE_EVENTS))
    store = CosmosStateStore(
        MemoryContainer(ACTOR_STATES), MemoryContainer(ACTOR_JOURNALS), engine=engine
    )
    span = SpanEmitter(writer, TraceContext(TRACE, "1" * 16), ACTOR, "place", 1)
    await store.load(ACTOR, span)
    assert writer.emitted == []
    await store.append(ACTOR, 0, [completed()], message_id="m", turn="t", span=span)
    await store.save(ACTOR, ActorState(ACTOR, 1, {"secret": "canary"}), span=span)
    await store.load(ACTOR, span)
    await store.save(ACTOR, ActorState(ACTOR, 1, {}))
    assert [event.type for event in writer.emitted] == [
        f"{family}:{kind}" for kind in ("write", "write", "read")
    ]
    assert [event.refs[0].id for event in writer.emitted] == [
        "actor-journals/000000000000",
        "actor-states/snapshot",
        "actor-states/snapshot",
    ]
    assert {ref.kind for event in writer.emitted for ref in event.refs} == {RefKind.DOCUMENT}
    assert "canary" not in repr(writer.emitted)


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_change_of_state_is_a_json_merge_patch(target: Any, patch: Any, result: Any) -> None:
    """Examples of RFC 7396, appendix A."""
    before = repr(target)
    assert merge_patch(target, patch) == result
    assert repr(target) == before


async def test_all_records_of_a_message_are_found_however_many_there_are() -> None:
    store = InMemoryStateStore()
    entry = JournalEntry(EntryType.TIME_READ, {"seq": 0, "at": 0})
    for index in range(1_003):
        await store.append("Order/1", index, [entry], message_id="long", turn=f"t{index}")
    records = await store.of_message("Order/1", "long")
    assert [record.index for record in records] == list(range(1_003))
