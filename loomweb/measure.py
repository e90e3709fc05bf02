"""What a replay left in the stores, counted from the journal and the traces themselves."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import msgspec

from actors import ActorState, EntryType, JournalRecord
from actors.archive import MESSAGE_ARCHIVE
from actors.deadletters import DEAD_LETTERS
from actors.journal import ACTOR_JOURNALS
from actors.state import Fold
from actors.stores import ACTOR_STATES
from loomweb.wiring import Loom
from storage import Container, scan
from tracing import Event, Ref, RefKind
from tracing.containers import TRACE_EVENTS
from tracing.economy import Economy, measure


@dataclass(slots=True)
class Handled:
    """Messages as the journals of some actors tell of them.

    Attributes:
        messages: turns that completed or failed for good.
        failed: failed attempts; `dead_lettered`: those that were the last.
    """

    messages: int = 0
    failed: int = 0
    dead_lettered: int = 0

    def add(self, record: JournalRecord) -> None:
        for entry in record.entries:
            if entry.type is EntryType.TURN_COMPLETED:
                self.messages += 1
            elif entry.type is EntryType.TURN_FAILED:
                self.failed += 1
                if entry.data["final"]:
                    self.messages += 1
                    self.dead_lettered += 1


class Copies:
    """What the same events would take as one document each, with copies for references.

    An event's document is the reference system's: `id, trace_id, span_id, parent_span_id,
    event_type, timestamp, status, refs, metadata, tags`, where each reference is replaced by the
    message, journal record, state or document that it points at.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self._sizes: dict[tuple[str, str, str], int] = {}

    def learn(self, kind: RefKind, partition: str, id: str, value: object) -> None:
        """Take in the size of something that references may point at."""
        self._sizes[kind.value, partition, id] = len(msgspec.json.encode(value))

    def add(self, event: Event) -> None:
        """Count one event."""
        self.bytes += len(msgspec.json.encode(_one_document(event)))
        self.bytes += sum(self._size(ref) for ref in event.refs)

    def _size(self, ref: Ref) -> int:
        # What has expired could not be copied either: it counts as nothing.
        return self._sizes.get((ref.kind.value, ref.partition, ref.id), 0)


@dataclass(frozen=True, slots=True)
class Left:
    """Everything that was counted."""

    handled: Handled
    economy: Economy
    bytes_if_copied: int


async def what_is_left(loom: Loom, actors: Collection[str], traces: Collection[str]) -> Left:
    """Read the stores once and count what concerns these actors and traces."""
    copies, handled = Copies(), Handled()
    await _learn_journals(loom.containers[ACTOR_JOURNALS.name], actors, copies, handled)
    async for document in scan(loom.containers[MESSAGE_ARCHIVE.name]):
        body = document.body
        if body["actorId"] in actors:
            copies.learn(RefKind.MESSAGE, body["correlationId"], body["id"], body)
    for spec in (ACTOR_STATES, DEAD_LETTERS):
        async for document in scan(loom.containers[spec.name]):
            body = document.body
            if body["actorId"] in actors:
                copies.learn(RefKind.DOCUMENT, body["actorId"], f"{spec.name}/{body['id']}", body)
    economy = await measure(loom.containers[TRACE_EVENTS.name], copies.add, traces=traces)
    return Left(handled, economy, copies.bytes)


async def _learn_journals(
    container: Container, actors: Collection[str], copies: Copies, handled: Handled
) -> None:
    folds: dict[str, Fold] = {}
    async for document in scan(container):
        body = document.body
        actor_id = body["actorId"]
        if actor_id not in actors:
            continue
        record = JournalRecord.from_document(body)
        handled.add(record)
        fold = folds.setdefault(actor_id, Fold(ActorState(actor_id, 0, {})))
        if not fold.version:
            copies.learn(RefKind.ACTOR_STATE, actor_id, "0", {})
        fold.apply(record)
        copies.learn(RefKind.ACTOR_STATE, actor_id, str(fold.version), fold.data)
        copies.learn(RefKind.JOURNAL_ENTRY, actor_id, f"{record.index}:{len(record.entries)}", body)
        copies.learn(RefKind.DOCUMENT, actor_id, f"{ACTOR_JOURNALS.name}/{body['id']}", body)


def _one_document(event: Event) -> dict[str, Any]:
    return {
        "id": f"{event.trace_id}-{event.span_id}-{event.time_ns}",
        "trace_id": event.trace_id,
        "span_id": event.span_id,
        "parent_span_id": event.parent_span_id,
        "event_type": event.type,
        "timestamp": event.time_ns,
        "status": "error" if event.error_type else "ok",
        "refs": {ref.kind.value: {} for ref in event.refs},
        "metadata": {
            "actor": event.actor,
            "name": event.name,
            "attempt": event.attempt,
            "duration_ns": event.duration_ns,
            "error_type": event.error_type,
        },
        "tags": {},
    }
