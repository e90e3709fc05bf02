"""Sample workflows: code to read and copy, each teaching one thing."""

from __future__ import annotations

from actors.actor import Actor
from actors.samples.approval import ApprovalRequest, LoanApproval
from actors.samples.chain import ChainLink, ChainRequest
from actors.samples.fanout import Counter, FanOutRequest, WordCount
from actors.samples.loan import Disbursement, LoanApplication, LoanRequest
from actors.samples.offers import LoanOffers
from actors.samples.order import Order, OrderRequest, Shipment
from actors.samples.trip import Trip, TripRequest
from actors.workflow import EventOffer, Workflow

ACTOR_TYPES: tuple[type[Actor], ...] = (
    LoanApplication,
    LoanApproval,
    Disbursement,
    Trip,
    Order,
    Shipment,
    WordCount,
    Counter,
    ChainLink,
    LoanOffers,
)

WORKFLOWS: dict[str, Workflow] = {
    workflow.name: workflow
    for workflow in (
        Workflow(
            "loan-application",
            "Loan application",
            "Checks an applicant's credit with a bureau, then pays out through a child actor.",
            "How a flaky activity is retried inside one turn, and how a child answers.",
            LoanApplication,
            "submit",
            LoanRequest,
        ),
        Workflow(
            "loan-approval",
            "Loan with a human decision",
            "Checks an applicant's credit, then waits until somebody approves, declines or is late.",
            "How a turn waits for an event without a process, and goes on where it was.",
            LoanApproval,
            "apply",
            ApprovalRequest,
            events=(
                EventOffer("decision", "Approve", {"approved": True}),
                EventOffer("decision", "Decline", {"approved": False}),
            ),
        ),
        Workflow(
            "trip",
            "Trip (saga)",
            "Books a train, a room and a concert; when one is sold out, cancels those before it.",
            "How a saga undoes its steps in reverse, and how its end is recorded.",
            Trip,
            "book",
            TripRequest,
        ),
        Workflow(
            "order",
            "Order with an empty shelf",
            "Reserves stock for an order; the shelf may be empty for a while, or for ever.",
            "How a failed message is retried with backoff, recovers, or ends as a dead letter.",
            Order,
            "place",
            OrderRequest,
        ),
        Workflow(
            "word-count",
            "Word count (fan-out, fan-in)",
            "Spreads documents over up to 1,000 children and adds up their answers.",
            "How wide traces read, and that one actor's answers are handled strictly in turn.",
            WordCount,
            "count",
            FanOutRequest,
        ),
        Workflow(
            "chain",
            "Deep chain",
            "Each actor spawns the next; the last one's answer travels all the way back.",
            "How deep traces read, and where in a chain a failure stops the work.",
            ChainLink,
            "extend",
            ChainRequest,
        ),
    )
}
