"""`Rollup`: the numbers of a minute or an hour over all traces, sampled or not.

Writers count what passes through them and store their own rollups, one document per writer and
bucket that nobody else writes; readers add them up. Statistics therefore never read an event. They
are the one thing here that is best-effort: a killed process takes up to `SAVE_SECONDS` of counts
with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from tracing import histogram
from tracing.containers import ROLLUP
from tracing.event import Event
from tracing.registry import by_code
from tracing.spanlog import Entry, SpanLog
from tracing.turnlog import TurnLog

Resolution = Literal["minute", "hour"]
SECONDS: dict[Resolution, int] = {"minute": 60, "hour": 3_600}
TTL: dict[Resolution, int] = {"minute": 2 * 86_400, "hour": 90 * 86_400}
SAVE_SECONDS = 5.0
MAX_CELLS = 500
MAX_GROUPS = 200
MAX_EDGES = 500
OTHERS = "(others)"
"""Stands for all names and fingerprints beyond the bounds above."""


@dataclass(slots=True)
class Cell:
    """Messages of one type handled by one actor type. Durations are histograms in microseconds.

    Attributes:
        completed, failed: turns that ended well; attempts that failed.
        handling: of completed turns and failed attempts; waiting: from sent to first leased.
    """

    completed: int = 0
    failed: int = 0
    dead_letters: int = 0
    retried: int = 0
    handling: dict[int, int] = field(default_factory=dict)
    waiting: dict[int, int] = field(default_factory=dict)

    def merge(self, other: Cell) -> None:
        self.completed += other.completed
        self.failed += other.failed
        self.dead_letters += other.dead_letters
        self.retried += other.retried
        histogram.merge(self.handling, other.handling)
        histogram.merge(self.waiting, other.waiting)


@dataclass(slots=True)
class Group:
    """Failures that are alike. Times are microseconds since the epoch; the last one is named."""

    count: int
    first: int
    last: int
    error_type: str
    actor_type: str
    message_type: str
    trace_id: str
    span_id: str
    dead_letters: int = 0

    def merge(self, other: Group) -> None:
        self.count += other.count
        self.dead_letters += other.dead_letters
        self.first = min(self.first, other.first)
        if other.last >= self.last:
            self.last, self.trace_id, self.span_id = other.last, other.trace_id, other.span_id


@dataclass(slots=True)
class Rollup:
    """Counts of one bucket, or of several that were added up.

    Attributes:
        cells: by (actor type, message type).
        edges: messages by (sender's actor type, receiver's actor type).
        groups: failures by fingerprint.
    """

    events: int = 0
    cells: dict[tuple[str, str], Cell] = field(default_factory=dict)
    edges: dict[tuple[str, str], int] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)

    def cell(self, actor_type: str, message_type: str) -> Cell:
        key = (actor_type, message_type)
        found = self.cells.get(key)
        if found is None:
            if len(self.cells) >= MAX_CELLS:
                key = (OTHERS, OTHERS)
            found = self.cells.setdefault(key, Cell())
        return found

    def add(self, log: SpanLog) -> None:
        """Count events."""
        self.events += log.size
        if log.actor is None:
            return
        actor_type = log.actor.partition("/")[0]
        if isinstance(log, TurnLog):
            self._add_turn(log, actor_type)
            return
        for entry in log.notable:
            counter = _COUNTERS.get(entry.code)
            if counter is not None:
                counter(self, log, entry, actor_type)

    def _add_turn(self, log: TurnLog, actor_type: str) -> None:
        """Count what a whole turn tells, as its events would be counted."""
        turn, cell = log.turn, self.cell(actor_type, log.name or "")
        cell.completed += 1
        _count(cell.handling, turn.took_ns)
        if log.attempt == 1:
            _count(cell.waiting, max(0, turn.waited_ns))
        if turn.enqueued and turn.sender is not None:
            self.add_edge((turn.sender.partition("/")[0], actor_type), 1)

    def merge(self, other: Rollup) -> None:
        """Add another rollup."""
        self.events += other.events
        for (actor_type, message_type), cell in other.cells.items():
            self.cell(actor_type, message_type).merge(cell)
        for edge, count in other.edges.items():
            self.add_edge(edge, count)
        for fingerprint, group in other.groups.items():
            self.add_group(fingerprint, group)

    def add_edge(self, edge: tuple[str, str], count: int) -> None:
        if edge not in self.edges and len(self.edges) >= MAX_EDGES:
            edge = (OTHERS, OTHERS)
        self.edges[edge] = self.edges.get(edge, 0) + count

    def add_group(self, fingerprint: str, group: Group) -> None:
        if fingerprint not in self.groups and len(self.groups) >= MAX_GROUPS:
            fingerprint = OTHERS
            group = replace(group, error_type=OTHERS, actor_type=OTHERS, message_type=OTHERS)
        found = self.groups.get(fingerprint)
        if found is None:
            self.groups[fingerprint] = replace(group)
        else:
            found.merge(group)

    def to_document(self, id: str, resolution: Resolution, bucket: int) -> dict[str, Any]:
        """Return the rollup of the bucket that begins at `bucket` seconds since the epoch."""
        return {
            "id": id,
            "trace_id": partition_of(resolution, bucket),
            "k": ROLLUP,
            "resolution": resolution,
            "bucket": bucket,
            "ttl": TTL[resolution],
            "events": self.events,
            "cells": [
                [
                    *key,
                    *(cell.completed, cell.failed, cell.dead_letters, cell.retried),
                    *(histogram.flat(cell.handling), histogram.flat(cell.waiting)),
                ]
                for key, cell in self.cells.items()
            ],
            "edges": [[*edge, count] for edge, count in self.edges.items()],
            "groups": [
                [
                    *(fingerprint, group.count, group.first, group.last),
                    *(group.error_type, group.actor_type, group.message_type),
                    *(group.trace_id, group.span_id, group.dead_letters),
                ]
                for fingerprint, group in self.groups.items()
            ],
        }

    @classmethod
    def from_document(cls, body: Mapping[str, Any]) -> Rollup:
        """Read a rollup document."""
        rollup = cls(events=body["events"])
        for actor_type, message_type, done, failed, dead, retried, *flat in body["cells"]:
            handling, waiting = (histogram.from_flat(numbers) for numbers in flat)
            cell = Cell(done, failed, dead, retried, handling, waiting)
            rollup.cells[actor_type, message_type] = cell
        rollup.edges = {(source, target): count for source, target, count in body["edges"]}
        rollup.groups = {fingerprint: Group(*rest) for fingerprint, *rest in body["groups"]}
        return rollup


def partition_of(resolution: Resolution, bucket: int) -> str:
    """Return the partition of the rollups of a day."""
    return f"{resolution}-{bucket // 86_400}"


def _cell(rollup: Rollup, log: SpanLog, entry: Entry, actor_type: str) -> Cell:
    return rollup.cell(actor_type, log.name_of(entry) or "")


def _completed(rollup: Rollup, log: SpanLog, entry: Entry, actor_type: str) -> None:
    cell = _cell(rollup, log, entry, actor_type)
    cell.completed += 1
    _count(cell.handling, entry.duration_ns)


def _failed(rollup: Rollup, log: SpanLog, entry: Entry, actor_type: str) -> None:
    cell = _cell(rollup, log, entry, actor_type)
    cell.failed += 1
    _count(cell.handling, entry.duration_ns)
    _group(rollup, log.event(entry), actor_type, 1, 0)


def _dead_lettered(rollup: Rollup, log: SpanLog, entry: Entry, actor_type: str) -> None:
    _cell(rollup, log, entry, actor_type).dead_letters += 1
    _group(rollup, log.event(entry), actor_type, 0, 1)


def _group(rollup: Rollup, event: Event, actor_type: str, failed: int, dead: int) -> None:
    if event.fingerprint is None:
        return
    at = event.time_ns // 1000
    rollup.add_group(
        event.fingerprint,
        Group(
            *(failed, at, at, event.error_type or "", actor_type, event.name or ""),
            *(event.trace_id, event.span_id, dead),
        ),
    )


def _retried(rollup: Rollup, log: SpanLog, entry: Entry, actor_type: str) -> None:
    _cell(rollup, log, entry, actor_type).retried += 1


def _leased(rollup: Rollup, log: SpanLog, entry: Entry, actor_type: str) -> None:
    # Later attempts waited for their backoff, which says nothing of the mailbox.
    if log.attempt_of(entry) == 1:
        _count(_cell(rollup, log, entry, actor_type).waiting, entry.duration_ns)


def _enqueued(rollup: Rollup, log: SpanLog, entry: Entry, actor_type: str) -> None:
    if entry.more is not None and entry.more.peer is not None:
        rollup.add_edge((entry.more.peer.partition("/")[0], actor_type), 1)


def _count(counts: dict[int, int], duration_ns: int | None) -> None:
    if duration_ns is not None:
        bucket = histogram.bucket_of(duration_ns // 1000)
        counts[bucket] = counts.get(bucket, 0) + 1


_COUNTERS: dict[int, Callable[[Rollup, SpanLog, Entry, str], None]] = by_code(
    {
        "queue:enqueued": _enqueued,
        "queue:dequeued": _leased,
        "message:completed": _completed,
        "message:failed": _failed,
        "message:dead_lettered": _dead_lettered,
        "message:retried": _retried,
    }
)
