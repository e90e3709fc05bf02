"""Each sample workflow does what it says, with its services, its people and its time in hand."""

from __future__ import annotations

from typing import Any

import pytest

from actors import EntryType
from actors.samples import ACTOR_TYPES, WORKFLOWS
from actors.samples import loan as loan_module
from actors.samples.account import MOST_A_DAY, credit_interest
from actors.samples.checkout import book_courier, charge_card, refund_card, release_stock
from actors.samples.fanout import count_words
from actors.samples.loan import CreditBureauUnavailable, credit_check, transfer
from actors.samples.order import ShelfEmpty, look_at_shelf
from actors.testing import ActorHarness, TestedActor

YEAR = 365 * 86_400


@pytest.fixture
def harness() -> ActorHarness:
    return ActorHarness(*ACTOR_TYPES)


def begin(harness: ActorHarness, workflow: str, **payload: Any) -> TestedActor:
    return harness.start(WORKFLOWS[workflow], payload)


def test_a_flaky_bureau_is_asked_again_and_the_loan_paid_once(harness: ActorHarness) -> None:
    harness.replace(credit_check, lambda applicant, bureau: 640)
    harness.fail(credit_check, times=3, error=CreditBureauUnavailable("busy"))
    loan = begin(harness, "loan-application", amount=9_000)
    assert loan.state["status"] == "paid"
    assert loan.state["score"] == 640
    assert len({call.idempotency_key for call in harness.calls(credit_check)}) == 1
    assert [call.arguments["amount"] for call in harness.calls(transfer)] == [9_000]


def test_a_flaky_bureau_answers_within_one_turn_however_unlucky(
    harness: ActorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loan_module, "fraction", lambda *parts: 0.0)
    loan = begin(harness, "loan-application", amount=9_000, bureau="flaky")
    assert loan.state["score"] == 300
    assert len(harness.calls(credit_check)) == 4
    assert EntryType.TURN_FAILED not in {entry.type for entry in loan.journal}


def test_a_low_score_declines_a_loan_and_a_bureau_that_is_down_ends_it(
    harness: ActorHarness,
) -> None:
    harness.replace(credit_check, lambda applicant, bureau: 419)
    assert begin(harness, "loan-application").state["status"] == "declined"
    harness.fail(credit_check, error=CreditBureauUnavailable("down"))
    (letter,) = begin(harness, "loan-application").dead_letters
    assert "CreditBureauUnavailable: down" in letter.error
    assert harness.calls(transfer) == []


@pytest.mark.parametrize(("approved", "status"), [(True, "paid"), (False, "declined")])
def test_a_person_decides_after_eleven_months(
    harness: ActorHarness, approved: bool, status: str
) -> None:
    harness.replace(credit_check, lambda applicant, bureau: 700)
    loan = begin(harness, "loan-approval", timeout=YEAR)
    harness.advance(days=335)
    assert (loan.state["status"], loan.waits_for) == ("undecided", ["decision"])
    loan.send_event("decision", {"approved": approved, "note": "known for years"})
    assert (loan.state["status"], loan.state["note"]) == (status, "known for years")
    assert len(harness.calls(transfer)) == approved


def test_a_decision_that_does_not_come_in_time_times_out(harness: ActorHarness) -> None:
    harness.replace(credit_check, lambda applicant, bureau: 700)
    loan = begin(harness, "loan-approval", timeout=YEAR)
    harness.advance(YEAR + 1)
    loan.send_event("decision", {"approved": True})
    assert loan.state["status"] == "timed out"
    assert harness.calls(transfer) == []


@pytest.mark.parametrize(
    ("fails", "undone"),
    [
        ("reserve stock", []),
        ("charge card", ["release_stock"]),
        ("book courier", ["refund_card", "release_stock"]),
    ],
)
def test_an_order_is_undone_from_the_step_that_fails(
    harness: ActorHarness, fails: str, undone: list[str]
) -> None:
    order = begin(harness, "checkout", fails=fails)
    assert order.state["status"] == "undone"
    done = [
        entry.data["name"] for entry in order.journal if entry.type.name == "ACTIVITY_SCHEDULED"
    ]
    assert [name for name in done if name in ("refund_card", "release_stock")] == undone
    assert order.dead_letters == []


def test_an_order_whose_steps_succeed_is_not_undone(harness: ActorHarness) -> None:
    order = begin(harness, "checkout", fails="none")
    assert order.state["status"] == "ordered"
    assert order.state["receipt"] == harness.calls(charge_card)[0].result
    assert harness.calls(refund_card) == harness.calls(release_stock) == []


def test_a_refund_that_fails_is_left_for_a_person(harness: ActorHarness) -> None:
    order = begin(harness, "checkout", fails="book courier", refund_fails=True)
    (letter,) = order.dead_letters
    assert letter.error_type == "SagaFailed"
    assert "refund_card could not undo its step" in letter.error
    assert len(harness.calls(book_courier)) == 1
    assert len(harness.calls(refund_card)) == 3
    assert harness.calls(release_stock) == []


def test_an_empty_shelf_is_looked_at_again_until_it_is_filled(harness: ActorHarness) -> None:
    harness.fail(look_at_shelf, times=2, error=ShelfEmpty("nothing"))
    order = begin(harness, "order", quantity=3, restocked_after=0)
    assert order.state["status"] == "reserved"
    failed = [entry for entry in order.journal if entry.type is EntryType.TURN_FAILED]
    assert [entry.data["attempt"] for entry in failed] == [1, 2]
    assert harness.actor("Shipment", order.actor_id[len("Order/") :]).state["packed"]


def test_a_thousand_children_are_counted_each_once(harness: ActorHarness) -> None:
    harness.replace(count_words, lambda number, words: {"a": 1})
    count = begin(harness, "word-count", children=1_000)
    assert count.state == {"expected": 1000, "received": 1000, "totals": {"a": 1000}, "done": True}


def test_an_account_lives_for_a_year_in_short_turns(harness: ActorHarness) -> None:
    harness.replace(credit_interest, lambda owner, day, balance: 1)
    account = begin(harness, "account", days=365, day_seconds=86_400)
    harness.advance(days=1, hours=10)
    account.send_event("transaction", {"cents": 500})
    account.send_event("transaction", {"cents": -400})
    account.send_event("transaction", {"cents": -500})
    account.send_event("transaction", {"cents": "all"})
    harness.finish()
    assert account.state == {
        "status": "closed",
        "owner": "Luca Pacioli",
        "day": 365,
        "balance": 365 + 100,
        "booked": 2,
        "declined": 2,
    }
    assert [call.arguments["day"] for call in harness.calls(credit_interest)] == [*range(1, 366)]
    assert len(account.received) == 365


def test_a_busy_day_ends_early_and_a_cancelled_account_is_closed(harness: ActorHarness) -> None:
    account = begin(harness, "account", days=2, day_seconds=60)
    for number in range(MOST_A_DAY):
        account.send_event("transaction", {"cents": 1}, event_id=str(number))
    assert (account.state["day"], account.state["booked"]) == (1, MOST_A_DAY)
    account.send_event("transaction", {"cents": 5})
    account.cancel("moves abroad")
    assert account.state["status"] == "closed by its owner"
    assert account.state["balance"] == MOST_A_DAY + 5


@pytest.mark.parametrize(
    ("poison", "error", "attempts"),
    [("malformed", "InvalidPayload", 1), ("unknown postcode", "UnknownPostcode", 6)],
)
def test_a_poison_message_is_given_up_and_those_behind_it_are_handled(
    harness: ActorHarness, poison: str, error: str, attempts: int
) -> None:
    depot = begin(harness, "poison", parcels=7, poison=poison)
    (letter,) = depot.dead_letters
    assert (letter.error_type, letter.attempts) == (error, attempts)
    assert letter.message.payload["number"] == 4
    assert (depot.state["sorted"], depot.state["expected"]) == (6, 7)


def test_a_chain_ends_where_it_was_asked_to(harness: ActorHarness) -> None:
    assert begin(harness, "chain", depth=30).state["reached"] == 30
    begin(harness, "chain", depth=30, fail_at=9)
    assert [letter.error for letter in harness.dead_letters] == ["level 9 was asked to fail"]


@pytest.mark.parametrize("fails", ["none", "first", "second", "third"])
def test_a_trip_is_booked_or_undone(harness: ActorHarness, fails: str) -> None:
    trip = begin(harness, "trip", fails=fails)
    assert trip.state["status"] == ("booked" if fails == "none" else "undone")
