"""Turns that wait: for events, for time, for nothing any more because somebody cancelled them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from actors import (
    Actor,
    Cancelled,
    EntryType,
    EventTimeout,
    InvalidMessage,
    JournalConflict,
    activity,
    handler,
)
from storage import Query, Unavailable
from tests.actors.world import Calls, World

CALLS = Calls()
LETTERS = Query()


@pytest.fixture(autouse=True)
def fresh() -> None:
    CALLS.seen.clear()


@activity
async def look_up(what: str) -> str:
    CALLS(f"look_up {what}")
    return what.upper()


class Approval(Actor):
    """Waits for somebody's word, with an activity before and one after."""

    @handler
    async def ask(self, payload: dict[str, Any]) -> None:
        CALLS("ask")
        self.update_state(status="asked")
        before = await self.call_activity(look_up, what="before")
        self.send("Log/1", "note", {"text": "asked"})
        try:
            word = await self.wait_for_event("decision", timeout=payload.get("timeout"))
        except EventTimeout:
            self.update_state(status="timed out")
            return
        after = await self.call_activity(look_up, what="after")
        self.update_state(status=word["verdict"], looked=[before, after])
        self.send("Log/1", "note", {"text": "decided"})

    @handler
    async def rename(self, payload: dict[str, Any]) -> None:
        self.update_state(name=payload["name"])

    @handler
    async def nap(self, payload: dict[str, Any]) -> None:
        CALLS("nap")
        await self.sleep(payload["seconds"])
        await self.sleep(payload["seconds"])
        self.update_state(rested=True)

    @handler
    async def twice(self, payload: dict[str, Any]) -> None:
        first = await self.wait_for_event("word")
        second = await self.wait_for_event("word")
        self.update_state(words=[first["n"], second["n"]])

    @handler
    async def careful(self, payload: dict[str, Any]) -> None:
        try:
            await self.wait_for_event("decision")
        except Cancelled:
            self.update_state(status="cancelled with care")

    @handler
    async def swallow(self, payload: dict[str, Any]) -> None:
        # What a handler must not do.
        with contextlib.suppress(BaseException):
            await self.wait_for_event("decision")


class Log(Actor):
    @handler
    async def note(self, payload: dict[str, Any]) -> None:
        self.update_state(notes=[*self.state.get("notes", []), payload["text"]])


async def until_parked(world: World, actor_id: str = "Approval/1") -> None:
    """Wait until the actor's turn has been suspended and its message handed back."""
    async with asyncio.timeout(10):
        while True:
            depth = await world.queue.depth()
            if depth.delayed and not depth.ready and not depth.leased:
                return
            await asyncio.sleep(0.002)


async def entries(world: World, actor_id: str = "Approval/1") -> list[EntryType]:
    return [
        entry.type async for record in world.store.records(actor_id) for entry in record.entries
    ]


async def test_a_turn_waits_for_its_event_and_goes_on_where_it_was() -> None:
    world = World()
    sent = await world.send("Approval/1", "ask")
    async with world.serve(Approval, Log):
        await until_parked(world)
        # What was sent before the wait has taken effect; the state changes have not.
        assert (await world.state("Log/1"))["notes"] == ["asked"]
        assert await world.state("Approval/1") == {}
        assert await world.runtime.send_event("Approval/1", "decision", {"verdict": "yes"})
        await world.settled()
    assert await world.state("Approval/1") == {"status": "yes", "looked": ["BEFORE", "AFTER"]}
    assert (await world.state("Log/1"))["notes"] == ["asked", "decided"]
    assert CALLS.seen == ["ask", "look_up before", "ask", "look_up after"]
    assert await entries(world) == [
        EntryType.STATE_PATCHED,
        EntryType.ACTIVITY_SCHEDULED,
        EntryType.ACTIVITY_COMPLETED,
        EntryType.MESSAGE_SENT,
        EntryType.EVENT_AWAITED,
        EntryType.SUSPENDED,
        EntryType.EVENT_RECEIVED,
        EntryType.ACTIVITY_SCHEDULED,
        EntryType.ACTIVITY_COMPLETED,
        EntryType.STATE_PATCHED,
        EntryType.MESSAGE_SENT,
        EntryType.TURN_COMPLETED,
    ]
    told = await world.types(sent)
    wanted = ["event:awaited", "turn:suspended", "turn:replayed", "event:received"]
    assert [name for name in told if name in wanted] == wanted
    assert told.count("message:sent") == 2
    assert told.count("message:completed") == 1
    assert await world.inbox.waiting("Approval/1") == []


async def test_an_event_that_came_first_is_there_at_once() -> None:
    world = World()
    await world.runtime.send_event("Approval/1", "decision", {"verdict": "early"})
    await world.send("Approval/1", "ask")
    async with world.serve(Approval, Log):
        await world.settled()
    assert (await world.state("Approval/1"))["status"] == "early"
    assert EntryType.SUSPENDED not in await entries(world)
    assert CALLS.seen.count("ask") == 1


async def test_later_messages_wait_in_order_behind_a_suspended_turn() -> None:
    world = World()
    await world.send("Approval/1", "ask")
    async with world.serve(Approval, Log):
        await until_parked(world)
        await world.send("Approval/1", "rename", {"name": "later"})
        await asyncio.sleep(0.05)
        assert "name" not in await world.state("Approval/1")
        await world.runtime.send_event("Approval/1", "decision", {"verdict": "yes"})
        await world.settled()
    assert (await world.state("Approval/1"))["name"] == "later"
    assert (await entries(world))[-2:] == [EntryType.STATE_PATCHED, EntryType.TURN_COMPLETED]


async def test_an_event_is_received_once_however_often_it_is_sent() -> None:
    world = World()
    await world.send("Approval/1", "twice")
    async with world.serve(Approval):
        await until_parked(world)
        for _ in range(3):
            await world.runtime.send_event("Approval/1", "word", {"n": 1}, event_id="one")
        await asyncio.sleep(0.05)
        await until_parked(world)
        await world.runtime.send_event("Approval/1", "other", {})
        await world.runtime.send_event("Approval/1", "word", {"n": 2}, event_id="two")
        await world.settled()
    assert (await world.state("Approval/1"))["words"] == [1, 2]
    assert [event.name for event in await world.inbox.waiting("Approval/1")] == ["other"]


async def test_a_wait_ends_after_its_time() -> None:
    world = World()
    await world.send("Approval/1", "ask", {"timeout": 0.05})
    async with world.serve(Approval, Log):
        await world.settled()
    assert (await world.state("Approval/1"))["status"] == "timed out"
    assert EntryType.TIMER_FIRED in await entries(world)


async def test_sleeping_is_journaled_and_each_sleep_is_slept_once() -> None:
    world = World()
    await world.send("Approval/1", "nap", {"seconds": 0.03})
    async with world.serve(Approval):
        await world.settled()
    assert (await world.state("Approval/1"))["rested"] is True
    assert CALLS.seen == ["nap"] * 3
    kinds = await entries(world)
    assert kinds.count(EntryType.TIMER_SET) == kinds.count(EntryType.TIMER_FIRED) == 2


async def test_another_worker_goes_on_after_the_first_one_is_gone() -> None:
    world = World()
    await world.send("Approval/1", "ask")
    async with world.serve(Approval, Log):
        await until_parked(world)
    world.workers.clear()
    await world.runtime.send_event("Approval/1", "decision", {"verdict": "yes"})
    async with world.serve(Approval, Log, runtime=world.new_runtime()):
        await world.settled()
    assert (await world.state("Approval/1"))["looked"] == ["BEFORE", "AFTER"]
    assert CALLS.seen.count("look_up before") == 1


async def test_a_cancelled_turn_fails_where_it_waits_and_the_actor_goes_on() -> None:
    world = World()
    sent = await world.send("Approval/1", "ask")
    async with world.serve(Approval, Log):
        await until_parked(world)
        assert await world.runtime.cancel("Approval/1", "no longer wanted")
        await world.send("Approval/1", "rename", {"name": "next"})
        await world.settled()
        assert not await world.runtime.cancel("Approval/1")
    assert await world.state("Approval/1") == {"name": "next"}
    assert "turn:cancelled" in await world.types(sent)
    (letter,) = (await world.dead_letters.query(LETTERS)).documents
    assert letter.body["errorType"] == "Cancelled"


async def test_a_handler_may_end_a_cancelled_run_in_its_own_way() -> None:
    world = World()
    await world.send("Approval/1", "careful")
    async with world.serve(Approval):
        await until_parked(world)
        await world.runtime.cancel("Approval/1")
        await world.settled()
    assert await world.state("Approval/1") == {"status": "cancelled with care"}


async def test_a_turn_whose_handler_swallows_its_suspension_is_parked() -> None:
    world = World()
    await world.send("Approval/1", "swallow")
    async with world.serve(Approval):
        await until_parked(world)
    assert EntryType.TURN_PARKED in await entries(world)


@pytest.mark.parametrize("name", ["", "$cancel", "a b", "x" * 101])
async def test_what_is_no_event_name_is_refused(name: str) -> None:
    world = World()
    if name == "$cancel":
        assert not await world.runtime.cancel("Approval/1")
        return
    with pytest.raises(InvalidMessage):
        await world.runtime.send_event("Approval/1", name, {})


async def test_a_death_between_taking_an_event_and_removing_it_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    monkeypatch.setattr("actors.worker.STORE_DELAY", 0.01)
    removed = world.inbox.remove
    lost = [True]

    async def remove(actor_id: str, id: str) -> None:
        if lost:
            lost.pop()
            raise Unavailable("the worker died here")
        await removed(actor_id, id)

    monkeypatch.setattr(world.inbox, "remove", remove)
    await world.send("Approval/1", "twice")
    async with world.serve(Approval):
        await until_parked(world)
        await world.runtime.send_event("Approval/1", "word", {"n": 1})
        await asyncio.sleep(0.1)
        await until_parked(world)
        await world.runtime.send_event("Approval/1", "word", {"n": 2})
        await world.settled()
    assert not lost
    assert (await world.state("Approval/1"))["words"] == [1, 2]


async def test_a_death_between_sending_and_marking_as_sent_sends_nothing_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    monkeypatch.setattr("actors.worker.STORE_DELAY", 0.01)
    append = world.store.append
    lost = [True]

    async def dying(actor_id: str, index: int, new: Any, **more: Any) -> Any:
        if lost and new[-1].type is EntryType.SUSPENDED:
            lost.pop()
            raise JournalConflict("the worker died here")
        return await append(actor_id, index, new, **more)

    monkeypatch.setattr(world.store, "append", dying)
    monkeypatch.setattr("actors.worker.BLOCKED_DELAY", 0.01)
    await world.send("Approval/1", "ask")
    async with world.serve(Approval, Log):
        await asyncio.sleep(0.1)
        await until_parked(world)
        await world.runtime.send_event("Approval/1", "decision", {"verdict": "yes"})
        await world.settled()
    assert not lost
    assert (await world.state("Log/1"))["notes"] == ["asked", "decided"]
    assert CALLS.seen.count("look_up before") == 1


class Pilgrim(Actor):
    """Rests again and again; after each rest a stone in its shoe stops it once, or for ever."""

    @handler
    async def walk(self, payload: dict[str, Any]) -> None:
        for stage in range(payload["stages"]):
            await self.sleep(0.01)
            if CALLS(f"stage {stage}") <= payload["stones"]:
                raise ValueError("a stone in the shoe")
        self.update_state(arrived=True)

    @handler
    async def follow(self, payload: dict[str, Any]) -> None:
        for _ in range(payload["stages"]):
            await self.wait_for_event("sign")
        self.update_state(arrived=True)


async def test_attempts_are_counted_anew_when_a_turn_has_come_to_its_next_wait() -> None:
    world = World()
    await world.send("Pilgrim/1", "walk", {"stages": 6, "stones": 1})
    async with world.serve(Pilgrim):
        await world.settled()
    assert await world.state("Pilgrim/1") == {"arrived": True}
    assert (await entries(world, "Pilgrim/1")).count(EntryType.TURN_FAILED) == 6
    assert (await world.dead_letters.query(LETTERS)).documents == []


async def test_a_turn_that_goes_no_further_is_given_up_after_as_many_attempts_as_any() -> None:
    world = World()
    sent = await world.send("Pilgrim/1", "walk", {"stages": 6, "stones": 99})
    async with world.serve(Pilgrim):
        await world.settled()
    assert CALLS.seen == ["stage 0"] * 3
    assert (await world.dead_letters.read(sent.message_id, "Pilgrim/1")).body["attempts"] == 3


async def test_workers_that_die_between_the_waits_of_a_turn_do_not_add_up() -> None:
    world = World()
    await world.send("Pilgrim/1", "follow", {"stages": 6})
    for stage in range(6):
        async with world.serve(Pilgrim):
            await until_parked(world)
        await world.runtime.send_event("Pilgrim/1", "sign", event_id=f"sign {stage}")
        # Leased, and its worker never heard of again.
        (lease,) = await world.queue.lease(("Pilgrim",), limit=1, seconds=0.001)
        assert lease.attempt == stage + 1
        await asyncio.sleep(0.005)
    async with world.serve(Pilgrim):
        await world.settled()
    assert await world.state("Pilgrim/1") == {"arrived": True}
