"""What it means that a turn waits: it leaves memory, and runs again from its start later."""

from __future__ import annotations

from dataclasses import dataclass


class Suspended(BaseException):
    """Unwinds a handler that waits; not an `Exception`, so that handlers do not catch it."""


class ContinueAsNew(BaseException):
    """Ends a handler that goes on as a new turn; not an `Exception`, for the same reason."""


@dataclass(frozen=True, slots=True)
class Suspension:
    """What a turn waits for: command `seq`, an event or nothing but time, and until when.

    `due` is microseconds since the epoch; None waits for ever.
    """

    seq: int
    event: str | None
    due: int | None
