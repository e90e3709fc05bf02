"""The samples do what they say: decisions, their absence, and trips that are undone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from actors.samples import ACTOR_TYPES, WORKFLOWS
from actors.samples.approval import LoanApproval
from storage import Query
from tests.actors.test_waiting import until_parked
from tests.actors.world import World


async def applied(world: World, **payload: Any) -> str:
    """Apply for a loan that needs a decision; return the actor."""
    return (await world.runtime.start(WORKFLOWS["loan-approval"], payload)).actor_id


async def decided(decision: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the state of an application after this decision."""
    world = World()
    application = await applied(world)
    async with world.serve(*ACTOR_TYPES):
        await until_parked(world, application)
        assert (await world.state(application))["status"] == "undecided"
        await world.runtime.send_event(application, "decision", decision)
        await world.settled()
    return await world.state(application)


async def test_an_approved_loan_is_paid_out_once() -> None:
    state = await decided({"approved": True, "note": "known for years"})
    assert state["status"] == "paid"
    assert state["note"] == "known for years"
    assert state["disbursement"].startswith("Disbursement/")
    assert len(state["receipt"]) == 8


@pytest.mark.parametrize("decision", [{"approved": False}, {}, {"approved": "yes"}])
async def test_whatever_is_no_clear_yes_declines_a_loan(decision: dict[str, Any]) -> None:
    state = await decided(decision)
    assert state["status"] == "declined"
    assert "disbursement" not in state


async def test_a_loan_that_nobody_decides_on_times_out() -> None:
    world = World()
    application = await applied(world, timeout=0.02)
    async with world.serve(*ACTOR_TYPES):
        await world.settled()
    assert (await world.state(application))["status"] == "timed out"


async def test_a_decision_that_comes_late_changes_nothing() -> None:
    world = World()
    application = await applied(world, timeout=0)
    async with world.serve(*ACTOR_TYPES):
        await world.settled()
        await world.runtime.send_event(application, "decision", {"approved": True})
        await world.settled()
    assert (await world.state(application))["status"] == "timed out"


async def test_a_loan_that_is_cancelled_is_withdrawn() -> None:
    world = World()
    application = await applied(world)
    async with world.serve(*ACTOR_TYPES):
        await until_parked(world, application)
        await world.runtime.cancel(application, "found money elsewhere")
        await world.settled()
    assert (await world.state(application))["status"] == "withdrawn"
    assert (await world.dead_letters.query(Query())).documents == []


async def test_the_offers_of_the_approval_are_its_two_decisions() -> None:
    for offer in WORKFLOWS["loan-approval"].events:
        state = await decided(offer.payload)
        assert state["status"] == {"Approve": "paid", "Decline": "declined"}[offer.label]
    assert WORKFLOWS["loan-approval"].actor is LoanApproval


async def travelled(**payload: Any) -> tuple[World, Mapping[str, Any], list[str]]:
    """Book a trip; return the world, the state, and the activities that ended well, in order."""
    world = World()
    trip = (await world.runtime.start(WORKFLOWS["trip"], payload)).actor_id
    async with world.serve(*ACTOR_TYPES):
        await world.settled()
    done = [event.name for event in await world.events() if event.type == "activity:completed"]
    return world, await world.state(trip), [str(name) for name in done]


async def test_a_trip_whose_bookings_all_succeed_is_booked() -> None:
    _, state, done = await travelled(fails="none")
    assert state["status"] == "booked"
    assert [state[key][0] for key in ("train", "room", "concert")] == ["T", "R", "C"]
    assert done == ["book_train", "book_room", "book_concert"]


@pytest.mark.parametrize(
    ("fails", "undone"),
    [
        ("first", []),
        ("second", ["book_train", "cancel_train"]),
        ("third", ["book_train", "book_room", "cancel_room", "cancel_train"]),
    ],
)
async def test_a_trip_is_undone_from_the_booking_that_fails(fails: str, undone: list[str]) -> None:
    world, state, done = await travelled(fails=fails)
    assert done == undone
    assert state == {"status": "undone", "destination": "Trieste"}
    assert [name for name in await world.types() if name.startswith("saga:")][-2:] == [
        "saga:compensating",
        "saga:compensated",
    ]


async def test_an_undone_trip_may_end_as_a_dead_letter() -> None:
    world, state, done = await travelled(fails="second", dead_letter=True)
    assert done == ["book_train", "cancel_train"]
    assert state == {}
    (letter,) = (await world.dead_letters.query(Query())).documents
    assert letter.body["errorType"] == "SagaCompensated"
