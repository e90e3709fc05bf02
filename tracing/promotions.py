"""What other writers promoted: unsampled traces that are kept because something in them failed."""

from __future__ import annotations

from storage import Container, Query, Where
from tracing.event import Clock


class Promotions:
    """Follows the summaries that say so. One indexed query per call, whatever the traffic."""

    def __init__(self, container: Container, *, clock: Clock, since_seconds: float) -> None:
        self._container = container
        self._clock = clock
        # Asked for again each time: clocks differ, and a writer whose store was away stores a
        # promotion long after its time. What is held longer ago is gone anyway.
        self._overlap_us = int(since_seconds * 1e6)
        self._asked_us = clock() // 1000

    async def latest(self) -> list[str]:
        """Return traces promoted since the last call, and some that were told before.

        Raises:
            storage.StorageError: the next call returns them.
        """
        asked = self._clock() // 1000
        since = Where("promotedAt", ">=", self._asked_us - self._overlap_us)
        found: list[str] = []
        cursor: str | None = None
        while True:
            page = await self._container.query(
                Query((since,), order_by=("promotedAt",), limit=1_000, cursor=cursor)
            )
            found += [document.body["trace_id"] for document in page.documents]
            cursor = page.cursor
            if cursor is None:
                self._asked_us = asked
                return found
