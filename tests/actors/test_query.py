"""Read-only handlers: they answer at any time, from what is committed, and can only look."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from actors import Actor, InvalidMessage, InvalidPayload, ReadOnly, handler
from actors.errors import StateMutated
from tests.actors.test_waiting import until_parked
from tests.actors.world import World


@dataclass(frozen=True)
class Asked:
    field: str


class Order(Actor):
    @handler
    async def place(self, payload: dict[str, Any]) -> None:
        self.update_state(status="placed")

    @handler
    async def approve(self, payload: dict[str, Any]) -> None:
        self.update_state(status="approving")
        await self.wait_for_event("approved")
        self.update_state(status="approved")

    @handler(read_only=True)
    async def status(self, payload: dict[str, Any]) -> Any:
        return {"status": self.state.get("status"), "id": len(self.uuid()), "key": self.key}

    @handler(read_only=True)
    async def field(self, asked: Asked) -> Any:
        return self.state.get(asked.field)

    @handler(read_only=True)
    async def oversteps(self, payload: dict[str, str]) -> Any:
        match payload["how"]:
            case "changes":
                self.update_state(status="changed")
            case "sends":
                self.send("Order/2", "place")
            case "waits":
                await self.wait_for_event("approved")
            case "spawns":
                self.spawn(Order, "place")
            case "asks":
                await self.query(Order, "2", "status")
            case "labels":
                self.annotate()
            case "calls":
                await self.call(Order, "place")
            case "saga":
                async with self.saga("s"):
                    pass

    @handler(read_only=True)
    async def mutates(self, payload: dict[str, Any]) -> None:
        self.state["status"] = "changed"  # type: ignore[index]

    @handler(message_type="report.daily", read_only=True)
    async def report(self, payload: dict[str, Any]) -> str:
        return f"{self.now():%Y}"


async def ask(world: World, message_type: str, **payload: Any) -> Any:
    return await world.runtime.query(Order, "1", message_type, payload)


async def placed() -> World:
    world = World()
    await world.send("Order/1", "place")
    async with world.serve(Order):
        await world.settled()
    return world


async def test_a_query_is_answered_while_a_turn_is_suspended_from_what_is_committed() -> None:
    world = await placed()
    await world.send("Order/1", "approve")
    async with world.serve(Order):
        await until_parked(world)
        assert await ask(world, "status") == {"status": "placed", "id": 32, "key": "1"}
        await world.runtime.send_event("Order/1", "approved")
        await world.settled()
        assert (await ask(world, "status"))["status"] == "approved"


async def test_a_query_needs_no_worker_and_leaves_no_trace() -> None:
    world = await placed()
    version = (await world.store.load("Order/1")).version
    events = len(await world.events())
    await ask(world, "status")
    assert (await world.store.load("Order/1")).version == version
    assert len(await world.events()) == events


async def test_a_query_takes_typed_input_and_refuses_what_does_not_fit() -> None:
    world = await placed()
    assert await ask(world, "field", field="status") == "placed"
    with pytest.raises(InvalidPayload, match="field"):
        await ask(world, "field", wrong=1)


async def test_an_actor_that_never_was_can_be_asked() -> None:
    assert (await ask(World(), "status"))["status"] is None


async def test_only_read_only_handlers_can_be_asked() -> None:
    for message_type in ("place", "nothing"):
        with pytest.raises(InvalidMessage, match="read-only"):
            await ask(World(), message_type)


@pytest.mark.parametrize(
    "how", ["changes", "sends", "waits", "spawns", "calls", "asks", "labels", "saga"]
)
async def test_a_read_only_handler_can_only_look(how: str) -> None:
    world = await placed()
    with pytest.raises(ReadOnly, match="oversteps of Order is read-only: it cannot"):
        await ask(world, "oversteps", how=how)
    assert await world.state("Order/1") == {"status": "placed"}


async def test_a_read_only_handler_that_changes_the_state_in_place_is_told() -> None:
    with pytest.raises(StateMutated):
        await ask(await placed(), "mutates")


@pytest.mark.parametrize("message_type", ["oversteps", "mutates"])
async def test_sent_as_a_message_a_read_only_handler_can_only_look_too(message_type: str) -> None:
    world = await placed()
    await world.send("Order/1", message_type, {"how": "changes"})
    async with world.serve(Order):
        await world.settled()
    assert (await world.queue.depth()).dead == 1
    assert await world.state("Order/1") == {"status": "placed"}


async def test_a_read_only_handler_can_be_called_by_another_actor() -> None:
    class Clerk(Actor):
        @handler
        async def look(self, payload: dict[str, Any]) -> None:
            self.update_state(found=await self.call("Order/1", "status"))

    world = await placed()
    await world.send("Clerk/1", "look")
    async with world.serve(Order, Clerk):
        await world.settled()
    assert (await world.state("Clerk/1"))["found"]["status"] == "placed"


async def test_a_handler_asks_an_actor_whose_turn_is_suspended_and_journals_the_answer() -> None:
    asked = 0

    class Clerk(Actor):
        @handler
        async def look(self, payload: dict[str, Any]) -> None:
            nonlocal asked
            asked += 1
            before = await self.query(Order, "1", "field", {"field": "status"})
            await self.wait_for_event("later")
            self.update_state(found=before)

    world = await placed()
    await world.send("Order/1", "approve")
    async with world.serve(Order, Clerk):
        await until_parked(world)
        await world.send("Clerk/1", "look")
        async with asyncio.timeout(10):
            while not (await world.store.load("Clerk/1")).open_turns:
                await asyncio.sleep(0.002)
        await world.runtime.send_event("Order/1", "approved")
        async with asyncio.timeout(10):
            while (await ask(world, "status"))["status"] != "approved":
                await asyncio.sleep(0.002)
        await world.runtime.send_event("Clerk/1", "later")
        await world.settled()
    assert await world.state("Clerk/1") == {"found": "placed"}
    assert asked > 1, "it was replayed"


async def test_a_read_only_handler_may_have_another_message_type() -> None:
    assert len(await ask(World(), "report.daily")) == 4
