"""The journal: an append-only list of records per actor, and the source of truth.

A record is one document whose id is the index of its first entry. Creating that document is the
only step that counts: whoever creates it owned the actor, everyone else conflicts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from actors.errors import JournalConflict
from storage import (
    DAY,
    Conflict,
    Container,
    ContainerSpec,
    Document,
    Joinable,
    NotFound,
    Query,
    StorageError,
    Where,
    joined,
)

ACTOR_JOURNALS = ContainerSpec("actor-journals", "actorId", default_ttl=-1, indexed=("messageId",))
JOURNAL_TTL = 30 * DAY
"""How long compacted records stay readable."""
EXPIRE_STEP = 5_000
"""Journal entries whose records are given their time to live by one call of the store."""


class EntryType(StrEnum):
    """What a journal entry records. Entries with a `seq` are commands of a turn."""

    STATE_PATCHED = "state_patched"
    ACTIVITY_SCHEDULED = "activity_scheduled"
    ACTIVITY_COMPLETED = "activity_completed"
    ACTIVITY_FAILED = "activity_failed"
    MESSAGE_SENT = "message_sent"
    CHILD_SPAWNED = "child_spawned"
    TIMER_SET = "timer_set"
    TIMER_FIRED = "timer_fired"
    EVENT_AWAITED = "event_awaited"
    EVENT_RECEIVED = "event_received"
    CANCELLED = "cancelled"
    SUSPENDED = "suspended"
    TIME_READ = "time_read"
    PATCHED = "patched"
    SAGA_STARTED = "saga_started"
    SAGA_STEP_COMPLETED = "saga_step_completed"
    SAGA_COMPENSATING = "saga_compensating"
    SAGA_COMPENSATED = "saga_compensated"
    SAGA_COMPLETED = "saga_completed"
    SAGA_FAILED = "saga_failed"
    TURN_PARKED = "turn_parked"
    TURN_COMPLETED = "turn_completed"
    TURN_FAILED = "turn_failed"


class JournalEntry(msgspec.Struct, frozen=True):
    """One entry: its type and what that type keeps (JSON)."""

    type: EntryType
    data: Mapping[str, Any]

    def to_document(self) -> dict[str, Any]:
        return {"type": self.type.value, **self.data}

    @classmethod
    def from_document(cls, body: Mapping[str, Any]) -> JournalEntry:
        """Read an entry.

        Raises:
            ValueError: an entry type that this version does not know.
        """
        return cls(EntryType(body["type"]), {k: v for k, v in body.items() if k != "type"})


class JournalRecord(msgspec.Struct, frozen=True):
    """Entries that became durable together.

    Attributes:
        index: index of the first entry; `next_index` is the state version after the record.
        message_id: the message whose turn wrote it.
        at_us: when, microseconds since the epoch.
        code: version of the actor type's code that wrote it.
    """

    actor_id: str
    index: int
    message_id: str
    at_us: int
    entries: tuple[JournalEntry, ...]
    code: int = 1

    @property
    def next_index(self) -> int:
        return self.index + len(self.entries)

    @property
    def ends_turn(self) -> bool:
        """Whether the message's turn completed or failed for good with this record."""
        last = self.entries[-1]
        return last.type is EntryType.TURN_COMPLETED or (
            last.type is EntryType.TURN_FAILED and bool(last.data["final"])
        )

    def to_document(self, turn: str) -> dict[str, Any]:
        return {
            "id": record_id(self.index),
            "actorId": self.actor_id,
            "index": self.index,
            "count": len(self.entries),
            "messageId": self.message_id,
            "turn": turn,
            "at": self.at_us,
            "entries": [entry.to_document() for entry in self.entries],
            **({} if self.code == 1 else {"code": self.code}),
        }

    @classmethod
    def from_document(cls, body: Mapping[str, Any]) -> JournalRecord:
        return cls(
            body["actorId"],
            body["index"],
            body["messageId"],
            body["at"],
            tuple(JournalEntry.from_document(entry) for entry in body["entries"]),
            body.get("code", 1),
        )


RECORD_ID = "{:012d}"
"""The id of a record's document, to be formatted with its index."""


def record_id(index: int) -> str:
    """Return the document id of the record that starts at `index`."""
    return RECORD_ID.format(index)


class Along:
    """Writes that go with a record in one transaction, where the engines can do that.

    Args:
        prepare: returns them, anew each time the record is tried.

    Attributes:
        done: what they returned. None says that none of them was done: that is left to whoever
            wants them.
    """

    __slots__ = ("_prepare", "done")

    def __init__(self, prepare: Callable[[], Sequence[Awaitable[Any]]]) -> None:
        self._prepare = prepare
        self.done: Sequence[Any] | None = None

    async def create(self, document: Awaitable[Document]) -> None:
        """Create the record's document, and do what goes with it."""
        together = None
        if isinstance(document, Joinable):
            together = joined(document, *self._prepare())
        if together is None:
            await document
            return
        write = together.start()
        try:
            _, *self.done = await asyncio.shield(write)
        except asyncio.CancelledError as cancelled:
            # It is done all the same: what follows from it must not be left out.
            try:
                _, *self.done = await write
            except StorageError:
                raise cancelled from None


class Journal:
    """The journals of all actors, in one container partitioned by actor."""

    def __init__(self, container: Container, *, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._container = container
        self._clock_ns = clock_ns

    async def append(
        self,
        actor_id: str,
        expected_index: int,
        entries: Sequence[JournalEntry],
        *,
        message_id: str,
        turn: str,
        code: int = 1,
        along: Along | None = None,
    ) -> JournalRecord:
        """Make `entries` durable as the record at `expected_index`, with what goes `along`.

        `turn` identifies this run of the turn: after an unclear answer of the store, the append
        may be repeated with the same `turn` and the same entries. `code` is the version of the
        actor type's code.

        Raises:
            JournalConflict: another turn has written there; this one must be abandoned.
            storage.Unavailable: unknown whether it was written.
        """
        record = JournalRecord(
            *(actor_id, expected_index, message_id, self._clock_ns() // 1000),
            *(tuple(entries), code),
        )
        try:
            create = self._container.create(record.to_document(turn))
            await (create if along is None else along.create(create))
        except Conflict:
            if not await self._is_ours(actor_id, expected_index, turn):
                raise JournalConflict(
                    f"{actor_id} has moved on from journal index {expected_index}"
                ) from None
        return record

    async def _is_ours(self, actor_id: str, index: int, turn: str) -> bool:
        try:
            found = await self._container.read(record_id(index), actor_id)
        except NotFound:
            return False
        return bool(found.body.get("turn") == turn)

    async def records(
        self, actor_id: str, *, since: int = 0, until: int | None = None
    ) -> AsyncIterator[JournalRecord]:
        """Yield the actor's records from index `since` to before `until`, oldest first."""
        # Ids are indexes of one width, so their order is the journal's, in every engine's own key.
        where = [Where("id", ">=", record_id(since))]
        if until is not None:
            where.append(Where("id", "<", record_id(until)))
        cursor: str | None = None
        while True:
            page = await self._container.query(
                Query(
                    where=tuple(where),
                    partition=actor_id,
                    limit=200,
                    cursor=cursor,
                )
            )
            for document in page.documents:
                yield JournalRecord.from_document(document.body)
            cursor = page.cursor
            if cursor is None:
                return

    async def latest(
        self, actor_id: str, *, until: int, page: int = 200
    ) -> AsyncIterator[list[JournalRecord]]:
        """Yield the actor's records before index `until` page by page, the latest first."""
        where = (Where("id", "<", record_id(until)),)
        cursor: str | None = None
        while True:
            found = await self._container.query(
                Query(where, partition=actor_id, descending=True, limit=page, cursor=cursor)
            )
            yield [JournalRecord.from_document(document.body) for document in found.documents]
            cursor = found.cursor
            if cursor is None:
                return

    async def expire(self, actor_id: str, *, since: int, until: int) -> int:
        """Give the records from `since` to before `until` their time to live; return how many.

        It may be repeated, and says nothing of records that are gone or have theirs already.
        """
        count = 0
        # Step by step: whatever else is written meanwhile need not wait for all of it.
        for start in range(since, until, EXPIRE_STEP):
            first, last = record_id(start), record_id(min(start + EXPIRE_STEP, until))
            count += await self._container.set_ttl(
                actor_id, since=first, until=last, ttl=JOURNAL_TTL
            )
        return count

    async def of_message(self, actor_id: str, message_id: str) -> list[JournalRecord]:
        """Return the records that turns of this message wrote, oldest first."""
        where = (Where("messageId", "=", message_id),)
        records: list[JournalRecord] = []
        cursor: str | None = None
        while True:
            page = await self._container.query(
                Query(where, partition=actor_id, limit=1_000, cursor=cursor)
            )
            records += (JournalRecord.from_document(found.body) for found in page.documents)
            cursor = page.cursor
            if cursor is None:
                return records

    async def find(self, message_id: str) -> JournalRecord | None:
        """Return a record that a turn of this message wrote, whichever its actor; None without one.

        Asks every partition: for a person who has only the id.
        """
        page = await self._container.query(
            Query(where=(Where("messageId", "=", message_id),), limit=1)
        )
        return next((JournalRecord.from_document(found.body) for found in page.documents), None)

    async def message_ids(self, prefix: str, *, limit: int) -> list[str]:
        """Return ids that begin so of messages whose turns left records, of the first `limit`.

        Asks every partition, as `find` does.
        """
        page = await self._container.query(
            Query((Where("messageId", "prefix", prefix),), limit=limit)
        )
        return list(dict.fromkeys(found.body["messageId"] for found in page.documents))
