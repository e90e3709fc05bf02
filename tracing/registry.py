"""Every event type there is. Writing or reading goes by this table alone.

`code` is what segments store; it never changes meaning and is never reused.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from tracing.event import RefKind

Phase = Literal["open", "close", "instant"]


class SpanKind(StrEnum):
    """Which sort of work a span stands for; a span's events are all of one kind."""

    WORKFLOW = "workflow"
    HTTP = "http"
    MESSAGE = "message"
    ACTIVITY = "activity"
    FOREIGN = "foreign"
    """A span of another service, taken in over OTLP."""


@dataclass(frozen=True, slots=True)
class EventType:
    """One row of the registry.

    Attributes:
        phase: whether it opens its span, closes it, or happens within.
        failed: it reports a failure; such events are also stored on their own, for the failure
            lists.
        refs: the kinds of reference it may carry.
    """

    code: int
    name: str
    span: SpanKind
    phase: Phase
    failed: bool
    refs: tuple[RefKind, ...]
    description: str


_M, _S, _J, _D, _I = (
    RefKind.MESSAGE,
    RefKind.ACTOR_STATE,
    RefKind.JOURNAL_ENTRY,
    RefKind.DOCUMENT,
    RefKind.IDEMPOTENCY,
)
_MSG, _ACT, _WF, _HTTP = SpanKind.MESSAGE, SpanKind.ACTIVITY, SpanKind.WORKFLOW, SpanKind.HTTP
_FOREIGN = SpanKind.FOREIGN

_TYPES = (
    EventType(1, "workflow:started", _WF, "open", False, (_M,), "A run was started from outside."),
    EventType(2, "workflow:completed", _WF, "close", False, (_M,), "The run's first message was handled."),
    EventType(3, "workflow:failed", _WF, "close", True, (_M, _J), "The run's first message ended as a dead letter."),
    EventType(4, "http:request", _HTTP, "close", False, (), "The web request that started the run."),
    EventType(10, "queue:enqueued", _MSG, "open", False, (_M,), "A message was put into its actor's mailbox."),
    EventType(11, "queue:dequeued", _MSG, "instant", False, (_M,), "A worker leased the message; this counts the attempt."),
    EventType(20, "message:received", _MSG, "instant", False, (_M,), "The worker has the message and its actor."),
    EventType(21, "message:started", _MSG, "instant", False, (_M,), "The turn began: the handler was called."),
    EventType(22, "message:completed", _MSG, "close", False, (_M, _J, _S), "The turn was journaled; its effects are durable."),
    EventType(23, "message:failed", _MSG, "instant", True, (_M, _J, _S), "The turn raised an error; it changed nothing."),
    EventType(24, "message:retried", _MSG, "instant", False, (_M,), "The message went back to its mailbox, to be tried again later."),
    EventType(25, "message:dead_lettered", _MSG, "close", True, (_M, _J, _D), "The message will not be tried again."),
    EventType(26, "message:duplicate", _MSG, "close", False, (_M, _J), "The message had been handled before; its outbox was sent again."),
    EventType(30, "actor:created", _MSG, "instant", False, (), "The actor got its first message."),
    EventType(31, "actor:activated", _MSG, "instant", False, (_S,), "A worker loaded the actor's state."),
    EventType(32, "actor:state_changed", _MSG, "instant", False, (_S, _J), "The turn changed the state; before and after."),
    EventType(40, "activity:scheduled", _ACT, "open", False, (_I,), "A handler asked for an activity."),
    EventType(41, "activity:started", _ACT, "instant", False, (_I,), "An attempt of the activity began."),
    EventType(42, "activity:completed", _ACT, "close", False, (_I, _J), "The activity's result was journaled."),
    EventType(43, "activity:failed", _ACT, "close", True, (_I, _J), "The activity failed for the last time; the failure was journaled."),
    EventType(44, "activity:retried", _ACT, "instant", False, (_I,), "An attempt of the activity failed and another will follow."),
    EventType(50, "child:spawned", _MSG, "instant", False, (_M, _J), "The turn started another actor."),
    EventType(51, "message:sent", _MSG, "instant", False, (_M, _J), "The turn sent a message."),
    EventType(60, "store:read", _MSG, "instant", False, (_D,), "A state or journal document was read."),
    EventType(61, "store:write", _MSG, "instant", False, (_D,), "A state or journal document was written."),
    EventType(62, "cosmosdb:read", _MSG, "instant", False, (_D,), "A document was read from Cosmos DB."),
    EventType(63, "cosmosdb:write", _MSG, "instant", False, (_D,), "A document was written to Cosmos DB."),
    EventType(70, "lock:acquired", _MSG, "instant", False, (), "The worker holds the actor's lock; duration is the wait."),
    EventType(71, "lock:blocked", _MSG, "instant", False, (), "Another worker holds the lock; the message goes back."),
    EventType(72, "lock:released", _MSG, "instant", False, (), "The lock was given up; duration is how long it was held."),
    EventType(73, "lock:lost", _MSG, "instant", False, (_M,), "The lock or lease ran out, or the journal moved on: the turn was abandoned."),
    EventType(80, "foreign:completed", _FOREIGN, "close", False, (), "A span of another service ended; duration is its length."),
    EventType(81, "foreign:failed", _FOREIGN, "close", True, (), "A span of another service ended in an error."),
)  # fmt: skip

REGISTRY: dict[str, EventType] = {kind.name: kind for kind in _TYPES}
BY_CODE: dict[int, EventType] = {kind.code: kind for kind in _TYPES}
