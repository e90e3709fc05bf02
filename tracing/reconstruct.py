"""`TraceReconstructor`: a trace as a tree, and what its references point at, on demand."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tracing.build import build_tree
from tracing.event import Ref
from tracing.filters import Trace
from tracing.pause import resume, spared
from tracing.reader import MANY, TraceReader
from tracing.resolve import Resolved, Resolvers
from tracing.tree import TraceTree

MAX_KEPT_EVENTS = 400_000
"""Events of all trees kept together, about half a kilobyte each; a larger trace is not kept."""
MAX_KEPT_TREES = 32
MAX_AGE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Kept:
    """A tree, the etag of the summary that counted its events, and when it was read."""

    tree: TraceTree
    etag: str
    read_at: float


class TraceReconstructor:
    """Puts a trace together without loading anything that it refers to.

    The last few trees are kept for a minute at most, and only while the trace's summary, one point
    read, is still the one that counted exactly the events of the tree.
    """

    def __init__(
        self,
        reader: TraceReader,
        resolvers: Resolvers,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader = reader
        self._resolvers = resolvers
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._locks: dict[str, asyncio.Lock] = {}

    async def reconstruct(self, trace_id: str) -> TraceTree | None:
        """Return the trace as a tree, or None when there is none.

        The tree may be shared with other callers: it is for reading.
        """
        # Requests for one trace that come together, as a page's do, build it once.
        lock = self._locks.setdefault(trace_id, asyncio.Lock())
        try:
            async with lock:
                return await self._reconstruct(trace_id)
        finally:
            if not lock.locked():
                self._locks.pop(trace_id, None)

    async def _reconstruct(self, trace_id: str) -> TraceTree | None:
        # The summary first: what is stored after this read changes its etag.
        state = await self._reader.state(trace_id)
        kept = self._kept.pop(trace_id, None)
        if (
            kept is not None
            and state is not None
            and kept.etag == state.etag
            and self._clock() - kept.read_at < MAX_AGE_SECONDS
        ):
            self._kept[trace_id] = kept
            return kept.tree
        if kept is not None:
            _drop(kept)
            kept = None
        read_at = self._clock()
        trace = await self._reader.get_trace(trace_id)
        if trace is None:
            return None
        tree = await _built(trace)
        if state is not None and state.events == len(trace.events):
            self._keep(trace_id, _Kept(tree, state.etag, read_at))
        return tree

    def _keep(self, trace_id: str, kept: _Kept) -> None:
        self._kept[trace_id] = kept
        total = sum(each.tree.summary.events for each in self._kept.values())
        while self._kept and (total > MAX_KEPT_EVENTS or len(self._kept) > MAX_KEPT_TREES):
            _, oldest = self._kept.popitem(last=False)
            total -= oldest.tree.summary.events
            _drop(oldest)

    async def load(
        self, refs: Sequence[Ref], *, allowed: bool = True, seen_ns: int | None = None
    ) -> dict[Ref, Resolved]:
        """Follow references, in one batched read per kind and partition; see `Resolvers.load`."""
        return await self._resolvers.load(refs, allowed=allowed, seen_ns=seen_ns)


def _drop(kept: _Kept) -> None:
    if kept.tree.summary.events >= MANY:
        resume()


async def _built(trace: Trace) -> TraceTree:
    if len(trace.events) < MANY:
        return build_tree(trace)
    return await asyncio.to_thread(_build, trace)


def _build(trace: Trace) -> TraceTree:
    with spared():
        return build_tree(trace)
