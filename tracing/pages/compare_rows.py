"""The rows of a comparison as its page shows them: long stretches that say nothing new folded."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from tracing.compare import Comparison, Presence, Row, State, state_of
from tracing.compare_words import LETTERS
from tracing.registry import SpanKind
from tracing.tree import Span
from tracing.waterfall import COLOURS, MAX_INDENT

WINDOW = 300
"""Rows on one page."""
FOLD = 8
"""Rows that are folded at least, besides those at either end of the stretch."""
EDGE = 2
MAX_LINKS = 6
"""Divergences whose rows are linked to."""
_ALIKE = 1.1
_DECADES = 1.5


@dataclass(frozen=True, slots=True)
class Cell:
    """One side of a row; `span` is None where the trace has no such span."""

    letter: str
    trace_id: str
    span: Span | None
    actor_key: str = ""
    state: State = "done"
    duration_ns: int = 0


@dataclass(frozen=True, slots=True)
class Ratio:
    """How the left duration stands to the right one. The bar begins in the middle."""

    text: str
    x: str
    width: str
    slower: bool
    notable: bool


@dataclass(frozen=True, slots=True)
class RowView:
    """A row to show. `marks` say in words how its sides differ."""

    number: int
    span: Span
    colour: int
    actor_type: str
    indent: int
    level: int
    presence: str
    marks: list[str]
    differs: bool
    first: bool
    cells: tuple[Cell, Cell]
    ratio: Ratio | None
    data: bool
    """Whether both sides are messages, whose data can be compared."""
    folded: Literal[0] = 0


@dataclass(frozen=True, slots=True)
class Fold:
    """Rows that are left out: both traces have them alike, or all are of one trace alone."""

    number: int
    folded: int
    text: str
    address: str


@dataclass(frozen=True, slots=True)
class Window:
    """The rows and folds of one page, `first` to `last` of `total`, counted from 0."""

    items: list[RowView | Fold]
    first: int
    total: int
    everything: bool
    places: dict[int, str]
    """The address of each row that is asked for."""

    @property
    def last(self) -> int:
        return self.first + len(self.items)

    @property
    def previous(self) -> str | None:
        return _query(self.everything, max(0, self.first - WINDOW)) if self.first else None

    @property
    def next(self) -> str | None:
        return _query(self.everything, self.last) if self.last < self.total else None


def window(comparison: Comparison, *, everything: bool, start: int) -> Window:
    """Return the page of rows that begins at item `start`."""
    items = list(_items(comparison, everything))
    linked = _linked(comparison)
    start = max(0, min(start, len(items) - 1)) // WINDOW * WINDOW
    places = {
        number: f"{_query(everything, at // WINDOW * WINDOW)}#row-{number}"
        for at, (number, folded) in enumerate(items)
        if not folded and number in linked
    }
    colours = {kind: n % COLOURS for n, kind in enumerate(actor_types(comparison))}
    shown = [
        _fold(comparison.rows[number], number, folded)
        if folded
        else _view(comparison, number, colours)
        for number, folded in items[start : start + WINDOW]
    ]
    return Window(shown, start, len(items), everything, places)


def actor_types(comparison: Comparison) -> list[str]:
    """Return the actor types of both traces, each once."""
    left, right = comparison.left.summary, comparison.right.summary
    return sorted({*left.actor_types, *right.actor_types})


def _items(comparison: Comparison, everything: bool) -> Iterator[tuple[int, int]]:
    """Yield rows, each with 0, and folds: their first row and how many they are."""
    rows = comparison.rows
    if everything:
        yield from ((number, 0) for number in range(len(rows)))
        return
    wanted = _linked(comparison)
    kinds = [_stretch(comparison, row, number in wanted) for number, row in enumerate(rows)]
    start = 0
    for kind, stretch in groupby(kinds):
        end = start + sum(1 for _ in stretch)
        if kind is None or end - start < FOLD + 2 * EDGE:
            yield from ((number, 0) for number in range(start, end))
        else:
            yield from ((number, 0) for number in range(start, start + EDGE))
            yield start + EDGE, end - start - 2 * EDGE
            yield from ((number, 0) for number in range(end - EDGE, end))
        start = end


def _linked(comparison: Comparison) -> frozenset[int]:
    return frozenset(divergence.row for divergence in comparison.divergences[:MAX_LINKS])


def _stretch(comparison: Comparison, row: Row, linked: bool) -> Presence | None:
    """Return with what else a row may be folded; None for one that is always shown."""
    if linked or comparison.slower(row):
        return None
    if row.presence == "both":
        return None if row.differs else "both"
    return None if row.span.errors else row.presence


def _fold(row: Row, number: int, folded: int) -> Fold:
    both = row.presence == "both"
    text = f"{folded:,} " + ("rows alike" if both else f"more rows only in {_only(row)}")
    return Fold(number, folded, text, f"{_query(True, number // WINDOW * WINDOW)}#row-{number}")


def _only(row: Row) -> str:
    return LETTERS[row.left is None]


def _query(everything: bool, start: int) -> str:
    parts = (["rows=all"] if everything else []) + ([f"from={start}"] if start else [])
    return "?" + "&".join(parts)


def _view(comparison: Comparison, number: int, colours: dict[str, int]) -> RowView:
    row = comparison.rows[number]
    span = row.span
    actor_type = (span.actor or "").partition("/")[0]
    first = comparison.first
    trees = comparison.left, comparison.right
    left, right = (
        Cell(letter, tree.summary.trace_id, None)
        if of_side is None
        else Cell(
            letter,
            tree.summary.trace_id,
            of_side,
            (of_side.actor or "").partition("/")[2],
            state_of(of_side),
            took,
        )
        for letter, tree, of_side, took in zip(
            LETTERS, trees, (row.left, row.right), (row.left_ns, row.right_ns), strict=True
        )
    )
    return RowView(
        number=number,
        span=span,
        colour=colours.get(actor_type, 0),
        actor_type=actor_type,
        indent=min(row.depth, MAX_INDENT),
        level=row.depth + 1,
        presence=row.presence,
        marks=_marks(row, first=first is not None and first.row == number),
        differs=row.presence == "both" and row.outcome_differs,
        first=first is not None and first.row == number,
        cells=(left, right),
        ratio=_ratio(comparison, row),
        data=row.presence == "both" and span.kind is SpanKind.MESSAGE,
    )


def _marks(row: Row, *, first: bool) -> list[str]:
    if row.presence != "both":
        only = f"only in {_only(row)}"
        return [only, "how it was started"] if row.entry else [only]
    if row.outcome_differs:
        return [] if first else ["≠ outcome"]
    return ["≠ attempts"] if row.tries_differ else []


def _ratio(comparison: Comparison, row: Row) -> Ratio | None:
    ratio = row.ratio
    if ratio is None:
        return None
    share = min(abs(math.log10(ratio)) / _DECADES, 1) * 50
    slower = ratio >= 1
    factor = max(ratio, 1 / ratio)
    if factor < _ALIKE:
        text = "alike"
    else:
        times = f"{factor:.1f}" if factor < 10 else f"{factor:,.0f}" if factor < 1_000 else ">999"
        text = f"{times}× {'slower' if slower else 'faster'}"
    return Ratio(
        text,
        "50%" if slower else f"{50 - share:.2f}%",
        f"{share:.2f}%",
        slower,
        comparison.slower(row),
    )
