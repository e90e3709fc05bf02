"""The lock port. A lock is a courtesy that saves wasted work; the fence is the journal.

A lock says "I am on it" for some seconds. Two owners that both believe they hold one do no harm:
only one of them can append to the journal.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Protocol


class LockManager(Protocol):
    """Locks by actor id, each held by an owner until a time. `seconds` is from now."""

    async def acquire(self, actor_id: str, owner: str, seconds: float) -> bool:
        """Take the lock, or take it again as its owner; False when another holds it."""

    async def renew(self, actor_ids: Sequence[str], owner: str, seconds: float) -> list[bool]:
        """Prolong locks; False for each that `owner` no longer holds."""

    def release(self, actor_id: str, owner: str) -> Awaitable[None]:
        """Give the lock up, if `owner` still holds it."""
