"""State stores: snapshots and journals of actors, instrumented with store events."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import msgspec

from actors.errors import TooLarge
from actors.journal import ACTOR_JOURNALS, Journal, JournalEntry, JournalRecord, record_id
from actors.state import ActorState, Fold
from storage import Container, ContainerSpec, NotFound
from storage.memory import MemoryContainer
from tracing import Event, Ref, RefKind, TraceContext, TraceWriter

ACTOR_STATES = ContainerSpec("actor-states", "actorId")
SNAPSHOT_ID = "snapshot"
MAX_STATE_BYTES = 1 << 20


class StateStore(Protocol):
    """Keeps the journal and the latest snapshot of every actor.

    `trace` is the span that the access belongs to; None leaves no event.
    """

    async def load(self, actor_id: str, trace: TraceContext | None = None) -> Fold:
        """Return the actor as its snapshot and the journal after it make it; empty if new."""

    async def append(
        self,
        actor_id: str,
        expected_index: int,
        entries: Sequence[JournalEntry],
        *,
        message_id: str,
        turn: str,
        trace: TraceContext | None = None,
    ) -> JournalRecord:
        """Append to the journal; raises `JournalConflict` like `Journal.append`."""

    async def save(
        self, actor_id: str, state: ActorState, trace: TraceContext | None = None
    ) -> None:
        """Write the snapshot of `state`.

        Raises:
            TooLarge: the state exceeds 1 MiB.
        """

    async def at(self, actor_id: str, version: int) -> ActorState:
        """Return the state as of a version, rebuilt from the journal."""

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
        tracer: TraceWriter | None = None,
        *,
        engine: str = "cosmos",
    ) -> None:
        self._states = states
        self._journal = Journal(journals)
        self._tracer = tracer
        family = "cosmosdb" if engine == "cosmos" else "store"
        self._read_event, self._write_event = f"{family}:read", f"{family}:write"

    async def load(self, actor_id: str, trace: TraceContext | None = None) -> Fold:
        started = time.monotonic_ns()
        state = await self._snapshot(actor_id)
        found = state is not None
        fold = Fold(state or ActorState(actor_id, 0, {}))
        async for record in self._journal.records(actor_id, since=fold.version):
            fold.apply(record)
        # A new actor has neither; an event may only name a document that exists.
        if trace is not None and (found or fold.version):
            name = ACTOR_STATES.name if found else ACTOR_JOURNALS.name
            document = SNAPSHOT_ID if found else record_id(0)
            self._emit(self._read_event, trace, actor_id, name, document, started)
        return fold

    async def append(
        self,
        actor_id: str,
        expected_index: int,
        entries: Sequence[JournalEntry],
        *,
        message_id: str,
        turn: str,
        trace: TraceContext | None = None,
    ) -> JournalRecord:
        started = time.monotonic_ns()
        record = await self._journal.append(
            actor_id, expected_index, entries, message_id=message_id, turn=turn
        )
        if trace is not None:
            self._emit(
                self._write_event,
                trace,
                actor_id,
                ACTOR_JOURNALS.name,
                record_id(record.index),
                started,
            )
        return record

    async def save(
        self, actor_id: str, state: ActorState, trace: TraceContext | None = None
    ) -> None:
        size = len(msgspec.json.encode(state.data))
        if size > MAX_STATE_BYTES:
            raise TooLarge(f"the state of {actor_id}", size, MAX_STATE_BYTES)
        started = time.monotonic_ns()
        await self._states.upsert(
            {
                "id": SNAPSHOT_ID,
                "actorId": actor_id,
                "version": state.version,
                "state": state.data,
            }
        )
        if trace is not None:
            self._emit(self._write_event, trace, actor_id, ACTOR_STATES.name, SNAPSHOT_ID, started)

    async def at(self, actor_id: str, version: int) -> ActorState:
        # An unfinished turn at `version` has commands but no effect yet, so folding whole
        # records up to the version gives exactly what handlers saw.
        fold = Fold(ActorState(actor_id, 0, {}))
        async for record in self._journal.records(actor_id, until=version):
            fold.apply(record)
        return ActorState(actor_id, version, fold.data)

    def records(
        self, actor_id: str, *, since: int = 0, until: int | None = None
    ) -> AsyncIterator[JournalRecord]:
        return self._journal.records(actor_id, since=since, until=until)

    async def of_message(self, actor_id: str, message_id: str) -> list[JournalRecord]:
        return await self._journal.of_message(actor_id, message_id)

    async def _snapshot(self, actor_id: str) -> ActorState | None:
        try:
            document = await self._states.read(SNAPSHOT_ID, actor_id)
        except NotFound:
            return None
        return ActorState(actor_id, document.body["version"], document.body["state"])

    def _emit(
        self,
        event_type: str,
        trace: TraceContext,
        actor_id: str,
        container: str,
        document: str,
        started: int,
    ) -> None:
        if self._tracer is None:
            return
        self._tracer.emit(
            Event(
                event_type,
                trace.trace_id,
                trace.span_id,
                trace.parent_span_id,
                self._tracer.now(),
                actor=actor_id,
                name=container,
                duration_ns=time.monotonic_ns() - started,
                refs=(Ref(RefKind.DOCUMENT, actor_id, f"{container}/{document}"),),
                sampled=trace.sampled,
            )
        )


class InMemoryStateStore(CosmosStateStore):
    """A `StateStore` in this process's memory, for tests."""

    def __init__(self, tracer: TraceWriter | None = None) -> None:
        super().__init__(
            MemoryContainer(ACTOR_STATES), MemoryContainer(ACTOR_JOURNALS), tracer, engine="memory"
        )
