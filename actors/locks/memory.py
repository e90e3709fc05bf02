"""Locks in this process's memory, for tests."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence


class MemoryLocks:
    """Locks among the workers of one process, for tests."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._held: dict[str, tuple[str, float]] = {}

    async def acquire(self, actor_id: str, owner: str, seconds: float) -> bool:
        now = self._clock()
        holder, until = self._held.get(actor_id, (owner, 0.0))
        if holder != owner and until > now:
            return False
        self._held[actor_id] = (owner, now + seconds)
        return True

    async def renew(self, actor_ids: Sequence[str], owner: str, seconds: float) -> list[bool]:
        now = self._clock()
        kept = []
        for actor_id in actor_ids:
            holder, until = self._held.get(actor_id, ("", 0.0))
            ours = holder == owner and until > now
            if ours:
                self._held[actor_id] = (owner, now + seconds)
            kept.append(ours)
        return kept

    async def release(self, actor_id: str, owner: str) -> None:
        if self._held.get(actor_id, ("", 0.0))[0] == owner:
            del self._held[actor_id]
