"""What Home shows, prepared from statistics: tiles against the period before, and chart data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlencode

from actors.queues import Depth
from loomweb.heatmap import Heatmap
from tracing.analytics import Edge, Slot, Statistics
from tracing.rollup import OTHERS
from tracing.templatetags.loom import count, duration, percent, rate
from tracing.timeaxis import Mark
from tracing.waterfall import COLOURS

_NS = 1_000_000_000
_HOUR = 3_600


@dataclass(frozen=True, slots=True)
class Change:
    """How a number differs from that of the period before. `worse` is about failures alone."""

    direction: Literal["up", "down", "same"]
    amount: str
    before: str
    worse: bool = False


@dataclass(frozen=True, slots=True)
class Tile:
    """A number of the health strip.

    Attributes:
        beside: another number that explains it.
        note: what stands below where there is nothing to compare with.
    """

    label: str
    value: str
    beside: str = ""
    change: Change | None = None
    note: str = ""
    failures: bool = False


@dataclass(frozen=True, slots=True)
class SlotRow:
    """A slot as a row of the table that says what the charts show."""

    label: str
    query: str
    slot: Slot
    begins: datetime
    style: Literal["minute", "hour"]


@dataclass(frozen=True, slots=True)
class EdgeRow:
    """Messages from one actor type to another, with its share of the busiest such pair."""

    edge: Edge
    width: str


def tiles(now: Statistics, before: Statistics, now_ns: int) -> list[Tile]:
    """Return the tiles of a range, each compared with the range of equal length before it."""
    total, earlier = now.total, before.total
    per_second = total.handled / now.elapsed_seconds(now_ns)
    per_second_before = earlier.handled / ((before.to_ns - before.from_ns) / _NS)
    none = "" if earlier.handled else "nothing before"
    failing = None
    if earlier.handled:
        points = 100 * (total.failure_rate - earlier.failure_rate)
        failing = _change(points, f"{abs(points):.1f} pts", percent(earlier.failure_rate), True)
    dead = total.dead_letters - earlier.dead_letters
    return [
        Tile(
            "Messages",
            rate(per_second),
            f"{count(total.handled)} handled",
            _relative(per_second, per_second_before, rate(per_second_before)),
            none,
        ),
        Tile(
            "Failed attempts",
            percent(total.failure_rate),
            f"{count(total.failed)} of {count(total.handled)}",
            failing,
            none,
            failures=True,
        ),
        Tile(
            "Handling time, p95",
            duration(total.p95),
            "" if total.p50 is None else f"p50 {duration(total.p50)}",
            _relative(total.p95, earlier.p95, duration(earlier.p95)),
            none,
        ),
        Tile(
            "Dead-lettered",
            count(total.dead_letters),
            "resolved or not",
            change=_change(dead, count(abs(dead)), count(earlier.dead_letters), True),
            failures=True,
        ),
    ]


def queue_tiles(depth: Depth, now_ns: int) -> list[Tile]:
    """Return the tiles of the queue as it is now."""
    oldest = depth.oldest_ready_ns
    return [
        Tile(
            "Oldest waiting",
            "–" if oldest is None else duration(max(0, now_ns - oldest)),
            note=f"{count(depth.ready)} waiting, {count(depth.leased)} being handled",
        ),
        Tile("Retrying or delayed", count(depth.delayed), note="now, in the queue"),
    ]


def _relative(now: float | None, before: float | None, written: str) -> Change | None:
    if now is None or not before:
        return None
    ratio = now / before
    amount = f"{ratio:.0f}×" if ratio >= 10 else f"{abs(ratio - 1):.0%}"
    return _change(0 if amount == "0%" else ratio - 1, amount, written, False)


def _change(difference: float, amount: str, before: str, about_failures: bool) -> Change:
    if not difference or amount == "0.0 pts":
        return Change("same", "", before)
    up = difference > 0
    return Change("up" if up else "down", amount, before, worse=up and about_failures)


def slot_rows(now: Statistics) -> list[SlotRow]:
    """Return every slot with its label and the query that lists its traces."""
    return [
        SlotRow(
            _label(slot.start_ns, now.slot_seconds),
            urlencode(
                {
                    "from": slot.start_ns // 1_000_000,
                    "to": slot.start_ns // 1_000_000 + now.slot_seconds * 1_000,
                }
            ),
            slot,
            datetime.fromtimestamp(slot.start_ns // _NS, UTC),
            "minute" if now.slot_seconds < _HOUR else "hour",
        )
        for slot in now.slots
    ]


def chart_data(
    now: Statistics, rows: Sequence[SlotRow], heat: Heatmap | None, ticks: Sequence[Mark]
) -> dict[str, Any]:
    """Return what the charts draw, for a script. Latencies are milliseconds."""
    return {
        "from": now.from_ns // 1_000_000,
        "to": now.to_ns // 1_000_000,
        "slot": now.slot_seconds * 1_000,
        "queries": [row.query for row in rows],
        "handled": [slot.handled for slot in now.slots],
        "failed": [slot.failed for slot in now.slots],
        **{
            name: [None if value is None else value / 1e6 for value in values]
            for name, values in (
                ("p50", [slot.p50 for slot in now.slots]),
                ("p95", [slot.p95 for slot in now.slots]),
                ("p99", [slot.p99 for slot in now.slots]),
            )
        },
        "ticks": [[mark.at_ms, mark.style] for mark in ticks],
        "heat": heat
        and {
            "bounds": [bound / 1e6 for bound in heat.bounds],
            "cells": heat.cells,
        },
    }


def busiest(rows: Sequence[SlotRow]) -> SlotRow | None:
    """Return the slot with the most messages, for the charts' descriptions."""
    return max(rows, key=lambda row: row.slot.handled, default=None)


def edge_rows(edges: Sequence[Edge]) -> list[EdgeRow]:
    """Return the pairs of sender and receiver, each with its bar."""
    most = max((edge.messages for edge in edges), default=1)
    return [EdgeRow(edge, f"{100 * edge.messages / most:.1f}%") for edge in edges]


def colours(now: Statistics) -> dict[str, int]:
    """Return a colour per actor type, by sorted type."""
    names = {row.actor_type for row in now.actor_types}
    names |= {name for edge in now.edges for name in (edge.source, edge.target)}
    return {name: at % COLOURS for at, name in enumerate(sorted(names - {OTHERS}))}


def _label(start_ns: int, slot_seconds: int) -> str:
    moment = datetime.fromtimestamp(start_ns // _NS, UTC)
    return moment.strftime("%H:%M" if slot_seconds < _HOUR else "%-d %b %H:%M")
