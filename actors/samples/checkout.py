"""An order as a saga: stock, payment, courier. Choose the step that fails, and what undoing does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from actors.activity import activity
from actors.actor import Actor
from actors.errors import NonRetryable, SagaCompensated
from actors.handlers import handler
from actors.retry import RetryPolicy

Step = Literal["none", "reserve stock", "charge card", "book courier"]


@dataclass(frozen=True)
class CheckoutRequest:
    customer: Annotated[str, Meta(min_length=1, max_length=80, description="Who orders")] = (
        "Grace Hopper"
    )
    item: Annotated[str, Meta(min_length=1, max_length=60, description="What is ordered")] = (
        "nanosecond of wire"
    )
    cents: Annotated[int, Meta(ge=1, le=10_000_000, description="Price in cents")] = 4_990
    fails: Annotated[Step, Meta(description="The step that fails")] = "book courier"
    refund_fails: Annotated[
        bool, Meta(description="Undoing the payment fails too: the order ends as a dead letter")
    ] = False


class StepFailed(NonRetryable):
    """The step was asked to fail; asking again cannot help."""


class BankClosed(Exception):
    """The bank does not take refunds now; asking again may help."""


@activity
async def reserve_stock(item: str, fails: bool, idempotency_key: str) -> str:
    """Put one aside, once per key; return the reservation's number."""
    if fails:
        raise StepFailed(f"no {item} in any warehouse")
    return f"R-{idempotency_key[:6]}"


@activity
async def release_stock(item: str, result: str) -> None:
    """Put it back. Releasing what is released changes nothing: it may be asked twice."""


@activity
async def charge_card(
    customer: str, cents: int, refund_fails: bool, fails: bool, idempotency_key: str
) -> str:
    """Charge, once per key: the bank answers a repeated key with the same receipt.

    `refund_fails` is for its undoing, which gets the arguments of its step.
    """
    if fails:
        raise StepFailed(f"the card of {customer} was declined for {cents} cents")
    return f"P-{idempotency_key[:6]}"


@activity(retry_policy=RetryPolicy(max_retries=2, initial_delay=0.2, max_delay=1.0))
async def refund_card(customer: str, refund_fails: bool, result: str) -> None:
    """Give the money back; `result` is the receipt that charging returned."""
    if refund_fails:
        raise BankClosed(f"receipt {result} was not refunded")


@activity
async def book_courier(customer: str, fails: bool, idempotency_key: str) -> str:
    """Order a courier, the last step: nothing can fail after it, so nothing undoes it."""
    if fails:
        raise StepFailed(f"no courier goes to {customer}")
    return f"C-{idempotency_key[:6]}"


class Checkout(Actor):
    """Takes an order through its steps: all of them, or none.

    A step that failed is not undone, those before it are, the last one first. When undoing fails
    too, `SagaFailed` ends the message as a dead letter: money is owed, and a person has to know.
    """

    @handler
    async def order(self, request: CheckoutRequest) -> None:
        try:
            async with self.saga("order") as saga:
                reservation = await saga.step(
                    reserve_stock,
                    undo=release_stock,
                    item=request.item,
                    fails=request.fails == "reserve stock",
                )
                receipt = await saga.step(
                    charge_card,
                    undo=refund_card,
                    customer=request.customer,
                    cents=request.cents,
                    refund_fails=request.refund_fails,
                    fails=request.fails == "charge card",
                )
                parcel = await saga.step(
                    book_courier, customer=request.customer, fails=request.fails == "book courier"
                )
        except SagaCompensated as error:
            self.update_state(status="undone", item=request.item, why=str(error))
            return
        self.update_state(
            status="ordered",
            item=request.item,
            reservation=reservation,
            receipt=receipt,
            parcel=parcel,
        )
