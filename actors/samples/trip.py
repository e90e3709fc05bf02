"""A trip booked in three steps: a saga, which undoes the earlier ones when a later one fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from actors.activity import activity
from actors.actor import Actor
from actors.errors import NonRetryable, SagaCompensated
from actors.handlers import handler

Step = Literal["none", "first", "second", "third"]


@dataclass(frozen=True)
class TripRequest:
    traveller: Annotated[
        str, Meta(min_length=1, max_length=80, description="Who wants to travel")
    ] = "Ida Pfeiffer"
    destination: Annotated[str, Meta(min_length=1, max_length=80, description="Where to")] = (
        "Trieste"
    )
    fails: Annotated[Step, Meta(description="The booking that cannot be made")] = "third"
    dead_letter: Annotated[
        bool, Meta(description="End an undone trip as a dead letter, instead of as “undone”")
    ] = False


class SoldOut(NonRetryable):
    """There is none left; asking again cannot help."""


@activity
async def book_train(traveller: str, destination: str, sold_out: bool, idempotency_key: str) -> str:
    """Book a seat, once per key; return its booking number."""
    return _number("T", f"seats to {destination}", sold_out, idempotency_key)


@activity
async def cancel_train(traveller: str, result: str) -> None:
    """Give the seat back. Cancelling what is cancelled changes nothing: it may be asked twice."""


@activity
async def book_room(traveller: str, destination: str, sold_out: bool, idempotency_key: str) -> str:
    """Book a room, once per key; return its booking number."""
    return _number("R", f"rooms in {destination}", sold_out, idempotency_key)


@activity
async def cancel_room(traveller: str, result: str) -> None:
    """Give the room back; `result` is what booking it returned."""


@activity
async def book_concert(traveller: str, sold_out: bool, idempotency_key: str) -> str:
    """Buy a ticket, once per key; nothing comes after it, so nothing has to undo it."""
    return _number("C", "tickets", sold_out, idempotency_key)


def _number(prefix: str, what: str, sold_out: bool, idempotency_key: str) -> str:
    if sold_out:
        raise SoldOut(f"no {what} left")
    return f"{prefix}-{idempotency_key[:6]}"


class Trip(Actor):
    """Books a train, a room and a concert: all three, or none."""

    @handler
    async def book(self, request: TripRequest) -> None:
        who, where = request.traveller, request.destination
        try:
            async with self.saga("trip") as saga:
                train = await saga.step(
                    book_train,
                    undo=cancel_train,
                    traveller=who,
                    destination=where,
                    sold_out=request.fails == "first",
                )
                room = await saga.step(
                    book_room,
                    undo=cancel_room,
                    traveller=who,
                    destination=where,
                    sold_out=request.fails == "second",
                )
                concert = await saga.step(
                    book_concert, traveller=who, sold_out=request.fails == "third"
                )
        except SagaCompensated:
            if request.dead_letter:
                raise
            self.update_state(status="undone", destination=where)
            return
        self.update_state(
            status="booked", destination=where, train=train, room=room, concert=concert
        )
