"""Sagas: steps that are undone in reverse, also across waits, cancellation and lost workers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from actors import Actor, EntryType, NonRetryable, SagaCompensated, activity, handler
from storage import Query
from tests.actors.test_waiting import entries, until_parked
from tests.actors.world import Calls, World

CALLS = Calls()


@pytest.fixture(autouse=True)
def fresh() -> None:
    CALLS.seen.clear()


class NoSeat(NonRetryable):
    """Nothing to be had."""


@activity
async def book(what: str, fails: bool = False) -> dict[str, str]:
    CALLS(f"book {what}")
    if fails:
        raise NoSeat(f"no {what}")
    return {"ticket": f"T-{what}"}


@activity
async def cancel_booking(what: str, result: dict[str, str]) -> None:
    CALLS(f"cancel {what} {result['ticket']}")


@activity
async def cannot_cancel(what: str) -> None:
    CALLS(f"cannot cancel {what}")
    raise NonRetryable("closed")


class Trip(Actor):
    @handler
    async def plan(self, payload: dict[str, Any]) -> None:
        fails = payload.get("fails")
        undo = cannot_cancel if payload.get("stuck") else cancel_booking
        try:
            async with self.saga("trip") as saga:
                await saga.step(book, undo=undo, what="train")
                await saga.step(book, undo=cancel_booking, what="hotel", fails=fails == "hotel")
                if payload.get("wait"):
                    await self.wait_for_event("paid")
                await saga.step(book, what="museum", fails=fails == "museum")
        except SagaCompensated:
            self.update_state(status="undone")
            if payload.get("strict"):
                raise
            return
        self.update_state(status="booked")


async def planned(world: World, **payload: Any) -> list[str]:
    """Plan a trip; return what the turn told of its saga."""
    sent = await world.send("Trip/1", "plan", payload)
    async with world.serve(Trip):
        await world.settled()
    return [name for name in await world.types(sent) if name.startswith("saga:")]


async def test_a_saga_whose_steps_all_succeed_undoes_nothing() -> None:
    world = World()
    assert await planned(world) == [
        "saga:started",
        *["saga:step_completed"] * 3,
        "saga:completed",
    ]
    assert CALLS.seen == ["book train", "book hotel", "book museum"]
    assert (await world.state("Trip/1"))["status"] == "booked"


async def test_a_failed_step_undoes_the_earlier_ones_in_reverse() -> None:
    world = World()
    told = await planned(world, fails="museum")
    assert told[-2:] == ["saga:compensating", "saga:compensated"]
    assert CALLS.seen[3:] == ["cancel hotel T-hotel", "cancel train T-train"]
    assert (await world.state("Trip/1"))["status"] == "undone"


async def test_what_a_handler_does_not_catch_ends_as_a_dead_letter_that_is_not_retried() -> None:
    world = World()
    await planned(world, fails="hotel", strict=True)
    assert CALLS.seen == ["book train", "book hotel", "cancel train T-train"]
    assert await world.state("Trip/1") == {}
    (letter,) = (await world.dead_letters.query(Query())).documents
    assert (letter.body["errorType"], letter.body["attempts"]) == ("SagaCompensated", 1)


async def test_an_undo_that_fails_is_told_and_left_to_a_person() -> None:
    world = World()
    told = await planned(world, fails="hotel", stuck=True)
    assert told[-2:] == ["saga:compensating", "saga:failed"]
    (letter,) = (await world.dead_letters.query(Query())).documents
    assert letter.body["errorType"] == "SagaFailed"


async def test_waiting_within_a_saga_does_not_undo_it() -> None:
    world = World()
    await world.send("Trip/1", "plan", {"wait": True})
    async with world.serve(Trip):
        await until_parked(world)
        assert EntryType.SAGA_COMPENSATING not in await entries(world, "Trip/1")
        await world.runtime.send_event("Trip/1", "paid", {})
        await world.settled()
    assert CALLS.seen == ["book train", "book hotel", "book museum"]
    assert (await world.state("Trip/1"))["status"] == "booked"


async def test_a_cancelled_saga_is_undone() -> None:
    world = World()
    await world.send("Trip/1", "plan", {"wait": True})
    async with world.serve(Trip):
        await until_parked(world)
        await world.runtime.cancel("Trip/1", "changed my mind")
        await world.settled()
    assert CALLS.seen[2:] == ["cancel hotel T-hotel", "cancel train T-train"]
    assert (await world.state("Trip/1"))["status"] == "undone"


async def test_a_death_in_the_middle_of_undoing_is_carried_on_from_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    monkeypatch.setattr("actors.worker.STORE_DELAY", 0.01)
    died = []
    append = world.store.append

    async def dying(actor_id: str, index: int, new: Any, **more: Any) -> Any:
        record = await append(actor_id, index, new, **more)
        if not died and "cancel hotel T-hotel" in CALLS.seen:
            died.append(True)
            raise asyncio.CancelledError
        return record

    monkeypatch.setattr(world.store, "append", dying)
    await planned(world, fails="museum")
    assert died
    assert CALLS.seen[3:] == ["cancel hotel T-hotel", "cancel train T-train"]
    assert (await world.state("Trip/1"))["status"] == "undone"
