"""`MessageFinder`: where a message went, for a person who has nothing but its id."""

from __future__ import annotations

from dataclasses import dataclass

from actors.deadletters import DeadLetters
from actors.errors import InvalidMessage
from actors.journal import Journal, JournalRecord
from actors.message import Message
from storage import Container

MOST = 20
"""Journal records that are looked at for ids that begin alike; a message may have several."""


@dataclass(frozen=True, slots=True)
class MessageFound:
    """A message by its id.

    Attributes:
        actor_id: whom it was for, "Type/key".
        trace_id, span_id: where its handling is traced; None when it is not, or nobody knows.
    """

    actor_id: str
    trace_id: str | None
    span_id: str | None


class MessageFinder:
    """Finds messages in the archive, by way of the journal of whoever handled them."""

    def __init__(self, archive: Container, journal: Journal, letters: DeadLetters) -> None:
        self._archive = archive
        self._journal = journal
        self._letters = letters

    async def find(self, message_id: str) -> MessageFound | None:
        """Return where the message went; None when nothing tells.

        The archive is partitioned by run. A message that began one is its own run; of any other,
        the journal of its actor names the run. A dead letter tells by itself where it is traced,
        and longer than the archive does.

        Raises:
            storage.StorageError: a store does not answer.
        """
        message = await self._archived(message_id, message_id)
        if message is None:
            record = await self._journal.find(message_id)
            if record is None:
                return None
            run = await self._run(record)
            message = None if run is None else await self._archived(message_id, run)
            if message is None:
                return await self._given_up(record.actor_id, message_id)
        trace = message.trace
        if trace is None:
            return MessageFound(message.actor_id, None, None)
        return MessageFound(message.actor_id, trace.trace_id, trace.span_id)

    async def beginning_with(self, prefix: str) -> list[str]:
        """Return ids that begin so, of messages that were handled; not more than `MOST`.

        Raises:
            storage.StorageError: the store does not answer.
        """
        return await self._journal.message_ids(prefix, limit=MOST)

    async def first(self, run: str) -> Message | None:
        """Return the message that began a run; None when it has expired, or was never archived.

        Raises:
            storage.StorageError: the store does not answer.
        """
        return await self._archived(run, run)

    async def _given_up(self, actor_id: str, message_id: str) -> MessageFound:
        letter = await self._letters.get(actor_id, message_id)
        if letter is None:
            return MessageFound(actor_id, None, None)
        return MessageFound(actor_id, letter.trace_id, letter.span_id)

    async def _run(self, found: JournalRecord) -> str | None:
        """Return the run of a message; only records that end an attempt name it, if at all."""
        for record in await self._journal.of_message(found.actor_id, found.message_id):
            run = record.entries[-1].data.get("correlationId")
            if isinstance(run, str):
                return run
        return None

    async def _archived(self, message_id: str, run: str) -> Message | None:
        found = await self._archive.read_many([(message_id, run)])
        for document in found.values():
            try:
                return Message.from_document(document.body)
            except InvalidMessage:
                return None
        return None
