"""An order whose stock runs out: a handler that fails, is retried, recovers or dies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from actors.activity import activity
from actors.actor import Actor
from actors.errors import ActivityFailed, NonRetryable
from actors.handlers import handler
from actors.retry import RetryPolicy


@dataclass(frozen=True)
class OrderRequest:
    item: Annotated[str, Meta(min_length=1, max_length=60, description="What is ordered")] = (
        "espresso machine"
    )
    quantity: Annotated[int, Meta(ge=1, le=1_000, description="How many")] = 2
    restocked_after: Annotated[
        int,
        Meta(
            ge=0,
            le=20,
            description="Attempts that fail before the shelf is filled; 20 never recovers",
        ),
    ] = 1


class ShelfEmpty(Exception):
    """Nothing there now; the next delivery may bring some."""


class OutOfStock(NonRetryable):
    """The supplier has stopped making it."""


@activity(retry_policy=RetryPolicy(max_retries=0))
async def look_at_shelf(
    item: str, quantity: int, restocked_after: int, idempotency_key: str
) -> int:
    """Return what is on the shelf once it has been looked at often enough."""
    looks = _looks.get(idempotency_key, 0) + 1
    _looks[idempotency_key] = looks
    while len(_looks) > 10_000:
        _looks.pop(next(iter(_looks)))
    if restocked_after >= 20:
        raise OutOfStock(f"{item} is no longer made; {quantity} wanted")
    if looks <= restocked_after:
        raise ShelfEmpty(f"0 of {quantity} × {item} on the shelf")
    return quantity


_looks: dict[str, int] = {}


class Order(Actor):
    """Reserves stock, then tells the shipping desk. A later message waits for an earlier one."""

    @handler
    async def place(self, request: OrderRequest) -> None:
        self.update_state(status="placed", item=request.item, quantity=request.quantity)
        self.send(
            self.actor_id,
            "reserve",
            {
                "item": request.item,
                "quantity": request.quantity,
                "restocked_after": request.restocked_after,
            },
        )

    @handler
    async def reserve(self, request: OrderRequest) -> None:
        try:
            reserved = await self.call_activity(
                look_at_shelf,
                item=request.item,
                quantity=request.quantity,
                restocked_after=request.restocked_after,
            )
        except ActivityFailed as error:
            if error.error_type == OutOfStock.__name__:
                raise OutOfStock(str(error)) from error
            raise
        self.update_state(status="reserved", reserved=reserved)
        self.spawn(Shipment, "ship", {"item": request.item, "quantity": reserved}, key=self.key)


@dataclass(frozen=True)
class Parcel:
    item: str
    quantity: int


class Shipment(Actor):
    """Packs what an order reserved."""

    @handler
    async def ship(self, parcel: Parcel) -> None:
        self.update_state(packed={parcel.item: parcel.quantity}, parcels=1 + parcel.quantity // 10)
