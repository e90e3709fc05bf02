"""`GivenUp`: the messages of one actor that were given up, from its partition of dead letters."""

from __future__ import annotations

from dataclasses import dataclass

from storage import Container, Query

READ = 200
"""Dead letters that are read of an actor at most."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A message that was given up, and what a list tells of it.

    Attributes:
        trace_id: None when it was not traced.
        at_us: when it was given up, microseconds since the epoch.
    """

    message_id: str
    message_type: str
    error_type: str
    attempts: int
    trace_id: str | None
    at_us: int

    @property
    def at_ns(self) -> int:
        return self.at_us * 1000


class GivenUp:
    """Reads the container of dead letters, one actor's partition at a time."""

    def __init__(self, container: Container) -> None:
        self._container = container

    async def of_actor(self, actor_id: str) -> list[Letter]:
        """Return the actor's dead letters, the latest first, from at most `READ` of them.

        Raises:
            storage.StorageError: the store does not answer.
        """
        page = await self._container.query(Query(partition=actor_id, limit=READ))
        letters = [
            Letter(
                *(body["id"], body["messageType"], body["errorType"], body["attempts"]),
                *(body["traceId"], body["at"]),
            )
            for body in (document.body for document in page.documents)
        ]
        return sorted(letters, key=lambda letter: -letter.at_us)
