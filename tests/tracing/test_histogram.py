"""Latency histograms: buckets that tile all durations, and percentiles that are near the truth."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracing import histogram
from tracing.histogram import bounds_of, bucket_of, flat, from_flat, percentiles

DURATIONS = st.one_of(
    st.integers(0, 200),
    st.integers(0, 10**7),
    st.integers(0, 2**60),
    st.integers(0, 60).map(lambda power: 1 << power),
    st.integers(0, 60).map(lambda power: (1 << power) - 1),
)
COUNTS = st.dictionaries(st.integers(0, 500), st.integers(1, 10**6), max_size=20)
SHARES = st.sampled_from([0.0, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0]) | st.floats(0, 1)


def counted(durations: list[int]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for each in durations:
        histogram.merge(counts, {bucket_of(each): 1})
    return counts


def merged(*parts: dict[int, int]) -> dict[int, int]:
    total: dict[int, int] = {}
    for part in parts:
        histogram.merge(total, part)
    return total


# Buckets


@given(DURATIONS, DURATIONS)
def test_a_longer_duration_is_in_no_lower_bucket(one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert bucket_of(low) <= bucket_of(high)


@given(DURATIONS)
def test_a_duration_is_within_the_bounds_of_its_bucket(duration: int) -> None:
    start, end = bounds_of(bucket_of(duration))
    assert start <= duration < end


@given(DURATIONS)
def test_a_bucket_is_at_most_an_eighth_wide(duration: int) -> None:
    start, end = bounds_of(bucket_of(duration))
    assert end - start == 1 or (end - start) * 8 <= start


def test_buckets_follow_each_other_without_a_gap() -> None:
    end = 0
    for bucket in range(500):
        start, next_end = bounds_of(bucket)
        assert (start, bucket_of(start), bucket_of(next_end - 1)) == (end, bucket, bucket)
        end = next_end
    # A week is among them.
    assert end > 7 * 86_400 * 10**6


@pytest.mark.parametrize(
    ("duration", "bounds"),
    [
        (0, (0, 1)),
        (7, (7, 8)),
        (8, (8, 9)),
        (15, (15, 16)),
        (16, (16, 18)),
        (17, (16, 18)),
        (31, (30, 32)),
        (32, (32, 36)),
        (1_000, (960, 1_024)),
        (1_000_000, (983_040, 1_048_576)),
    ],
)
def test_bounds_of_some_buckets(duration: int, bounds: tuple[int, int]) -> None:
    assert bounds_of(bucket_of(duration)) == bounds


@given(st.integers(-(2**60), 0))
def test_a_negative_duration_counts_as_none(duration: int) -> None:
    assert bucket_of(duration) == 0


# Adding up


@given(COUNTS, COUNTS, COUNTS)
def test_counts_add_up_in_any_order(
    one: dict[int, int], two: dict[int, int], three: dict[int, int]
) -> None:
    assert merged(one, two) == merged(two, one)
    assert merged(merged(one, two), three) == merged(one, merged(two, three))
    assert merged(one, {}) == one


@given(COUNTS, COUNTS)
def test_adding_changes_only_what_is_added_to(one: dict[int, int], other: dict[int, int]) -> None:
    before = dict(other)
    total = merged(one, other)
    assert other == before
    assert sum(total.values()) == sum(one.values()) + sum(other.values())


@given(st.lists(DURATIONS), st.lists(DURATIONS))
def test_counts_of_parts_are_those_of_the_whole(one: list[int], other: list[int]) -> None:
    assert merged(counted(one), counted(other)) == counted(one + other)


# Percentiles


def exact(durations: list[int], share: float) -> int:
    """Return the smallest of the durations that at least this share of them does not exceed."""
    return sorted(durations)[max(1, math.ceil(share * len(durations))) - 1]


@given(st.lists(DURATIONS, min_size=1, max_size=200), st.lists(SHARES, max_size=4))
def test_percentiles_are_in_the_bucket_of_the_exact_ones(
    durations: list[int], shares: list[float]
) -> None:
    found = percentiles(counted(durations), shares)
    assert len(found) == len(shares)
    for share, percentile in zip(shares, found, strict=True):
        truth = exact(durations, share)
        start, end = bounds_of(bucket_of(truth))
        assert percentile is not None
        assert start <= percentile < end
        assert abs(percentile - truth) <= truth / 8


@given(COUNTS.filter(bool), st.lists(SHARES, min_size=2))
def test_percentiles_rise_with_their_shares(counts: dict[int, int], shares: list[float]) -> None:
    found = percentiles(counts, sorted(shares))
    assert found == sorted(found, key=lambda each: each or 0)


def test_percentiles_of_nothing_are_unknown() -> None:
    assert percentiles({}, [0.5, 0.99]) == [None, None]
    assert percentiles({}, []) == []
    assert percentiles({5: 1}, []) == []


def test_percentiles_of_a_hundred_durations() -> None:
    counts = counted(list(range(1, 9)) * 12 + [1_000] * 4)
    assert percentiles(counts, (0.0, 0.5, 0.96, 0.961, 1.0)) == [1, 5, 8, 992, 992]


# Storing


@given(COUNTS)
def test_what_is_stored_is_read_back_in_order(counts: dict[int, int]) -> None:
    numbers = flat(counts)
    assert numbers[::2] == sorted(counts)
    assert from_flat(numbers) == counts


@given(COUNTS.map(flat), st.integers(0, 500))
def test_a_bucket_without_its_count_is_refused(numbers: list[int], bucket: int) -> None:
    with pytest.raises(ValueError, match="shorter"):
        from_flat([*numbers, bucket])
