"""How a message is delivered: once for its key, after its delay, not after its time to live."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from actors import Actor, InvalidMessage, MemoryQueue, Message, handler
from actors.queues.memory import DEDUPE_SECONDS
from tests.actors.world import Calls, World

CALLS = Calls()
HOUR_NS = 3_600 * 10**9


@pytest.fixture(autouse=True)
def fresh() -> None:
    CALLS.seen.clear()


class Clock:
    """A clock that a test sets forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead

    def ns(self) -> int:
        return time.time_ns() + int(self.ahead * 1e9)


class Till(Actor):
    @handler
    async def add(self, payload: dict[str, int]) -> None:
        CALLS(f"add {payload['n']}")
        self.update_state(sum=self.state.get("sum", 0) + payload["n"])

    @handler
    async def remind(self, payload: dict[str, Any]) -> None:
        self.send("Till/2", "add", {"n": 1}, **payload)

    @handler
    async def waits(self, payload: dict[str, Any]) -> None:
        await self.wait_for_event("go")
        self.update_state(went=True)


def timed(world: World) -> Clock:
    """Give the world's queue and runtime a clock that can be set forward."""
    clock = Clock()
    world.queue = MemoryQueue(clock=clock)
    world.runtime = world.new_runtime()
    world.runtime.clock_ns = clock.ns
    return clock


async def add(world: World, n: int, actor_id: str = "Till/1", **how: Any) -> Message:
    return await world.runtime.send(actor_id, "add", {"n": n}, **how)


async def test_a_message_sent_again_under_its_idempotency_key_is_handled_once() -> None:
    world = World()
    first = await add(world, 5, idempotency_key="order 17")
    again = await add(world, 5, idempotency_key="order 17")
    async with world.serve(Till):
        await world.settled()
        await add(world, 5, idempotency_key="order 17")
        await add(world, 5, idempotency_key="order 18")
        await world.settled()
    assert first.message_id == again.message_id
    assert await world.state("Till/1") == {"sum": 10}


async def test_a_key_is_one_actors_own() -> None:
    world = World()
    for actor_id in ("Till/1", "Till/2"):
        await add(world, 5, actor_id, idempotency_key="order 17")
    async with world.serve(Till):
        await world.settled()
    assert await world.state("Till/1") == await world.state("Till/2") == {"sum": 5}


async def test_a_key_is_remembered_for_a_day_after_its_message_was_handled() -> None:
    assert DEDUPE_SECONDS == 24 * 3_600
    world = World()
    clock = timed(world)
    await add(world, 5, idempotency_key="order 17")
    async with world.serve(Till):
        await world.settled()
        clock.ahead = DEDUPE_SECONDS - 60
        await add(world, 5, idempotency_key="order 17")
        assert (await world.queue.depth()).ready == 0
    assert CALLS.seen == ["add 5"]


@pytest.mark.parametrize("key", ["", "x" * 1_001])
async def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(InvalidMessage, match="idempotency key"):
        await add(World(), 5, idempotency_key=key)


async def test_a_message_has_a_key_or_an_id() -> None:
    with pytest.raises(InvalidMessage, match="not both"):
        await add(World(), 5, idempotency_key="order 17", message_id="m")


async def test_a_lower_priority_is_handled_first() -> None:
    world = World()
    for n, priority in ((1, 5), (2, 0), (3, -5)):
        await add(world, n, priority=priority)
    async with world.serve(Till):
        await world.settled()
    assert CALLS.seen == ["add 3", "add 2", "add 1"]


async def test_a_delayed_message_waits_and_lets_others_pass() -> None:
    world = World()
    clock = timed(world)
    await add(world, 1, delay=3_600)
    await add(world, 2)
    async with world.serve(Till):
        async with asyncio.timeout(10):
            while await world.state("Till/1") != {"sum": 2}:
                await asyncio.sleep(0.002)
        clock.ahead = 3_601
        await world.settled()
    assert CALLS.seen == ["add 2", "add 1"]
    waited = [e.duration_ns for e in await world.events() if e.type == "queue:dequeued"]
    assert all(ns is not None and ns < HOUR_NS / 2 for ns in waited), "the delay is no waiting"


async def test_a_handler_can_send_later() -> None:
    world = World()
    clock = timed(world)
    await world.send("Till/1", "remind", {"delay": 3_600.0})
    async with world.serve(Till):
        async with asyncio.timeout(10):
            while not (await world.queue.depth()).delayed:
                await asyncio.sleep(0.002)
        assert await world.state("Till/2") == {}
        clock.ahead = 3_601
        await world.settled()
    assert await world.state("Till/2") == {"sum": 1}


async def test_a_message_that_expires_before_its_handling_is_recorded_and_not_run() -> None:
    world = World()
    clock = timed(world)
    late = await add(world, 1, ttl=60)
    await add(world, 2, ttl=7_200)
    clock.ahead = 3_600
    async with world.serve(Till) as worker:
        await world.settled()
    assert CALLS.seen == ["add 2"]
    assert worker.stats().expired == 1
    assert await world.store.of_message("Till/1", late.message_id) == []
    assert (await world.types(late))[-2:] == ["message:expired", "lock:released"]
    assert (await world.queue.depth()).dead == 0


async def test_a_handlers_message_can_expire_too() -> None:
    world = World()
    clock = timed(world)
    await world.runtime.pause("Till/2")
    await world.send("Till/1", "remind", {"ttl": 60.0})
    async with world.serve(Till):
        await world.settled()
        clock.ahead = 3_600
        await world.runtime.resume("Till/2")
        await world.settled()
    assert await world.state("Till/2") == {}
    assert "message:expired" in await world.types()


async def test_a_turn_that_has_begun_does_not_expire() -> None:
    world = World()
    clock = timed(world)
    await world.runtime.send("Till/1", "waits", {}, ttl=60)
    async with world.serve(Till):
        async with asyncio.timeout(10):
            while not (await world.store.load("Till/1")).open_turns:
                await asyncio.sleep(0.002)
        clock.ahead = 3_000
        await world.runtime.send_event("Till/1", "go")
        await world.settled()
    assert await world.state("Till/1") == {"went": True}


@pytest.mark.parametrize(
    "how",
    [{"delay": -1.0}, {"delay": float("nan")}, {"ttl": 0.0}, {"delay": 10.0, "ttl": 5.0}],
)
async def test_a_delivery_that_makes_no_sense_is_refused(how: dict[str, float]) -> None:
    with pytest.raises(InvalidMessage):
        await add(World(), 1, **how)


async def test_a_paused_actor_handles_nothing_until_it_is_resumed() -> None:
    world = World()
    await world.runtime.pause("Till/1")
    await add(world, 1)
    await add(world, 2, "Till/2")
    async with world.serve(Till):
        await world.settled()
        assert await world.state("Till/2") == {"sum": 2}
        assert await world.state("Till/1") == {}
        assert await world.queue.paused("Till/1")
        await world.runtime.resume("Till/1")
        await world.settled()
    assert await world.state("Till/1") == {"sum": 1}


@pytest.mark.parametrize("actor_id", ["Till", "Till/", "a b/1"])
async def test_only_an_actor_can_be_paused(actor_id: str) -> None:
    for act in (World().runtime.pause, World().runtime.resume):
        with pytest.raises(InvalidMessage):
            await act(actor_id)
