"""Sample workflows: code to read and copy, each teaching one thing."""

from __future__ import annotations

from actors.actor import Actor
from actors.samples.account import Account, AccountRequest
from actors.samples.approval import ApprovalRequest, LoanApproval
from actors.samples.chain import ChainLink, ChainRequest
from actors.samples.checkout import Checkout, CheckoutRequest
from actors.samples.fanout import Counter, FanOutRequest, WordCount
from actors.samples.loan import Disbursement, LoanApplication, LoanRequest
from actors.samples.offers import LoanOffers
from actors.samples.order import Order, OrderRequest, Shipment
from actors.samples.poison import SortingDepot, SortingRequest
from actors.samples.trip import Trip, TripRequest
from actors.workflow import EventOffer, Workflow

ACTOR_TYPES: tuple[type[Actor], ...] = (
    LoanApplication,
    LoanApproval,
    Disbursement,
    Checkout,
    Trip,
    Order,
    Shipment,
    WordCount,
    Counter,
    ChainLink,
    Account,
    SortingDepot,
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
            "checkout",
            "Order (saga)",
            "Reserves stock, charges a card, books a courier; undoes what was done when one fails.",
            "How a saga undoes its steps, and what is left for a person when undoing fails too.",
            Checkout,
            "order",
            CheckoutRequest,
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
            "account",
            "Account (long-lived)",
            "Books what comes in day by day, adds interest each night, and goes on for years.",
            "How continue-as-new lives on in short turns, so that no journal grows without end.",
            Account,
            "keep",
            AccountRequest,
            events=(
                EventOffer("transaction", "Pay in 100.00", {"cents": 10_000}),
                EventOffer("transaction", "Withdraw 40.00", {"cents": -4_000}),
            ),
        ),
        Workflow(
            "poison",
            "Poison message",
            "Sorts parcels, one of which cannot be sorted however often it is tried.",
            "How a message that always fails ends as a dead letter, and those behind it go on.",
            SortingDepot,
            "open",
            SortingRequest,
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
