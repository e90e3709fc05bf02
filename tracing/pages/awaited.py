"""Runs that somebody has just started, and who looks at the list to see them come."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import HttpRequest

from tracing.pages.listing import PAGE
from tracing.summary import Summary

PATIENCE_NS = 60_000_000_000
"""How long after the start the list looks again by itself."""


@dataclass(frozen=True, slots=True)
class Awaited:
    """Runs that were started together, as far as the list has them.

    Attributes:
        started: how many there are, of which a page can hold `wanted`.
        running: how many of those found have not ended.
        expected: whether the list should be asked again.
    """

    started: int
    wanted: int
    found: int
    running: int
    expected: bool


def query_of(count: int, since_ns: int) -> str:
    """Return what the address of the list needs to wait for `count` runs."""
    return urlencode({"runs": count, "begun": since_ns // 1_000_000})


def awaited(request: HttpRequest, traces: Sequence[Summary]) -> Awaited | None:
    """Return the runs that the address asks to wait for; None when it asks for none."""
    count, since = (_number(request.GET.get(name, "")) for name in ("runs", "begun"))
    if not count or since is None:
        return None
    since_ns = since * 1_000_000
    found = [trace for trace in traces if trace.started_ns >= since_ns]
    running = sum(trace.live for trace in found)
    wanted = min(count, PAGE)
    young = 0 <= time.time_ns() - since_ns < PATIENCE_NS
    expected = young and (len(found) < wanted or running > 0)
    return Awaited(count, wanted, len(found), running, expected)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 14 else None
