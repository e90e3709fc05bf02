"""An account that lives for years: one turn a day, each begun anew, so that no journal grows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from msgspec import Meta

from actors.activity import activity
from actors.actor import Actor
from actors.errors import Cancelled, EventTimeout
from actors.handlers import handler

MOST_A_DAY = 100
"""Transactions after which a day ends early: a turn's journal stays short, whatever happens."""


@dataclass(frozen=True)
class AccountRequest:
    owner: Annotated[str, Meta(min_length=1, max_length=80, description="Whose account")] = (
        "Luca Pacioli"
    )
    days: Annotated[int, Meta(ge=1, le=36_500, description="Days until it is closed")] = 5
    day_seconds: Annotated[
        float, Meta(ge=0.01, le=86_400, description="Seconds that a day takes")
    ] = 3.0
    day: Annotated[int, Meta(ge=1, le=36_500, description="The day that begins")] = 1


@activity
async def credit_interest(owner: str, day: int, balance: int, idempotency_key: str) -> int:
    """Return a day's interest in cents, booked once per key."""
    return max(0, balance) // 10_000


class Account(Actor):
    """Keeps a balance in cents. Sent the event `transaction`, it books it the same day."""

    @handler
    async def keep(self, request: AccountRequest) -> None:
        closes = self.now() + timedelta(seconds=request.day_seconds)
        balance: int = self.state.get("balance", 0)
        booked = declined = 0
        while booked + declined < MOST_A_DAY:
            left = (closes - self.now()).total_seconds()
            try:
                order = await self.wait_for_event("transaction", timeout=max(0.0, left))
            except EventTimeout:
                break
            except Cancelled:
                self._end_day(request, balance, booked, declined)
                self.update_state(status="closed by its owner")
                return
            cents = amount(order)
            if cents is None or balance + cents < 0:
                declined += 1
            else:
                balance += cents
                booked += 1
        balance += await self.call_activity(
            credit_interest, owner=request.owner, day=request.day, balance=balance
        )
        self._end_day(request, balance, booked, declined)
        if request.day == request.days:
            self.update_state(status="closed")
            return
        # What has happened is in the state; the next day is told nothing but its number.
        self.continue_as_new(
            {
                "owner": request.owner,
                "days": request.days,
                "day_seconds": request.day_seconds,
                "day": request.day + 1,
            }
        )

    def _end_day(self, request: AccountRequest, balance: int, booked: int, declined: int) -> None:
        self.update_state(
            status="open",
            owner=request.owner,
            day=request.day,
            balance=balance,
            booked=self.state.get("booked", 0) + booked,
            declined=self.state.get("declined", 0) + declined,
        )


def amount(order: Any) -> int | None:
    """Return an order's cents, positive or negative; None when it does not say them."""
    cents = order.get("cents") if isinstance(order, dict) else None
    return cents if isinstance(cents, int) and not isinstance(cents, bool) else None
