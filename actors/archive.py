"""The message archive: each message's full document, the only lasting copy of its payload."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from actors.message import Message
from storage import DAY, Conflict, Container, ContainerSpec, NotFound

MESSAGE_ARCHIVE = ContainerSpec("message-archive", "correlationId", default_ttl=7 * DAY)


class MessageArchive:
    """Keeps messages in a container, partitioned by correlation id."""

    def __init__(self, container: Container) -> None:
        self._container = container

    async def store(self, messages: Sequence[Message]) -> None:
        """Keep messages. One that is there already stays as it is."""
        if len(messages) == 1:
            await self._store(messages[0])
        else:
            await asyncio.gather(*(self._store(message) for message in messages))

    async def _store(self, message: Message) -> None:
        try:
            await self._container.create(message.to_document())
        except Conflict:
            # Redelivery dispatches the same outbox again, under the same message ids.
            return

    async def get(self, correlation_id: str, message_id: str) -> Message | None:
        """Return a message; None when there is none, or it has expired."""
        try:
            found = await self._container.read(message_id, correlation_id)
        except NotFound:
            return None
        return Message.from_document(found.body)
