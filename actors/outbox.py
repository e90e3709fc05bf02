"""`Outbox`: the messages that a turn sends, held back until it waits or completes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from actors.commands import CommandLog, derived_id, digest
from actors.delivery import AT_ONCE, Delivered, Delivery
from actors.journal import EntryType, JournalRecord
from actors.message import MAX_PAYLOAD_BYTES, Message, check_json
from actors.telemetry import TurnSpan
from tracing.registry import CODES

_SENT, _SPAWNED = CODES["message:sent"], CODES["child:spawned"]

Command = Callable[[EntryType, str, Mapping[str, Any]], bool]
"""Takes the turn's next command; True when the journal has it already."""


class Outbox:
    """What one run of a turn sends, under ids that every run derives alike.

    Attributes:
        messages: all of it, in order.
    """

    def __init__(
        self,
        message: Message,
        log: CommandLog,
        command: Command,
        span: TurnSpan | None,
        clock_ns: Callable[[], int],
    ) -> None:
        self._message = message
        self._log = log
        self._command = command
        self._span = span
        self._clock_ns = clock_ns
        self._dispatched = 0
        self._codes: dict[str, int] = {}
        """Of the event that says of a message that it was sent, until that is emitted."""
        self.messages: list[Message] = []

    @property
    def unsent(self) -> list[Message]:
        """Messages that take effect with the turn's completion: those since its last wait."""
        return self.messages[self._dispatched :]

    def all_sent(self) -> None:
        """Note that an earlier run has sent everything so far."""
        self._dispatched = len(self.messages)

    def put(
        self,
        entry_type: EntryType,
        actor_id: str,
        message_type: str,
        payload: Mapping[str, Any],
        delivery: Delivery = AT_ONCE,
        *,
        reply: bool = False,
    ) -> Message:
        """Add a message, as a command of the turn."""
        encoded = check_json(payload, f"the payload of {message_type}", MAX_PAYLOAD_BYTES)
        span, now_ns = self._span, self._clock_ns()
        message_id = derived_id(self._message, self._log.seq)
        message = Message.new(
            actor_id,
            message_type,
            msgspec.json.decode(encoded),
            message_id=message_id,
            correlation_id=self._message.correlation_id,
            sender=self._message.actor_id,
            priority=delivery.priority,
            not_before_ns=delivery.not_before_ns(now_ns),
            expires_ns=delivery.expires_ns(now_ns),
            reply=reply,
            sent_ns=now_ns,
            # Every run that sends it gives it the same span.
            trace=None
            if span is None
            else span.tracer.create_child_span(span.context, message_id[:16]),
        )
        self.messages.append(message)
        replayed = self._command(
            entry_type,
            f"{actor_id} {message_type}",
            {
                "to": actor_id,
                "name": message_type,
                "args": digest(encoded),
                "sent": message_id,
            },
        )
        if not replayed:
            self._codes[message_id] = _SPAWNED if entry_type is EntryType.CHILD_SPAWNED else _SENT
        return message

    def withhold(self) -> None:
        """Emit what will never be sent; called when the turn has failed for good."""
        if self._span is not None:
            for message in self.unsent:
                self._span.emit("message:withheld", name=message.message_type)

    def report(self, delivered: Delivered, record: JournalRecord | None = None) -> None:
        """Emit that messages of the turn were sent and delivered; called when that is durable, in
        the record."""
        codes, self._codes = self._codes, {}
        if self._span is not None:
            self._span.note_sent(delivered, codes, record)
