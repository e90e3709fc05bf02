"""`Summary`: what a list of traces needs to know of one trace, without reading its events."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class TraceStatus(StrEnum):
    """How a trace stands, derived from its counters alone."""

    RUNNING = "running"
    COMPLETED = "completed"
    RECOVERED = "recovered"
    """Completed, with failed attempts on the way."""
    FAILED = "failed"
    """A message ended as a dead letter; failed even while other messages are still under way."""


@dataclass(frozen=True, slots=True)
class Summary:
    """One trace in a few numbers. Times are nanoseconds since the epoch."""

    trace_id: str
    status: TraceStatus
    root: str
    """The workflow's or the first message's name, e.g. "LoanApplication.submit"."""
    root_actor: str | None
    """"Type/id"."""
    correlation: str | None
    """The first message's correlation id."""
    started_ns: int
    ended_ns: int
    """Time of the latest event so far."""
    events: int
    messages: int
    """Messages enqueued."""
    pending: int
    """Messages enqueued and neither completed, dead-lettered nor found to be duplicates."""
    errors: int
    """Failed attempts of messages (message:failed) and lost turns."""
    dead_letters: int
    retries: int
    actor_types: tuple[str, ...]
    """Sorted, at most 50, as the next two."""
    message_types: tuple[str, ...]
    error_types: tuple[str, ...]
    promoted_ns: int | None
    """When a failure made an unsampled trace be kept; None for a sampled one."""

    @property
    def duration_ns(self) -> int:
        return self.ended_ns - self.started_ns

    @property
    def live(self) -> bool:
        """Whether more is to be expected: it runs, or it failed and has open messages."""
        if self.status is TraceStatus.FAILED:
            return self.pending > 0
        return self.status is TraceStatus.RUNNING
