"""State stores: snapshots and journals of actors, instrumented with store events."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from actors.errors import TooLarge
from actors.journal import (
    ACTOR_JOURNALS,
    JOURNAL_TTL,
    Along,
    Journal,
    JournalEntry,
    JournalRecord,
    record_id,
)
from actors.limits import size_of
from actors.state import ActorState, Fold
from actors.telemetry import SpanEmitter, document_ref
from storage import Container, ContainerSpec, NotFound, PreconditionFailed, Query, Where
from storage.memory import MemoryContainer
from tracing.draft import ActivityNote, TurnNote
from tracing.registry import CODES
from tracing.spanlog import More

ACTOR_STATES = ContainerSpec("actor-states", "actorId", default_ttl=-1)
SNAPSHOT_ID = "snapshot"
WAYPOINT = "snapshot-"
"""Begins the ids of the snapshots that compaction keeps, from which older states are rebuilt."""
MAX_STATE_BYTES = 1 << 20
_OF_JOURNALS = More(ACTOR_JOURNALS.name, 0)
"""What tells that a document is a journal's."""
Timed = TurnNote | ActivityNote
"""What is told with the record that an append writes."""
SHORT_JOURNAL = 1_000
"""States younger than this are rebuilt from the beginning, without looking for a snapshot."""


class StateStore(Protocol):
    """Keeps the journal and the latest snapshot of every actor.

    `span` is what the access belongs to; None leaves no event.
    """

    async def load(self, actor_id: str, span: SpanEmitter | None = None) -> Fold:
        """Return the actor as its snapshot and the journal after it make it; empty if new."""

    async def append(
        self,
        actor_id: str,
        expected_index: int,
        entries: Sequence[JournalEntry],
        *,
        message_id: str,
        turn: str,
        code: int = 1,
        span: SpanEmitter | None = None,
        along: Along | None = None,
        timed: Timed | None = None,
    ) -> JournalRecord:
        """Append to the journal; raises `JournalConflict` like `Journal.append`.

        With a `timed` the record and its access are noted there, and no event of the span by itself
        tells of it.
        """

    async def save(
        self,
        actor_id: str,
        state: ActorState,
        span: SpanEmitter | None = None,
        *,
        compacted: int = 0,
    ) -> None:
        """Write the snapshot of `state`; journal records before index `compacted` expire.

        Raises:
            TooLarge: the state exceeds 1 MiB.
        """

    async def compact(self, fold: Fold, span: SpanEmitter | None = None) -> None:
        """Let the journal before the actor's present version expire; the snapshot is written too.

        States of that time can be rebuilt until then: `journal.JOURNAL_TTL` from now.
        """

    async def states(self, actor_id: str, versions: Collection[int]) -> dict[int, ActorState]:
        """Return the states as of versions, rebuilt from the journal in one pass.

        Left out is what never was, and what has expired.
        """

    def records(
        self, actor_id: str, *, since: int = 0, until: int | None = None
    ) -> AsyncIterator[JournalRecord]:
        """Yield journal records by index, oldest first."""

    async def of_message(self, actor_id: str, message_id: str) -> list[JournalRecord]:
        """Return the records that turns of one message wrote, oldest first."""


class CosmosStateStore:
    """A `StateStore` over two document containers shaped like Cosmos DB.

    `engine` names the events: "cosmos" gives `cosmosdb:read/write`, any other `store:*`.
    """

    def __init__(
        self,
        states: Container,
        journals: Container,
        *,
        engine: str = "cosmos",
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._states = states
        self._journal = Journal(journals, clock_ns=clock_ns)
        family = "cosmosdb" if engine == "cosmos" else "store"
        self._read_event, self._write_event = f"{family}:read", f"{family}:write"
        self._write_code = CODES[self._write_event]

    async def load(self, actor_id: str, span: SpanEmitter | None = None) -> Fold:
        started = time.monotonic_ns()
        snapshot = await self._snapshot(actor_id)
        found = snapshot is not None
        fold = Fold(_state(actor_id, snapshot))
        fold.compacted = 0 if snapshot is None else snapshot.get("compacted", 0)
        async for record in self._journal.records(actor_id, since=fold.version):
            fold.apply(record)
            fold.journal_bytes += sum(size_of(entry) for entry in record.entries)
        # A new actor has neither; an event may only name a document that exists.
        if span is not None and (found or fold.version):
            name = ACTOR_STATES.name if found else ACTOR_JOURNALS.name
            document = SNAPSHOT_ID if found else record_id(0)
            _report(span, self._read_event, name, document, started)
        return fold

    async def append(
        self,
        actor_id: str,
        expected_index: int,
        entries: Sequence[JournalEntry],
        *,
        message_id: str,
        turn: str,
        code: int = 1,
        span: SpanEmitter | None = None,
        along: Along | None = None,
        timed: Timed | None = None,
    ) -> JournalRecord:
        append = self._journal.append(
            *(actor_id, expected_index, entries),
            message_id=message_id,
            turn=turn,
            code=code,
            along=along,
        )
        if span is None:
            return await append
        ticks = span.ticks
        started = ticks()
        record = await append
        now = ticks()
        if timed is None:
            document = (document_ref(ACTOR_JOURNALS.name, record_id(record.index)),)
            span.note(self._write_event, document, now - started, _OF_JOURNALS)
        else:
            timed.wrote = (self._write_code, started, now, record.index, len(entries))
        return record

    async def save(
        self,
        actor_id: str,
        state: ActorState,
        span: SpanEmitter | None = None,
        *,
        compacted: int = 0,
    ) -> None:
        await self._save(actor_id, state, compacted, span)

    async def _save(
        self, actor_id: str, state: ActorState, compacted: int, span: SpanEmitter | None
    ) -> None:
        size = len(msgspec.json.encode(state.data))
        if size > MAX_STATE_BYTES:
            raise TooLarge(f"the state of {actor_id}", size, MAX_STATE_BYTES)
        started = time.monotonic_ns()
        await self._states.upsert(_snapshot_body(SNAPSHOT_ID, state, compacted=compacted))
        if span is not None:
            _report(span, self._write_event, ACTOR_STATES.name, SNAPSHOT_ID, started)

    async def compact(self, fold: Fold, span: SpanEmitter | None = None) -> None:
        started = time.monotonic_ns()
        state, before = fold.state(), fold.compacted
        # Each step may be repeated. The snapshot says last that it is done: until then, whoever
        # loads the actor begins again where the compaction before ended.
        await self._states.upsert(_snapshot_body(waypoint_id(state.version), state))
        await self._journal.expire(fold.actor_id, since=before, until=state.version)
        await self._expire_waypoint(fold.actor_id, before)
        await self._save(fold.actor_id, state, state.version, span)
        fold.compacted = fold.snapshot_version = state.version
        fold.journal_bytes = 0
        if span is not None:
            _report(
                span, "journal:compacted", ACTOR_STATES.name, waypoint_id(state.version), started
            )

    async def _expire_waypoint(self, actor_id: str, version: int) -> None:
        try:
            found = await self._states.read(waypoint_id(version), actor_id)
        except NotFound:
            return
        if "ttl" not in found.body:
            with contextlib.suppress(PreconditionFailed, NotFound):
                await self._states.replace({**found.body, "ttl": JOURNAL_TTL}, if_etag=found.etag)

    async def states(self, actor_id: str, versions: Collection[int]) -> dict[int, ActorState]:
        found: dict[int, ActorState] = {}
        wanted = set(versions)
        if not wanted:
            return found
        first = min(wanted)
        fold = Fold(
            ActorState(actor_id, 0, {})
            if first < SHORT_JOURNAL
            else await self._waypoint(actor_id, first)
        )
        # An unfinished turn has commands but no effect yet, so folding whole records up to a
        # version gives exactly what handlers saw.
        if fold.version in wanted:
            found[fold.version] = fold.state()
        last = max(wanted)
        async for record in self._journal.records(actor_id, since=fold.version, until=last):
            if record.index != fold.version:
                # What lies between has expired: go on from the next waypoint before it.
                fold = Fold(await self._waypoint(actor_id, record.index))
                if fold.version != record.index:
                    break
                if fold.version in wanted:
                    found[fold.version] = fold.state()
            fold.apply(record)
            if fold.version in wanted:
                found[fold.version] = fold.state()
        return found

    async def _waypoint(self, actor_id: str, version: int) -> ActorState:
        """Return the latest kept state that is not after `version`; empty before the first."""
        where = (Where("id", ">=", WAYPOINT), Where("id", "<=", waypoint_id(version)))
        page = await self._states.query(Query(where, partition=actor_id, descending=True, limit=1))
        return _state(actor_id, page.documents[0].body if page.documents else None)

    def records(
        self, actor_id: str, *, since: int = 0, until: int | None = None
    ) -> AsyncIterator[JournalRecord]:
        return self._journal.records(actor_id, since=since, until=until)

    async def of_message(self, actor_id: str, message_id: str) -> list[JournalRecord]:
        return await self._journal.of_message(actor_id, message_id)

    async def _snapshot(self, actor_id: str) -> dict[str, Any] | None:
        try:
            return (await self._states.read(SNAPSHOT_ID, actor_id)).body
        except NotFound:
            return None


def _report(
    span: SpanEmitter, event_type: str, container: str, document: str, started: int
) -> None:
    span.emit(
        event_type,
        document_ref(container, document),
        name=container,
        attempt=0,
        duration_ns=time.monotonic_ns() - started,
    )


def waypoint_id(version: int) -> str:
    """Return the document id of the snapshot that compaction keeps of a version."""
    return f"{WAYPOINT}{version:012d}"


def _state(actor_id: str, body: Mapping[str, Any] | None) -> ActorState:
    if body is None:
        return ActorState(actor_id, 0, {})
    return ActorState(actor_id, body["version"], body["state"])


def _snapshot_body(id: str, state: ActorState, **more: int) -> dict[str, Any]:
    return {
        "id": id,
        "actorId": state.actor_id,
        "version": state.version,
        "state": state.data,
        **more,
    }


class InMemoryStateStore(CosmosStateStore):
    """A `StateStore` in this process's memory, for tests."""

    def __init__(self, *, clock_ns: Callable[[], int] = time.time_ns) -> None:
        super().__init__(
            _in_memory(ACTOR_STATES, clock_ns),
            _in_memory(ACTOR_JOURNALS, clock_ns),
            engine="memory",
            clock_ns=clock_ns,
        )


def _in_memory(spec: ContainerSpec, clock_ns: Callable[[], int]) -> MemoryContainer:
    return MemoryContainer(spec, clock=lambda: clock_ns() / 1e9)
