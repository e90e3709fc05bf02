"""`TraceReconstructor`: a trace as a tree, and what its references point at, on demand."""

from __future__ import annotations

from collections.abc import Sequence

from tracing.build import build_tree
from tracing.event import Ref
from tracing.reader import TraceReader
from tracing.resolve import Resolved, Resolvers
from tracing.tree import TraceTree


class TraceReconstructor:
    """Puts a trace together without loading anything that it refers to."""

    def __init__(self, reader: TraceReader, resolvers: Resolvers) -> None:
        self._reader = reader
        self._resolvers = resolvers

    async def reconstruct(self, trace_id: str) -> TraceTree | None:
        """Return the trace as a tree, or None when there is none."""
        trace = await self._reader.get_trace(trace_id)
        return None if trace is None else build_tree(trace)

    async def load(
        self, refs: Sequence[Ref], *, allowed: bool = True, seen_ns: int | None = None
    ) -> dict[Ref, Resolved]:
        """Follow references, in one batched read per kind and partition; see `Resolvers.load`."""
        return await self._resolvers.load(refs, allowed=allowed, seen_ns=seen_ns)
