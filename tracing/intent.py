"""Intents: which traces a writer is about to write, so that its death leaves no half-told trace.

A segment and the summary that counts it are two documents, save where the summary holds it. A
writer that dies between them would leave events that no summary counts, and a trace that no list
shows. Before each flush it therefore stores one document that names the traces of the flush. A
writer that lives overwrites it with the next one; what one that died has left is found by the
others, who count those traces again.

Counting again is harmless at any time, also while the writer lives: the summary is replaced under
its etag, with watermarks that say which segments it counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from storage import (
    Conflict,
    Container,
    NotFound,
    PreconditionFailed,
    Query,
    Where,
)
from tracing import segment
from tracing.containers import INTENT
from tracing.errors import UnreadableSegment
from tracing.event import Event
from tracing.failure import failures_in
from tracing.owned import OwnedDocument
from tracing.sink import read_summary, store_failures
from tracing.spanlog import logs_of
from tracing.tally import Tally

ABANDONED_SECONDS = 60
"""Age at which an intent counts as left behind."""


class Intent:
    """One writer's intent."""

    def __init__(self, container: Container, *, writer: str, clock: Callable[[], int]) -> None:
        self._id = f"intent-{writer}"
        self._document = OwnedDocument(container, self._id, self._id)
        self._clock = clock
        self._stored: frozenset[str] = frozenset()
        self._stored_ns = 0
        self._may_exist = False
        self._writing = asyncio.Lock()

    async def cover(self, traces: Collection[str]) -> None:
        """Store that these traces, and no others, are being written.

        Raises:
            storage.StorageError: it is not stored; do not write.
        """
        # One at a time: the document must name the traces of all who asked.
        async with self._writing:
            await self._cover(traces)

    async def _cover(self, traces: Collection[str]) -> None:
        now = self._clock()
        # One that grows old may be taken for left behind, and be removed.
        fresh = now - self._stored_ns < ABANDONED_SECONDS * 500_000_000
        if fresh and self._stored.issuperset(traces):
            return
        # Unless its answer arrives, there is no telling which traces the stored one names.
        self._stored, self._may_exist = frozenset(), True
        await self._document.write(
            {
                "id": self._id,
                "trace_id": self._id,
                "k": INTENT,
                "intentAt": now // 1000,
                "traces": sorted(traces),
            }
        )
        self._stored, self._stored_ns = frozenset(traces), now

    async def withdraw(self) -> None:
        """Say that everything is written."""
        if self._may_exist:
            self._stored = frozenset()
            await self._document.remove()
            self._may_exist = False


async def repair_abandoned(container: Container, *, now_ns: int) -> int:
    """Count again the traces of writers that died; return how many summaries were put right.

    Raises:
        storage.StorageError: it goes on from there when it is called again.
    """
    until = now_ns // 1000 - ABANDONED_SECONDS * 1_000_000
    page = await container.query(
        Query((Where("intentAt", "<", until),), order_by=("intentAt",), limit=20)
    )
    mended = 0
    for document in page.documents:
        for trace_id in document.body["traces"]:
            mended += await recount(container, trace_id)
        try:
            await container.delete(
                document.body["id"], document.body["trace_id"], if_etag=document.etag
            )
        except (NotFound, PreconditionFailed):
            continue
    return mended


async def recount(container: Container, trace_id: str) -> bool:
    """Make the trace's summary and failures what its segments say; return whether it was not."""
    while True:
        # The summary first: a merge after this read changes its etag, and the count is repeated.
        known = await read_summary(container, trace_id)
        marks: dict[str, int] = dict(known.body["marks"]) if known is not None else {}
        seen: dict[str, int] = {}
        decoded: list[segment.Segment] = []
        uncounted: list[segment.Segment] = []
        hidden = False
        for stored in await _segments(container, trace_id):
            try:
                found = segment.decode(stored)
            except UnreadableSegment:
                hidden = True
                continue
            hidden = hidden or found.unknown > 0
            decoded.append(found)
            writer, _, sequence = stored["id"].rpartition("-")
            if sequence.isdecimal():
                seen[writer] = max(seen.get(writer, 0), int(sequence))
                if int(sequence) > marks.get(writer, 0):
                    uncounted.append(found)
        events = _events(decoded)
        if not events or not uncounted:
            return False
        await store_failures(container, failures_in(logs_of(events)).values())
        if known is not None and hidden:
            # What a later version stored and counted is counted here and nowhere else.
            tally = Tally.from_document(known.body)
            decoded, events = uncounted, _events(uncounted)
        else:
            tally = Tally()
        for found in decoded:
            tally.merge(Tally(promoted=found.promoted))
        tally.add(logs_of(events))
        merged = {
            writer: max(marks.get(writer, 0), seen.get(writer, 0)) for writer in {*marks, *seen}
        }
        held = None if known is None else known.body.get("segment")
        body = tally.to_document(trace_id, merged, held)
        try:
            if known is None:
                await container.create(body)
            else:
                await container.replace(body, if_etag=known.etag)
        except (Conflict, PreconditionFailed, NotFound):
            continue
        return True


def _events(of: Iterable[segment.Segment]) -> list[Event]:
    """Return the events in order of time: segments come by their id."""
    events = [event for found in of for event in found.events]
    return sorted(events, key=lambda event: (event.time_ns, event.attempt))


async def _segments(container: Container, trace_id: str) -> Collection[Mapping[str, Any]]:
    """Return a trace's segments, each once, held by its summary or not."""
    found: dict[object, Mapping[str, Any]] = {}
    cursor: str | None = None
    while True:
        page = await container.query(Query(partition=trace_id, limit=1_000, cursor=cursor))
        told = (segment.held_by(document.body) for document in page.documents)
        found.update((each.get("id"), each) for each in told if each is not None)
        cursor = page.cursor
        if cursor is None:
            return found.values()
