"""Runs of every sample workflow, one that ends well and one that does not, without long pauses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from actors import Activity, ActorRuntime, RetryPolicy, Started
from actors.samples import WORKFLOWS, account, approval, checkout, fanout, loan, order

QUICK = RetryPolicy(max_retries=2, initial_delay=0.002, max_delay=0.005)


@dataclass(frozen=True)
class SampleRun:
    """How to start a sample workflow, and how it ends.

    Attributes:
        breaks: the activity that has to fail for it, where no input makes it fail.
        event: name and payload of the event that it waits for.
    """

    workflow: str
    payload: Mapping[str, Any]
    fails: bool
    breaks: tuple[Any, str] | None = None
    event: tuple[str, Mapping[str, Any]] | None = None

    @property
    def title(self) -> str:
        return f"{self.workflow}, {'failing' if self.fails else 'well'}"


_LOAN = {"amount": 9_000, "income": 50_000}

SAMPLE_RUNS = (
    SampleRun("loan-application", {**_LOAN, "bureau": "reliable"}, fails=False),
    SampleRun("loan-application", {**_LOAN, "bureau": "down"}, fails=True),
    SampleRun("loan-application", {**_LOAN, "income": 5, "bureau": "reliable"}, fails=True),
    SampleRun("loan-approval", {}, fails=False, event=("decision", {"approved": True})),
    SampleRun("loan-approval", {}, fails=False, event=("decision", {"approved": False})),
    SampleRun("loan-approval", {"timeout": 0.02}, fails=False),
    SampleRun("loan-approval", {"bureau": "down"}, fails=True),
    SampleRun("trip", {"fails": "none"}, fails=False),
    SampleRun("trip", {"fails": "third"}, fails=False),
    SampleRun("trip", {"fails": "second", "dead_letter": True}, fails=True),
    SampleRun("checkout", {"fails": "none"}, fails=False),
    SampleRun("checkout", {"fails": "book courier"}, fails=False),
    SampleRun("checkout", {"fails": "book courier", "refund_fails": True}, fails=True),
    SampleRun("order", {"quantity": 2, "restocked_after": 1}, fails=False),
    SampleRun("order", {"quantity": 2, "restocked_after": 20}, fails=True),
    SampleRun("word-count", {"children": 3, "words": 10}, fails=False),
    SampleRun("word-count", {"children": 3, "words": 10}, True, (fanout, "count_words")),
    SampleRun(
        "account",
        {"days": 3, "day_seconds": 0.02},
        fails=False,
        event=("transaction", {"cents": 700}),
    ),
    SampleRun("account", {"days": 2, "day_seconds": 0.01}, True, (account, "credit_interest")),
    SampleRun("poison", {"poison": "none"}, fails=False),
    SampleRun("poison", {"poison": "malformed"}, fails=True),
    SampleRun("chain", {"depth": 4, "fail_at": 0}, fails=False),
    SampleRun("chain", {"depth": 4, "fail_at": 3}, fails=True),
)


def prepare(run: SampleRun, patch: pytest.MonkeyPatch, error_text: str = "broken") -> None:
    """Cut the samples' pauses short, and make fail what the run wants to fail."""
    for module, name in (
        (loan, "credit_check"),
        (approval, "credit_check"),
        (order, "look_at_shelf"),
        (fanout, "count_words"),
        (account, "credit_interest"),
        (checkout, "refund_card"),
    ):
        sample: Activity = getattr(module, name)
        patch.setattr(module, name, replace(sample, retry_policy=QUICK))
    if run.breaks is None:
        return

    async def fail(**arguments: Any) -> None:
        raise RuntimeError(error_text)

    module, name = run.breaks
    patch.setattr(module, name, replace(getattr(module, name), function=fail))


async def begin(
    runtime: ActorRuntime, run: SampleRun, planted: Mapping[str, Any] | None = None
) -> Started:
    """Start a run, and send the event that it will wait for; both with what is planted in them."""
    key, more = uuid4().hex[:10], planted or {}
    workflow = WORKFLOWS[run.workflow]
    if run.event is not None:
        name, payload = run.event
        await runtime.send_event(workflow.new_actor(key), name, {**payload, **more})
    return await runtime.start(workflow, {**run.payload, **more}, key=key)


def text_inputs(workflow: str) -> list[str]:
    """Return the inputs of a workflow that take any text."""
    described = msgspec.inspect.type_info(WORKFLOWS[workflow].input_type)
    assert isinstance(described, msgspec.inspect.DataclassType)
    return [f.name for f in described.fields if isinstance(_bare(f.type), msgspec.inspect.StrType)]


def _bare(described: msgspec.inspect.Type) -> msgspec.inspect.Type:
    while isinstance(described, msgspec.inspect.Metadata):
        described = described.type
    return described
