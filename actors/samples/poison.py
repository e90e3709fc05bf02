"""A poison message: one that no attempt can handle, between others that are handled anyway."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from msgspec import Meta

from actors.actor import Actor
from actors.handlers import handler

Poison = Literal["none", "malformed", "unknown postcode"]
DISTRICTS = ("north", "east", "south", "west")


@dataclass(frozen=True)
class SortingRequest:
    depot: Annotated[
        str, Meta(min_length=1, max_length=60, description="Where they are sorted")
    ] = "Utrecht"
    parcels: Annotated[int, Meta(ge=1, le=200, description="How many parcels arrive")] = 6
    poison: Annotated[
        Poison,
        Meta(description="The parcel in the middle; an unknown postcode is tried six times first"),
    ] = "malformed"


@dataclass(frozen=True)
class Parcel:
    number: int
    postcode: Annotated[int, Meta(ge=1000, le=9999)]
    grams: Annotated[int, Meta(ge=1)]


class UnknownPostcode(Exception):
    """No district has it. Not marked as hopeless, so it is tried again, in vain."""


class SortingDepot(Actor):
    """Sorts parcels by district, one message each.

    A malformed message fails at once, one whose handler always raises after its last retry. Both
    end as dead letters; the actor's later messages wait for that, and are handled then.
    """

    @handler
    async def open(self, request: SortingRequest) -> None:
        self.update_state(depot=request.depot, expected=request.parcels, sorted=0)
        for number in range(1, request.parcels + 1):
            parcel: dict[str, Any] = {
                "number": number,
                "postcode": 1000 + 977 * number % 4000,
                "grams": 250 * number,
            }
            if number == (request.parcels + 1) // 2:
                if request.poison == "malformed":
                    parcel["grams"] = "heavy"
                elif request.poison == "unknown postcode":
                    parcel["postcode"] = 9999
            self.send(self.actor_id, "sort", parcel)

    @handler
    async def sort(self, parcel: Parcel) -> None:
        place = (parcel.postcode - 1000) // 1000
        if place >= len(DISTRICTS):
            raise UnknownPostcode(f"parcel {parcel.number} goes to {parcel.postcode}")
        district = DISTRICTS[place]
        self.update_state(
            {district: self.state.get(district, 0) + 1}, sorted=self.state["sorted"] + 1
        )
