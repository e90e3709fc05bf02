"""Looking at an actor: its state, what its turn waits for, the end of its journal."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from actors import Actor, handler
from actors.inspect import LINES, ActorInspector
from tests.actors.test_waiting import until_parked
from tests.actors.world import World


class Clerk(Actor):
    @handler
    async def ask(self, payload: dict[str, Any]) -> None:
        await self.wait_for_event("word", timeout=payload.get("timeout"))
        await self.sleep(60)

    @handler
    async def note(self, payload: dict[str, Any]) -> None:
        self.update_state(notes=self.state.get("notes", 0) + 1)

    @handler
    async def spread(self, payload: dict[str, Any]) -> None:
        for number in range(payload["children"]):
            self.spawn(Clerk, "note", key=f"child-{number}")


def inspector(world: World) -> ActorInspector:
    return ActorInspector(world.store, world.queue, world.inbox)


async def test_an_actor_that_never_was_is_not_known() -> None:
    look = await inspector(World()).look("Clerk/1")
    assert not look.is_known
    assert (look.state.version, look.turn, look.waits, look.lines) == (0, None, (), [])


async def test_a_message_that_nobody_has_handled_makes_an_actor_known() -> None:
    world = World()
    await world.send("Clerk/1", "note")
    look = await inspector(world).look("Clerk/1")
    assert look.is_known
    assert look.behind == 1


async def test_a_suspended_turn_says_what_it_waits_for_since_when_and_until_when() -> None:
    world = World()
    before = time.time_ns() // 1000
    sent = await world.send("Clerk/1", "ask", {"timeout": 100})
    async with world.serve(Clerk):
        await until_parked(world)
        for _ in range(3):
            await world.send("Clerk/1", "note")
        look = await inspector(world).look("Clerk/1")
        (wait,) = look.waits
        assert look.turn == sent.message_id
        assert wait.event == "word"
        assert wait.since_us is not None
        assert wait.due_us is not None
        assert before <= wait.since_us <= time.time_ns() // 1000
        assert 99 < (wait.due_us - wait.since_us) / 1e6 < 101
        assert look.behind == 3
        assert await inspector(world).suspended("Clerk", limit=5) == ["Clerk/1"]

        await world.runtime.send_event("Clerk/1", "word", {})
        async with asyncio.timeout(10):
            while [other.event for other in look.waits] != [None]:
                await asyncio.sleep(0.002)
                look = await inspector(world).look("Clerk/1")
        (asleep,) = look.waits
        assert asleep.id != wait.id

        await world.runtime.cancel("Clerk/1")
        await world.settled()
    look = await inspector(world).look("Clerk/1")
    assert (look.turn, look.waits, look.behind) == (None, (), 0)
    assert look.state.data == {"notes": 3}
    assert await inspector(world).suspended("Clerk", limit=5) == []


class Hurried(Clerk):
    """The clerk, as other code has it."""

    @classmethod
    def type_name(cls) -> str:
        return Clerk.type_name()

    @handler
    async def ask(self, payload: dict[str, Any]) -> None:
        self.update_state(asked=True)


async def test_a_parked_turn_says_why_and_since_when() -> None:
    world = World()
    await world.send("Clerk/1", "ask")
    async with world.serve(Clerk):
        await until_parked(world)
    assert (await inspector(world).look("Clerk/1")).parked is None
    before = time.time_ns() // 1000
    async with world.serve(Hurried, runtime=world.new_runtime()):
        await world.runtime.resume("Clerk/1")
        async with asyncio.timeout(10):
            while (look := await inspector(world).look("Clerk/1")).parked is None:
                await asyncio.sleep(0.002)
    assert look.parked.expected is not None
    assert look.parked.expected["name"] == "word"
    assert look.parked_us is not None
    assert look.parked_us >= before
    assert [wait.event for wait in look.waits] == ["word"]


async def test_a_paused_actor_says_so() -> None:
    world = World()
    await world.runtime.pause("Clerk/1")
    look = await inspector(world).look("Clerk/1")
    assert (look.paused, look.is_known) == (True, True)
    await world.runtime.resume("Clerk/1")
    assert not (await inspector(world).look("Clerk/1")).paused


async def test_events_that_nobody_took_are_shown() -> None:
    world = World()
    await world.runtime.send_event("Clerk/1", "early", {})
    look = await inspector(world).look("Clerk/1")
    assert look.is_known
    assert [event.name for event in look.inbox] == ["early"]


@pytest.mark.parametrize("notes", [1, LINES, 3 * LINES])
async def test_the_last_entries_come_newest_first(notes: int) -> None:
    world = World()
    for _ in range(notes):
        await world.send("Clerk/1", "note")
    async with world.serve(Clerk):
        await world.settled()
    look = await inspector(world).look("Clerk/1")
    version = look.state.version
    assert version == 2 * notes
    shown = min(LINES, version)
    assert [line.index for line in look.lines] == list(range(version - 1, version - 1 - shown, -1))
    assert look.lines[0].entry.type.value == "turn_completed"


async def test_a_record_longer_than_what_is_shown_is_found() -> None:
    world = World()
    await world.send("Clerk/1", "note")
    await world.send("Clerk/1", "spread", {"children": 500})
    async with world.serve(Clerk):
        await world.settled()
    look = await inspector(world).look("Clerk/1")
    assert [line.index for line in look.lines] == list(range(502, 502 - LINES, -1))
