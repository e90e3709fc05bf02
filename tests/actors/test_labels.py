"""Labels: an actor type says in advance what its handlers may write into a trace."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from actors import Actor, UnknownLabel, handler
from tests.actors.test_waiting import until_parked
from tests.actors.world import World

SECRET = "canary-in-a-label"


class Shop(Actor):
    labels: ClassVar = {"tier": ("gold", "silver"), "channel": {"web", "shop floor"}}

    @handler
    async def sell(self, payload: dict[str, str]) -> None:
        self.annotate(tier="gold", channel="shop floor")
        self.update_state(sold=True)

    @handler
    async def leak(self, payload: dict[str, str]) -> None:
        self.annotate(**payload)

    @handler
    async def wait(self, payload: dict[str, Any]) -> None:
        self.annotate(tier="gold")
        await self.wait_for_event("go")
        self.annotate(tier="silver")


async def labels(world: World) -> list[str | None]:
    return [event.name for event in await world.events() if event.type == "turn:annotated"]


@pytest.mark.parametrize("traced", [True, False])
async def test_declared_labels_are_written_into_the_trace(traced: bool) -> None:
    world = World(traced=traced)
    await world.send("Shop/1", "sell")
    async with world.serve(Shop):
        await world.settled()
    assert await world.state("Shop/1") == {"sold": True}
    if traced:
        assert await labels(world) == ["tier=gold", "channel=shop floor"]


async def test_a_turn_that_runs_again_does_not_repeat_its_labels() -> None:
    world = World()
    await world.send("Shop/1", "wait")
    async with world.serve(Shop):
        await until_parked(world)
        await world.runtime.send_event("Shop/1", "go")
        await world.settled()
    assert await labels(world) == ["tier=gold", "tier=silver"]


@pytest.mark.parametrize("payload", [{"tier": SECRET}, {SECRET.replace("-", "_"): "gold"}])
async def test_nothing_of_a_payload_gets_into_a_trace_as_a_label(payload: dict[str, str]) -> None:
    world = World()
    sent = await world.send("Shop/1", "leak", payload)
    async with world.serve(Shop):
        await world.settled()
    assert await labels(world) == []
    (record,) = await world.store.of_message("Shop/1", sent.message_id)
    error = record.entries[-1].data["error"]
    assert error["type"] == UnknownLabel.__name__
    assert "canary" not in error["message"]
    assert "canary" not in str([d.body for d in (await world.traces.changes()).documents])


@pytest.mark.parametrize(
    "wrong",
    [
        {"Tier": ("gold",)},
        {"x" * 33: ("gold",)},
        {"tier": ()},
        {"tier": "gold"},
        {"tier": ("",)},
        {"tier": ("x" * 65,)},
        {"tier": ("<b>",)},
        {"tier": (5,)},
        {"tier": [str(n) for n in range(51)]},
        {f"l{n}": ("a",) for n in range(21)},
    ],
)
def test_labels_that_are_too_much_are_refused_where_they_are_declared(wrong: Any) -> None:
    with pytest.raises(TypeError, match="label"):
        type("Wrong", (Actor,), {"labels": wrong})
