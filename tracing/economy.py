"""What traces cost to store, measured: of single traces, or by reading the whole container."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import msgspec

from storage import Container, scan
from tracing import segment
from tracing.containers import SUMMARY
from tracing.errors import UnreadableSegment
from tracing.event import Event
from tracing.reader import TraceReader
from tracing.reconstruct import TraceReconstructor
from tracing.resolve import Outcome


@dataclass(slots=True)
class Economy:
    """Counts and bytes of stored trace documents; bytes are of their JSON."""

    documents: int = 0
    traces: int = 0
    events: int = 0
    stored: dict[str, int] = field(default_factory=dict)
    """Bytes by kind of document: "g" segments, "s" summaries and what they hold, "f" failures."""

    @property
    def bytes(self) -> int:
        return sum(self.stored.values())


MAX_REFS = 5_000
"""References of a trace that are followed to measure what they refer to."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What some traces take, and what they would take if they held copies. Bytes are of JSON.

    Attributes:
        stored_bytes: of their documents: segments, summaries, failures.
        references: pointers in their events; what is pointed at twice would be copied twice.
        followed: how many of them were loaded; the rest has expired, or was too much to load.
        data_bytes: what those would have taken as copies.
    """

    traces: int = 0
    events: int = 0
    stored_bytes: int = 0
    references: int = 0
    followed: int = 0
    data_bytes: int = 0

    @property
    def bytes_per_event(self) -> int:
        return round(self.stored_bytes / self.events) if self.events else 0

    @property
    def share_percent(self) -> float:
        """What is stored, of what it would be with a copy in place of each reference."""
        whole = self.stored_bytes + self.data_bytes
        return 100 * self.stored_bytes / whole if whole else 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.traces + other.traces,
            self.events + other.events,
            self.stored_bytes + other.stored_bytes,
            self.references + other.references,
            self.followed + other.followed,
            self.data_bytes + other.data_bytes,
        )


async def cost_of(
    reader: TraceReader, reconstructor: TraceReconstructor, trace_id: str
) -> Cost | None:
    """Measure one trace, or return None when there is none. Loads what it refers to, in batches."""
    trace = await reader.get_trace(trace_id)
    if trace is None:
        return None
    pointers = Counter(ref for event in trace.events for ref in event.refs)
    loaded = await reconstructor.load(list(pointers)[:MAX_REFS])
    followed = data = 0
    for ref, resolved in loaded.items():
        if resolved.outcome is Outcome.LOADED:
            followed += pointers[ref]
            data += pointers[ref] * len(msgspec.json.encode(resolved.value))
    return Cost(1, len(trace.events), trace.stored_bytes, pointers.total(), followed, data)


async def cost_of_latest(
    reader: TraceReader, reconstructor: TraceReconstructor, traces: int
) -> Cost:
    """Measure the latest traces together."""
    total = Cost()
    for summary in (await reader.find_traces(limit=traces)).traces:
        total += await cost_of(reader, reconstructor, summary.trace_id) or Cost()
    return total


async def measure(
    container: Container,
    each: Callable[[Event], None] | None = None,
    *,
    traces: Collection[str] | None = None,
) -> Economy:
    """Read all trace documents, in pages, and count those of `traces` (None: of every trace).

    `each` is called with every event.
    """
    economy = Economy()
    async for document in scan(container):
        body = document.body
        if traces is not None and body["trace_id"] not in traces:
            continue
        kind = str(body.get("k", "?"))
        economy.documents += 1
        economy.stored[kind] = economy.stored.get(kind, 0) + len(msgspec.json.encode(body))
        economy.traces += kind == SUMMARY
        held = segment.held_by(body)
        if held is None:
            continue
        try:
            events = segment.decode(held).events
        except UnreadableSegment:
            continue
        economy.events += len(events)
        if each is not None:
            for event in events:
                each(event)
    return economy
