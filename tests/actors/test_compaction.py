"""Compaction: long journals shrink, and what a live trace refers to stays until its time."""

from __future__ import annotations

from typing import Any

import pytest

from actors import Actor, CosmosStateStore, EntryType, JournalEntry, handler
from actors.journal import ACTOR_JOURNALS, JOURNAL_TTL
from actors.resolvers import ActorDataLoaders
from actors.stores import ACTOR_STATES
from storage import Query, Unavailable
from storage.memory import MemoryContainer
from tests.actors.world import World
from tests.conftest import ManualClock
from tracing import Outcome, Ref, RefKind

ACTOR = "Counter/1"


class Counter(Actor):
    @handler
    async def add(self, payload: dict[str, int]) -> None:
        self.update_state(total=self.state.get("total", 0) + payload["by"])


class Kept:
    """An actor's store with a clock, and turns that add one to `total`."""

    def __init__(self, clock: ManualClock) -> None:
        self.states = MemoryContainer(ACTOR_STATES, clock=clock)
        self.journals = MemoryContainer(ACTOR_JOURNALS, clock=clock)
        self.store = CosmosStateStore(self.states, self.journals)
        self.loaders = ActorDataLoaders({}, self.store)

    async def turns(self, number: int) -> None:
        fold = await self.store.load(ACTOR)
        for _ in range(number):
            total = fold.data.get("total", 0) + 1
            entries = [
                JournalEntry(EntryType.STATE_PATCHED, {"seq": 0, "patch": {"total": total}}),
                JournalEntry(
                    EntryType.TURN_COMPLETED, {"messageId": "m", "attempt": 1, "outbox": []}
                ),
            ]
            record = await self.store.append(
                ACTOR, fold.version, entries, message_id=f"m{fold.version}", turn="t"
            )
            fold.apply(record)

    async def compact(self) -> int:
        """Compact at the present version, and return it."""
        fold = await self.store.load(ACTOR)
        await self.store.compact(fold)
        return fold.version

    async def totals(self, *versions: int) -> dict[int, Any]:
        found = await self.store.states(ACTOR, versions)
        return {version: state.data.get("total") for version, state in found.items()}

    async def records(self) -> list[int]:
        return [record.index async for record in self.store.records(ACTOR)]


async def test_until_they_expire_compacted_records_and_states_are_what_they_were(
    clock: ManualClock,
) -> None:
    kept = Kept(clock)
    await kept.turns(5)
    assert await kept.compact() == 10
    await kept.turns(3)
    assert await kept.totals(0, 2, 9, 10, 12, 16) == {0: None, 2: 1, 10: 5, 12: 6, 16: 8}
    fold = await kept.store.load(ACTOR)
    assert (fold.version, fold.data, fold.compacted) == (16, {"total": 8}, 10)


async def test_after_their_time_they_are_gone_and_everything_later_stands(
    clock: ManualClock,
) -> None:
    kept = Kept(clock)
    await kept.turns(5)
    await kept.compact()
    await kept.turns(5)
    await kept.compact()
    await kept.turns(2)
    clock.advance(JOURNAL_TTL + 1)
    assert await kept.records() == [20, 22]
    assert await kept.totals(2, 10, 20, 22, 24) == {20: 10, 22: 11, 24: 12}
    fold = await kept.store.load(ACTOR)
    assert (fold.version, fold.data) == (24, {"total": 12})
    ids = [d.body["id"] for d in (await kept.states.query(Query(partition=ACTOR))).documents]
    assert ids == ["snapshot", "snapshot-000000000020"]
    refs = [Ref(RefKind.ACTOR_STATE, ACTOR, str(version)) for version in (2, 22, 99)]
    loaded = await kept.loaders.states(refs)
    assert [loaded[ref].outcome for ref in refs] == [
        Outcome.EXPIRED,
        Outcome.LOADED,
        Outcome.MISSING,
    ]


async def test_a_long_journal_is_compacted_step_by_step_and_as_a_whole(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.journal.EXPIRE_STEP", 7)
    kept = Kept(clock)
    await kept.turns(20)
    assert await kept.compact() == 40
    assert kept.journals.usage().operations["set_ttl"] == 6
    await kept.turns(1)
    clock.advance(JOURNAL_TTL + 1)
    assert await kept.records() == [40]


@pytest.mark.parametrize("fails_at", range(1, 5))
async def test_a_compaction_that_dies_anywhere_is_done_by_the_next_one(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    kept = Kept(clock)
    await kept.turns(4)
    await kept.compact()
    await kept.turns(4)
    fold = await kept.store.load(ACTOR)
    calls = 0
    for container in (kept.states, kept.journals):
        for name in ("upsert", "replace", "set_ttl"):
            original = getattr(container, name)

            async def dying(*args: Any, _original: Any = original, **more: Any) -> Any:
                nonlocal calls
                calls += 1
                if calls == fails_at:
                    raise Unavailable("the worker died here")
                return await _original(*args, **more)

            monkeypatch.setattr(container, name, dying)
    with pytest.raises(Unavailable):
        await kept.store.compact(fold)
    monkeypatch.undo()
    assert await kept.totals(0, 2, 8, 10, 16) == {0: None, 2: 1, 8: 4, 10: 5, 16: 8}
    assert await kept.compact() == 16
    await kept.turns(1)
    clock.advance(JOURNAL_TTL + 1)
    assert await kept.totals(2, 16, 18) == {16: 8, 18: 9}
    assert (await kept.store.load(ACTOR)).data == {"total": 9}


async def test_a_busy_actor_is_compacted_on_its_way_and_tells_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("actors.runtime.SNAPSHOT_EVERY", 10)
    monkeypatch.setattr("actors.runtime.COMPACT_EVERY", 40)
    world = World()
    async with world.serve(Counter):
        for _ in range(50):
            await world.send(ACTOR, "add", {"by": 1})
        await world.settled()
    assert (await world.state(ACTOR))["total"] == 50
    events = [event for event in await world.events() if event.type == "journal:compacted"]
    assert [event.refs[0].id for event in events] == [
        "actor-states/snapshot-000000000040",
        "actor-states/snapshot-000000000080",
    ]
    assert (await world.store.load(ACTOR)).compacted == 80
    assert (await world.store.load(ACTOR)).snapshot_version == 100
