"""A turn that today's code cannot go on with is parked: nothing of it is lost or tried in vain."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from actors import Actor, EntryType, SagaCompensated, activity, handler
from actors.parking import Parked, ParkedFor
from tests.actors.test_waiting import entries, until_parked
from tests.actors.world import Calls, World
from tracing import Ref, RefKind

CALLS = Calls()


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    CALLS.seen.clear()
    for delay in ("MISMATCH_RETRY", "VERSION_RETRY"):
        monkeypatch.setattr(f"actors.worker.{delay}", 0.02)


@activity
async def book(what: str) -> str:
    CALLS(f"book {what}")
    return what


@activity
async def unbook(what: str) -> None:
    CALLS(f"unbook {what}")


class Booking(Actor):
    """As it was when its turn began."""

    @handler
    async def travel(self, payload: dict[str, Any]) -> None:
        await self.call_activity(book, what="train")
        await self.wait_for_event("paid")
        self.update_state(status="done")

    @handler
    async def trip(self, payload: dict[str, Any]) -> None:
        async with self.saga("trip") as saga:
            await saga.step(book, undo=unbook, what="train")
            await self.wait_for_event("paid")

    @handler
    async def note(self, payload: dict[str, Any]) -> None:
        self.update_state(noted=True)


def changed(name: str, base: type[Actor] = Booking, **members: Any) -> type[Actor]:
    """Return the actor type as another version of its code has it."""
    marked = {
        key: handler(message_type=key)(member) if callable(member) else member
        for key, member in members.items()
    }
    return type(name, (base,), marked)


async def plane(self: Actor, payload: dict[str, Any]) -> None:
    CALLS("run")
    await self.call_activity(book, what="plane")
    self.update_state(status="flown")


async def hides(self: Actor, payload: dict[str, Any]) -> None:
    with contextlib.suppress(Exception):
        await self.call_activity(book, what="plane")
    with contextlib.suppress(Exception):
        self.update_state(status="hidden")


async def fails_instead(self: Actor, payload: dict[str, Any]) -> None:
    try:
        await self.call_activity(book, what="plane")
    except Exception:
        raise ValueError("something else") from None


async def begun(message_type: str = "travel") -> World:
    """Return a world in which a turn has begun and waits."""
    world = World()
    await world.send("Booking/1", message_type)
    async with world.serve(Booking):
        await until_parked(world)
    await world.runtime.send_event("Booking/1", "paid")
    return world


async def parked(world: World) -> Parked:
    fold = await world.store.load("Booking/1")
    (entry,) = fold.parked.values()
    return Parked.from_entry(entry)


async def until_turn_parked(world: World) -> None:
    """Wait until the journal says why the turn is parked, and its message was handed back."""
    async with asyncio.timeout(10):
        while (
            not (await world.store.load("Booking/1")).parked or (await world.queue.depth()).leased
        ):
            await asyncio.sleep(0.002)


async def test_a_mismatch_shows_what_was_expected_and_found_and_the_line_that_asked() -> None:
    world = await begun()
    async with world.serve(changed("Booking", travel=plane)):
        await until_turn_parked(world)
    why = await parked(world)
    assert why.reason is ParkedFor.CODE_THAT_MATCHES
    assert "has activity_scheduled (book) with other arguments" in why.text
    assert why.expected is not None
    assert why.found is not None
    assert (why.expected["type"], why.expected["name"]) == ("activity_scheduled", "book")
    assert why.expected["args"] != why.found["args"]
    assert why.place is not None
    assert why.place.file == "tests/actors/test_parking.py"
    assert why.place.code == 'await self.call_activity(book, what="plane")'
    assert why.place.function == "plane"


async def test_a_mismatch_burns_no_attempt_and_is_not_tried_again_by_the_same_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = await begun()
    await world.send("Booking/1", "note")
    park, offered = world.queue.park, 0

    async def count(lease: Any, *, seconds: float) -> bool:
        nonlocal offered
        offered += 1
        return await park(lease, seconds=seconds)

    monkeypatch.setattr(world.queue, "park", count)
    async with world.serve(changed("Booking", travel=plane)):
        await until_turn_parked(world)
        async with asyncio.timeout(10):
            while offered < 4:
                await asyncio.sleep(0.002)
    assert CALLS.seen == ["book train", "run"]
    assert (await entries(world, "Booking/1")).count(EntryType.TURN_PARKED) == 1
    (lease,) = await _leased(world)
    assert (lease.message.message_type, lease.attempt) == ("travel", 1)
    assert (await world.queue.depth()).dead == 0


async def _leased(world: World) -> list[Any]:
    await world.queue.wake("Booking/1")
    return await world.queue.lease(("Booking",), limit=5, seconds=5)


async def rests(self: Actor, payload: dict[str, Any]) -> None:
    CALLS("run")
    await self.sleep(60)


@pytest.mark.parametrize("travel", [plane, rests])
async def test_another_process_of_the_same_code_does_not_journal_it_again(travel: Any) -> None:
    world = await begun()
    for _ in range(2):
        async with world.serve(changed("Booking", travel=travel), runtime=world.new_runtime()):
            await world.runtime.resume("Booking/1")
            seen = len(CALLS.seen)
            async with asyncio.timeout(10):
                while len(CALLS.seen) == seen or (await world.queue.depth()).leased:
                    await asyncio.sleep(0.002)
    assert CALLS.seen == ["book train", "run", "run"]
    assert (await entries(world, "Booking/1")).count(EntryType.TURN_PARKED) == 1


async def test_a_parked_turn_goes_on_by_itself_where_new_code_matches() -> None:
    world = await begun()
    await world.send("Booking/1", "note")
    async with world.serve(changed("Booking", travel=plane)):
        await until_turn_parked(world)
    async with world.serve(Booking, runtime=world.new_runtime()):
        await world.settled()
    assert await world.state("Booking/1") == {"status": "done", "noted": True}
    assert CALLS.seen == ["book train", "run"]
    assert (await world.store.load("Booking/1")).parked == {}


async def test_resuming_an_actor_tries_its_parked_turn_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("actors.worker.MISMATCH_RETRY", 3_600)
    world = await begun()
    async with world.serve(changed("Booking", travel=plane)):
        await until_turn_parked(world)
    async with world.serve(Booking, runtime=world.new_runtime()):
        await world.runtime.resume("Booking/1")
        await world.settled()
    assert await world.state("Booking/1") == {"status": "done"}


async def test_a_parked_turn_is_told_by_one_event_that_names_its_record() -> None:
    world = await begun()
    async with world.serve(changed("Booking", travel=plane)):
        await until_turn_parked(world)
        await until_turn_parked(world)
    (event,) = [event for event in await world.events() if event.type == "turn:parked"]
    assert event.error_type == "NonDeterministic"
    (ref,) = event.refs
    index = (await world.store.load("Booking/1")).version - 1
    assert ref == Ref(RefKind.JOURNAL_ENTRY, "Booking/1", f"{index}:1")


@pytest.mark.parametrize("travel", [hides, fails_instead])
async def test_a_handler_cannot_hide_that_it_left_its_journal(travel: Any) -> None:
    world = await begun()
    async with world.serve(changed("Booking", travel=travel)):
        await until_turn_parked(world)
    assert (await parked(world)).reason is ParkedFor.CODE_THAT_MATCHES


async def test_a_handler_that_ends_too_soon_is_shown_where_it_is_defined() -> None:
    async def nothing(self: Actor, payload: dict[str, Any]) -> None:
        return

    world = await begun()
    async with world.serve(changed("Booking", travel=nothing)):
        await until_turn_parked(world)
    why = await parked(world)
    assert why.found is None
    assert why.place is not None
    assert (why.place.function, why.place.line) == ("nothing", nothing.__code__.co_firstlineno)


async def test_a_saga_is_not_undone_because_its_code_changed() -> None:
    async def trip(self: Actor, payload: dict[str, Any]) -> None:
        with contextlib.suppress(SagaCompensated):
            async with self.saga("trip") as saga:
                await saga.step(book, undo=unbook, what="train")
                await saga.step(book, undo=unbook, what="room")

    world = await begun("trip")
    async with world.serve(changed("Booking", trip=trip)):
        await until_turn_parked(world)
    async with world.serve(Booking, runtime=world.new_runtime()):
        await world.settled()
    assert CALLS.seen == ["book train"]
    assert (await entries(world, "Booking/1"))[-1] is EntryType.TURN_COMPLETED


async def test_a_parked_turn_that_is_cancelled_becomes_a_dead_letter_and_frees_its_actor() -> None:
    world = await begun()
    await world.send("Booking/1", "note")
    async with world.serve(changed("Booking", travel=plane)):
        await until_turn_parked(world)
        assert await world.runtime.cancel("Booking/1", "it is no use")
        await world.settled()
    assert await world.state("Booking/1") == {"noted": True}
    fold = await world.store.load("Booking/1")
    assert (fold.open_turns, fold.parked) == ({}, {})
    assert (await world.queue.depth()).dead == 1


async def test_what_a_long_command_holds_is_shown_bounded() -> None:
    async def long(self: Actor, payload: dict[str, Any]) -> None:
        self.update_state(text="x" * 900_000)

    world = await begun()
    async with world.serve(changed("Booking", travel=long)):
        await until_turn_parked(world)
    why = await parked(world)
    assert why.found is not None
    assert len(str(why.found)) < 5_000
    assert "characters more" in why.found["patch"]


async def test_a_turn_waits_for_the_version_of_the_code_that_it_began_under(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Whichever worker looks first gets it: there must be time for some tries.
    monkeypatch.setattr("actors.worker.VERSION_RETRY", 0.1)
    world = await begun()
    async with world.serve(changed("Booking", version=2)):
        await until_turn_parked(world)
    why = await parked(world)
    assert why.reason is ParkedFor.CODE_VERSION
    assert (why.expected, why.found) == ({"version": 1}, {"version": 2})
    newer, older = world.new_runtime(), world.new_runtime()
    async with (
        world.serve(changed("Booking", version=2), runtime=newer),
        world.serve(Booking, runtime=older),
    ):
        await world.settled()
    assert await world.state("Booking/1") == {"status": "done"}


async def test_code_that_accepts_an_older_version_goes_on_with_its_turns() -> None:
    async def travel(self: Actor, payload: dict[str, Any]) -> None:
        if self.patched("by plane"):
            await self.call_activity(book, what="plane")
        else:
            await self.call_activity(book, what="train")
        await self.wait_for_event("paid")
        self.update_state(status="done by version 2")

    world = await begun()
    newer = changed("Booking", version=2, accepts=(1,), travel=travel)
    async with world.serve(newer):
        await world.settled()
    assert await world.state("Booking/1") == {"status": "done by version 2"}
    await world.send("Booking/2", "travel")
    async with world.serve(newer):
        await world.runtime.send_event("Booking/2", "paid")
        await world.settled()
    assert CALLS.seen == ["book train", "book plane"]


async def test_a_turn_that_newer_code_went_on_with_is_not_taken_back_by_older_code() -> None:
    async def travel(self: Actor, payload: dict[str, Any]) -> None:
        await self.call_activity(book, what="train")
        await self.wait_for_event("paid")
        await self.wait_for_event("confirmed")

    world = await begun()
    async with world.serve(changed("Booking", version=2, accepts=(1,), travel=travel)):
        await until_parked(world)
    async with world.serve(Booking, runtime=world.new_runtime()):
        await world.runtime.send_event("Booking/1", "confirmed")
        await until_turn_parked(world)
    why = await parked(world)
    assert (why.reason, why.expected) == (ParkedFor.CODE_VERSION, {"version": 2})


async def test_a_turn_that_has_journaled_nothing_is_not_pinned() -> None:
    world = World()
    await world.send("Booking/1", "note")
    async with world.serve(changed("Booking", version=7)):
        await world.settled()
    assert await world.state("Booking/1") == {"noted": True}
