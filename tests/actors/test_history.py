"""Exporting histories: complete, bounded, and honest about what has expired."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from actors import Actor, CosmosStateStore, Inbox, MessageArchive, handler
from actors.archive import MESSAGE_ARCHIVE
from actors.history import BATCH, HistoryExporter
from actors.inbox import ACTOR_EVENTS
from actors.journal import ACTOR_JOURNALS, JOURNAL_TTL
from actors.stores import ACTOR_STATES
from actors.testing import Replay, replay
from storage import DAY
from storage.memory import MemoryContainer
from tests.actors.test_waiting import until_parked
from tests.actors.world import World
from tests.conftest import ManualClock


class Tally(Actor):
    @handler
    async def add(self, payload: dict[str, Any]) -> None:
        self.update_state(total=self.state.get("total", 0) + payload["n"])

    @handler
    async def wait(self, payload: dict[str, Any]) -> None:
        self.update_state(waited=await self.wait_for_event("go"))

    @handler
    async def fail(self, payload: dict[str, Any]) -> None:
        raise ValueError("never")


def clocked(clock: ManualClock) -> World:
    """Return a world whose documents expire by this clock."""
    world = World(traced=False)
    world.archived = MemoryContainer(MESSAGE_ARCHIVE, clock=clock)
    world.archive = MessageArchive(world.archived)
    world.store = CosmosStateStore(  # type: ignore[assignment]
        MemoryContainer(ACTOR_STATES, clock=clock), MemoryContainer(ACTOR_JOURNALS, clock=clock)
    )
    world.inbox = Inbox(MemoryContainer(ACTOR_EVENTS, clock=clock))
    world.runtime = world.new_runtime()
    return world


async def export(world: World) -> list[str]:
    exporter = HistoryExporter(world.store, world.archived, world.dead_letters)
    return [line async for line in exporter.export("Tally/1")]


async def add(world: World, times: int) -> None:
    async with world.serve(Tally):
        for n in range(times):
            await world.send("Tally/1", "add", {"n": n})
        await world.settled()


def of_kind(lines: list[str], kind: str) -> list[Any]:
    return [body[kind] for body in map(json.loads, lines) if kind in body]


async def replayed(lines: list[str]) -> Replay:
    # It has a loop of its own, and so needs a thread of its own beside this test's.
    return await asyncio.to_thread(replay, lines, Tally)


async def test_a_history_has_every_record_and_message_of_long_journals_too() -> None:
    world = World(traced=False)
    await add(world, 2 * BATCH + 7)
    lines = await export(world)
    assert len(of_kind(lines, "record")) == len(of_kind(lines, "message")) == 2 * BATCH + 7
    assert of_kind(lines, "end") == [{"records": 207, "messages": 207, "lost": 0}]
    assert await replayed(lines) == Replay(turns=207)


async def test_failed_and_open_turns_are_told_with_their_messages() -> None:
    world = World(traced=False)
    async with world.serve(Tally):
        # Part of another's run: neither journal entry says so.
        await world.runtime.send("Tally/1", "fail", {}, correlation_id="run-1")
        await world.settled()
        await world.runtime.send("Tally/1", "wait", {}, correlation_id="run-2")
        await until_parked(world, "Tally/1")
    lines = await export(world)
    assert [m["messageType"] for m in of_kind(lines, "message")] == ["fail", "wait"]
    assert "stack" not in "".join(lines)
    assert await replayed(lines) == Replay(turns=2, in_flight=1)


async def test_messages_that_have_expired_are_told_as_lost(clock: ManualClock) -> None:
    world = clocked(clock)
    await add(world, 3)
    clock.advance(8 * DAY)
    await add(world, 2)
    lines = await export(world)
    assert of_kind(lines, "end") == [{"records": 5, "messages": 2, "lost": 3}]
    found = await replayed(lines)
    assert (found.turns, found.mismatches) == (2, [])
    assert [told.rpartition(": ")[2] for told in found.unchecked] == ["its message has expired"] * 3


async def test_records_that_have_expired_are_a_gap_with_the_state_after_it(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in journals of 1,000 entries and more, which alone are compacted by themselves.
    monkeypatch.setattr("actors.stores.SHORT_JOURNAL", 1)
    world = clocked(clock)
    await add(world, 5)
    await world.store.compact(await world.store.load("Tally/1"))
    clock.advance(JOURNAL_TTL + 1)
    await add(world, 2)
    lines = await export(world)
    assert of_kind(lines, "gap") == [{"until": 10, "state": {"total": 10}}]
    assert await replayed(lines) == Replay(turns=2)

    await world.store.compact(await world.store.load("Tally/1"))
    clock.advance(JOURNAL_TTL + 1)
    lines = await export(world)
    assert of_kind(lines, "record") == []
    assert of_kind(lines, "gap") == [{"until": 14, "state": {"total": 11}}]


async def test_an_actor_that_never_was_has_an_empty_history() -> None:
    lines = await export(World(traced=False))
    assert of_kind(lines, "history") == [1]
    assert await replayed(lines) == Replay()
