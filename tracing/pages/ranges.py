"""Time ranges that lists can be narrowed to."""

from __future__ import annotations

import time

RANGES = (
    ("15m", "Last 15 minutes", 900),
    ("1h", "Last hour", 3_600),
    ("24h", "Last 24 hours", 86_400),
    ("7d", "Last 7 days", 604_800),
)
CHOICES = [("", "Any time"), *((slug, label) for slug, label, _ in RANGES)]


def since_ns(slug: str) -> int | None:
    """Return when the range begins, nanoseconds since the epoch; None for any time."""
    seconds = {name: length for name, _, length in RANGES}.get(slug)
    return None if seconds is None else time.time_ns() - seconds * 1_000_000_000
