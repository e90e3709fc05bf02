"""Latency histograms that add up: percentiles over any range, from counts alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

SUB = 3
"""Each power of two is cut into 2**SUB buckets, so a bucket is at most 12.5 % wide and its middle
at most 6.25 % off. The layout is that of HdrHistogram."""


def bucket_of(microseconds: int) -> int:
    """Return the bucket of a duration; negative ones, from clocks that disagree, count as 0."""
    if microseconds < 1 << SUB:
        return max(0, microseconds)
    shift = microseconds.bit_length() - 1 - SUB
    return ((shift + 1) << SUB) + (microseconds >> shift) - (1 << SUB)


def bounds_of(bucket: int) -> tuple[int, int]:
    """Return the durations that a bucket holds, from (inclusive) and to (exclusive), in µs."""
    if bucket < 1 << SUB:
        return bucket, bucket + 1
    shift = (bucket >> SUB) - 1
    start = ((1 << SUB) + (bucket & ((1 << SUB) - 1))) << shift
    return start, start + (1 << shift)


def merge(into: dict[int, int], other: Mapping[int, int]) -> None:
    """Add the counts of `other`."""
    for bucket, count in other.items():
        into[bucket] = into.get(bucket, 0) + count


def percentiles(counts: Mapping[int, int], shares: Iterable[float]) -> list[int | None]:
    """Return durations in microseconds below which the given shares (0 to 1) lie.

    Each is the middle of its bucket; all are None when nothing was counted.
    """
    total = sum(counts.values())
    wanted = list(shares)
    if not total:
        return [None for _ in wanted]
    found: list[int | None] = []
    for share in wanted:
        left = share * total
        middle = 0
        for bucket in sorted(counts):
            start, end = bounds_of(bucket)
            middle = (start + end) // 2
            left -= counts[bucket]
            if left <= 0:
                break
        found.append(middle)
    return found


def flat(counts: Mapping[int, int]) -> list[int]:
    """Return [bucket, count, bucket, count, …] in order of bucket, as it is stored."""
    return [number for bucket in sorted(counts) for number in (bucket, counts[bucket])]


def from_flat(numbers: Iterable[int]) -> dict[int, int]:
    """Read what `flat` made.

    Raises:
        ValueError: a bucket lacks its count.
    """
    pairs = iter(numbers)
    return dict(zip(pairs, pairs, strict=True))
