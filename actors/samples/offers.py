"""The offers of a loan application, as a bank's log tells them: input for `replay_log`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta

from actors.actor import Actor
from actors.errors import NonRetryable
from actors.handlers import handler

OPEN = frozenset({"selected", "created", "sent", "sent_back"})

# event → (stages it applies to, stage it leads to, whether it takes the newest such offer).
# Cancelling takes the oldest: a customer who asks for a new offer gives the earlier one up.
_STEPS: dict[str, tuple[frozenset[str], str, bool]] = {
    "O_CREATED": (frozenset({"selected"}), "created", True),
    "O_SENT": (frozenset({"created"}), "sent", True),
    "O_SENT_BACK": (frozenset({"sent"}), "sent_back", True),
    "O_ACCEPTED": (frozenset({"sent_back"}), "accepted", True),
    "O_DECLINED": (frozenset({"sent_back"}), "declined", True),
    "O_CANCELLED": (OPEN, "cancelled", False),
}
EVENTS = ("O_SELECTED", *_STEPS)


class OfferLifeCycleBroken(NonRetryable):
    """The event does not fit any offer of the application."""


@dataclass(frozen=True)
class OfferEvent:
    """One row of the log."""

    event: str
    at: str
    amount: Annotated[int, Meta(ge=0)]
    resource: str = ""


class LoanOffers(Actor):
    """Keeps an application's offers, by number, and its status."""

    @handler
    async def offer_event(self, row: OfferEvent) -> None:
        offers: Mapping[str, Any] = self.state.get("offers", {})
        number, stage = next_stage(offers, row.event)
        change: dict[str, Any] = {"offers": {number: {"stage": stage, "at": row.at}}}
        if row.resource:
            change["offers"][number]["by"] = row.resource
        if "amount" not in self.state:
            change["amount"] = row.amount
        if self.state.get("status") != stage:
            change["status"] = stage
        self.update_state(change)


def next_stage(offers: Mapping[str, Mapping[str, Any]], event: str) -> tuple[str, str]:
    """Return which offer `event` concerns and the stage it brings it to.

    Raises:
        OfferLifeCycleBroken: no offer is in a stage that the event may follow.
    """
    if event == "O_SELECTED":
        return str(len(offers) + 1), "selected"
    step = _STEPS.get(event)
    if step is None:
        raise OfferLifeCycleBroken(f"{event!r} is not an event of an offer")
    stages, result, newest = step
    numbers = sorted(offers, key=int, reverse=newest)
    for number in numbers:
        if offers[number]["stage"] in stages:
            return number, result
    found = ", ".join(f"{number} {offers[number]['stage']}" for number in sorted(offers, key=int))
    raise OfferLifeCycleBroken(
        f"{event} needs an offer that is {' or '.join(sorted(stages))}; there is {found or 'none'}"
    )
