"""What the samples wrote into their journals once, today's code still takes up."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors import Actor, handler
from actors.samples import ACTOR_TYPES, WORKFLOWS, approval, loan
from actors.samples.approval import Checked
from actors.testing import Mismatch, replay
from tests.actors.golden import FOLDER, RUNS

FILES = sorted(FOLDER.glob("*.jsonl"))


def test_every_sample_has_golden_histories_and_every_run_its_file() -> None:
    assert {file.stem for file in FILES} == set(RUNS)
    for workflow in WORKFLOWS:
        assert [name for name in RUNS if name.startswith(workflow)], workflow


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_golden_history_replays_on_todays_code(file: Path) -> None:
    found = replay(file, *ACTOR_TYPES)
    assert found.turns >= 1
    assert (found.mismatches, found.changed, found.unchecked) == ([], [], [])
    assert found.in_flight == file.stem.endswith("under-way")


def broken_by(file: str, *changed: type[Actor]) -> list[Mismatch]:
    """Return what a golden history says of changed actors."""
    return replay(FOLDER / f"{file}.jsonl", *ACTOR_TYPES, *changed).mismatches


def test_a_renamed_activity_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        loan, "transfer", loan.activity(name="wire_transfer")(loan.transfer.function)
    )
    (found,) = broken_by("loan-application")
    assert found.expected == "activity_scheduled (transfer)"
    assert found.found == "activity_scheduled (wire_transfer)"
    assert found.actor_id.startswith("Disbursement/")
    assert found.where.startswith("actors/samples/loan.py:")


def test_another_argument_of_an_activity_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    class LoanApproval(approval.LoanApproval):
        @handler
        async def apply(self, request: approval.ApprovalRequest) -> None:
            await self.call_activity(loan.credit_check, applicant=request.applicant)

    (found,) = broken_by("loan-approval-declined", LoanApproval)
    assert found.expected.startswith("activity_scheduled (credit_check), args ")
    assert found.where.endswith(
        "await self.call_activity(loan.credit_check, applicant=request.applicant)"
    )


def test_a_change_before_the_wait_of_a_turn_under_way_is_caught_and_one_after_it_is_not() -> None:
    class Before(approval.LoanApproval):
        @handler
        async def decide(self, checked: Checked) -> None:
            self.update_state(reminded=False)
            await super().decide(checked)

    class After(approval.LoanApproval):
        @handler
        async def decide(self, checked: Checked) -> None:
            await super().decide(checked)
            self.update_state(reminded=False)

    Before.__name__ = After.__name__ = "LoanApproval"
    (found,) = broken_by("loan-approval-under-way", Before)
    assert found.expected == "event_awaited (decision)"
    assert found.found == 'state_patched, patch {"reminded":false}'
    assert broken_by("loan-approval-under-way", After) == []
    (found,) = broken_by("loan-approval-declined", After)
    assert found.expected == "turn_completed"
