"""What traces cost to store, measured by reading every document of the container once."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import msgspec

from storage import Container, scan
from tracing import segment
from tracing.containers import SEGMENT, SUMMARY
from tracing.errors import UnreadableSegment
from tracing.event import Event


@dataclass(slots=True)
class Economy:
    """Counts and bytes of stored trace documents; bytes are of their JSON."""

    documents: int = 0
    traces: int = 0
    events: int = 0
    stored: dict[str, int] = field(default_factory=dict)
    """Bytes by kind of document: "g" segments, "s" summaries, "f" failures."""

    @property
    def bytes(self) -> int:
        return sum(self.stored.values())


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
        if kind != SEGMENT:
            continue
        try:
            events = segment.decode(body).events
        except UnreadableSegment:
            continue
        economy.events += len(events)
        if each is not None:
            for event in events:
                each(event)
    return economy
