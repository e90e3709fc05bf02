"""What a list of traces or failures can be narrowed to."""

from __future__ import annotations

from dataclasses import dataclass

from tracing.event import Event
from tracing.failure import Failure, FailureOutcome
from tracing.summary import Summary, TraceStatus


@dataclass(frozen=True, slots=True)
class TraceFilter:
    """Every field that is set must hold. Times are nanoseconds since the epoch.

    Attributes:
        started_from, started_to: when the trace began: from (inclusive) and to (exclusive).
        actor_type: traces in which an actor of this type took part.
        actor: traces whose root actor ("Type/id") this is.
        message_type, error_type: traces in which there was one of this type.
        correlation: traces whose first message has this correlation id.
        shortest, longest: how long the trace took, nanoseconds: at least and at most.
    """

    status: TraceStatus | None = None
    started_from: int | None = None
    started_to: int | None = None
    actor_type: str | None = None
    actor: str | None = None
    message_type: str | None = None
    error_type: str | None = None
    correlation: str | None = None
    shortest: int | None = None
    longest: int | None = None


@dataclass(frozen=True, slots=True)
class FailureFilter:
    """Every field that is set must hold. Times are nanoseconds since the epoch.

    `from_ns` is inclusive and `to_ns` exclusive.
    """

    from_ns: int | None = None
    to_ns: int | None = None
    actor_type: str | None = None
    error_type: str | None = None
    fingerprint: str | None = None
    message_type: str | None = None
    outcome: FailureOutcome | None = None


@dataclass(frozen=True, slots=True)
class TracePage:
    """Traces, newest first; `cursor` asks for the next page, None says there is none."""

    traces: list[Summary]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class FailurePage:
    """Failed messages across traces, newest first; `cursor` as in `TracePage`."""

    failures: list[Failure]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Trace:
    """All of one trace: its summary, recounted from its events, and the events by time.

    `notices` say what of it could not be read, in sentences for a person; `stored_bytes` is what
    its documents take as JSON.
    """

    summary: Summary
    events: list[Event]
    notices: list[str]
    stored_bytes: int = 0
