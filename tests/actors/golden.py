"""Golden histories: every sample workflow, well and failing, recorded once and kept.

`python -m tests.actors.golden` records those that are missing. One that is there is what turns
under way may look like: to write it again is to say that no such turn is left anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from actors.samples import ACTOR_TYPES, WORKFLOWS
from actors.samples.account import credit_interest
from actors.samples.loan import CreditBureauUnavailable, credit_check
from actors.samples.order import ShelfEmpty, look_at_shelf
from actors.testing import ActorHarness, TestedActor

FOLDER = Path(__file__).parent / "histories"
Run = Callable[[ActorHarness], None]


def _begin(harness: ActorHarness, workflow: str, **payload: Any) -> TestedActor:
    return harness.start(WORKFLOWS[workflow], payload)


def _sample(workflow: str, **payload: Any) -> Run:
    def run(harness: ActorHarness) -> None:
        _begin(harness, workflow, **payload)

    return run


def _flaky_bureau(harness: ActorHarness) -> None:
    harness.fail(credit_check, times=2, error=CreditBureauUnavailable("busy"))
    _begin(harness, "loan-application", bureau="reliable")


def _approval(*, after_days: float, **decision: Any) -> Run:
    def run(harness: ActorHarness) -> None:
        loan = _begin(harness, "loan-approval", timeout=30 * 86_400)
        harness.advance(days=after_days)
        if decision:
            loan.send_event("decision", decision)

    return run


def _withdrawn(harness: ActorHarness) -> None:
    _begin(harness, "loan-approval").cancel("found money elsewhere")


def _restocked(harness: ActorHarness) -> None:
    harness.fail(look_at_shelf, times=2, error=ShelfEmpty("nothing there"))
    _begin(harness, "order", restocked_after=0)


def _account(harness: ActorHarness) -> None:
    account = _begin(harness, "account", days=3, day_seconds=60)
    account.send_event("transaction", {"cents": 50_000})
    account.send_event("transaction", {"cents": -70_000})
    harness.finish()


def _account_under_way(harness: ActorHarness) -> None:
    account = _begin(harness, "account", days=3, day_seconds=60)
    account.send_event("transaction", {"cents": 50_000})


def _account_without_interest(harness: ActorHarness) -> None:
    harness.fail(credit_interest, error=ConnectionError("the ledger is closed"))
    _begin(harness, "account", days=1, day_seconds=60)
    harness.finish()


RUNS: dict[str, Run] = {
    "loan-application": _flaky_bureau,
    "loan-application-rejected": _sample("loan-application", income=5, bureau="reliable"),
    "loan-application-bureau-down": _sample("loan-application", bureau="down"),
    "loan-approval-approved": _approval(after_days=12, approved=True, note="known for years"),
    "loan-approval-declined": _approval(after_days=1, approved=False),
    "loan-approval-timed-out": _approval(after_days=31),
    "loan-approval-withdrawn": _withdrawn,
    "loan-approval-under-way": _approval(after_days=5),
    "checkout": _sample("checkout", fails="none"),
    "checkout-undone": _sample("checkout", fails="book courier"),
    "checkout-refund-fails": _sample("checkout", fails="book courier", refund_fails=True),
    "trip": _sample("trip", fails="none"),
    "trip-undone": _sample("trip", fails="third"),
    "trip-dead-letter": _sample("trip", fails="second", dead_letter=True),
    "order": _restocked,
    "order-out-of-stock": _sample("order", restocked_after=20),
    "word-count": _sample("word-count", children=3, words=20),
    "account": _account,
    "account-under-way": _account_under_way,
    "account-without-interest": _account_without_interest,
    "poison-malformed": _sample("poison", parcels=3, poison="malformed"),
    "poison-unknown-postcode": _sample("poison", parcels=3, poison="unknown postcode"),
    "chain": _sample("chain", depth=3),
    "chain-broken": _sample("chain", depth=3, fail_at=2),
}


def record(name: str) -> str:
    """Run a golden run and return the histories of all its actors."""
    harness = ActorHarness(*ACTOR_TYPES)
    RUNS[name](harness)
    return harness.history()


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in RUNS:
        file = FOLDER / f"{name}.jsonl"
        if not file.exists():
            file.write_text(record(name), encoding="utf-8")


if __name__ == "__main__":
    main()
