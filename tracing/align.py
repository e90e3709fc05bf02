"""Which spans of two traces correspond to each other, among siblings."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Sequence

from tracing.registry import SpanKind
from tracing.tree import Span, TraceTree

Pair = tuple[Span | None, Span | None]
"""A left span and the right one that corresponds to it; None where there is none."""

MAX_ENTRIES = 8
_ENTRIES = (SpanKind.FOREIGN, SpanKind.HTTP, SpanKind.WORKFLOW)


class Aligner:
    """Aligns two traces, a list of siblings at a time, in time linear in their number."""

    def __init__(self, left: TraceTree, right: TraceTree) -> None:
        self._roots = left.roots, right.roots
        self._keys = _first_key(left), _first_key(right)

    def begin(self) -> tuple[list[tuple[Pair, int]], list[Pair]]:
        """Return what only one trace has around its beginning, with its depth; and the roots.

        A trace that a web request started has the request above the run; one that a command
        started has not. The run is what corresponds.
        """
        left, right = (_entry_chain(roots) for roots in self._roots)
        places = [
            (i + j, work_of(one), i, j)
            for i, one in enumerate(left)
            for j, other in enumerate(right)
            if work_of(one) == work_of(other)
        ]
        if not places:
            return [], self._align(*self._roots)
        *_, i, j = min(places)
        above: list[tuple[Pair, int]] = [
            ((span, None), depth) for depth, span in enumerate(left[:i])
        ]
        above += [((None, span), depth) for depth, span in enumerate(right[:j])]
        return above, self._align([left[i]], [right[j]])

    def children(self, pair: Pair) -> list[Pair]:
        """Return the children of a pair, aligned."""
        left, right = pair
        return self._align(left.children if left else [], right.children if right else [])

    def _align(self, left: Sequence[Span], right: Sequence[Span]) -> list[Pair]:
        if not left or not right:
            return [*((span, None) for span in left), *((None, span) for span in right)]
        partner: dict[int, int] = {}
        free = set(range(len(right)))
        for same in (self._same_actor, self._same_work):
            waiting: dict[Hashable, deque[int]] = defaultdict(deque)
            for j in sorted(free):
                waiting[same(right[j], 1)].append(j)
            for i, span in enumerate(left):
                if i not in partner and (found := waiting.get(same(span, 0))):
                    partner[i] = found.popleft()
                    free.discard(partner[i])
        return _merged(left, right, partner)

    def _same_actor(self, span: Span, side: int) -> Hashable:
        kind, key = (span.actor or "").partition("/")[::2]
        first = self._keys[side]
        if first and key.startswith(first):
            rest = key[len(first) :]
            if not rest[:1].isalnum():
                # No key holds a line break.
                key = "\n" + rest
        return span.kind, kind, span.name, key

    @staticmethod
    def _same_work(span: Span, side: int) -> Hashable:
        return work_of(span)


def work_of(span: Span) -> tuple[str, str, str]:
    """Return what a span has in common with those of its kind: kind, actor type and name."""
    return span.kind.value, (span.actor or "").partition("/")[0], span.name


def _first_key(tree: TraceTree) -> str:
    first = tree.summary.root_actor or next((s.actor for s in tree.spans if s.actor), None) or ""
    return first.partition("/")[2]


def _entry_chain(roots: Sequence[Span]) -> list[Span]:
    """Return the only root, and what is below it, up to the first message."""
    chain: list[Span] = []
    spans = roots
    while len(spans) == 1 and len(chain) < MAX_ENTRIES:
        chain.append(spans[0])
        if spans[0].kind not in _ENTRIES:
            break
        spans = spans[0].children
    return chain


def _merged(left: Sequence[Span], right: Sequence[Span], partner: dict[int, int]) -> list[Pair]:
    """Return pairs in the order of both sides; what only one has follows what it followed there."""
    pairs = sorted(partner.items(), key=lambda pair: (sum(pair), pair))
    order = {pair: place for place, pair in enumerate(pairs)}
    by_left = {i: order[i, j] for i, j in pairs}
    by_right = {j: order[i, j] for i, j in pairs}
    after: dict[int, list[Pair]] = defaultdict(list)
    _hang(left, by_left, after, lambda span: (span, None))
    _hang(right, by_right, after, lambda span: (None, span))
    merged = after[-1]
    for place, (i, j) in enumerate(pairs):
        merged.append((left[i], right[j]))
        merged += after[place]
    return merged


def _hang(
    spans: Sequence[Span],
    places: dict[int, int],
    after: dict[int, list[Pair]],
    pair: Callable[[Span], Pair],
) -> None:
    last = -1
    for number, span in enumerate(spans):
        if number in places:
            last = places[number]
        else:
            after[last].append(pair(span))
