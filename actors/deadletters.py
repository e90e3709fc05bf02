"""Dead letters: which messages will not be tried again, and why. The message stays elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from actors.message import Message
from storage import DAY, Container, ContainerSpec, Index

DEAD_LETTERS = ContainerSpec(
    "dead-letters",
    "actorId",
    default_ttl=30 * DAY,
    indexed=("at",),
    indexes=(Index(order=("at",), descending=True),),
)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a message was given up.

    Attributes:
        error_type, fingerprint: of the last failure; its text is in the journal.
        attempts: how often the message was leased.
        journal_index: the failed turn's record; None when the turn never got to write one.
    """

    error_type: str
    fingerprint: str
    attempts: int
    journal_index: int | None


class DeadLetters:
    """Writes dead letters into a container, partitioned by actor."""

    def __init__(self, container: Container, *, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._container = container
        self._clock_ns = clock_ns

    async def add(self, message: Message, reason: Reason) -> str:
        """Record that `message` was given up; repeating it changes nothing. Returns its id."""
        await self._container.upsert(
            {
                "id": message.message_id,
                "actorId": message.actor_id,
                "messageType": message.message_type,
                "correlationId": message.correlation_id,
                "traceId": message.trace.trace_id if message.trace else None,
                "errorType": reason.error_type,
                "fingerprint": reason.fingerprint,
                "attempts": reason.attempts,
                "journalIndex": reason.journal_index,
                "at": self._clock_ns() // 1000,
                "resolution": None,
            }
        )
        return message.message_id
