"""Which foreign spans belong into this store's time."""

from __future__ import annotations

from tracing.containers import TRACE_EVENTS
from tracing.counted import counted
from tracing.otlp.decode import Decoded

_NS = 1_000_000_000
AHEAD_NS = 86_400 * _NS
"""How far ahead a service's clock may be."""


def recent(decoded: Decoded, *, now_ns: int) -> Decoded:
    """Return it without spans that would have expired by now, or lie more than a day ahead.

    Apart from being of no use, times far from each other do not fit into one segment.
    """
    kept_for = (TRACE_EVENTS.default_ttl or 0) * _NS
    events = [e for e in decoded.events if now_ns - kept_for <= e.time_ns <= now_ns + AHEAD_NS]
    strange = len(decoded.events) - len(events)
    if not strange:
        return decoded
    days = kept_for // (86_400 * _NS)
    said = f"{counted(strange, 'span')} ended more than {days} days ago or in the future"
    problem = f"{decoded.problem}; {said}" if decoded.problem else said
    return Decoded(events, decoded.rejected + strange, problem)
