"""The message archive: each message's full document, the only lasting copy of its payload."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from actors.message import Message
from storage import DAY, Conflict, Container, ContainerSpec, NotFound, at_once, forgiving

MESSAGE_ARCHIVE = ContainerSpec("message-archive", "correlationId", default_ttl=7 * DAY)


class MessageArchive:
    """Keeps messages in a container, partitioned by correlation id."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def store(self, messages: Sequence[Message]) -> Awaitable[object]:
        """Keep messages. One that is there already stays as it is."""
        # Redelivery dispatches the same outbox again, under the same message ids.
        kept = [
            forgiving(self._container.create(message.to_document()), Conflict)
            for message in messages
        ]
        return kept[0] if len(kept) == 1 else at_once(*kept)

    async def get(self, correlation_id: str, message_id: str) -> Message | None:
        """Return a message; None when there is none, or it has expired."""
        try:
            found = await self._container.read(message_id, correlation_id)
        except NotFound:
            return None
        return Message.from_document(found.body)
