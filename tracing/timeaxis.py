"""Marks of a time axis: round moments between two times, and how closely they are written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

Style = Literal["moment", "minute", "day"]
"""As the time of day to the second or the minute, or as the day; a script may write them anew."""

_NS = 1_000_000_000
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_STEPS = (
    *(1, 2, 5, 10, 15, 30),
    *(_MINUTE * n for n in (1, 2, 5, 15, 30)),
    *(_HOUR * n for n in (1, 2, 4, 12)),
    *(_DAY * n for n in (1, 2, 7, 14, 30)),
)
_FORMATS: dict[Style, str] = {"moment": "%H:%M:%S", "minute": "%H:%M", "day": "%-d %b"}


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment on the axis: where in per cent, when in milliseconds, and in words (UTC)."""

    x: str
    at_ms: int
    label: str
    style: Style


def marks(from_ns: int, to_ns: int, most: int = 7) -> list[Mark]:
    """Return round moments from the first time to before the second, at most `most`.

    Where there is none, the beginning is marked.
    """
    seconds = max(1, (to_ns - from_ns) / _NS)
    step = next((step for step in _STEPS if seconds / step <= most), _STEPS[-1])
    style: Style = "day" if step >= _DAY else "minute" if step >= _MINUTE else "moment"
    first = -(-from_ns // (step * _NS)) * step
    if first * _NS >= to_ns:
        moment = datetime.fromtimestamp(from_ns // _NS, UTC).strftime(_FORMATS["moment"])
        return [Mark("0%", from_ns // 1_000_000, moment, "moment")]
    return [
        Mark(
            f"{100 * (at * _NS - from_ns) / (to_ns - from_ns):.2f}%",
            at * 1_000,
            datetime.fromtimestamp(at, UTC).strftime(_FORMATS[style]),
            style,
        )
        for at in range(first, -(-to_ns // _NS), step)
    ]
