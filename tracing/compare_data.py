"""What the messages and states of two traces that correspond hold, and where they first differ."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from tracing.compare import Comparison, Row
from tracing.diff import Difference, diff
from tracing.event import Ref, RefKind
from tracing.resolve import Outcome, Resolved
from tracing.tree import Span, TraceTree
from tracing.trivial import Reason, Trivial

Part = Literal["payload", "before", "after"]

MAX_PAIRS = 50
"""Pairs looked at in one go."""
BATCH = 10
"""Pairs whose references are loaded together."""

_FIELDS: dict[Part, str] = {"payload": "payload", "before": "state", "after": "state"}


class Loads(Protocol):
    """Follows references, as a `TraceReconstructor` does."""

    async def load(
        self, refs: Sequence[Ref], *, allowed: bool = True, seen_ns: int | None = None
    ) -> dict[Ref, Resolved]: ...


@dataclass(frozen=True, slots=True)
class PartDifference:
    """One part of a pair, compared: its payload, or its actor's state before or after it.

    Attributes:
        changes: differences that count.
        ignored: the paths of those that do not, with the sort of value that they hold.
        more: differences that are counted only.
        why_not: why it cannot be compared; "" when it was.
    """

    part: Part
    left: Resolved | None
    right: Resolved | None
    changes: list[Difference] = field(default_factory=list)
    ignored: list[tuple[str, Reason]] = field(default_factory=list)
    more: int = 0
    why_not: str = ""

    @property
    def differs(self) -> bool:
        return bool(self.changes or self.more)


@dataclass(frozen=True, slots=True)
class PairData:
    """A row's parts, compared: those that at least one of the two messages refers to."""

    row: int
    parts: list[PartDifference]

    def part(self, *names: Part) -> PartDifference | None:
        """Return the first of these parts that differs."""
        return next((part for part in self.parts if part.part in names and part.differs), None)


@dataclass(frozen=True, slots=True)
class DataDivergence:
    """Where payloads and states first differ, as far as was looked.

    Attributes:
        payload, state: the pair whose payload, or whose state, is the first to differ.
        start, end: which of the pairs were looked at, of how many.
        ignored: paths that were ignored, with their sort and in how many pairs.
        failures: why parts could not be compared, and how many.
    """

    payload: PairData | None
    state: PairData | None
    start: int
    end: int
    total: int
    ignored: list[tuple[str, Reason, int]]
    failures: list[tuple[str, int]]

    @property
    def looked(self) -> int:
        return self.end - self.start


class PairReader:
    """Loads and compares the data of pairs; remembers which spans' data it has read.

    Args:
        everything: whether differences of ids and times count as well.
    """

    def __init__(
        self, source: Loads, comparison: Comparison, *, allowed: bool, everything: bool
    ) -> None:
        self._source = source
        self._comparison = comparison
        self.allowed = allowed
        self._everything = everything
        self._own = _own_names(comparison.left), _own_names(comparison.right)
        self.read: tuple[list[Span], list[Span]] = ([], [])
        """Left and right spans of which anything was loaded."""

    async def pair(self, place: int) -> PairData:
        """Compare one row that both traces have."""
        return (await self.pairs([place]))[0]

    async def pairs(self, places: Sequence[int]) -> list[PairData]:
        """Compare some rows that both traces have, in one batched read per trace and kind."""
        rows = [self._comparison.rows[place] for place in places]
        spans = [row.left for row in rows], [row.right for row in rows]
        loaded = await asyncio.gather(
            self._load(spans[0], self._comparison.left),
            self._load(spans[1], self._comparison.right),
        )
        for side, of_side in enumerate(spans):
            self.read[side].extend(
                span
                for span in of_side
                if span is not None and _any_loaded(_refs(span).values(), loaded[side])
            )
        return [
            PairData(place, self._parts(row, *loaded))
            for place, row in zip(places, rows, strict=True)
        ]

    async def first(self, *, start: int = 0) -> DataDivergence:
        """Walk pairs of messages in order of time until payload and state have differed."""
        places = self._comparison.messages()
        payload = state = None
        ignored: Counter[tuple[str, Reason]] = Counter()
        failures: Counter[str] = Counter()
        end = start = min(start, len(places))
        last = min(start + MAX_PAIRS, len(places))
        while end < last and (payload is None or state is None):
            batch = places[end : min(end + BATCH, last)]
            for found in await self.pairs(batch):
                end += 1
                if payload is None and found.part("payload"):
                    payload = found
                if state is None and found.part("before", "after"):
                    state = found
                for part in found.parts:
                    ignored.update(part.ignored)
                    if part.why_not:
                        failures[part.why_not] += 1
        listed = [(path, reason, count) for (path, reason), count in ignored.most_common()]
        reasons = failures.most_common()
        return DataDivergence(payload, state, start, end, len(places), listed, reasons)

    async def _load(self, spans: Iterable[Span | None], tree: TraceTree) -> dict[Ref, Resolved]:
        refs = [ref for span in spans if span is not None for ref in _refs(span).values()]
        if not refs:
            return {}
        return await self._source.load(refs, allowed=self.allowed, seen_ns=tree.summary.ended_ns)

    def _parts(
        self, row: Row, left: Mapping[Ref, Resolved], right: Mapping[Ref, Resolved]
    ) -> list[PartDifference]:
        if row.left is None or row.right is None:
            return []
        refs = _refs(row.left), _refs(row.right)
        trivial = Trivial(
            self._own[0] | _ids(refs[0]),
            self._own[1] | _ids(refs[1]),
        )
        parts: list[PartDifference] = []
        for part in _FIELDS:
            one, other = refs[0].get(part), refs[1].get(part)
            if one is not None or other is not None:
                parts.append(
                    self._compared(
                        part,
                        None if one is None else left[one],
                        None if other is None else right[other],
                        trivial,
                    )
                )
        return parts

    def _compared(
        self, part: Part, left: Resolved | None, right: Resolved | None, trivial: Trivial
    ) -> PartDifference:
        why_not = _why_not(part, left, right)
        if why_not or left is None or right is None:
            return PartDifference(part, left, right, why_not=why_not)
        found = diff(left.value[_FIELDS[part]], right.value[_FIELDS[part]])
        changes: list[Difference] = []
        ignored: list[tuple[str, Reason]] = []
        for change in found.changes:
            reason = None if self._everything else trivial.reason(change)
            if reason is None:
                changes.append(change)
            else:
                ignored.append((change.path, reason))
        return PartDifference(part, left, right, changes, ignored, found.more)


def _refs(span: Span) -> dict[Part, Ref]:
    """Return what a span refers to of its own: its message, and its actor's states."""
    found: dict[Part, Ref] = {}
    for event in span.events:
        for ref in event.refs:
            if ref.kind is RefKind.MESSAGE:
                # A turn's events also name the messages it sent; its own is named first.
                found.setdefault("payload", ref)
            elif ref.kind is RefKind.ACTOR_STATE:
                found.setdefault("before", ref)
                found["after"] = ref
    return found


def _any_loaded(refs: Iterable[Ref], loaded: Mapping[Ref, Resolved]) -> bool:
    return any(loaded[ref].outcome is Outcome.LOADED for ref in refs)


def _why_not(part: Part, left: Resolved | None, right: Resolved | None) -> str:
    what = "payload" if part == "payload" else "state"
    for letter, found in (("A", left), ("B", right)):
        if found is None:
            return f"trace {letter} refers to no {what}"
        if found.outcome is not Outcome.LOADED:
            because = f": {found.detail}" if found.detail else ""
            return f"the {what} in trace {letter} is {found.outcome.value}{because}"
        if not isinstance(found.value, Mapping) or _FIELDS[part] not in found.value:
            return f"the {what} in trace {letter} is not what this version can read"
    return ""


def _own_names(tree: TraceTree) -> set[str]:
    """Return what names a run wherever it stands in its data."""
    summary = tree.summary
    first_key = (summary.root_actor or "").partition("/")[2]
    return {summary.trace_id, summary.correlation or "", first_key}


def _ids(refs: Mapping[Part, Ref]) -> set[str]:
    message = refs.get("payload")
    return {message.id, message.partition} if message else set()
