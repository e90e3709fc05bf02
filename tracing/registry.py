"""Every event type there is. Writing or reading goes by this table alone.

`code` is what segments store; it never changes meaning and is never reused. `manage.py event_types`
writes the table out as `docs/events.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeVar

from tracing.event import RefKind

T = TypeVar("T")

Phase = Literal["open", "close", "instant"]


class SpanKind(StrEnum):
    """Which sort of work a span stands for; a span's events are all of one kind."""

    WORKFLOW = "workflow"
    HTTP = "http"
    MESSAGE = "message"
    ACTIVITY = "activity"
    FOREIGN = "foreign"
    """A span of another service, taken in over OTLP."""


class Attribute(StrEnum):
    """What an event may carry besides its type, ids, time and references; all of it short."""

    ACTOR = "actor"
    NAME = "name"
    ATTEMPT = "attempt"
    DURATION = "duration"
    ERROR_TYPE = "error_type"
    FINGERPRINT = "fingerprint"
    PEER = "peer"


@dataclass(frozen=True, slots=True)
class EventType:
    """One row of the registry.

    Attributes:
        phase: whether it opens its span, closes it, or happens within.
        failed: it reports a failure; such events are also stored on their own, for the failure
            lists.
        refs: the kinds of reference it may carry.
        attributes: the attributes it may carry.
        measures: what its duration is the length of; "" when it has none.
        named: what its name is the name of, where that is not what its span is named after.
    """

    code: int
    name: str
    span: SpanKind
    phase: Phase
    failed: bool
    refs: tuple[RefKind, ...]
    attributes: tuple[Attribute, ...]
    description: str
    measures: str = ""
    named: str = ""


_M, _S, _J, _D, _I = (
    RefKind.MESSAGE,
    RefKind.ACTOR_STATE,
    RefKind.JOURNAL_ENTRY,
    RefKind.DOCUMENT,
    RefKind.IDEMPOTENCY,
)
_MSG, _ACT, _WF, _HTTP = SpanKind.MESSAGE, SpanKind.ACTIVITY, SpanKind.WORKFLOW, SpanKind.HTTP
_FOREIGN = SpanKind.FOREIGN
_BY = (Attribute.ACTOR, Attribute.NAME)
_TRY = (*_BY, Attribute.ATTEMPT)
_TOOK, _PEER = (Attribute.DURATION,), (Attribute.PEER,)
_ERR, _PRINT = (Attribute.ERROR_TYPE,), (Attribute.FINGERPRINT,)

_TYPES = (
    EventType(1, "workflow:started", _WF, "open", False, (_M,), _BY, "A run was started from outside."),
    EventType(2, "workflow:completed", _WF, "close", False, (_M,), _BY + _TOOK, "The run's first message was handled.", "the time since the run's first message was sent"),
    EventType(3, "workflow:failed", _WF, "close", True, (_M,), _BY + _TOOK + _ERR + _PRINT, "The run's first message ended as a dead letter.", "the time since the run's first message was sent"),
    EventType(4, "http:request", _HTTP, "close", False, (), (Attribute.NAME, *_TOOK), "The web request that started the run.", "the request"),
    EventType(10, "queue:enqueued", _MSG, "open", False, (_M,), _BY + _PEER, "A message was put into its actor's mailbox."),
    EventType(11, "queue:dequeued", _MSG, "instant", False, (_M,), _TRY + _TOOK, "A worker leased the message; this counts the attempt.", "the time since the message was sent, or since its delay was over"),
    EventType(20, "message:received", _MSG, "instant", False, (_M,), _TRY, "The worker has the message and its actor."),
    EventType(21, "message:started", _MSG, "instant", False, (_M,), _TRY, "The turn began: the handler was called."),
    EventType(22, "message:completed", _MSG, "close", False, (_M, _J, _S), _TRY + _TOOK, "The turn was journaled; its effects are durable.", "the turn, from the call of the handler until what it sent was enqueued"),
    EventType(23, "message:failed", _MSG, "instant", True, (_M, _J, _S), _TRY + _TOOK + _ERR + _PRINT, "The turn raised an error; it changed nothing.", "the turn, from the call of the handler until the failure was journaled"),
    EventType(24, "message:retried", _MSG, "instant", False, (_M,), _TRY + _TOOK, "The message went back to its mailbox, to be tried again later.", "the pause before the next attempt"),
    EventType(25, "message:dead_lettered", _MSG, "close", True, (_M, _J, _D), _TRY + _ERR + _PRINT, "The message will not be tried again."),
    EventType(26, "message:duplicate", _MSG, "close", False, (_M, _J), _TRY, "The message had been handled before; its outbox was sent again."),
    EventType(27, "turn:suspended", _MSG, "instant", False, (_J,), _TRY, "The turn waits, out of memory, for an event or a time.", named="the event that it waits for"),
    EventType(28, "turn:replayed", _MSG, "instant", False, (_M,), _TRY, "The turn runs again from its start; what was journaled is not repeated."),
    EventType(29, "turn:cancelled", _MSG, "instant", False, (_J,), _TRY, "Somebody cancelled the turn while it waited.", named="the event that it waited for"),
    EventType(30, "actor:created", _MSG, "instant", False, (), _TRY, "The actor got its first message."),
    EventType(31, "actor:activated", _MSG, "instant", False, (_S,), _TRY, "A worker loaded the actor's state."),
    EventType(32, "actor:state_changed", _MSG, "instant", False, (_S, _J), _TRY, "The turn changed the state; before and after."),
    EventType(33, "turn:parked", _MSG, "instant", False, (_J,), _TRY + _ERR, "The turn waits, without an attempt counted, for code that matches its journal or has its version."),
    EventType(34, "turn:large", _MSG, "instant", False, (), _TRY, "The turn has journaled so much that it should end earlier; above a limit it fails."),
    EventType(35, "message:expired", _MSG, "close", False, (_M,), _TRY, "The message's time to live had ended before its handling could begin; it was not handled."),
    EventType(36, "turn:annotated", _MSG, "instant", False, (), _TRY, "The handler gave its trace a label.", named="the label and its value, of those that the actor type declares"),
    EventType(40, "activity:scheduled", _ACT, "open", False, (_I,), _BY, "A handler asked for an activity."),
    EventType(41, "activity:started", _ACT, "instant", False, (_I,), _TRY, "An attempt of the activity began."),
    EventType(42, "activity:completed", _ACT, "close", False, (_I, _J), _TRY + _TOOK, "The activity's result was journaled.", "all attempts and the pauses between them"),
    EventType(43, "activity:failed", _ACT, "close", True, (_I, _J), _BY + _TOOK + _ERR + _PRINT, "The activity failed for the last time; the failure was journaled.", "all attempts and the pauses between them"),
    EventType(44, "activity:retried", _ACT, "instant", False, (_I,), _TRY + _ERR, "An attempt of the activity failed and another will follow."),
    EventType(50, "child:spawned", _MSG, "instant", False, (_M, _J), _TRY, "The turn started another actor.", named="the type of the message that was sent"),
    EventType(51, "message:sent", _MSG, "instant", False, (_M, _J), _TRY, "The turn sent a message.", named="the type of the message that was sent"),
    EventType(52, "event:awaited", _MSG, "instant", False, (), _TRY, "The turn asked for an event that may still have to come.", named="the event"),
    EventType(53, "event:received", _MSG, "instant", False, (_J,), _TRY, "An event that the turn waited for was journaled.", named="the event"),
    EventType(54, "timer:set", _MSG, "instant", False, (), _TRY, "The turn asked to go on at a later time."),
    EventType(55, "timer:fired", _MSG, "instant", False, (_J,), _TRY, "The time has come, or the wait for an event has lasted long enough.", named="the event that did not come"),
    EventType(56, "message:withheld", _MSG, "instant", False, (), _TRY, "The turn had decided to send a message, and failed for good before it was sent.", named="the type of the message"),
    EventType(60, "store:read", _MSG, "instant", False, (_D,), _BY + _TOOK, "A state or journal document was read.", "the access", "the container"),
    EventType(61, "store:write", _MSG, "instant", False, (_D,), _BY + _TOOK, "A state or journal document was written.", "the access", "the container"),
    EventType(62, "cosmosdb:read", _MSG, "instant", False, (_D,), _BY + _TOOK, "A state or journal document was read from Cosmos DB.", "the access", "the container"),
    EventType(63, "cosmosdb:write", _MSG, "instant", False, (_D,), _BY + _TOOK, "A state or journal document was written to Cosmos DB.", "the access", "the container"),
    EventType(64, "journal:compacted", _MSG, "instant", False, (_D,), _BY + _TOOK, "Records before a snapshot were given a time to expire.", "the compaction", "the container"),
    EventType(70, "lock:acquired", _MSG, "instant", False, (), _TRY + _TOOK, "The worker holds the actor's lock.", "the wait for the lock"),
    EventType(71, "lock:blocked", _MSG, "instant", False, (), _TRY + _TOOK, "Another worker holds the lock; the message goes back.", "the attempt to take the lock"),
    EventType(72, "lock:released", _MSG, "instant", False, (), _TRY + _TOOK, "The lock was given up.", "the time that the lock was held"),
    EventType(73, "lock:lost", _MSG, "instant", False, (_M,), _TRY + _ERR, "The lock or lease ran out, the journal moved on or the store did not answer: the turn was abandoned."),
    EventType(90, "saga:started", _MSG, "instant", False, (), _TRY, "A saga began.", named="the saga"),
    EventType(91, "saga:step_completed", _MSG, "instant", False, (), _TRY, "A step of a saga was done.", named="the saga"),
    EventType(92, "saga:compensating", _MSG, "instant", False, (), _TRY + _ERR, "A step failed: what the earlier ones did is being undone.", named="the saga"),
    EventType(93, "saga:compensated", _MSG, "instant", False, (), _TRY + _ERR, "Everything was undone.", named="the saga"),
    EventType(94, "saga:completed", _MSG, "instant", False, (), _TRY, "Every step of the saga was done.", named="the saga"),
    EventType(95, "saga:failed", _MSG, "instant", True, (), _TRY, "Undoing failed: somebody must look at what is left.", named="the saga"),
    EventType(80, "foreign:completed", _FOREIGN, "close", False, (), _BY + _TOOK, "A span of another service ended.", "the span"),
    EventType(81, "foreign:failed", _FOREIGN, "close", True, (), _BY + _TOOK + _ERR, "A span of another service ended in an error.", "the span"),
)  # fmt: skip

REGISTRY: dict[str, EventType] = {kind.name: kind for kind in _TYPES}
BY_CODE: dict[int, EventType] = {kind.code: kind for kind in _TYPES}
CODES: dict[str, int] = {kind.name: kind.code for kind in _TYPES}
PROMOTING = frozenset(
    kind.code
    for kind in _TYPES
    if kind.failed or kind.name in ("activity:retried", "saga:compensating")
)
"""Codes of the types that make an unsampled trace be kept."""
NOTABLE = PROMOTING | frozenset(
    kind.code
    for kind in _TYPES
    if (kind.phase != "instant" and kind.span is not SpanKind.ACTIVITY)
    or Attribute.ERROR_TYPE in kind.attributes
    or kind.name in ("queue:dequeued", "message:retried")
)
"""Codes of the types that counts, summaries and failure lists look at; a few of each turn."""


def by_code(of: Mapping[str, T]) -> dict[int, T]:
    """Return what belongs to types by their codes."""
    return {REGISTRY[name].code: value for name, value in of.items()}
