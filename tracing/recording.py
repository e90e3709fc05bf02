"""`Recorder`: the port behind a `TraceWriter`, which keeps what the writer takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from tracing.draft import Telling

AnyBox = TypeVar("AnyBox", bound="Box")


@dataclass(frozen=True, slots=True)
class WriterStats:
    """What the writer holds and has done since it started.

    Attributes:
        buffered: events that wait to be written.
        held: events of unsampled traces that wait for a failure.
        unsampled: events let go because nothing in their trace failed in time.
        promoted: unsampled traces that were kept for a failure.
        dropped: events lost, by reason: "overflow" (the buffer was full), "hold_overflow" (an
            unsampled trace could not wait for a failure), "invalid", "rejected", "shutdown", or
            "process" (the process that records them ended before it had stored them).
        retries: writes that the store did not take at once.
        repaired: summaries that another writer's death had left wrong.
        paused_seconds: how long nothing will be written, because the store asked for it or did not
            answer.
        last_flush_ms: how long the latest flush took.
    """

    buffered: int
    held: int
    events_written: int
    segments_written: int
    bytes_written: int
    retries: int
    unsampled: int
    promoted: int
    repaired: int
    dropped: Mapping[str, int]
    paused_seconds: float
    last_flush_ms: float

    def __add__(self, other: WriterStats) -> WriterStats:
        """Return what this one did and the one in its place; what waits is the latter's."""
        dropped = Counter(self.dropped)
        dropped.update(other.dropped)
        return replace(
            other,
            events_written=self.events_written + other.events_written,
            segments_written=self.segments_written + other.segments_written,
            bytes_written=self.bytes_written + other.bytes_written,
            retries=self.retries + other.retries,
            unsampled=self.unsampled + other.unsampled,
            promoted=self.promoted + other.promoted,
            repaired=self.repaired + other.repaired,
            dropped=dict(dropped),
        )

    def without(self, reason: str, events: int) -> WriterStats:
        """Return the same with so many more events dropped for the reason."""
        if not events:
            return self
        return replace(self, dropped={**self.dropped, reason: self.dropped.get(reason, 0) + events})


NOTHING_WRITTEN = WriterStats(0, 0, 0, 0, 0, 0, 0, 0, 0, {}, 0.0, 0.0)


class Box(Protocol):
    """Holds what was told until it is handed over."""

    def extend(self, told: Sequence[Telling]) -> None:
        """Take what was told, sealed: all of it, or raise of values that no event should have."""
        ...


class Recorder(Protocol[AnyBox]):
    """Takes what was told, in the event loop that called `start`; stores it in the background.

    Attributes:
        room: how many more events it may be given; anybody may read it, from any thread.
        interval: seconds between two looks at what has come in.
    """

    room: int
    interval: float

    def box(self) -> AnyBox:
        """Return an empty box, for `put`."""
        ...

    def put(self, box: AnyBox, events: int) -> None:
        """Take a box with so many events. Never raises and never waits."""
        ...

    def reject(self, events: int, error: Exception) -> None:
        """Count events that could not be put."""
        ...

    def is_promoted(self, trace_id: str) -> bool:
        """Return whether an unsampled trace is known to be kept for a failure in it."""
        ...

    def stats(self) -> WriterStats:
        """Return the counters since the start."""
        ...

    def start(self) -> None: ...

    async def flush(self) -> None:
        """Store everything that was put before the call, however long the store takes.

        Events of unsampled traces go on waiting for a failure.
        """
        ...

    async def close(self, *, timeout: float) -> None:
        """Flush within `timeout` seconds, count what was not written, and stop."""
        ...
