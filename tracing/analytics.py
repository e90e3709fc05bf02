"""`TraceAnalytics`: rates, percentiles, failure groups and who calls whom, from rollups alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from storage import Container, Query, Where
from tracing import histogram
from tracing.event import Clock
from tracing.rollup import OTHERS, SECONDS, TTL, Cell, Group, Resolution, Rollup

_NS = 1_000_000_000
FINE_SECONDS = 3 * 3_600
"""Ranges up to this are read by the minute while minutes are kept, all others by the hour."""
SHARES = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Row:
    """Messages of one actor type, or of one of its message types. Durations are nanoseconds.

    `handled` counts completed turns and failed attempts; `failed` the latter.
    """

    actor_type: str
    message_type: str | None
    handled: int
    failed: int
    dead_letters: int
    retried: int
    p50: int | None
    p95: int | None
    p99: int | None
    waiting_p50: int | None
    waiting_p95: int | None

    @property
    def failure_rate(self) -> float:
        return self.failed / self.handled if self.handled else 0.0


@dataclass(frozen=True, slots=True)
class Slot:
    """One time bucket. `latencies` counts handled messages by `histogram.bucket_of`."""

    start_ns: int
    handled: int
    failed: int
    p50: int | None
    p95: int | None
    p99: int | None
    latencies: dict[int, int]


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Failures that are alike. `sparkline` counts failures per slot of the statistics."""

    fingerprint: str
    error_type: str
    actor_type: str
    message_type: str
    failures: int
    dead_letters: int
    first_ns: int
    last_ns: int
    trace_id: str
    span_id: str
    sparkline: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Edge:
    """How many messages actors of one type sent to actors of another."""

    source: str
    target: str
    messages: int


@dataclass(frozen=True, slots=True)
class Statistics:
    """What happened between two times. All traces count, also those that were not sampled.

    Attributes:
        slot_seconds: length of a slot.
        actor_types, message_types: busiest first.
        groups: latest failure first.
    """

    from_ns: int
    to_ns: int
    slot_seconds: int
    events: int
    total: Row
    actor_types: list[Row]
    message_types: list[Row]
    slots: list[Slot]
    groups: list[FailureGroup]
    edges: list[Edge]

    def elapsed_seconds(self, now_ns: int) -> float:
        """Return how much of the range has passed: its last slot may still be running."""
        return max(1.0, (min(now_ns, self.to_ns) - self.from_ns) / _NS)


class TraceAnalytics:
    """Reads the rollups that trace writers keep; never an event, whatever the range.

    Every method may raise `storage.Unavailable`.
    """

    def __init__(self, container: Container, *, clock: Clock = time.time_ns) -> None:
        self._container = container
        self._clock = clock

    async def statistics(self, from_ns: int, to_ns: int) -> Statistics:
        """Return the statistics of a range, widened to whole minutes or hours."""
        kept = self._clock() - (TTL["minute"] - SECONDS["minute"]) * _NS
        fine = from_ns >= kept and to_ns - from_ns <= FINE_SECONDS * _NS
        resolution: Resolution = "minute" if fine else "hour"
        seconds = SECONDS[resolution]
        start = from_ns // _NS // seconds * seconds
        end = max(start + seconds, -(-to_ns // (_NS * seconds)) * seconds)
        # Nothing older is kept, and a slot takes memory.
        start = max(start, end - TTL[resolution])
        found = await self._rollups(resolution, start, end)
        total = Rollup()
        for rollup in found.values():
            total.merge(rollup)
        return Statistics(
            from_ns=start * _NS,
            to_ns=end * _NS,
            slot_seconds=seconds,
            events=total.events,
            total=_row("", None, list(total.cells.values())),
            actor_types=_by_actor_type(total),
            message_types=sorted(
                (_row(actor, message, [cell]) for (actor, message), cell in total.cells.items()),
                key=lambda row: -row.handled,
            ),
            slots=[_slot(at, found.get(at)) for at in range(start, end, seconds)],
            groups=_groups(total, found, range(start, end, seconds)),
            edges=[
                Edge(source, target, count)
                for (source, target), count in sorted(total.edges.items(), key=lambda e: -e[1])
            ],
        )

    async def with_first_seen(self, groups: Sequence[FailureGroup]) -> list[FailureGroup]:
        """Return the groups with the time of the oldest failure still stored, in any range."""
        return list(await asyncio.gather(*(self._first_seen(group) for group in groups)))

    async def _first_seen(self, group: FailureGroup) -> FailureGroup:
        page = await self._container.query(
            Query((Where("fingerprint", "=", group.fingerprint),), order_by=("failedAt",), limit=1)
        )
        first = min((d.body["failedAt"] * 1_000 for d in page.documents), default=group.first_ns)
        return replace(group, first_ns=min(first, group.first_ns))

    async def _rollups(self, resolution: Resolution, start: int, end: int) -> dict[int, Rollup]:
        found: dict[int, Rollup] = {}
        cursor: str | None = None
        while True:
            page = await self._container.query(
                Query(
                    (
                        Where("resolution", "=", resolution),
                        Where("bucket", ">=", start),
                        Where("bucket", "<", end),
                    ),
                    order_by=("bucket",),
                    limit=1_000,
                    cursor=cursor,
                )
            )
            for document in page.documents:
                rollup = Rollup.from_document(document.body)
                bucket = document.body["bucket"]
                if bucket in found:
                    found[bucket].merge(rollup)
                else:
                    found[bucket] = rollup
            cursor = page.cursor
            if cursor is None:
                return found


def _by_actor_type(total: Rollup) -> list[Row]:
    by_type: dict[str, list[Cell]] = {}
    for (actor_type, _), cell in total.cells.items():
        by_type.setdefault(actor_type, []).append(cell)
    rows = [_row(actor_type, None, cells) for actor_type, cells in by_type.items()]
    return sorted(rows, key=lambda row: -row.handled)


def _row(actor_type: str, message_type: str | None, cells: Sequence[Cell]) -> Row:
    total = Cell()
    for cell in cells:
        total.merge(cell)
    p50, p95, p99 = _nanoseconds(total.handling, SHARES)
    waiting_p50, waiting_p95 = _nanoseconds(total.waiting, SHARES[:2])
    return Row(
        actor_type,
        message_type,
        total.completed + total.failed,
        total.failed,
        total.dead_letters,
        total.retried,
        *(p50, p95, p99, waiting_p50, waiting_p95),
    )


def _slot(at: int, rollup: Rollup | None) -> Slot:
    total = Cell()
    for cell in rollup.cells.values() if rollup is not None else ():
        total.merge(cell)
    p50, p95, p99 = _nanoseconds(total.handling, SHARES)
    return Slot(
        at * _NS, total.completed + total.failed, total.failed, p50, p95, p99, total.handling
    )


def _groups(total: Rollup, found: dict[int, Rollup], slots: range) -> list[FailureGroup]:
    counts = {fingerprint: [0] * len(slots) for fingerprint in total.groups}
    for number, at in enumerate(slots):
        for fingerprint, part in found[at].groups.items() if at in found else ():
            # One that is named in its slot may be among the others of the whole range.
            counts[fingerprint if fingerprint in counts else OTHERS][number] += part.count
    return [
        _group(fingerprint, group, counts[fingerprint])
        for fingerprint, group in sorted(total.groups.items(), key=lambda g: -g[1].last)
    ]


def _group(fingerprint: str, group: Group, sparkline: list[int]) -> FailureGroup:
    return FailureGroup(
        fingerprint=fingerprint,
        error_type=group.error_type,
        actor_type=group.actor_type,
        message_type=group.message_type,
        failures=group.count,
        dead_letters=group.dead_letters,
        first_ns=group.first * 1_000,
        last_ns=group.last * 1_000,
        trace_id=group.trace_id,
        span_id=group.span_id,
        sparkline=tuple(sparkline),
    )


def _nanoseconds(counts: dict[int, int], shares: Sequence[float]) -> list[int | None]:
    return [
        None if found is None else found * 1_000 for found in histogram.percentiles(counts, shares)
    ]
