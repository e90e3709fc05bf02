"""How large one turn may grow, and what is told of one that grows too large."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from actors import Actor, EntryType, SagaCompensated, TurnLimits, activity, handler
from tests.actors.test_waiting import until_parked
from tests.actors.world import Calls, World

CALLS = Calls()
SMALL = TurnLimits(warn_entries=10, max_entries=20, warn_bytes=1_000, max_bytes=2_000)


@pytest.fixture(autouse=True)
def fresh() -> None:
    CALLS.seen.clear()


@activity
async def step(n: int) -> int:
    CALLS(f"step {n}")
    return n


@activity
async def unstep(n: int) -> None:
    CALLS(f"unstep {n}")


class Grower(Actor):
    @handler
    async def notes(self, payload: dict[str, Any]) -> None:
        for n in range(payload["times"]):
            self.update_state(last=n, text="x" * payload.get("size", 1))

    @handler
    async def stubborn(self, payload: dict[str, Any]) -> None:
        for n in range(100):
            with contextlib.suppress(Exception):
                self.update_state(last=n)

    @handler
    async def steps(self, payload: dict[str, Any]) -> None:
        async with self.saga("long") as saga:
            for n in range(100):
                await saga.step(step, undo=unstep, n=n)

    @handler
    async def settles(self, payload: dict[str, Any]) -> None:
        with contextlib.suppress(SagaCompensated):
            await self.steps(payload)
        self.update_state(undone=True)

    @handler
    async def rests(self, payload: dict[str, Any]) -> None:
        for _ in range(8):
            self.uuid()
            self.update_state(n=1)
        await self.wait_for_event("on")
        for _ in range(4):
            self.update_state(n=2)

    @handler
    async def bulky(self, payload: dict[str, Any]) -> None:
        for n in range(4):
            self.update_state({"text": f"{n}" * 900_000})

    @handler
    async def mails(self, payload: dict[str, Any]) -> None:
        for n in range(4):
            self.send(f"Grower/{n}", "notes", {"times": 0, "text": "x" * 900_000})


async def letter(world: World) -> dict[str, Any]:
    (found,) = (await world.dead_letters.changes()).documents
    return found.body


@pytest.mark.parametrize("payload", [{"times": 100}, {"times": 4, "size": 600}])
async def test_a_turn_that_grows_above_its_limit_fails_for_good_and_says_what_to_do(
    payload: dict[str, int],
) -> None:
    world = World()
    sent = await world.send("Grower/1", "notes", payload)
    async with world.serve(Grower, turn_limits=SMALL):
        await world.settled()
    assert (await letter(world))["errorType"] == "TurnTooLarge"
    assert (await letter(world))["attempts"] == 1
    (record,) = await world.store.of_message("Grower/1", sent.message_id)
    text = record.entries[-1].data["error"]["message"]
    assert "notes of Grower/1 has reached the limit of" in text
    assert "continue_as_new" in text
    assert await world.state("Grower/1") == {}


async def test_a_handler_cannot_hide_that_its_turn_is_too_large() -> None:
    world = World()
    await world.send("Grower/1", "stubborn")
    async with world.serve(Grower, turn_limits=SMALL):
        await world.settled()
    assert (await letter(world))["errorType"] == "TurnTooLarge"
    assert await world.state("Grower/1") == {}


@pytest.mark.parametrize("message_type", ["steps", "settles"])
async def test_a_saga_that_is_too_large_is_undone_whole(message_type: str) -> None:
    world = World()
    await world.send("Grower/1", message_type)
    async with world.serve(Grower, turn_limits=SMALL):
        await world.settled()
    done = [name for name in CALLS.seen if name.startswith("step")]
    undone = [name for name in CALLS.seen if name.startswith("unstep")]
    assert done
    assert undone == [f"un{name}" for name in reversed(done)]
    assert (await world.state("Grower/1")).get("undone") == (message_type == "settles" or None)


async def test_a_large_turn_is_told_once_over_all_of_its_runs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    await world.send("Grower/1", "rests")
    limits = TurnLimits(warn_entries=6, max_entries=40)
    async with world.serve(Grower, turn_limits=limits):
        await until_parked(world)
    async with world.serve(Grower, turn_limits=limits, runtime=world.new_runtime()):
        await world.runtime.send_event("Grower/1", "on")
        await world.settled()
    assert (await world.types()).count("turn:large") == 1
    assert sum("is getting large" in record.message for record in caplog.records) == 1
    assert await world.state("Grower/1") == {"n": 2}


async def test_a_turn_may_change_more_than_one_document_holds() -> None:
    world = World()
    sent = await world.send("Grower/1", "bulky")
    async with world.serve(Grower):
        await world.settled()
    assert (await world.state("Grower/1"))["text"] == "3" * 900_000
    records = await world.store.of_message("Grower/1", sent.message_id)
    assert len(records) > 1
    assert records[-1].entries[-1].type is EntryType.TURN_COMPLETED


async def test_a_turn_that_sends_more_than_one_document_holds_fails_for_good() -> None:
    world = World()
    await world.send("Grower/1", "mails")
    async with world.serve(Grower):
        await world.settled()
    assert (await letter(world))["errorType"] == "TurnTooLarge"
    assert (await world.queue.depth()).dead == 1


async def test_a_snapshot_is_written_after_so_many_bytes_too() -> None:
    world = World()
    for n in range(3):
        await world.send("Grower/1", "notes", {"times": 1, "size": 400_000 + n})
    async with world.serve(Grower):
        await world.settled()
    fold = await world.store.load("Grower/1")
    assert 0 < fold.snapshot_version <= fold.version < 10
