"""What traces cost to store, measured by reading every document of the container once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import msgspec

from storage import Container
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


async def measure(container: Container, each: Callable[[Event], None] | None = None) -> Economy:
    """Read all trace documents, in pages; `each` is called with every event."""
    economy = Economy()
    async for body in _bodies(container):
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


async def _bodies(container: Container) -> AsyncIterator[dict[str, object]]:
    token: str | None = None
    while True:
        changes = await container.changes(token, limit=500)
        for document in changes.documents:
            yield document.body
        if not changes.documents:
            return
        token = changes.token
