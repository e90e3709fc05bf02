"""`TestedActor`: one actor of a harness, as a test looks at it and acts on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actors.inbox import reply_name
from actors.journal import JournalEntry
from actors.message import Message
from actors.waiting import Wait

if TYPE_CHECKING:
    from actors.testing.harness import ActorHarness


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was given up.

    Attributes:
        error_type, error: class name and text of what the last attempt raised.
    """

    message: Message
    error_type: str
    error: str
    attempts: int


class TestedActor:
    """One actor: what a test sends it, and what it has become."""

    __test__ = False  # for pytest, which would collect it

    def __init__(self, harness: ActorHarness, actor_id: str) -> None:
        self._harness = harness
        self.actor_id = actor_id

    def send(self, message_type: str, payload: Any = None, **more: Any) -> None:
        """Send it a message; see `ActorHarness.send`."""
        self._harness.send(self.actor_id, message_type, payload, **more)

    def call(self, message_type: str, payload: Any = None) -> Any:
        """Send it a message and return what its handler returned; see `ActorHarness.call`."""
        return self._harness.call(self.actor_id, message_type, payload)

    def send_event(self, name: str, payload: Any = None, *, event_id: str | None = None) -> bool:
        """Send it an event; see `ActorHarness.send_event`."""
        return self._harness.send_event(self.actor_id, name, payload, event_id=event_id)

    def cancel(self, reason: str = "") -> bool:
        """Cancel its turn that waits; see `ActorHarness.cancel`."""
        return self._harness.cancel(self.actor_id, reason)

    @property
    def state(self) -> Mapping[str, Any]:
        """Its state after all completed turns."""
        return self._harness.look(self.actor_id).state.data

    @property
    def waits(self) -> tuple[Wait, ...]:
        """What its suspended turn waits for; empty when there is none."""
        return self._harness.look(self.actor_id).waits

    @property
    def waits_for(self) -> list[str]:
        """The same in words: an event's name, "time", or "Type/key message_type" of a call."""
        called = {
            reply_name(message.message_id): f"{message.actor_id} {message.message_type}"
            for message in self.sent
        }
        return [called.get(wait.event or "", wait.event or "time") for wait in self.waits]

    @property
    def sent(self) -> list[Message]:
        """The messages that it has sent, in order."""
        return [m for m in self._harness.sent if m.metadata.sender == self.actor_id]

    @property
    def received(self) -> list[Message]:
        """The messages that were sent to it, in order."""
        return [m for m in self._harness.sent if m.actor_id == self.actor_id]

    @property
    def journal(self) -> list[JournalEntry]:
        """Its journal's entries, oldest first."""
        return [e for record in self._harness.records(self.actor_id) for e in record.entries]

    @property
    def dead_letters(self) -> list[DeadLetter]:
        """Those of its messages that were given up."""
        return [d for d in self._harness.dead_letters if d.message.actor_id == self.actor_id]

    @property
    def history(self) -> str:
        """Its history, as `replay` reads it."""
        return self._harness.history(self.actor_id)
