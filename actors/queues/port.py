"""The message queue port: mailboxes of actors, leased one message at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import msgspec

from actors.message import Message
from storage import Unavailable

DEDUPE_SECONDS = 24 * 3600


class QueueUnavailable(Unavailable):
    """The server of the queue did not answer; the call may or may not have happened.

    Documents are elsewhere: what only reads them goes on.
    """


class Lease(msgspec.Struct, frozen=True):
    """The right to handle one message for a while.

    Attributes:
        attempt: how often the message has been leased, this time included.
        token: proves the lease; another lease of the same mailbox has another.
        wakes: how often the mailbox had been woken when the lease was given; `park` compares it.
        locked: whether the actor's lock was taken with it.
        again: whether the message was leased before, be it counted as an attempt or not: its turn
            may have ended already.
    """

    message: Message
    attempt: int
    token: str
    wakes: int = 0
    locked: bool = False
    again: bool = False


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


class MailboxState(StrEnum):
    """What a mailbox waits for. `Mailbox.next_at_us` means something else in each.

    It follows from what was done to the mailbox, never from the clock alone: a mailbox whose retry
    is due stays `RETRYING` until it is leased, one whose lease ran out stays `RUNNING`.
    """

    WAITING = "waiting"
    """No turn is under way; its next message may be leased from then on."""
    RUNNING = "running"
    """A message is leased; its lease runs out then, unless it is extended."""
    RETRYING = "retrying"
    """An attempt at its message failed (`nack`, counted); the next one may begin then."""
    SUSPENDED = "suspended"
    """The turn of its message is parked; it looks again by itself then."""
    PAUSED = "paused"
    """Nothing is leased until `resume`, whatever else is true of it."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A mailbox that holds messages, or is paused. Times are microseconds since the epoch.

    Attributes:
        head: the message whose turn is under way, or else the one that comes next; None when
            there is none, or all are delayed.
        attempts: how often `head` was leased and counted, the attempt that runs included.
        next_at_us: see `MailboxState`; None without a head.
        since_us: when `head` was enqueued; None without one.
        behind: messages besides `head`, delayed ones included.
    """

    actor_id: str
    state: MailboxState
    head: Message | None
    attempts: int
    next_at_us: int | None
    since_us: int | None
    behind: int


@dataclass(frozen=True, slots=True)
class Tally:
    """The mailboxes of one actor type by state, and the messages in all of them."""

    actor_type: str
    mailboxes: Mapping[MailboxState, int]
    messages: int


class MessageQueue(Protocol):
    """Durable mailboxes, one per actor, FIFO within a priority.

    At most one message of an actor is leased at a time, so turns are serial even before locks.
    The attempt is counted by `lease`, before any code runs. A lease that runs out makes its
    message available again. While a message waits for its retry, its actor's later messages wait
    behind it. A message id that is in the queue, or was acknowledged within the dedupe window
    (24 hours), is not enqueued again. An acknowledged call is durable.

    Attributes:
        forgets: whether it may come back from an accident as it was some time before, and offer as
            new what was handled since. Whoever leases from it looks into the journal every time.
    """

    @property
    def forgets(self) -> bool: ...

    def enqueue(self, messages: Sequence[Message], *, delay: float = 0.0) -> Awaitable[list[bool]]:
        """Add messages; False for each known already.

        A message is delivered after `delay` seconds and not before its `metadata.not_before_ns`.
        Until then it holds no other message back.
        """

    async def lease(
        self, actor_types: Collection[str], *, limit: int, seconds: float, owner: str | None = None
    ) -> list[Lease]:
        """Lease up to `limit` messages of as many different actors.

        A queue that has the actors' locks beside it takes them for `owner` too: `Lease.locked`.
        """

    def ack(self, lease: Lease) -> Awaitable[bool]:
        """Take the message off the queue; False when the lease had run out."""

    def nack(self, lease: Lease, *, delay: float = 0.0, count: bool = True) -> Awaitable[bool]:
        """Give the message back, for delivery after `delay` seconds, ahead of later ones.

        With `count=False` the attempt is not counted. False when the lease had run out.
        """

    def park(self, lease: Lease, *, seconds: float) -> Awaitable[bool]:
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

    def dead_letter(self, lease: Lease) -> Awaitable[bool]:
        """Put the message aside, whole, out of its mailbox; False when the lease had run out."""

    async def dead(self, message_id: str) -> Message | None:
        """Return a message that `dead_letter` put aside; None when there is none of this id."""

    async def depth(self) -> Depth:
        """Count what is there."""

    async def waiting(self, actor_id: str) -> int:
        """Count the actor's messages that wait; not the one that is leased, parked or retried."""

    async def parked(self, actor_type: str, *, limit: int) -> list[str]:
        """Return up to `limit` actors of a type that have a suspended turn, by id."""

    async def mailboxes(
        self,
        actor_type: str,
        *,
        state: MailboxState | None = None,
        prefix: str = "",
        after: str = "",
        limit: int,
    ) -> list[Mailbox]:
        """Return up to `limit` mailboxes of a type, by actor id, from an index.

        Args:
            state: only those in this state.
            prefix: only those of actors whose key begins so.
            after: only those of actors whose id comes after this one, to ask for the next page.
        """

    async def oldest(self, state: MailboxState, *, limit: int) -> list[Mailbox]:
        """Return up to `limit` mailboxes in a state, of all types, by `since_us`, from an index.

        The oldest first. Where an urgent message overtook an older one, either's time may count.
        """

    async def tally(self) -> list[Tally]:
        """Count the mailboxes of each type and what they hold, by type."""

    async def peek(self, actor_id: str, *, limit: int) -> list[Message]:
        """Return up to `limit` messages of an actor in the order of their turns, the head first.

        Delayed ones are left out.
        """

    async def wait(
        self,
        within: float,
        actor_types: Collection[str],
        *,
        limit: int,
        seconds: float,
        owner: str | None = None,
    ) -> list[Lease]:
        """Return when something may be ready that the last lease of these types did not find.

        That is after `within` seconds at the latest. Where the step that makes it ready can lease
        it too, as `lease` does, that is returned; else nothing is.
        """
