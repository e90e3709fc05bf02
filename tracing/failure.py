"""`Failure`: a failed message, findable across traces without opening any."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from tracing.containers import FAILURE
from tracing.event import Event
from tracing.registry import by_code
from tracing.spanlog import SpanLog
from tracing.turnlog import TurnLog


class FailureOutcome(StrEnum):
    """What became of a message after its last failure."""

    RETRYING = "retrying"
    RECOVERED = "recovered"
    DEAD_LETTERED = "dead_lettered"


_OUTCOMES = by_code(
    {
        "message:failed": FailureOutcome.RETRYING,
        "message:retried": FailureOutcome.RETRYING,
        "message:completed": FailureOutcome.RECOVERED,
        "message:dead_lettered": FailureOutcome.DEAD_LETTERED,
    }
)


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed message.

    Attributes:
        at_ns: time of its last failure; 0 while only its recovery is known.
        attempts: attempts so far.
        outcome_ns: time of the event that says the outcome.
        retry_ns: when it is, or was, to be tried again after its last failure; 0 when never.
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
    outcome_ns: int
    retry_ns: int = 0

    def to_document(self) -> dict[str, Any]:
        actor_type = None if self.actor is None else self.actor.partition("/")[0]
        body = {
            "id": failure_id(self.span_id),
            "trace_id": self.trace_id,
            "k": FAILURE,
            "span": self.span_id,
            "actor": self.actor,
            "actorType": actor_type,
            "name": self.message_type,
            "attempts": self.attempts,
            "errorType": self.error_type,
            "fingerprint": self.fingerprint,
            "outcome": self.outcome.value,
            "outcomeAt": self.outcome_ns // 1000,
        }
        if self.error_type:
            # Without it no list shows the document.
            body["failedAt"] = self.at_ns // 1000
        if self.retry_ns:
            body["retryAt"] = self.retry_ns // 1000
        return body

    @classmethod
    def from_document(cls, body: Mapping[str, Any]) -> Failure:
        failed_at = body.get("failedAt", 0)
        return cls(
            body["trace_id"],
            body["span"],
            body["actor"],
            body["name"],
            failed_at * 1000,
            body["attempts"],
            body["errorType"],
            body["fingerprint"],
            FailureOutcome(body["outcome"]),
            body.get("outcomeAt", failed_at) * 1000,
            body.get("retryAt", 0) * 1000,
        )


def failure_id(span_id: str) -> str:
    """Return the id of the document that tells of a message's failure, within its trace."""
    return f"f-{span_id}"


def failures_in(logs: Iterable[SpanLog]) -> dict[str, Failure]:
    """Return what the events say of failed messages, by span.

    A completion after failed attempts has no error type of its own, nor has a retry; "" stands for
    the one that another event names.
    """
    found: dict[str, Failure] = {}
    told = [
        (log, entry)
        for log in logs
        # What handled its message at the first attempt, as nearly all do, need not be spelled out.
        if not (isinstance(log, TurnLog) and log.attempt < 2)
        for entry in log.notable
        if entry.code in _OUTCOMES
    ]
    for log, entry in told:
        outcome = _OUTCOMES[entry.code]
        if outcome is FailureOutcome.RECOVERED and log.attempt_of(entry) < 2:
            continue
        event = log.event(entry)
        # In microseconds, as it is stored: what is compared must not depend on who stored it.
        at_ns = event.time_ns // 1000 * 1000
        new = Failure(
            event.trace_id,
            event.span_id,
            event.actor,
            event.name or "",
            at_ns if event.error_type else 0,
            event.attempt,
            event.error_type or "",
            event.fingerprint,
            outcome,
            at_ns,
            _retry_at(event),
        )
        found[event.span_id] = later(found.get(event.span_id), new)
    return found


def later(old: Failure | None, new: Failure) -> Failure:
    """Return what is known after both, which does not depend on their order."""
    if old is None:
        return new
    failed = max(
        old,
        new,
        key=lambda one: (
            *(one.at_ns, one.error_type, one.fingerprint or "", one.actor or "", one.message_type),
        ),
    )
    last = max(old, new, key=lambda one: (one.outcome_ns, _RANK[one.outcome]))
    return replace(
        failed,
        attempts=max(old.attempts, new.attempts),
        outcome=last.outcome,
        outcome_ns=last.outcome_ns,
        retry_ns=max(old.retry_ns, new.retry_ns),
    )


def _retry_at(event: Event) -> int:
    if event.type != "message:retried":
        return 0
    return (event.time_ns + (event.duration_ns or 0)) // 1000 * 1000


_RANK = {outcome: rank for rank, outcome in enumerate(FailureOutcome)}
