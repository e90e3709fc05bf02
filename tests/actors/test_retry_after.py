"""What a retry keeps: events that were taken, sagas that were undone, what was sent before."""

from __future__ import annotations

from typing import Any

import pytest

from actors import ActivityFailed, Actor, NonRetryable, SagaCompensated, activity, handler
from tests.actors.test_waiting import until_parked
from tests.actors.world import Calls, World

CALLS = Calls()


@pytest.fixture(autouse=True)
def fresh() -> None:
    CALLS.seen.clear()


@activity
async def flaky(what: str) -> str:
    """Fails for good in the first attempt of a turn, and would succeed in the second."""
    if CALLS(f"flaky {what}") == 1:
        raise NonRetryable(f"no {what}")
    return what


@activity
async def book(what: str) -> None:
    CALLS(f"book {what}")


@activity
async def unbook(what: str) -> None:
    CALLS(f"unbook {what}")


class Clerk(Actor):
    @handler
    async def listen(self, payload: dict[str, Any]) -> None:
        try:
            found = await self.call_activity(flaky, what="score")
        except ActivityFailed:
            found = "unknown"
        self.send("Log/1", "note", {"text": f"found {found}"})
        word = await self.wait_for_event("word")
        if CALLS("after the word") == 1:
            raise RuntimeError("try again")
        self.update_state(word=word["n"], found=found)

    @handler
    async def travel(self, payload: dict[str, Any]) -> None:
        try:
            async with self.saga("trip") as saga:
                await saga.step(book, undo=unbook, what="train")
                await saga.step(flaky, what="room")
        except SagaCompensated:
            if CALLS("told") == 1:
                raise RuntimeError("telling failed, try again") from None
            self.update_state(status="undone")
            return
        self.update_state(status="booked")


class Log(Actor):
    @handler
    async def note(self, payload: dict[str, Any]) -> None:
        self.update_state(notes=[*self.state.get("notes", []), payload["text"]])


async def test_an_event_that_was_taken_is_kept_for_the_next_attempt() -> None:
    world = World()
    await world.send("Clerk/1", "listen")
    async with world.serve(Clerk, Log):
        await until_parked(world)
        await world.runtime.send_event("Clerk/1", "word", {"n": 1})
        await world.settled()
    assert await world.state("Clerk/1") == {"word": 1, "found": "unknown"}
    assert await world.state("Log/1") == {"notes": ["found unknown"]}


async def test_a_saga_that_was_undone_stays_undone_in_the_next_attempt() -> None:
    world = World()
    await world.send("Clerk/1", "travel")
    async with world.serve(Clerk):
        await world.settled()
    assert [name for name in CALLS.seen if "book" in name] == ["book train", "unbook train"]
    assert await world.state("Clerk/1") == {"status": "undone"}
