"""The message queue port: mailboxes of actors, leased one message at a time."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from actors.message import Message

DEDUPE_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to handle one message for a while.

    Attributes:
        attempt: how often the message has been leased, this time included.
        token: proves the lease; another lease of the same mailbox has another.
        wakes: how often the mailbox had been woken when the lease was given; `park` compares it.
    """

    message: Message
    attempt: int
    token: str
    wakes: int = 0


@dataclass(frozen=True, slots=True)
class Depth:
    """How many messages a queue holds.

    Attributes:
        ready: waiting to be leased, or behind a message of their actor that is.
        delayed: not to be delivered yet, or in a mailbox that waits for a retry or is parked.
        leased: being handled.
        dead: kept after their last attempt.
        oldest_ready_ns: when the oldest ready message was enqueued; None when there is none.
        paused: in mailboxes that are paused, and not leased; counted nowhere else.
    """

    ready: int
    delayed: int
    leased: int
    dead: int
    oldest_ready_ns: int | None
    paused: int = 0


class MessageQueue(Protocol):
    """Durable mailboxes, one per actor, FIFO within a priority.

    At most one message of an actor is leased at a time, so turns are serial even before locks.
    The attempt is counted by `lease`, before any code runs. A lease that runs out makes its
    message available again. While a message waits for its retry, its actor's later messages wait
    behind it. A message id that is in the queue, or was acknowledged within the dedupe window
    (24 hours), is not enqueued again. An acknowledged call is durable.
    """

    async def enqueue(self, messages: Sequence[Message], *, delay: float = 0.0) -> list[bool]:
        """Add messages; False for each known already.

        A message is delivered after `delay` seconds and not before its `metadata.not_before_ns`.
        Until then it holds no other message back.
        """

    async def lease(
        self, actor_types: Collection[str], *, limit: int, seconds: float
    ) -> list[Lease]:
        """Lease up to `limit` messages of as many different actors."""

    async def ack(self, lease: Lease) -> bool:
        """Take the message off the queue; False when the lease had run out."""

    async def nack(self, lease: Lease, *, delay: float = 0.0, count: bool = True) -> bool:
        """Give the message back, for delivery after `delay` seconds, ahead of later ones.

        With `count=False` the attempt is not counted. False when the lease had run out.
        """

    async def park(self, lease: Lease, *, seconds: float) -> bool:
        """Give back the message of a suspended turn, uncounted, until `wake` or so much later.

        Its actor's later messages wait behind it. When the actor was woken since the lease was
        given, it is ready at once: no wake-up is lost between a look and the wait. False when the
        lease had run out.
        """

    async def wake(self, actor_id: str) -> None:
        """Make a parked message of this actor ready; nothing happens when there is none."""

    async def pause(self, actor_id: str) -> None:
        """Lease nothing more of this actor until `resume`; its messages wait in order.

        A message that is leased stays leased. An actor without messages can be paused too.
        """

    async def resume(self, actor_id: str) -> None:
        """Lease this actor's messages again; nothing happens when it is not paused."""

    async def paused(self, actor_id: str) -> bool:
        """Return whether the actor is paused."""

    async def extend(self, leases: Sequence[Lease], *, seconds: float) -> list[bool]:
        """Extend leases to `seconds` from now; False for each that had run out."""

    async def dead_letter(self, lease: Lease) -> bool:
        """Put the message aside, whole, out of its mailbox; False when the lease had run out."""

    async def dead(self, message_id: str) -> Message | None:
        """Return a message that `dead_letter` put aside; None when there is none of this id."""

    async def depth(self) -> Depth:
        """Count what is there."""

    async def waiting(self, actor_id: str) -> int:
        """Count the actor's messages that wait; not the one that is leased, parked or retried."""

    async def parked(self, actor_type: str, *, limit: int) -> list[str]:
        """Return up to `limit` actors of a type that have a suspended turn, by id."""

    async def wait(self, seconds: float) -> None:
        """Return when something may be ready to lease, at the latest after `seconds`."""
