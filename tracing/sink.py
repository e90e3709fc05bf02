"""`TraceSink`: what the writer does to the store for one trace, each step safe to repeat."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from storage import (
    Conflict,
    Container,
    Document,
    NotFound,
    PreconditionFailed,
    StorageError,
    Unavailable,
    Write,
)
from tracing import segment
from tracing.failure import Failure, failures_in, later
from tracing.spanlog import SpanLog
from tracing.summary import TraceStatus
from tracing.tally import Tally

MAX_KNOWN = 10_000
"""Summaries of live traces remembered with their etags, which saves reading them before the next
merge."""
MAX_HELD_EVENTS = 64
"""Events of a segment that is stored in its trace's summary; lists read that, too."""
_ENDED = (TraceStatus.COMPLETED.value, TraceStatus.RECOVERED.value)


class Batch(msgspec.Struct):
    """Events of one trace on their way into the store.

    Attributes:
        apart: its segment is a document of its own, or may be: whoever wrote it had no answer.
    """

    trace_id: str
    sequence: int
    logs: Sequence[SpanLog]
    document: dict[str, Any]
    tally: Tally
    failures: list[Failure]
    segment_stored: bool = False
    apart: bool = False

    @property
    def size(self) -> int:
        """How many events it has."""
        return self.tally.events

    @property
    def is_whole(self) -> bool:
        """Whether all messages of its trace have ended well in it, and it is small."""
        tally = self.tally
        return (
            tally.messages > 0
            and tally.events <= MAX_HELD_EVENTS
            and tally.status is TraceStatus.COMPLETED
            and not (self.failures or tally.promoted)
        )


class TraceSink:
    """Stores segments, failures and summaries under one writer's name."""

    def __init__(self, container: Container, *, writer: str) -> None:
        self._container = container
        self._writer = writer
        self._sequence = 0
        self._known: OrderedDict[str, Document] = OrderedDict()
        self._owed: OrderedDict[str, list[tuple[int, Tally]]] = OrderedDict()
        self.segments = 0
        self.bytes = 0

    def batch(self, logs: Sequence[SpanLog], *, promoted_ns: int | None = None) -> Batch:
        """Pack events of one trace. The same batch may be stored again and again.

        `promoted_ns` says that the trace was not sampled and is kept for a failure in it.
        """
        self._sequence += 1
        tally = Tally(promoted=(promoted_ns or 0) // 1000)
        tally.add(logs)
        document = segment.encode(f"{self._writer}-{self._sequence}", logs)
        if tally.promoted:
            document["u"] = tally.promoted
        failures = list(failures_in(logs).values())
        return Batch(logs[0].trace_id, self._sequence, logs, document, tally, failures)

    async def store(self, batch: Batch) -> None:
        """Store a batch: the segment, then failures, then the summary.

        A small one that is all of its trace is one document: the summary, which holds it.

        Raises:
            storage.Unavailable: call it again with the same batch.
            storage.StorageError: the store will never take it.
        """
        for error in (await self.store_many([batch])).values():
            raise error

    async def store_many(self, batches: Sequence[Batch]) -> dict[str, StorageError]:
        """Store batches of different traces; return the errors, as `store` raises them, by trace.

        A batch is stored in the same three steps as a single one. The steps of all are sent
        together, which costs the engine and the event loop a fraction of one by one.
        """
        errors: dict[str, StorageError] = {}
        batches = await self._store_whole(batches, errors)
        await self._store_segments(batches, errors)
        for batch in batches:
            if batch.failures and batch.trace_id not in errors:
                try:
                    await store_failures(self._container, batch.failures)
                except StorageError as error:
                    errors[batch.trace_id] = error
        await self._merge([batch for batch in batches if batch.trace_id not in errors], errors)
        return errors

    async def _store_whole(
        self, batches: Sequence[Batch], errors: dict[str, StorageError]
    ) -> list[Batch]:
        """Store those that are one document; return the batches that take all three steps."""
        whole = [batch for batch in batches if self._is_one(batch)]
        if not whole:
            return list(batches)
        results = await self._container.write_many(
            [
                Write(
                    batch.tally.to_document(
                        batch.trace_id, {self._writer: batch.sequence}, segment.held(batch.document)
                    )
                )
                for batch in whole
            ]
        )
        done: set[str] = set()
        told_of: list[Batch] = []
        for batch, result in zip(whole, results, strict=True):
            if isinstance(result, Document):
                self._count_segment(batch)
                done.add(batch.trace_id)
            elif isinstance(result, Unavailable):
                errors[batch.trace_id] = result
            elif isinstance(result, Conflict):
                told_of.append(batch)
        if told_of:
            # By another writer, or by an earlier try whose answer did not arrive.
            found = await self._summaries([batch.trace_id for batch in told_of], errors)
            for batch in told_of:
                summary = found.get(batch.trace_id)
                if summary is None:
                    # Removed meanwhile, or a replica that lags behind: what is there must be known.
                    errors.setdefault(
                        batch.trace_id, Unavailable("the trace's summary cannot be read yet")
                    )
                elif summary.body["marks"].get(self._writer, 0) >= batch.sequence:
                    self._count_segment(batch)
                    done.add(batch.trace_id)
                else:
                    self._known[batch.trace_id] = summary
        done |= errors.keys()
        return [batch for batch in batches if batch.trace_id not in done]

    def _is_one(self, batch: Batch) -> bool:
        new = batch.trace_id not in self._known and batch.trace_id not in self._owed
        return new and not batch.apart and batch.is_whole

    def _count_segment(self, batch: Batch) -> None:
        batch.segment_stored = True
        self.segments += 1
        self.bytes += len(msgspec.json.encode(batch.document))

    async def _store_segments(
        self, batches: Sequence[Batch], errors: dict[str, StorageError]
    ) -> None:
        todo = [batch for batch in batches if not batch.segment_stored]
        if not todo:
            return
        for batch in todo:
            batch.apart = True
        results = await self._container.write_many([Write(batch.document) for batch in todo])
        for batch, result in zip(todo, results, strict=True):
            # The id is this writer's own: on a conflict, an earlier try did arrive.
            if isinstance(result, Document | Conflict):
                self._count_segment(batch)
            else:
                errors[batch.trace_id] = result

    async def _merge(self, batches: Sequence[Batch], errors: dict[str, StorageError]) -> None:
        """Add the batches to their traces' summaries, each under its etag."""
        known = {batch.trace_id: self._known.pop(batch.trace_id, None) for batch in batches}
        todo = list(batches)
        while todo:
            writes: list[Write] = []
            sent: list[Batch] = []
            for batch in todo:
                write = self._next_summary(batch, known[batch.trace_id])
                if write is not None:
                    writes.append(write)
                    sent.append(batch)
            todo = []
            results = await self._container.write_many(writes) if writes else []
            for batch, result in zip(sent, results, strict=True):
                if isinstance(result, Document):
                    known[batch.trace_id] = result
                    self._owed.pop(batch.trace_id, None)
                elif isinstance(result, Conflict | PreconditionFailed) or (
                    isinstance(result, NotFound) and known[batch.trace_id] is not None
                ):
                    todo.append(batch)
                elif isinstance(result, Unavailable):
                    errors[batch.trace_id] = result
                elif isinstance(result, NotFound):
                    errors[batch.trace_id] = Unavailable("the container is not there")
                else:
                    # The events are stored: whoever counts them next counts these too.
                    self._owe(batch)
            if todo:
                found = await self._summaries([batch.trace_id for batch in todo], errors)
                todo = [batch for batch in todo if batch.trace_id not in errors]
                known.update(found)
        for trace_id, document in known.items():
            # Of what has ended there is hardly ever more to come, and there is much of it.
            if document is None or trace_id in errors or document.body["status"] in _ENDED:
                continue
            self._known[trace_id] = document
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)

    def _owe(self, batch: Batch) -> None:
        self._owed.setdefault(batch.trace_id, []).append((batch.sequence, batch.tally))
        while len(self._owed) > MAX_KNOWN:
            self._owed.popitem(last=False)

    def _next_summary(self, batch: Batch, known: Document | None) -> Write | None:
        """Return the write that counts the batch, or None when it is counted already."""
        marks: dict[str, int] = {} if known is None else known.body["marks"]
        counted = marks.get(self._writer, 0)
        if counted >= batch.sequence:
            return None
        tally = batch.tally
        owed = self._owed.get(batch.trace_id)
        if known is not None or owed is not None:
            tally = Tally() if known is None else Tally.from_document(known.body)
            tally.merge(batch.tally)
            for sequence, more in owed or ():
                # A repair may have counted it meanwhile.
                if sequence > counted:
                    tally.merge(more)
        held = None if known is None else known.body.get("segment")
        body = tally.to_document(batch.trace_id, {**marks, self._writer: batch.sequence}, held)
        return Write(body, None if known is None else known.etag)

    async def _summaries(
        self, traces: Sequence[str], errors: dict[str, StorageError]
    ) -> dict[str, Document | None]:
        try:
            found = await self._container.read_many([(trace_id, trace_id) for trace_id in traces])
        except StorageError as error:
            errors.update((trace_id, error) for trace_id in traces)
            return {}
        return {trace_id: found.get((trace_id, trace_id)) for trace_id in traces}


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
    # A recovery follows a failure, which is stored already; it is kept even if it is not.
    new = bool(failure.error_type)
    while True:
        if new:
            try:
                await container.create(body)
                return
            except Conflict:
                pass
        try:
            found = await container.read(body["id"], body["trace_id"])
            merged = later(Failure.from_document(found.body), failure)
            await container.replace(merged.to_document(), if_etag=found.etag)
            return
        except PreconditionFailed:
            new = False
        except NotFound:
            new = True
