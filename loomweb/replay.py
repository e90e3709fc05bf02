"""Driving a real log through the runtime: reading it and sending it."""

from __future__ import annotations

import asyncio
import csv
import gzip
import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from actors import Message
from actors.samples.offers import LoanOffers
from actors.telemetry import Run
from loomweb.wiring import Loom
from tracing import TraceContext

COLUMNS = ("application_id", "amount_requested", "event", "event_at", "resource")
WORKFLOW = "loan-offers"
BATCH = 250
MAX_WAITING = 4 * BATCH
"""Messages sent and not yet settled: enough to keep the worker busy, few enough to stay small."""


class BadLog(Exception):
    """The file cannot be replayed; says which line and why."""


@dataclass(frozen=True, slots=True)
class Row:
    """One event of the log."""

    application: str
    amount: int
    event: str
    at: str
    resource: str


def read_log(file: Path, limit: int | None = None) -> list[Row]:
    """Read a CSV file, gzipped or not, up to `limit` rows.

    Raises:
        BadLog: it cannot be read, lacks a column, or a line is malformed.
    """
    try:
        with _open(file) as handle:
            return list(_rows(handle, limit))
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise BadLog(f"{file}: {error}") from None


def _open(file: Path) -> IO[str]:
    with file.open("rb") as probe:
        zipped = probe.read(2) == b"\x1f\x8b"
    if zipped:
        return io.TextIOWrapper(gzip.open(file), encoding="utf-8", newline="")
    return file.open(encoding="utf-8", newline="")


def _rows(handle: IO[str], limit: int | None) -> Iterator[Row]:
    reader = csv.DictReader(handle)
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise BadLog(f"the file lacks the column {', '.join(missing)}")
    for number, line in enumerate(reader, start=1):
        if limit is not None and number > limit:
            return
        try:
            row = Row(
                line["application_id"],
                int(line["amount_requested"]),
                line["event"],
                line["event_at"],
                line["resource"] or "",
            )
            datetime.fromisoformat(row.at)
        except (TypeError, ValueError) as error:
            raise BadLog(f"row {number}: {error}") from None
        yield row


@dataclass(frozen=True, slots=True)
class Sent:
    """What a replay sent: the actors it sent to, and the traces it began."""

    actors: frozenset[str]
    traces: frozenset[str]


async def send_log(loom: Loom, rows: Sequence[Row], progress: Callable[[int], None]) -> Sent:
    """Send every row as a message to its application's actor, and wait until all are settled.

    One trace per application: its run starts with the first row and ends when the last one has
    been handled. Where the log was replayed before, its applications become new actors, so that
    no row meets the offers of another replay. `progress` is told how many messages are settled.
    """
    tracer = loom.runtime.tracer
    suffix = await _unused_suffix(loom, rows)
    left = Counter(row.application for row in rows)
    runs: dict[str, TraceContext] = {}
    for start in range(0, len(rows), BATCH):
        messages, opens = [], {}
        for row in rows[start : start + BATCH]:
            key = row.application + suffix
            left[row.application] -= 1
            new = tracer is not None and row.application not in runs
            if tracer is not None and new:
                runs[row.application] = tracer.create_root_trace()
            run = runs.get(row.application)
            message = Message.new(
                LoanOffers.address(key),
                "offer_event",
                {
                    "event": row.event,
                    "at": row.at,
                    "amount": row.amount,
                    "resource": row.resource,
                },
                correlation_id=f"application-{key}",
                trace=None if tracer is None or run is None else tracer.create_child_span(run),
                workflow=None if left[row.application] else WORKFLOW,
            )
            if new and run is not None:
                opens[message.message_id] = Run(WORKFLOW, run)
            messages.append(message)
        await loom.runtime.dispatch(messages, opens=opens)
        await _settle(loom, start + len(messages), MAX_WAITING, progress)
    await _settle(loom, len(rows), 0, progress)
    return Sent(
        frozenset(LoanOffers.address(application + suffix) for application in left),
        frozenset(run.trace_id for run in runs.values()),
    )


async def _unused_suffix(loom: Loom, rows: Sequence[Row]) -> str:
    """Return what to add to application ids so that their actors are new: "" the first time."""
    if not rows:
        return ""
    number, suffix = 1, ""
    while (await loom.state_store.load(LoanOffers.address(rows[0].application + suffix))).version:
        number += 1
        suffix = f"-replay-{number}"
    return suffix


async def _settle(loom: Loom, sent: int, waiting: int, progress: Callable[[int], None]) -> None:
    """Wait until at most `waiting` of the `sent` messages are not settled."""
    while True:
        depth = await loom.queue.depth()
        left = depth.ready + depth.delayed + depth.leased
        progress(sent - left)
        if left <= waiting:
            return
        await asyncio.sleep(0.05)
