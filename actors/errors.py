"""What the actor runtime raises.

ActorError
├── UnknownActorType        no worker of this process serves the type
├── JournalConflict         another worker appended first: this turn is abandoned without effect
├── LeaseLost               the lease or lock ran out while the turn ran
├── NonRetryable            raise it (or a subclass) to send the message to the dead letters at once
│   ├── InvalidMessage      an id, type or payload that cannot be a message
│   ├── TooLarge            a payload, state or result above its limit; says the size and the limit
│   ├── TurnTooLarge        a turn has journaled more than one turn may
│   ├── UnknownMessageType  the actor has no handler for the message
│   ├── InvalidPayload      the payload does not fit the handler's input type
│   ├── ReadOnly            a read-only handler tried to do more than to look
│   ├── UnknownLabel        a handler gave its trace a label that its actor type does not declare
│   ├── StateMutated        a handler changed `self.state` in place
│   ├── Cancelled           somebody cancelled the run while this turn waited
│   ├── SagaCompensated     a step of a saga failed, and what the earlier ones did was undone
│   ├── SagaFailed          undoing failed too: somebody must look at what is left
│   └── NonDeterministic    the handler took another path than its journal: the turn is parked
├── LetterResolved          somebody has retried or discarded the dead letter already
├── LetterGone              the dead letter, or the message that it names, is not kept any more
├── ActivityTimeout         an attempt of an activity took too long, or was silent for too long
├── CallFailed              the actor that was called failed for the last time
├── EventTimeout            an event that a turn waited for did not come in time
└── ActivityFailed          an activity failed for the last time
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ActorError(Exception):
    """Base of what the runtime raises."""


class UnknownActorType(ActorError):
    """No worker of this process serves the type."""


class JournalConflict(ActorError):
    """Another worker appended first."""


class LeaseLost(ActorError):
    """The lease or lock ran out while the turn ran."""


class NonRetryable(ActorError):
    """Trying again cannot help: the message goes to the dead letters at once."""


class InvalidMessage(NonRetryable):
    """An id, type or payload that cannot be a message."""


class TooLarge(NonRetryable):
    """A payload, state or result above its limit."""

    def __init__(self, what: str, size: int, limit: int) -> None:
        super().__init__(
            f"{what} is {size:,} bytes, above the limit of {limit:,}: store it elsewhere and send "
            "a reference to it"
        )


class TurnTooLarge(NonRetryable):
    """A turn has journaled more than one turn may."""


class UnknownMessageType(NonRetryable):
    """The actor has no handler for the message."""


class InvalidPayload(NonRetryable):
    """The payload does not fit the handler's input type."""


class ReadOnly(NonRetryable):
    """A handler that is declared read-only tried to change, send or wait for something."""


class UnknownLabel(NonRetryable):
    """A handler gave its trace a label that its actor type does not declare."""


class StateMutated(NonRetryable):
    """A handler changed `self.state` in place instead of calling `update_state`."""


class Cancelled(NonRetryable):
    """Somebody cancelled the run while this turn waited; raised where it waited."""


class SagaCompensated(NonRetryable):
    """A step of a saga failed, and what the earlier ones did was undone."""


class SagaFailed(NonRetryable):
    """A step of a saga failed, and undoing an earlier one failed too."""


class NonDeterministic(NonRetryable):
    """The handler took another path than the one its journal records; its turn is parked.

    Attributes:
        expected: the journal's command; None when the handler broke another rule.
        found: the command of today's code; None when it ended. Both are journal entries as JSON.
    """

    def __init__(
        self,
        message: str,
        *,
        expected: Mapping[str, Any] | None = None,
        found: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.expected = expected
        self.found = found


class LetterResolved(ActorError):
    """Somebody has retried or discarded the dead letter already."""


class LetterGone(ActorError):
    """The dead letter, or the message that it names, is not kept any more."""


class EventTimeout(ActorError):
    """An event that a turn waited for did not come in time."""


class ActivityTimeout(ActorError, TimeoutError):
    """An attempt of an activity took too long, or gave no heartbeat for too long; it is retried."""


class CallFailed(ActorError):
    """The actor that was called failed for the last time.

    Attributes:
        error_type: the class name of what it raised.
    """

    def __init__(self, actor_id: str, message_type: str, error_type: str, message: str) -> None:
        super().__init__(f"{message_type} of {actor_id} failed: {error_type}: {message}")
        self.error_type = error_type


class ActivityFailed(ActorError):
    """An activity failed for the last time.

    Attributes:
        activity: its name.
        error_type: the class name of what it raised.
    """

    def __init__(self, activity: str, error_type: str, message: str) -> None:
        super().__init__(f"activity {activity} failed: {error_type}: {message}")
        self.activity = activity
        self.error_type = error_type
