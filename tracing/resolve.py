"""Loading what references point at, on demand and in batches."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from tracing.event import Ref, RefKind

logger = logging.getLogger(__name__)


class Outcome(StrEnum):
    """What became of following a reference."""

    LOADED = "loaded"
    EXPIRED = "expired"
    FORBIDDEN = "forbidden"
    MISSING = "missing"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Resolved:
    """A followed reference.

    Attributes:
        value: the JSON value, when loaded.
        detail: what to tell a person when it is not ("expired on 2026-11-01 by its 7-day TTL").
    """

    ref: Ref
    outcome: Outcome
    value: Any = None
    detail: str = ""


Loader = Callable[[Sequence[Ref]], Awaitable[Mapping[Ref, Resolved]]]
"""Loads references of one kind, in one batched read per partition. It leaves out what is not
there, and may raise: its references are then reported as unreadable."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where references of one kind are loaded from, and how long that keeps things.

    `ttl` is in seconds, None for ever: it tells what has expired from what never was. It may
    depend on the reference.
    """

    load: Loader
    ttl: int | Callable[[Ref], int | None] | None = None

    def ttl_of(self, ref: Ref) -> int | None:
        """Return the time to live of what one reference points at."""
        return self.ttl(ref) if callable(self.ttl) else self.ttl


class Resolvers:
    """Reference kind → source. `loomweb.wiring` registers them, so tracing serves any system."""

    def __init__(
        self, sources: Mapping[RefKind, Source], *, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self._sources = dict(sources)
        self._clock = clock

    async def load(
        self, refs: Sequence[Ref], *, allowed: bool = True, seen_ns: int | None = None
    ) -> dict[Ref, Resolved]:
        """Follow references, one call per kind; every reference gets an outcome, none raises.

        With `allowed=False` nothing is read and every outcome is forbidden. `seen_ns` is when the
        references were recorded (nanoseconds since the epoch).
        """
        wanted = list(dict.fromkeys(refs))
        if not allowed:
            detail = "you lack the permission to see payloads"
            return {ref: Resolved(ref, Outcome.FORBIDDEN, detail=detail) for ref in wanted}
        by_kind: dict[RefKind, list[Ref]] = {}
        for ref in wanted:
            by_kind.setdefault(ref.kind, []).append(ref)
        parts = await asyncio.gather(
            *(self._of_kind(kind, of_kind, seen_ns) for kind, of_kind in by_kind.items())
        )
        return {ref: found for part in parts for ref, found in part.items()}

    async def _of_kind(
        self, kind: RefKind, refs: list[Ref], seen_ns: int | None
    ) -> dict[Ref, Resolved]:
        source = self._sources.get(kind)
        if source is None:
            detail = f"nothing is registered that loads a reference of kind {kind.value}"
            return {ref: Resolved(ref, Outcome.UNREADABLE, detail=detail) for ref in refs}
        try:
            loaded = await source.load(refs)
        except Exception as error:  # the border: a page renders when every load fails
            logger.warning("references of kind %s: %s", kind.value, type(error).__name__)
            detail = f"loading failed ({type(error).__name__}); the trace itself is complete"
            return {ref: Resolved(ref, Outcome.UNREADABLE, detail=detail) for ref in refs}
        return {ref: loaded.get(ref) or self._absent(ref, source, seen_ns) for ref in refs}

    def _absent(self, ref: Ref, source: Source, seen_ns: int | None) -> Resolved:
        ttl = source.ttl_of(ref)
        if ttl is not None and seen_ns is not None:
            expired = seen_ns // 1_000_000_000 + ttl
            if expired <= self._clock() // 1_000_000_000:
                day = datetime.fromtimestamp(expired, UTC).date().isoformat()
                days = ttl // 86_400
                return Resolved(ref, Outcome.EXPIRED, detail=f"expired on {day}, after {days} days")
        return Resolved(ref, Outcome.MISSING, detail="it is not where the trace says it is")
