"""`RollupKeeper`: one writer's own rollups, counted in memory and saved every few seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from storage import Container, StorageError, Unavailable
from tracing.owned import OwnedDocument
from tracing.rollup import SECONDS, Resolution, Rollup, partition_of
from tracing.spanlog import SpanLog

_MINUTE_US = 60_000_000
KEPT_BUCKETS = 3
"""Buckets of a resolution kept in memory; a later count for an older one begins a new document."""


@dataclass(slots=True)
class _Own:
    id: str
    document: OwnedDocument
    rollup: Rollup = field(default_factory=Rollup)
    saved: bool = True
    refused: bool = False


class RollupKeeper:
    """Counts events into the current minute and saves minutes and hours.

    Every document is written by this writer alone and as a whole, so writing it again after an
    unclear answer changes nothing.
    """

    def __init__(self, container: Container, *, writer: str) -> None:
        self._container = container
        self._writer = writer
        self._minute = 0
        self._fresh = Rollup()
        self._own: dict[tuple[Resolution, int], _Own] = {}
        self._made = 0
        self._saving = asyncio.Lock()

    def count(self, logs: Iterable[SpanLog]) -> None:
        """Count events, of sampled traces or not; a log in the minute in which it begins."""
        for log in logs:
            minute = log.start_us // _MINUTE_US
            if minute != self._minute:
                self._settle()
                self._minute = minute
            self._fresh.add(log)

    async def save(self) -> None:
        """Store what changed since the last call.

        Raises:
            storage.Unavailable: what was not stored is stored by the next call.
            storage.StorageError: some of it was refused. The rest is stored, and the next calls
                try again until newer buckets take its place.
        """
        # One at a time: of two writes of a document under way, the older one might land last.
        async with self._saving:
            self._settle()
            refused: StorageError | None = None
            for (resolution, bucket), own in list(self._own.items()):
                if own.saved:
                    continue
                # Marked first: what is counted while this waits is unsaved again.
                own.saved, own.refused = True, False
                try:
                    await own.document.write(own.rollup.to_document(own.id, resolution, bucket))
                except BaseException as error:
                    own.saved = False
                    if not isinstance(error, StorageError) or isinstance(error, Unavailable):
                        raise
                    own.refused, refused = True, error
            self._forget()
            if refused is not None:
                raise refused

    def _settle(self) -> None:
        """Add what was counted since the last time to its minute and its hour."""
        if not self._fresh.events:
            return
        for resolution, seconds in SECONDS.items():
            bucket = self._minute * 60 // seconds * seconds
            own = self._own.get((resolution, bucket))
            if own is None:
                self._made += 1
                # Stays free of what Cosmos DB refuses in ids, and is unique per writer.
                id = f"{resolution}-{bucket}-{self._writer}-{self._made}"
                document = OwnedDocument(self._container, id, partition_of(resolution, bucket))
                own = self._own[resolution, bucket] = _Own(id, document)
            own.rollup.merge(self._fresh)
            own.saved = False
        self._fresh = Rollup()

    def _forget(self) -> None:
        for resolution in SECONDS:
            buckets = sorted(bucket for kind, bucket in self._own if kind == resolution)
            for bucket in buckets[:-KEPT_BUCKETS]:
                own = self._own[resolution, bucket]
                if own.saved or own.refused:
                    del self._own[resolution, bucket]
