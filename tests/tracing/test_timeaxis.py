"""The marks of a time axis: few, round, and within it."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracing.timeaxis import marks

START = 1_800_000_000_000_000_000 - 137_000_000_000
SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("seconds", "count", "style"),
    [
        (4, 4, "moment"),
        (40, 4, "moment"),
        (15 * 60, 3, "minute"),
        (3_600, 4, "minute"),
        (86_400, 6, "minute"),
        (7 * 86_400, 7, "day"),
    ],
)
def test_a_range_has_a_few_round_marks(seconds: int, count: int, style: str) -> None:
    found = marks(START, START + seconds * SECOND)
    assert abs(len(found) - count) <= 1
    assert {mark.style for mark in found} == {style}
    steps = {b.at_ms - a.at_ms for a, b in itertools.pairwise(found)}
    assert len(steps) == 1
    assert all(mark.at_ms % steps.copy().pop() == 0 for mark in found)


@given(st.integers(0, 2**62), st.integers(1, 400 * 86_400 * SECOND))
def test_every_mark_lies_within_the_range(start: int, length: int) -> None:
    found = marks(start, start + length)
    assert 1 <= len(found) <= 15
    for mark in found:
        assert start // 1_000_000 <= mark.at_ms <= (start + length) // 1_000_000
        assert 0 <= float(mark.x.rstrip("%")) <= 100
