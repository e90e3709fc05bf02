"""`TraceReader`: traces and failures as they are stored, one query per question."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from storage import Container, Document, NotFound, Query, Where
from tracing import legacy, segment
from tracing.containers import SUMMARY
from tracing.counted import counted
from tracing.errors import UnreadableSegment
from tracing.event import Event
from tracing.failure import Failure, failure_id
from tracing.filters import FailureFilter, FailurePage, Trace, TraceFilter, TracePage
from tracing.pause import collector_paused
from tracing.registry import REGISTRY
from tracing.sink import read_summary
from tracing.spanlog import SpanLog, logs_of
from tracing.summary import Summary
from tracing.tally import Tally

_TRACE_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{7,63}\Z")
MANY = 5_000
"""Events above which a trace is put together in a thread."""


@dataclass(frozen=True, slots=True)
class TraceState:
    """How far a trace's summary has come: its etag changes with each merge."""

    etag: str
    events: int
    ended: bool


class TraceReader:
    """Reads the container that a `TraceWriter` fills.

    Every method may raise `storage.Unavailable`.
    """

    def __init__(self, container: Container) -> None:
        self._container = container

    async def get_trace(self, trace_id: str) -> Trace | None:
        """Return a whole trace, or None when there is none.

        One query within one partition (and one more per 1,000 documents). The summary is counted
        from the events, so that it holds even where a writer died before its merge. Events of the
        reference system, one document each, are read as well.
        """
        bodies = [document.body async for document in self._documents(trace_id)]
        if sum(segment.size(segment.held_by(body) or body) for body in bodies) < MANY:
            return _assemble(trace_id, bodies)
        # In a thread, so that this process goes on with its turns meanwhile.
        return await asyncio.to_thread(_assemble, trace_id, bodies)

    async def state(self, trace_id: str) -> TraceState | None:
        """Return how far the trace's summary has come, in one point read; None without one."""
        if not is_trace_id(trace_id):
            return None
        document = await read_summary(self._container, trace_id)
        if document is None or "n" not in document.body:
            return None
        tally = Tally.from_document(document.body)
        return TraceState(document.etag, tally.events, not tally.summary(trace_id).live)

    async def get_failures(self, trace_id: str) -> list[Event]:
        """Return a trace's events of failed types, oldest first."""
        trace = await self.get_trace(trace_id)
        return [event for event in trace.events if REGISTRY[event.type].failed] if trace else []

    async def get_events_by_type(self, trace_id: str, event_type: str) -> list[Event]:
        """Return a trace's events of one type, oldest first."""
        trace = await self.get_trace(trace_id)
        return [event for event in trace.events if event.type == event_type] if trace else []

    async def find_traces(
        self, criteria: TraceFilter | None = None, *, cursor: str | None = None, limit: int = 50
    ) -> TracePage:
        """Return summaries, newest first.

        Raises:
            storage.InvalidQuery: the cursor is not one of this list.
        """
        criteria = criteria or TraceFilter()
        where: list[Where] = []
        if criteria.status is not None:
            where.append(Where("status", "=", criteria.status.value))
        if criteria.actor is not None:
            where.append(Where("rootActor", "=", criteria.actor))
        if criteria.correlation is not None:
            where.append(Where("correlation", "=", criteria.correlation))
        for path, value in (
            ("actorTypes", criteria.actor_type),
            ("messageTypes", criteria.message_type),
            ("errorTypes", criteria.error_type),
        ):
            if value is not None:
                where.append(Where(path, "contains", value))
        if criteria.shortest is not None:
            where.append(Where("duration", ">=", criteria.shortest // 1000))
        if criteria.longest is not None:
            where.append(Where("duration", "<=", criteria.longest // 1000))
        where += _between("startedAt", criteria.started_from, criteria.started_to)
        page = await self._container.query(
            Query(tuple(where), None, ("startedAt",), True, limit, cursor)
        )
        summaries = [
            Tally.from_document(document.body).summary(document.body["trace_id"])
            for document in page.documents
        ]
        return TracePage(summaries, page.cursor)

    async def find_by_prefix(self, prefix: str, *, limit: int) -> list[Summary]:
        """Return traces whose id, or whose first message's correlation id, begins so; by id."""
        own, runs = await asyncio.gather(
            self._container.query(
                Query(
                    (Where("trace_id", "prefix", prefix), Where("id", "prefix", prefix)),
                    limit=limit,
                )
            ),
            # Only summaries have both: the query is one of their index by correlation.
            self._container.query(
                Query(
                    (Where("correlation", "prefix", prefix), Where("startedAt", ">", 0)),
                    limit=limit,
                )
            ),
        )
        bodies = {
            document.body["trace_id"]: document.body
            for document in (*own.documents, *runs.documents)
            if document.body.get("k") == SUMMARY
        }
        return [Tally.from_document(bodies[id]).summary(id) for id in sorted(bodies)][:limit]

    async def find_failures(
        self, criteria: FailureFilter | None = None, *, cursor: str | None = None, limit: int = 50
    ) -> FailurePage:
        """Return failed messages across traces, newest first.

        Raises:
            storage.InvalidQuery: the cursor is not one of this list.
        """
        criteria = criteria or FailureFilter()
        where: list[Where] = []
        for path, value in (
            ("actorType", criteria.actor_type),
            ("errorType", criteria.error_type),
            ("fingerprint", criteria.fingerprint),
            ("name", criteria.message_type),
            ("outcome", None if criteria.outcome is None else criteria.outcome.value),
        ):
            if value is not None:
                where.append(Where(path, "=", value))
        where += _between("failedAt", criteria.from_ns, criteria.to_ns)
        page = await self._container.query(
            Query(tuple(where), None, ("failedAt",), True, limit, cursor)
        )
        return FailurePage(
            [Failure.from_document(document.body) for document in page.documents], page.cursor
        )

    async def get_failure(self, trace_id: str, span_id: str) -> Failure | None:
        """Return the failure of one message, in one point read; None when there is none."""
        try:
            found = await self._container.read(failure_id(span_id), trace_id)
        except NotFound:
            return None
        # Without its error it is not more than the trace that somebody asked for.
        return Failure.from_document(found.body) if found.body["errorType"] else None

    async def _documents(self, trace_id: str) -> AsyncIterator[Document]:
        if not is_trace_id(trace_id):
            return
        cursor: str | None = None
        while True:
            page = await self._container.query(
                Query(partition=trace_id, limit=1_000, cursor=cursor)
            )
            for document in page.documents:
                yield document
            cursor = page.cursor
            if cursor is None:
                return


def _assemble(trace_id: str, bodies: Sequence[Mapping[str, Any]]) -> Trace | None:
    with collector_paused():
        return _trace(trace_id, bodies)


def _trace(trace_id: str, bodies: Sequence[Mapping[str, Any]]) -> Trace | None:
    events: list[Event] = []
    logs: list[SpanLog] = []
    unreadable = unknown = stored = 0
    tally = Tally()
    for body in bodies:
        if legacy.is_legacy(body):
            event = legacy.decode(body)
            if event is None:
                unknown += 1
            else:
                events.append(event)
                logs.append(SpanLog.of(event))
        elif (held := segment.held_by(body)) is not None:
            try:
                decoded = segment.decode(held)
            except UnreadableSegment:
                unreadable += 1
                continue
            events += decoded.events
            logs += decoded.logs
            unknown += decoded.unknown
            tally.merge(Tally(promoted=decoded.promoted))
        stored += len(msgspec.json.encode(body))
    if not events:
        return None
    distinct = list(dict.fromkeys(events))
    distinct.sort(key=lambda event: event.time_ns)
    tally.add(logs if len(distinct) == len(events) else logs_of(distinct))
    notices = []
    if unreadable:
        notices.append(
            f"{counted(unreadable, 'segment')} cannot be read; the events there are missing"
        )
    if unknown:
        strange = counted(unknown, "event is of a type", "events are of types")
        notices.append(f"{strange} that this version does not know")
    if len(distinct) < len(events):
        twice = len(events) - len(distinct)
        notices.append(f"{counted(twice, 'event was', 'events were')} recorded twice; shown once")
    if tally.promoted:
        notices.append(
            "This trace was not sampled; it is kept because something in it failed. What"
            " happened long before the failure may be missing"
        )
    return Trace(tally.summary(trace_id), distinct, notices, stored)


def is_trace_id(text: str) -> bool:
    """Return whether this may be a trace's id: 32 hex digits here, more freely elsewhere."""
    return bool(_TRACE_ID.match(text))


def _between(path: str, start_ns: int | None, end_ns: int | None) -> list[Where]:
    where = []
    if start_ns is not None:
        where.append(Where(path, ">=", start_ns // 1000))
    if end_ns is not None:
        where.append(Where(path, "<", end_ns // 1000))
    return where
