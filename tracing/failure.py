"""`Failure`: a failed message, findable across traces without opening any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tracing.containers import FAILURE
from tracing.event import Event


class FailureOutcome(StrEnum):
    """What became of a message after its last failure."""

    RETRYING = "retrying"
    RECOVERED = "recovered"
    DEAD_LETTERED = "dead_lettered"


_OUTCOMES = {
    "message:failed": FailureOutcome.RETRYING,
    "message:completed": FailureOutcome.RECOVERED,
    "message:dead_lettered": FailureOutcome.DEAD_LETTERED,
}


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed message.

    Attributes:
        at_ns: time of its last failure.
        attempts: attempts so far.
    """

    trace_id: str
    span_id: str
    actor: str | None
    message_type: str
    at_ns: int
    attempts: int
    error_type: str
    fingerprint: str | None
    outcome: FailureOutcome

    def to_document(self) -> dict[str, Any]:
        actor_type = None if self.actor is None else self.actor.partition("/")[0]
        return {
            "id": f"f-{self.span_id}",
            "trace_id": self.trace_id,
            "k": FAILURE,
            "span": self.span_id,
            "actor": self.actor,
            "actorType": actor_type,
            "name": self.message_type,
            "failedAt": self.at_ns // 1000,
            "attempts": self.attempts,
            "errorType": self.error_type,
            "fingerprint": self.fingerprint,
            "outcome": self.outcome.value,
        }

    @classmethod
    def from_document(cls, body: Mapping[str, Any]) -> Failure:
        return cls(
            body["trace_id"],
            body["span"],
            body["actor"],
            body["name"],
            body["failedAt"] * 1000,
            body["attempts"],
            body["errorType"],
            body["fingerprint"],
            FailureOutcome(body["outcome"]),
        )


def failures_in(events: Sequence[Event]) -> dict[str, Failure]:
    """Return what the events say of failed messages, by span.

    A completion after failed attempts has no error type of its own; "" stands for the one that an
    earlier event named.
    """
    found: dict[str, Failure] = {}
    for event in [event for event in events if event.type in _OUTCOMES]:
        outcome = _OUTCOMES[event.type]
        if outcome is FailureOutcome.RECOVERED and event.attempt < 2:
            continue
        new = Failure(
            event.trace_id,
            event.span_id,
            event.actor,
            event.name or "",
            event.time_ns,
            event.attempt,
            event.error_type or "",
            event.fingerprint,
            outcome,
        )
        found[event.span_id] = later(found.get(event.span_id), new)
    return found


def later(old: Failure | None, new: Failure) -> Failure:
    """Return what is known after both, in whichever order they arrive."""
    if old is None:
        return new
    first, last = sorted((old, new), key=lambda failure: (failure.at_ns, failure.attempts))
    if last.error_type:
        return last
    # A recovery: the failure itself was the earlier one, and keeps its time.
    return Failure(
        last.trace_id,
        last.span_id,
        last.actor,
        last.message_type,
        first.at_ns,
        last.attempts,
        first.error_type,
        first.fingerprint,
        last.outcome,
    )
