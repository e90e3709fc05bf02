"""Which differences between the data of two runs say nothing: their ids and their times."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Literal

from tracing.diff import Difference

Reason = Literal["id", "time"]

_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?")
# Digits and letters together: words and amounts are no ids.
_ID = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"|(?<![0-9a-z])(?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{8,128}(?![0-9a-z])"
    r"|(?<![0-9a-z])[0-7][0-9a-hjkmnp-tv-z]{25}(?![0-9a-z])",
    re.IGNORECASE,
)
_ID_NAME = re.compile(r"(?:id|ids|key|uuid|guid|nonce|etag)\Z", re.IGNORECASE)
_ID_ENDING = re.compile(r".(?:_ids?|_key|_uuid|Ids?|ID|Key|Uuid)\Z")
_TIME_NAME = re.compile(r"(?:at|time|timestamp|ts)\Z", re.IGNORECASE)
_TIME_ENDING = re.compile(r".(?:_at|_time|_timestamp|_ts|_ms|_ns|At|Time|Timestamp)\Z")
_FIRST_EPOCH = 1_000_000_000
"""Seconds since the epoch in 2001; smaller numbers are no times."""
MAX_TEXT = 2_000
"""Longer strings hold more than an id."""


class Trivial:
    """Tells trivial differences of two runs.

    Args:
        left, right: what names each run wherever it stands: its actors' keys, its own ids.
    """

    def __init__(self, left: Iterable[str] = (), right: Iterable[str] = ()) -> None:
        self._own = _any_of(left), _any_of(right)

    def reason(self, difference: Difference) -> Reason | None:
        """Return which sort of value this is when that explains the difference, else None."""
        before, after = difference.before, difference.after
        if difference.change != "changed" or not _scalars(before, after):
            return None
        name = last_name(difference.path)
        if isinstance(before, str):
            if max(len(before), len(after)) > MAX_TEXT:
                return None
            if _TIME.sub("\n", before) == _TIME.sub("\n", after):
                return "time"
            if self._plain(before, 0) == self._plain(after, 1):
                return "id"
        elif _TIME_NAME.match(name) or _TIME_ENDING.search(name):
            return "time" if min(before, after) >= _FIRST_EPOCH else None
        if _ID_NAME.match(name) or _ID_ENDING.search(name):
            return "id"
        return None

    def _plain(self, text: str, side: int) -> str:
        own = self._own[side]
        text = _TIME.sub("\n", text)
        return _ID.sub("\n", own.sub("\n", text) if own else text)


def last_name(path: str) -> str:
    """Return the last name in a path such as "$.orders[3].id", indexes left out."""
    end = len(path)
    while path[:end].endswith("]") and not path[:end].endswith('"]'):
        start = path.rfind("[", 0, end)
        if start < 0:
            break
        end = start
    path = path[:end]
    if path.endswith('"]'):
        return path[path.rfind('["') + 2 : -2]
    return path.rpartition(".")[2]


def _scalars(before: Any, after: Any) -> bool:
    if isinstance(before, bool) or isinstance(after, bool):
        return False
    if isinstance(before, str):
        return isinstance(after, str)
    return isinstance(before, int | float) and isinstance(after, int | float)


def _any_of(names: Iterable[str]) -> re.Pattern[str] | None:
    """Return what matches any of these names as whole words, the longest first."""
    known = sorted({name for name in names if name}, key=lambda name: (-len(name), name))
    if not known:
        return None
    words = "|".join(re.escape(name) for name in known)
    return re.compile(rf"(?<![0-9A-Za-z])(?:{words})(?![0-9A-Za-z])")
