"""The inbox: events that were sent to an actor, kept until its turn takes them.

An event does not queue behind messages: it is for a turn that waits, or will wait, for its name.
Sending creates one document, so an event sent twice under one id is one event. A turn that takes it
journals that first and empties the document then; run again, it empties it again and goes on, so an
event is received exactly once. What is left of the document keeps its id taken for a day.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from actors.errors import InvalidMessage
from actors.message import MAX_PAYLOAD_BYTES, check_json
from storage import DAY, Conflict, Container, ContainerSpec, Index, Query, Where

ACTOR_EVENTS = ContainerSpec(
    "actor-events",
    "actorId",
    default_ttl=90 * DAY,
    indexes=(Index(equal=("actorId",), order=("at",)),),
)
DEDUPE_TTL = DAY
"""How long an event that was taken cannot be sent again."""
CANCEL = "$cancel"
"""The event by which a turn is cancelled; its payload names the turn's message and the reason. No
event of a user begins with "$"."""
MAX_WAITING = 1_000

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}\Z")


def reply_name(message_id: str) -> str:
    """Return the name of the event that answers a call made with this message."""
    return f"reply.{message_id[:60]}"


@dataclass(frozen=True, slots=True)
class SentEvent:
    """An event in an inbox. `at_us` is when it was sent, microseconds since the epoch."""

    id: str
    name: str
    payload: Mapping[str, Any]
    at_us: int


class Inbox:
    """The inboxes of all actors, in one container partitioned by actor."""

    def __init__(self, container: Container, *, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._container = container
        self._clock_ns = clock_ns

    async def put(self, actor_id: str, name: str, payload: Mapping[str, Any], id: str) -> bool:
        """Keep an event for the actor; False when one of this id is, or lately was, there.

        Raises:
            InvalidMessage: the name is not one, or the payload is no JSON object.
            TooLarge: the payload exceeds 1 MiB.
        """
        if name != CANCEL and not _NAME.match(name):
            raise InvalidMessage(f"{name[:80]!r} is not an event name")
        check_json(payload, "the payload of an event", MAX_PAYLOAD_BYTES)
        try:
            await self._container.create(
                {
                    "id": id,
                    "actorId": actor_id,
                    "name": name,
                    "payload": dict(payload),
                    "at": self._clock_ns() // 1000,
                }
            )
        except Conflict:
            return False
        return True

    async def waiting(self, actor_id: str) -> list[SentEvent]:
        """Return what the actor has not taken yet, oldest first; at most 1,000."""
        # What was taken has no time any more.
        page = await self._container.query(
            Query((Where("at", ">=", 0),), partition=actor_id, limit=MAX_WAITING)
        )
        events = [
            SentEvent(
                document.body["id"],
                document.body["name"],
                document.body["payload"],
                document.body["at"],
            )
            for document in page.documents
        ]
        return sorted(events, key=lambda event: (event.at_us, event.id))

    async def remove(self, actor_id: str, id: str) -> None:
        """Take an event out; it may be repeated."""
        await self._container.upsert({"id": id, "actorId": actor_id, "ttl": DEDUPE_TTL})
