"""`Hold`: events of unsampled traces, kept for a while in case something in them fails."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from tracing.registry import PROMOTING
from tracing.spanlog import SpanLog

MAX_PROMOTED = 50_000
"""Promoted traces remembered; one that is forgotten is promoted again by its next failure."""


class Promoted:
    """The traces that are kept for a failure; the newest ones."""

    def __init__(self) -> None:
        self._traces: OrderedDict[str, None] = OrderedDict()

    def __contains__(self, trace_id: str) -> bool:
        return trace_id in self._traces

    def add(self, trace_id: str) -> None:
        self._traces[trace_id] = None
        if len(self._traces) > MAX_PROMOTED:
            self._traces.popitem(last=False)


@dataclass(slots=True)
class _Held:
    since: float
    logs: list[SpanLog] = field(default_factory=list)
    size: int = 0


class Hold:
    """What a writer knows of unsampled traces. All of it is bounded.

    Args:
        seconds: how long events are held, counted from the first one of their trace.
        max_events: events held at most; beyond it the oldest traces are let go.
    """

    def __init__(self, *, seconds: float, max_events: int) -> None:
        self._seconds = seconds
        self._max_events = max_events
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._promoted = Promoted()
        self.size = 0
        self.passed = 0
        """Events let go because nothing failed in time."""
        self.overflowed = 0
        """Events let go because there was no room to wait for a failure."""

    def is_promoted(self, trace_id: str) -> bool:
        return trace_id in self._promoted

    def add(self, log: SpanLog, now: float) -> Sequence[SpanLog]:
        """Take unsampled events; return what is to be written now: nothing, or all of their trace.

        A failure promotes its trace: what was held of it is returned, and what comes later is
        returned at once.
        """
        trace_id = log.trace_id
        if trace_id in self._promoted:
            return (log,)
        held = self._held.get(trace_id)
        if held is None:
            held = self._held[trace_id] = _Held(now)
        held.logs.append(log)
        held.size += log.size
        self.size += log.size
        if any(entry.code in PROMOTING for entry in log.notable):
            return self.promote(trace_id)
        while self.size > self._max_events:
            self.overflowed += self._let_go()
        return ()

    def promote(self, trace_id: str) -> Sequence[SpanLog]:
        """Keep this trace from now on; return what was held of it."""
        self._promoted.add(trace_id)
        held = self._held.pop(trace_id, None)
        if held is None:
            return ()
        self.size -= held.size
        return held.logs

    def expire(self, now: float) -> None:
        """Let go of what was held long enough."""
        while self._held:
            oldest = next(iter(self._held.values()))
            if oldest.since > now - self._seconds:
                return
            self.passed += self._let_go()

    def _let_go(self) -> int:
        _, held = self._held.popitem(last=False)
        self.size -= held.size
        return held.size
