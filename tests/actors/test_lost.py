"""A run of a turn that has lost its actor or its store does nothing more, whatever is caught."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from actors import (
    ActivityExecutor,
    Actor,
    Cancelled,
    EntryType,
    JournalConflict,
    activity,
    handler,
)
from actors.turn import Turn
from storage import StorageError, Unavailable
from tests.actors.test_waiting import entries, until_parked
from tests.actors.world import Calls, World

CALLS = Calls()


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    CALLS.seen.clear()
    for delay in ("STORE_DELAY", "BLOCKED_DELAY"):
        monkeypatch.setattr(f"actors.worker.{delay}", 0.01)
    monkeypatch.setattr("actors.turn_journal.APPEND_PAUSE", 0.001)


@activity
async def book(what: str) -> str:
    CALLS(f"book {what}")
    return what


@activity
async def unbook(what: str) -> None:
    CALLS(f"unbook {what}")


@activity
async def look_up() -> str:
    CALLS("look up")
    await asyncio.sleep(0.02)
    return "found"


class Clerk(Actor):
    @handler
    async def travel(self, payload: dict[str, Any]) -> None:
        async with self.saga("trip") as saga:
            await saga.step(book, undo=unbook, what="train")
            await saga.step(book, undo=unbook, what="room")
            if payload.get("wait"):
                await self.wait_for_event("paid", timeout=0)
        self.update_state(status="booked")

    @handler
    async def stubborn(self, payload: dict[str, Any]) -> None:
        # Handlers do this, and mean the failures of what they call.
        with contextlib.suppress(Exception):
            await self.call_activity(look_up)
        await self.call_activity(book, what="after")
        self.update_state(status="done")

    @handler
    async def slow(self, payload: dict[str, Any]) -> None:
        await self.call_activity(book, what="first")
        CALLS("working")
        await asyncio.sleep(0.05)
        self.update_state(status="done without waiting")

    @handler
    async def ask(self, payload: dict[str, Any]) -> None:
        try:
            word = await self.wait_for_event("word")
        except Cancelled:
            self.update_state(status="cancelled")
            return
        self.update_state(heard=[*self.state.get("heard", []), word["n"]])

    @handler
    async def both(self, payload: dict[str, Any]) -> None:
        first, _ = await self.gather(self.wait_for_event("word"), self.call_activity(look_up))
        second = await self.wait_for_event("word")
        self.update_state(heard=[first["n"], second["n"]])


def failing_once(world: World, patch: pytest.MonkeyPatch, error: Exception, after: str) -> None:
    """Let the first append after this activity fail as often as a turn tries it."""
    append = world.store.append
    left = [3 if isinstance(error, Unavailable) else 1]

    async def appended(actor_id: str, index: int, new: Any, **more: Any) -> Any:
        if left[0] and after in CALLS.seen and "unbook train" not in CALLS.seen:
            left[0] -= 1
            raise error
        return await append(actor_id, index, new, **more)

    patch.setattr(world.store, "append", appended)


@pytest.mark.parametrize("error", [JournalConflict("another was first"), Unavailable("no")])
async def test_a_saga_is_not_undone_because_its_worker_lost_the_actor_or_the_store(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    failing_once(world, monkeypatch, error, "book room")
    await world.send("Clerk/1", "travel")
    async with world.serve(Clerk):
        await world.settled()
    assert CALLS.seen == ["book train", "book room", "book room"]
    assert (await world.state("Clerk/1"))["status"] == "booked"


async def test_a_saga_is_not_undone_because_the_inbox_did_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    looked = world.inbox.waiting
    lost: list[StorageError] = [Unavailable("no")]

    async def waiting(actor_id: str) -> Any:
        if lost:
            raise lost.pop()
        return await looked(actor_id)

    monkeypatch.setattr(world.inbox, "waiting", waiting)
    await world.runtime.send_event("Clerk/1", "paid", {})
    await world.send("Clerk/1", "travel", {"wait": True})
    async with world.serve(Clerk):
        await world.settled()
    assert not [name for name in CALLS.seen if name.startswith("unbook")]
    assert (await world.state("Clerk/1"))["status"] == "booked"


@pytest.mark.parametrize("error", [JournalConflict("another was first"), Unavailable("no")])
async def test_a_handler_that_suppresses_everything_does_not_go_on(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    failing_once(world, monkeypatch, error, "look up")
    await world.send("Clerk/1", "stubborn")
    async with world.serve(Clerk):
        await world.settled()
    assert CALLS.seen == ["look up", "look up", "book after"]
    assert (await world.state("Clerk/1"))["status"] == "done"


async def test_a_cancellation_that_comes_too_late_does_not_hit_the_next_turn() -> None:
    world = World()
    await world.send("Clerk/1", "slow")
    async with world.serve(Clerk):
        async with asyncio.timeout(5):
            while "working" not in CALLS.seen:
                await asyncio.sleep(0.002)
        assert await world.runtime.cancel("Clerk/1", "too late")
        await world.settled()
        assert (await world.state("Clerk/1"))["status"] == "done without waiting"
        await world.send("Clerk/1", "ask")
        await until_parked(world)
        await world.runtime.send_event("Clerk/1", "word", {"n": 1})
        await world.settled()
    assert (await world.state("Clerk/1"))["heard"] == [1]


async def test_an_event_that_was_received_is_not_received_again_when_it_is_sent_again() -> None:
    world = World()
    async with world.serve(Clerk):
        for message in range(2):
            await world.send("Clerk/1", "ask")
            for number in (1, 1 + message):
                await world.runtime.send_event(
                    "Clerk/1", "word", {"n": number}, event_id=f"word-{number}"
                )
            await world.settled()
        assert not await world.runtime.send_event("Clerk/1", "word", {}, event_id="word-2")
    assert (await world.state("Clerk/1"))["heard"] == [1, 2]
    assert await world.inbox.waiting("Clerk/1") == []


async def test_a_turn_that_was_cancelled_and_waits_again_can_be_cancelled_again() -> None:
    world = World()
    async with world.serve(Clerk):
        for _ in range(2):
            await world.send("Clerk/1", "ask")
            await until_parked(world)
            assert await world.runtime.cancel("Clerk/1")
            await world.settled()
    assert (await world.state("Clerk/1"))["status"] == "cancelled"
    assert await world.inbox.waiting("Clerk/1") == []


async def test_an_event_taken_beside_an_activity_is_not_taken_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    removed = world.inbox.remove
    lost = [True]

    async def remove(*args: Any, **more: Any) -> None:
        if lost:
            lost.pop()
            # Until the activity beside it has ended, and been journaled.
            await asyncio.sleep(0.04)
            raise Unavailable("the worker died here")
        await removed(*args, **more)

    monkeypatch.setattr(world.inbox, "remove", remove)
    await world.runtime.send_event("Clerk/1", "word", {"n": 1})
    await world.send("Clerk/1", "both")
    async with world.serve(Clerk):
        await asyncio.sleep(0.1)
        await until_parked(world)
        await world.runtime.send_event("Clerk/1", "word", {"n": 2})
        await world.settled()
    assert not lost
    assert (await world.state("Clerk/1"))["heard"] == [1, 2]
    assert (await entries(world, "Clerk/1")).count(EntryType.EVENT_RECEIVED) == 2


async def test_a_turn_that_another_worker_went_on_with_is_not_parked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    await world.send("Clerk/1", "ask")
    async with world.serve(Clerk):
        await until_parked(world)
    await world.runtime.send_event("Clerk/1", "word", {"n": 1})
    (late,) = await world.queue.lease(("Clerk",), limit=1, seconds=0.001)
    await asyncio.sleep(0.002)
    looked = world.inbox.waiting
    other = Turn(
        *(await world.store.load("Clerk/1"), late.message, late.attempt, world.store),
        *(ActivityExecutor(), None),
        inbox=world.inbox,
    )

    async def waiting(actor_id: str) -> Any:
        # Just before this worker looks, the one whose lease ran out takes the event.
        monkeypatch.setattr(world.inbox, "waiting", looked)
        await other.run(Clerk)
        return await looked(actor_id)

    monkeypatch.setattr(world.inbox, "waiting", waiting)
    async with world.serve(Clerk) as worker:
        await world.settled()
        assert worker.stats().abandoned == 1
    assert (await world.state("Clerk/1"))["heard"] == [1]
