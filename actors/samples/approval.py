"""A loan that a person decides on: a turn that waits for an event, and gives up after a while."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta

from actors.actor import Actor
from actors.errors import Cancelled, EventTimeout
from actors.handlers import handler
from actors.samples.loan import Bureau, Disbursement, credit_check


@dataclass(frozen=True)
class ApprovalRequest:
    applicant: Annotated[
        str, Meta(min_length=1, max_length=80, description="Name of the applicant")
    ] = "Ada Lovelace"
    amount: Annotated[int, Meta(ge=100, le=1_000_000, description="Amount in EUR")] = 48_000
    bureau: Annotated[Bureau, Meta(description="How the credit bureau behaves")] = "reliable"
    timeout: Annotated[
        float,
        Meta(ge=0, le=31_536_000, description="Seconds that somebody has for the decision"),
    ] = 3600


@dataclass(frozen=True)
class Checked:
    timeout: float


class LoanApproval(Actor):
    """Checks an applicant, waits for a person's decision, and pays out when it is a yes."""

    @handler
    async def apply(self, request: ApprovalRequest) -> None:
        score = await self.call_activity(
            credit_check, applicant=request.applicant, bureau=request.bureau
        )
        # A turn's changes count when it completes. The waiting is therefore a turn of its own:
        # whoever decides can see what was asked for.
        self.update_state(
            status="undecided", applicant=request.applicant, amount=request.amount, score=score
        )
        self.send(self.actor_id, "decide", {"timeout": request.timeout})

    @handler
    async def decide(self, checked: Checked) -> None:
        try:
            decision: dict[str, Any] = await self.wait_for_event(
                "decision", timeout=checked.timeout
            )
        except EventTimeout:
            self.update_state(status="timed out")
            return
        except Cancelled:
            self.update_state(status="withdrawn")
            return
        self.update_state(note=decision.get("note"))
        if decision.get("approved") is not True:
            self.update_state(status="declined")
            return
        child = self.spawn(
            Disbursement,
            "pay_out",
            {key: self.state[key] for key in ("applicant", "amount", "score")},
        )
        self.update_state(status="approved", disbursement=child)

    @handler
    async def paid_out(self, payload: dict[str, str]) -> None:
        self.update_state(status="paid", receipt=payload["receipt"])
