"""Time ranges that lists and statistics can be narrowed to."""

from __future__ import annotations

import time
from dataclasses import dataclass

RANGES = (
    ("15m", "Last 15 minutes", 900),
    ("1h", "Last hour", 3_600),
    ("24h", "Last 24 hours", 86_400),
    ("7d", "Last 7 days", 604_800),
)
CHOICES = [("", "Any time"), *((slug, label) for slug, label, _ in RANGES)]
LONGEST = "7d"
DEFAULT = "1h"
_SECONDS = {slug: length for slug, _, length in RANGES}
_LABELS = {slug: label for slug, label, _ in RANGES}


@dataclass(frozen=True, slots=True)
class Range:
    """A time range that can be chosen."""

    slug: str
    label: str
    current: bool


def ranges(since: str) -> list[Range]:
    """Return the ranges that can be chosen, `since` being the one that is."""
    return [Range(slug, label, slug == since) for slug, label, _ in RANGES]


def since_ns(slug: str) -> int | None:
    """Return when the range begins, nanoseconds since the epoch; None for any time."""
    seconds = _SECONDS.get(slug)
    return None if seconds is None else time.time_ns() - seconds * 1_000_000_000


def chosen(slug: str, default: str) -> str:
    """Return the slug if it is a range's, else the default."""
    return slug if slug in _SECONDS else default


def until(slug: str, now_ns: int) -> tuple[int, int]:
    """Return the range that ends now, in nanoseconds: from and to."""
    return now_ns - _SECONDS[slug] * 1_000_000_000, now_ns


def in_words(slug: str) -> str:
    """Return the range within a sentence: "last hour"."""
    return _LABELS[slug].lower()
