"""A loan application: a flaky activity, retries with backoff, and a child that pays out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from actors.activity import activity
from actors.actor import Actor
from actors.errors import NonRetryable
from actors.handlers import handler
from actors.retry import RetryPolicy
from actors.samples.chance import fraction

Bureau = Literal["reliable", "flaky", "down"]


class CreditBureauUnavailable(Exception):
    """The bureau did not answer; asking again may help."""


class LoanRejected(NonRetryable):
    """The bank's rules forbid this loan; asking again cannot help."""


@dataclass(frozen=True)
class LoanRequest:
    applicant: Annotated[
        str, Meta(min_length=1, max_length=80, description="Name of the applicant")
    ] = "Ada Lovelace"
    amount: Annotated[int, Meta(ge=100, le=1_000_000, description="Amount in EUR")] = 15_000
    income: Annotated[int, Meta(ge=0, le=10_000_000, description="Yearly income in EUR")] = 62_000
    bureau: Annotated[Bureau, Meta(description="How the credit bureau behaves")] = "flaky"


@dataclass(frozen=True)
class Approved:
    applicant: str
    amount: int
    score: int


@activity(retry_policy=RetryPolicy(max_retries=4, initial_delay=0.15, max_delay=1.0))
async def credit_check(applicant: str, bureau: Bureau, idempotency_key: str) -> int:
    """Ask the bureau for a score, 300 to 850.

    A flaky bureau fails about every second time, but no more than three times: the retries of one
    turn are enough.
    """
    attempts = _asked.get(idempotency_key, 0) + 1
    _asked[idempotency_key] = attempts
    while len(_asked) > 10_000:
        _asked.pop(next(iter(_asked)))
    if bureau == "down":
        raise CreditBureauUnavailable(f"no answer from the bureau about {applicant}")
    if bureau == "flaky" and attempts <= 3 and fraction(idempotency_key, attempts) < 0.5:
        raise CreditBureauUnavailable(f"time-out while asking about {applicant}")
    return 300 + int(fraction(applicant) * 550)


_asked: dict[str, int] = {}


@activity
async def transfer(account: str, amount: int, idempotency_key: str) -> dict[str, object]:
    """Pay out, once per key: a bank that gets the same key again answers with the same receipt."""
    return {"account": account, "amount": amount, "receipt": idempotency_key[:8]}


class LoanApplication(Actor):
    """Checks an applicant and, when the score allows it, spawns the disbursement."""

    @handler
    async def submit(self, request: LoanRequest) -> None:
        self.update_state(status="checking", applicant=request.applicant, amount=request.amount)
        if request.amount > 10 * request.income:
            raise LoanRejected(
                f"{request.amount} EUR is more than ten times the income of {request.income} EUR"
            )
        score = await self.call_activity(
            credit_check, applicant=request.applicant, bureau=request.bureau
        )
        self.update_state(score=score)
        if score < 420:
            self.update_state(status="declined")
            return
        child = self.spawn(
            Disbursement,
            "pay_out",
            {"applicant": request.applicant, "amount": request.amount, "score": score},
        )
        self.update_state(status="approved", disbursement=child)

    @handler
    async def paid_out(self, payload: dict[str, object]) -> None:
        self.update_state(status="paid", receipt=payload["receipt"])


class Disbursement(Actor):
    """Pays an approved loan out and tells the application."""

    @handler
    async def pay_out(self, approved: Approved) -> None:
        receipt = await self.call_activity(
            transfer, account=f"NL-{approved.applicant[:12]}", amount=approved.amount
        )
        self.update_state(paid=approved.amount, receipt=receipt["receipt"])
        if self.sender is not None:
            self.send(self.sender, "paid_out", {"receipt": receipt["receipt"]})
