"""Calling other actors, doing things side by side, and what is the same on every replay."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from actors import (
    Actor,
    CallFailed,
    EntryType,
    EventTimeout,
    NonRetryable,
    activity,
    handler,
)
from storage import Unavailable
from tests.actors.test_waiting import entries, until_parked
from tests.actors.world import Calls, World

CALLS = Calls()
SEEN: list[Any] = []


@pytest.fixture(autouse=True)
def fresh() -> None:
    CALLS.seen.clear()
    SEEN.clear()


@activity
async def double(n: int) -> int:
    CALLS(f"double {n}")
    await asyncio.sleep(0.01 * (5 - n))
    if n == 4:
        raise NonRetryable("not four")
    return 2 * n


class Child(Actor):
    @handler
    async def square(self, payload: dict[str, int]) -> int:
        CALLS(f"square {payload['n']}")
        if payload["n"] < 0:
            raise NonRetryable("not negative")
        self.update_state(asked=self.state.get("asked", 0) + 1)
        return payload["n"] ** 2

    @handler
    async def silent(self, payload: dict[str, Any]) -> None:
        await self.wait_for_event("never")


class Parent(Actor):
    @handler
    async def ask(self, payload: dict[str, Any]) -> None:
        try:
            answer = await self.call("Child/1", "square", {"n": payload["n"]})
        except CallFailed as failed:
            answer = failed.error_type
        self.update_state(answer=answer)

    @handler
    async def ask_in_vain(self, payload: dict[str, Any]) -> None:
        try:
            await self.call("Child/1", "silent", timeout=0.05)
        except EventTimeout:
            self.update_state(answer="none")

    @handler
    async def all_at_once(self, payload: dict[str, Any]) -> None:
        CALLS("all_at_once")
        children = [self.call(Child, "square", {"n": n}) for n in range(payload["children"])]
        doubles = [self.call_activity(double, n=n) for n in payload.get("doubles", ())]
        found = await self.gather(*children, *doubles)
        self.update_state(found=found)

    @handler
    async def hurried(self, payload: dict[str, Any]) -> None:
        running = asyncio.current_task()
        if CALLS("hurried") == 1 and running is not None:
            # As when its lease has run out.
            running.cancel()
        self.update_state(
            found=await self.gather(*(self.call_activity(double, n=n) for n in (2, 3)))
        )

    @handler
    async def same(self, payload: dict[str, Any]) -> None:
        SEEN.append((self.now(), self.uuid(), self.uuid(), self.random().random()))
        await self.wait_for_event("go")
        SEEN.append((self.now(), self.uuid()))

    @handler
    async def count_down(self, payload: dict[str, int]) -> None:
        self.update_state(turns=self.state.get("turns", 0) + 1)
        if payload["n"] > 1:
            self.continue_as_new({"n": payload["n"] - 1})
        self.update_state(done=True)


def old_code(actor: Parent, payload: dict[str, Any]) -> Any:
    async def handle() -> None:
        await actor.call_activity(double, n=1)
        await actor.wait_for_event("go")

    return handle()


def new_code(actor: Parent, payload: dict[str, Any]) -> Any:
    async def handle() -> None:
        if actor.patched("twice"):
            await actor.call_activity(double, n=2)
        await actor.call_activity(double, n=1)
        await actor.wait_for_event("go")
        actor.update_state(path="new" if "double 2" in CALLS.seen else "old")

    return handle()


async def test_a_call_returns_what_the_other_actors_handler_returns() -> None:
    world = World()
    await world.send("Parent/1", "ask", {"n": 12})
    async with world.serve(Parent, Child):
        await world.settled()
    assert (await world.state("Parent/1"))["answer"] == 144
    assert await world.inbox.waiting("Parent/1") == []


async def test_a_call_that_fails_for_the_last_time_is_told_to_the_caller() -> None:
    world = World()
    await world.send("Parent/1", "ask", {"n": -1})
    async with world.serve(Parent, Child):
        await world.settled()
    assert (await world.state("Parent/1"))["answer"] == "NonRetryable"


async def test_a_caller_waits_no_longer_than_it_said() -> None:
    world = World()
    await world.send("Parent/1", "ask_in_vain")
    async with world.serve(Parent, Child):
        async with asyncio.timeout(10):
            while (await world.state("Parent/1")).get("answer") != "none":
                await asyncio.sleep(0.01)


async def test_many_children_are_called_side_by_side_and_each_once() -> None:
    world = World()
    await world.send("Parent/1", "all_at_once", {"children": 20, "doubles": [1, 2, 3]})
    async with world.serve(Parent, Child):
        await world.settled()
    found = (await world.state("Parent/1"))["found"]
    assert found == [n * n for n in range(20)] + [2, 4, 6]
    assert sorted(c for c in CALLS.seen if c.startswith("square")) == sorted(
        f"square {n}" for n in range(20)
    )
    assert sorted(c for c in CALLS.seen if c.startswith("double")) == [
        f"double {n}" for n in (1, 2, 3)
    ]


async def test_parallel_work_that_fails_waits_for_the_rest_and_is_raised() -> None:
    world = World()
    await world.send("Parent/1", "all_at_once", {"children": 0, "doubles": [1, 4, 2]})
    async with world.serve(Parent, Child):
        await world.settled()
    kinds = await entries(world, "Parent/1")
    assert kinds.count(EntryType.ACTIVITY_COMPLETED) >= 2
    assert EntryType.ACTIVITY_FAILED in kinds
    assert "found" not in await world.state("Parent/1")


async def test_an_answer_that_could_not_be_given_is_given_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    monkeypatch.setattr("actors.worker.STORE_DELAY", 0.01)
    put = world.inbox.put
    lost = [True]

    async def failing(*args: Any) -> bool:
        if lost:
            lost.pop()
            raise Unavailable("gone for a moment")
        return await put(*args)

    monkeypatch.setattr(world.inbox, "put", failing)
    await world.send("Parent/1", "ask", {"n": 3})
    async with world.serve(Parent, Child):
        await world.settled()
    assert not lost
    assert (await world.state("Parent/1"))["answer"] == 9
    assert (await world.state("Child/1"))["asked"] == 1
    assert CALLS.seen == ["square 3"]


async def test_time_ids_and_chance_are_the_same_on_every_replay() -> None:
    world = World()
    await world.send("Parent/1", "same")
    async with world.serve(Parent, Child):
        await until_parked(world, "Parent/1")
        await world.runtime.send_event("Parent/1", "go")
        await world.settled()
    first, again, after = SEEN
    assert first == again
    assert first[1] != first[2] != after[1]
    assert after[0] >= first[0]
    assert first[0].tzinfo is not None


async def test_a_run_without_end_goes_on_in_turns_of_its_own() -> None:
    world = World()
    await world.send("Parent/1", "count_down", {"n": 5})
    async with world.serve(Parent, Child):
        await world.settled()
    assert await world.state("Parent/1") == {"turns": 5, "done": True}
    assert (await entries(world, "Parent/1")).count(EntryType.TURN_COMPLETED) == 5


async def test_a_turn_under_way_keeps_to_its_old_path_when_the_code_changes() -> None:
    class Changing(Parent):
        code = staticmethod(old_code)

        @handler
        async def go(self, payload: dict[str, Any]) -> None:
            await type(self).code(self, payload)

    world = World()
    await world.send("Changing/old", "go")
    async with world.serve(Changing):
        await until_parked(world, "Changing/old")
        Changing.code = staticmethod(new_code)
        await world.runtime.send_event("Changing/old", "go")
        await world.settled()
        assert (await world.state("Changing/old"))["path"] == "old"
        await world.send("Changing/new", "go")
        await until_parked(world, "Changing/new")
        await world.runtime.send_event("Changing/new", "go")
        await world.settled()
    assert (await world.state("Changing/new"))["path"] == "new"
    assert CALLS.seen == ["double 1", "double 2", "double 1"]


async def test_parallel_calls_that_a_run_did_not_come_to_are_let_go_in_silence(
    recwarn: pytest.WarningsRecorder,
) -> None:
    world = World()
    await world.send("Parent/1", "hurried")
    async with world.serve(Parent):
        await world.settled()
    assert await world.state("Parent/1") == {"found": [4, 6]}
    assert CALLS.seen == ["hurried", "hurried", "double 2", "double 3"]
    assert [str(warning.message) for warning in recwarn] == []
