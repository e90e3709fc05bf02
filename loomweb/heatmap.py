"""The latency heatmap: how many messages took how long, slot by slot, as a few SVG paths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tracing import histogram
from tracing.analytics import Slot

MAX_ROWS = 24
MIN_ROWS = 8
LEVELS = 5
"""Shades, the lightest for the fewest messages."""
_LABELS = 5


@dataclass(frozen=True, slots=True)
class Heatmap:
    """Cells of slots (columns) by latencies on a logarithmic scale (rows, the shortest first).

    Attributes:
        bounds: latencies in nanoseconds between the rows, one more than there are rows.
        cells: (column, row, messages) wherever there was a message.
        paths: per level the outline of its cells, in units of columns and rows from the top left.
        labels: (position from the top in per cent, latency in nanoseconds).
    """

    columns: int
    bounds: list[int]
    cells: list[tuple[int, int, int]]
    paths: list[str]
    labels: list[tuple[str, int]]

    @property
    def rows(self) -> int:
        return len(self.bounds) - 1


def heatmap(slots: Sequence[Slot]) -> Heatmap | None:
    """Merge the slots' histograms into at most `MAX_ROWS` rows; None when nothing was handled."""
    buckets = {bucket for slot in slots for bucket in slot.latencies}
    if not buckets:
        return None
    first, last, width = _rows(min(buckets), max(buckets))
    rows = last - first + 1
    cells = []
    for column, slot in enumerate(slots):
        merged: dict[int, int] = {}
        for bucket, messages in slot.latencies.items():
            row = bucket // width - first
            merged[row] = merged.get(row, 0) + messages
        cells += [(column, row, messages) for row, messages in sorted(merged.items())]
    bounds = [histogram.bounds_of(row * width)[0] * 1_000 for row in range(first, last + 2)]
    step = -(-rows // _LABELS)
    return Heatmap(
        columns=len(slots),
        bounds=bounds,
        cells=cells,
        paths=_paths(cells, rows),
        labels=[
            (f"{100 * (rows - row) / rows:.2f}%", bounds[row]) for row in range(0, rows + 1, step)
        ],
    )


def _rows(low: int, high: int) -> tuple[int, int, int]:
    """Return the first row, the last one, and how many buckets each merges."""
    width = 2
    while high // width - low // width >= MAX_ROWS:
        width *= 2
    first, last = low // width, high // width
    # A handful of rows would fill the height and say little: leave room around them.
    while last - first + 1 < MIN_ROWS:
        last += 1
        if first > 0 and last - first + 1 < MIN_ROWS:
            first -= 1
    return first, last, width


def _paths(cells: Sequence[tuple[int, int, int]], rows: int) -> list[str]:
    scale = math.log1p(max(messages for _, _, messages in cells))
    paths = [""] * LEVELS
    for column, row, messages in cells:
        level = min(LEVELS - 1, int(LEVELS * math.log1p(messages) / scale))
        paths[level] += f"M{column} {rows - 1 - row}h1v1h-1z"
    return paths
