"""`Delivery`: when, and until when, a message is to be handled, and before which others; and
`Delivered`: that messages have arrived."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import msgspec

from actors.errors import InvalidMessage
from actors.message import Message

MAX_KEY = 1_000


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a sender asks for.

    Attributes:
        priority: lower is sooner, among the messages of one actor.
        delay: seconds from now before which it is not delivered; it holds no other message back.
        ttl: seconds from now after which its handling is not begun any more; None never ends.
    """

    priority: int = 0
    delay: float = 0.0
    ttl: float | None = None

    def __post_init__(self) -> None:
        if not (isfinite(self.delay) and self.delay >= 0):
            raise InvalidMessage(f"a message cannot be delayed by {self.delay} seconds")
        if self.ttl is not None and not (isfinite(self.ttl) and self.ttl > self.delay):
            raise InvalidMessage(
                f"a message that is delivered after {self.delay} seconds needs a longer time to"
                f" live than {self.ttl}"
            )

    def not_before_ns(self, now_ns: int) -> int:
        """Return the earliest delivery, nanoseconds since the epoch; 0 for at once."""
        return now_ns + round(self.delay * 1e9) if self.delay else 0

    def expires_ns(self, now_ns: int) -> int:
        """Return the latest beginning, nanoseconds since the epoch; 0 for none."""
        return 0 if self.ttl is None else now_ns + round(self.ttl * 1e9)


AT_ONCE = Delivery()


class Delivered(msgspec.Struct, frozen=True):
    """That messages are in their actors' mailboxes.

    Attributes:
        messages: in the order in which they were sent.
        at: when they were put there, in ticks of the tracer's clock; 0 without one.
        new: for each, whether it was not there before.
    """

    messages: Sequence[Message]
    at: int
    new: Sequence[bool]


NOTHING_DELIVERED = Delivered((), 0, ())


def keyed_id(actor_id: str, key: str) -> str:
    """Return the message id that an idempotency key stands for, at one actor.

    Raises:
        InvalidMessage: the key is empty or longer than 1,000 characters.
    """
    if not 0 < len(key) <= MAX_KEY:
        raise InvalidMessage(f"an idempotency key has 1 to {MAX_KEY:,} characters")
    return hashlib.sha256(f"{actor_id}\0{key}".encode()).hexdigest()[:32]
