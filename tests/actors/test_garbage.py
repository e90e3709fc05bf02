"""A turn that is over is gone at once: nothing of it waits for the garbage collector."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from actors import Actor, activity, handler
from tests.actors.world import World

TURNS = 40


@activity
async def double(number: int) -> int:
    return 2 * number


class Doubler(Actor):
    @handler
    async def run(self, payload: dict[str, Any]) -> None:
        self.update_state(number=await self.call_activity(double, number=payload["number"]))
        self.send("Doubler/other", "take", {})

    @handler
    async def take(self, payload: dict[str, Any]) -> None:
        self.update_state(taken=True)


@pytest.mark.parametrize("traced", [True, False])
async def test_turns_leave_nothing_to_the_collector(traced: bool) -> None:
    world = World(traced=traced)
    async with world.serve(Doubler):
        await world.send("Doubler/1", "run", {"number": 0})
        await world.settled()
        gc.collect()
        gc.disable()
        try:
            for number in range(TURNS):
                await world.send(f"Doubler/{number % 4}", "run", {"number": number})
            await world.settled()
            assert gc.collect() < TURNS
        finally:
            gc.enable()
