"""Two traces side by side: which spans correspond, and where the traces first went apart.

Among siblings, the n-th span of a kind, actor type and name corresponds to the n-th of the other
trace. Spans of the same actor go before that, where an actor's key that continues the key of the
trace's first actor ("a1-3" in a trace of "a1") is the same as one that continues the other's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Literal, cast

from tracing.align import Aligner, Pair, work_of
from tracing.critical import ends
from tracing.registry import SpanKind
from tracing.tree import Span, TraceTree
from tracing.waterfall import bounds

Presence = Literal["both", "left", "right"]
State = Literal["done", "failed", "open"]

SLOWER = 10
"""A span took another time when the traces differ in it by at least a tenth of the longer one."""
_FAILURES = frozenset(
    {
        "message:failed",
        "activity:failed",
        "activity:retried",
        "workflow:failed",
        "foreign:failed",
        "saga:failed",
    }
)


@dataclass(frozen=True, slots=True)
class Row:
    """One span of either trace, or two that correspond.

    Attributes:
        depth: how deep it is shown; what one trace has around its beginning counts for both.
        parent: the row above it in the tree, by its place in the list; -1 for none.
        entry: only one trace has it, and it tells how that trace was started.
        left_ns, right_ns: how long it took; open spans until the trace's end. 0 where it is not.
    """

    left: Span | None
    right: Span | None
    depth: int
    parent: int
    entry: bool = False
    left_ns: int = 0
    right_ns: int = 0

    @property
    def span(self) -> Span:
        """The left span, or the only one."""
        return cast(Span, self.left or self.right)

    @property
    def presence(self) -> Presence:
        if self.left is None:
            return "right"
        return "left" if self.right is None else "both"

    @property
    def outcome_differs(self) -> bool:
        """Whether both have it and it ended otherwise: failed, with another error, or not yet."""
        left, right = self.left, self.right
        return left is not None and right is not None and _outcome(left) != _outcome(right)

    @property
    def tries_differ(self) -> bool:
        """Whether both have it and it took other attempts, or other errors on the way."""
        left, right = self.left, self.right
        if left is None or right is None:
            return False
        return (left.tries, left.errors, left.error_type) != (
            right.tries,
            right.errors,
            right.error_type,
        )

    @property
    def differs(self) -> bool:
        return self.presence != "both" or self.outcome_differs or self.tries_differ

    @property
    def ratio(self) -> float | None:
        """Left duration to right duration; None unless both have ended and took any time."""
        left, right = self.left, self.right
        if left is None or right is None or left.end_ns is None or right.end_ns is None:
            return None
        return self.left_ns / self.right_ns if self.left_ns and self.right_ns else None


@dataclass(frozen=True, slots=True)
class Divergence:
    """A place where the traces went apart.

    Attributes:
        left_ns, right_ns: when, from the begin of each.
        like: how many more under the same parent went apart in the same way, later.
    """

    row: int
    left_ns: int
    right_ns: int
    like: int = 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """The rows depth first, and the divergences of outcome or presence in order of time."""

    left: TraceTree
    right: TraceTree
    rows: list[Row]
    divergences: list[Divergence]

    @property
    def first(self) -> Divergence | None:
        """The first divergence; None when both went the same way."""
        return self.divergences[0] if self.divergences else None

    def counts(self) -> Counter[str]:
        """Return how many rows are "both", "left" and "right", and how many of both "differ"."""
        found: Counter[str] = Counter(row.presence for row in self.rows)
        found["differ"] = sum(row.presence == "both" and row.differs for row in self.rows)
        return found

    def slower(self, row: Row) -> bool:
        """Return whether the row says much about why one trace took longer than the other."""
        longest = max(self.left.summary.duration_ns, self.right.summary.duration_ns)
        return row.ratio is not None and abs(row.left_ns - row.right_ns) * SLOWER >= longest > 0

    def messages(self) -> list[int]:
        """Return the rows of messages that both traces have, in order of time, up to the first
        divergence."""
        zero = _begins(self.left), _begins(self.right)
        until = None if self.first is None else self.first.left_ns + self.first.right_ns
        found: list[tuple[int, int]] = []
        for place, row in enumerate(self.rows):
            if row.left is None or row.right is None or row.left.kind is not SpanKind.MESSAGE:
                continue
            begun = row.left.start_ns - zero[0] + row.right.start_ns - zero[1]
            if until is None or begun <= until:
                found.append((begun, place))
        return [place for _, place in sorted(found)]


def state_of(span: Span) -> State:
    """Return how a span stands."""
    if span.failed:
        return "failed"
    return "open" if span.end_ns is None else "done"


def compare(left: TraceTree, right: TraceTree) -> Comparison:
    """Compare two traces: linear in their spans, and iterative."""
    rows = _rows(left, right)
    return Comparison(left, right, rows, _divergences(rows, _begins(left), _begins(right)))


def _rows(left: TraceTree, right: TraceTree) -> list[Row]:
    aligner = Aligner(left, right)
    ended = ends(left), ends(right)
    rows: list[Row] = []
    entries, begin = aligner.begin()
    for pair, depth in entries:
        rows.append(_row(pair, depth, -1, ended, entry=True))
    depth = max((depth + 1 for _, depth in entries), default=0)
    stack: list[tuple[Pair, int, int]] = [(pair, depth, -1) for pair in reversed(begin)]
    while stack:
        pair, depth, parent = stack.pop()
        place = len(rows)
        rows.append(_row(pair, depth, parent, ended))
        below = aligner.children(pair)
        stack += [(child, depth + 1, place) for child in reversed(below)]
    return rows


def _row(
    pair: Pair,
    depth: int,
    parent: int,
    ended: tuple[dict[str, int], dict[str, int]],
    *,
    entry: bool = False,
) -> Row:
    left, right = pair
    took = [
        0 if span is None else max(0, until[span.span_id] - span.start_ns)
        for span, until in zip(pair, ended, strict=True)
    ]
    return Row(left, right, depth, parent, entry, *took)


def _begins(tree: TraceTree) -> int:
    return bounds(tree)[0] if tree.spans else 0


def _outcome(span: Span) -> tuple[State, str | None]:
    return state_of(span), span.error_type if span.failed else None


def _divergences(rows: list[Row], left_zero: int, right_zero: int) -> list[Divergence]:
    found: list[tuple[tuple[object, ...], Divergence]] = []
    for place, row in enumerate(rows):
        if row.entry:
            continue
        explained = False
        if row.left is not None and row.right is not None:
            if not row.outcome_differs:
                continue
            left, right = _parted(row.left, row.right)
            left, right = left - left_zero, right - right_zero
        else:
            above = rows[row.parent] if row.parent >= 0 else None
            if above is not None and above.presence != "both":
                continue
            left, right, explained = _missed(row, above, left_zero, right_zero)
        # What follows from a failure comes after it; of failures at once, the innermost is first.
        order = (left + right, explained, row.presence != "both", -row.depth, _names(row), place)
        found.append((order, Divergence(place, left, right)))
    found.sort(key=lambda each: each[0])
    return _grouped(rows, [divergence for _, divergence in found])


def _grouped(rows: list[Row], divergences: list[Divergence]) -> list[Divergence]:
    groups: dict[Hashable, Divergence] = {}
    for divergence in divergences:
        row = rows[divergence.row]
        outcomes = [span and _outcome(span) for span in (row.left, row.right)]
        key = row.parent, work_of(row.span), *outcomes
        known = groups.get(key)
        groups[key] = divergence if known is None else replace(known, like=known.like + 1)
    return list(groups.values())


def _names(row: Row) -> list[tuple[str, ...]]:
    """Return what orders rows the same whichever trace is the left one."""
    spans = (span for span in (row.left, row.right) if span is not None)
    return sorted((s.span_id, s.kind.value, s.actor or "", s.name) for s in spans)


def _parted(left: Span, right: Span) -> tuple[int, int]:
    """Return when two spans whose outcome differs went apart: at the first failed attempt that
    the other does not have, or else at their ends."""
    one, other = _attempts(left), _attempts(right)
    at = 0
    while at < min(len(one), len(other)) - 1 and one[at][0] == other[at][0]:
        at += 1
    return one[at][1], other[at][1]


def _attempts(span: Span) -> list[tuple[str | None, int]]:
    """Return the error and time of each failure, and last of all how it stands."""
    failures = [(e.error_type, e.time_ns) for e in span.events if e.type in _FAILURES]
    return [*failures, (None, span.last_ns if span.end_ns is None else span.end_ns)]


def _missed(row: Row, above: Row | None, left_zero: int, right_zero: int) -> tuple[int, int, bool]:
    """Return when one trace began what the other lacks, when the other could still have begun it,
    and whether that it failed (or has not ended) above explains that it did not."""
    begun = row.span.start_ns
    if above is None or above.left is None or above.right is None:
        own = begun - (left_zero if row.right is None else right_zero)
        return own, own, False
    lacking = above.right if row.right is None else above.left
    explained = above.outcome_differs and state_of(lacking) != "done"
    until = lacking.last_ns if lacking.end_ns is None else lacking.end_ns
    left, right = (begun, until) if row.right is None else (until, begun)
    if explained:
        parted = _parted(above.left, above.right)
        left, right = max(left, parted[0]), max(right, parted[1])
    return left - left_zero, right - right_zero, explained
