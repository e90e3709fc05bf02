"""`TraceSink`: what the writer does to the store for one trace, each step safe to repeat."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from storage import Conflict, Container, Document, NotFound, PreconditionFailed
from tracing import segment
from tracing.event import Event
from tracing.failure import Failure, failures_in, later
from tracing.tally import Tally

MAX_KNOWN = 10_000
"""Summaries remembered with their etags, which saves reading them before the next merge."""


@dataclass(slots=True)
class Batch:
    """Events of one trace on their way into the store."""

    trace_id: str
    sequence: int
    events: Sequence[Event]
    document: dict[str, Any]
    tally: Tally
    failures: list[Failure]
    segment_stored: bool = field(default=False)


class TraceSink:
    """Stores segments, failures and summaries under one writer's name."""

    def __init__(self, container: Container, *, writer: str) -> None:
        self._container = container
        self._writer = writer
        self._sequence = 0
        self._known: OrderedDict[str, Document] = OrderedDict()
        self.segments = 0
        self.bytes = 0

    def batch(self, events: Sequence[Event], *, promoted_ns: int | None = None) -> Batch:
        """Pack events of one trace. The same batch may be stored again and again.

        `promoted_ns` says that the trace was not sampled and is kept for a failure in it.
        """
        self._sequence += 1
        tally = Tally(promoted=(promoted_ns or 0) // 1000)
        tally.add(events)
        document = segment.encode(f"{self._writer}-{self._sequence}", events)
        if tally.promoted:
            document["u"] = tally.promoted
        failures = list(failures_in(events).values()) if tally.may_have_failures else []
        return Batch(events[0].trace_id, self._sequence, events, document, tally, failures)

    async def store(self, batch: Batch) -> None:
        """Store a batch: the segment, then failures, then the summary.

        Raises:
            storage.Unavailable: call it again with the same batch.
            storage.StorageError: the store will never take it.
        """
        if not batch.segment_stored:
            # The id is this writer's own: on a conflict, an earlier try did arrive.
            with contextlib.suppress(Conflict):
                await self._container.create(batch.document)
            batch.segment_stored = True
            self.segments += 1
            self.bytes += len(msgspec.json.encode(batch.document))
        await store_failures(self._container, batch.failures)
        await self._merge(batch)

    async def _merge(self, batch: Batch) -> None:
        trace_id = batch.trace_id
        known = self._known.pop(trace_id, None)
        while True:
            try:
                if known is None:
                    marks = {self._writer: batch.sequence}
                    stored = await self._container.create(batch.tally.to_document(trace_id, marks))
                    break
                marks = known.body["marks"]
                if marks.get(self._writer, 0) >= batch.sequence:
                    stored = known
                    break
                tally = Tally.from_document(known.body)
                tally.merge(batch.tally)
                body = tally.to_document(trace_id, {**marks, self._writer: batch.sequence})
                stored = await self._container.replace(body, if_etag=known.etag)
                break
            except (Conflict, PreconditionFailed, NotFound):
                known = await read_summary(self._container, trace_id)
        self._known[trace_id] = stored
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)


async def read_summary(container: Container, trace_id: str) -> Document | None:
    """Return a trace's summary document, or None."""
    try:
        return await container.read(trace_id, trace_id)
    except NotFound:
        return None


async def store_failures(container: Container, failures: Iterable[Failure]) -> None:
    """Store failed messages of a trace, or bring up to date what is stored of them."""
    for failure in failures:
        await _store_failure(container, failure)


async def _store_failure(container: Container, failure: Failure) -> None:
    body = failure.to_document()
    while True:
        try:
            if failure.error_type:
                await container.create(body)
                return
            raise Conflict
        except Conflict:
            pass
        try:
            found = await container.read(body["id"], body["trace_id"])
            merged = later(Failure.from_document(found.body), failure)
            await container.replace(merged.to_document(), if_etag=found.etag)
        except PreconditionFailed:
            continue
        except NotFound:
            if failure.error_type:
                continue
        return
