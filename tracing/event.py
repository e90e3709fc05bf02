"""`Event` and `Ref`: what tracing records, and what it points at instead of copying."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum

import msgspec


class RefKind(StrEnum):
    """What a reference points at, and how its `partition` and `id` are read."""

    MESSAGE = "message"
    """partition: correlation id; id: message id."""
    ACTOR_STATE = "actor_state"
    """partition: actor ("Type/id"); id: state version, the journal index it reflects."""
    JOURNAL_ENTRY = "journal_entry"
    """partition: actor; id: "first:count", the entries of one journal record."""
    DOCUMENT = "document"
    """partition: the document's partition key; id: "container/id"."""
    BLOB = "blob"
    """partition: the blob container; id: the blob name."""
    IDEMPOTENCY = "idempotency"
    """partition: actor; id: the activity's idempotency key."""


class Ref(msgspec.Struct, frozen=True, gc=False):
    """A pointer to data that lives elsewhere. It may expire; it may never lie."""

    kind: RefKind
    partition: str
    id: str


class Event(msgspec.Struct, frozen=True, gc=False):
    """One thing that happened. Holds no payload, no state and no error text.

    A struct, not a dataclass: many are made for each message, and these are made ten times faster.

    Attributes:
        type: a name from `tracing.registry`.
        time_ns: since the epoch, UTC; monotonic within a process.
        actor: "Type/id" of the actor it happened to or for.
        name: what was worked on: message type, activity, workflow, route or container.
        attempt: 1 for the first try; 0 where attempts have no meaning.
        duration_ns: how long it took, where the event closes or measures something.
        error_type: the exception's class name.
        fingerprint: groups failures that are alike (16 hex digits).
        peer: "Type/id" of the actor that sent the message.
        sampled: whether its trace is to be kept even if nothing in it fails. Not stored.
    """

    type: str
    trace_id: str
    span_id: str
    parent_span_id: str | None
    time_ns: int
    actor: str | None = None
    name: str | None = None
    attempt: int = 0
    duration_ns: int | None = None
    error_type: str | None = None
    fingerprint: str | None = None
    refs: tuple[Ref, ...] = ()
    peer: str | None = None
    sampled: bool = True


Clock = Callable[[], int]
"""Returns nanoseconds since the epoch."""


def monotonic_clock() -> Clock:
    """Return a clock that starts at the wall time and from then on never goes back."""
    offset = time.time_ns() - time.monotonic_ns()

    def now() -> int:
        return offset + time.monotonic_ns()

    return now
