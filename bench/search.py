"""Is search still instant at 250,000 traces and 5 million events?

Fills an embedded store through the trace writer, as production does, and asks what the pages ask.
Each question is asked several times, in turn with the others; the medians are printed, and the
slowest median of all filters. The store is read through one connection, while nothing else runs.

    python -m bench.search [--quick] [--keep FOLDER]

`--keep` leaves the filled store in a folder, or uses the one that is there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from actors.telemetry import SpanEmitter, document_ref, state_ref
from bench.tracing import enqueued
from storage import Container
from storage.sqlite import Database, SqliteStore
from tracing import (
    FailureFilter,
    Ref,
    RefKind,
    StoreRecorder,
    TraceAnalytics,
    TraceFilter,
    TraceReader,
    TraceStatus,
    TraceWriter,
)
from tracing.containers import TRACE_EVENTS
from tracing.spanlog import OWN_MESSAGE, pointer

SECOND = 1_000_000_000
SPAN_SECONDS = 86_400
TYPES = ("Order", "Loan", "Account", "Payment", "Shipment", "Disbursement", "Invoice", "Refund")
MESSAGES = ("place", "submit", "pay", "ship", "approve", "close", "cancel", "notify")
ERRORS = ("OutOfStock", "CardDeclined", "TimeoutError", "LimitExceeded", "AddressUnknown")


class Clock:
    """Time as the made-up workload has it: a day, ending now, with traces evenly over it."""

    def __init__(self, traces: int) -> None:
        self.now = time.time_ns() - SPAN_SECONDS * SECOND
        self.step = SPAN_SECONDS * SECOND // traces

    def __call__(self) -> int:
        self.now += 50_000
        return self.now


def emit_trace(writer: TraceWriter, clock: Clock, source: random.Random, number: int) -> None:
    """Emit a run of two messages, 20 events or a few more; one in a hundred fails for good."""
    root = writer.create_root_trace("bench")
    correlation = f"{source.getrandbits(128):032x}"
    started = clock.now
    # Names are skewed, as they are in life: some actor types are rare, one is very rare.
    for turn in range(2):
        kind = "Audit" if source.random() < 0.000_1 else source.choice(TYPES)
        actor, name = f"{kind}/{source.randrange(50_000)}", source.choice(MESSAGES)
        root = writer.create_child_span(root)
        message = Ref(RefKind.MESSAGE, correlation, f"{source.getrandbits(128):032x}")
        span = SpanEmitter(writer, root, actor, name, 1, (message.id, correlation))
        state, journal = state_ref(turn), pointer(RefKind.JOURNAL_ENTRY, f"{turn}:2")
        took = int(source.lognormvariate(16, 1.5))
        peer = None if turn == 0 else f"{TYPES[0]}/1"
        writer.emit(enqueued(root, clock.now, actor, name, message, peer))
        span.emit("queue:dequeued", OWN_MESSAGE, duration_ns=took // 10)
        span.emit("lock:acquired", duration_ns=1_000)
        span.emit("message:received", OWN_MESSAGE)
        span.emit("actor:activated", state)
        span.emit("message:started", OWN_MESSAGE)
        span.emit("store:write", document_ref("actor-journals", f"{turn:012d}"))
        clock.now += took
        if source.random() < 0.01:
            error = source.choice(ERRORS)
            print_ = f"{ERRORS.index(error):04x}{TYPES.index(kind) if kind in TYPES else 9:012x}"
            failed = {"error_type": error, "fingerprint": print_}
            span.emit("message:failed", OWN_MESSAGE, journal, state, duration_ns=took, **failed)
            span.emit("message:dead_lettered", OWN_MESSAGE, journal, **failed)
        else:
            span.emit("actor:state_changed", state, state, journal)
            span.emit("message:completed", OWN_MESSAGE, journal, state, duration_ns=took)
        span.emit("lock:released", duration_ns=took)
    clock.now = started + clock.step


async def fill(container: Container, traces: int) -> float:
    """Write the traces; return events per second."""
    clock, source = Clock(traces), random.Random(7)
    writer = TraceWriter(StoreRecorder(container, clock=clock), clock=clock)
    writer.start()
    began = time.perf_counter()
    for number in range(traces):
        emit_trace(writer, clock, source, number)
        if number % 50 == 0:
            await asyncio.sleep(0)
            while writer.stats().buffered > 50_000:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        if number % 25_000 == 0:
            print(f"{number:,} of {traces:,} traces …", file=sys.stderr, flush=True)
    await writer.flush()
    seconds = time.perf_counter() - began
    stats = writer.stats()
    assert stats.dropped == {}, stats.dropped
    await writer.close()
    return stats.events_written / seconds


async def questions(container: Container) -> dict[str, Callable[[], Awaitable[object]]]:
    """Return what the pages ask, by name."""
    reader, analytics = TraceReader(container), TraceAnalytics(container)
    now = time.time_ns()
    hour, day = 3_600 * SECOND, 86_400 * SECOND
    first = await reader.find_traces()
    deep = first
    for _ in range(40):
        deep = await reader.find_traces(cursor=deep.cursor)
    failures = await reader.find_failures()
    some = first.traces[7]
    filters = {
        "status": TraceFilter(status=TraceStatus.FAILED),
        "actor type": TraceFilter(actor_type="Loan"),
        "rare actor type": TraceFilter(actor_type="Audit"),
        "no such actor type": TraceFilter(actor_type="Nobody"),
        "message type": TraceFilter(message_type="ship"),
        "error type": TraceFilter(error_type="CardDeclined"),
        "no such error type": TraceFilter(error_type="Nothing"),
        "longer than 30 s": TraceFilter(shortest=30 * SECOND),
        "longer than a day": TraceFilter(shortest=day),
        "root actor": TraceFilter(actor=some.root_actor),
        "correlation": TraceFilter(correlation=some.correlation),
        "time range": TraceFilter(started_from=now - 12 * hour, started_to=now - 11 * hour),
        "failed, of a type, in an hour": TraceFilter(
            status=TraceStatus.FAILED, actor_type="Order", started_from=now - hour
        ),
        "five at once, nothing found": TraceFilter(
            status=TraceStatus.COMPLETED,
            actor_type="Order",
            message_type="ship",
            error_type="Nothing",
            shortest=SECOND,
        ),
    }
    asked: dict[str, Callable[[], Awaitable[object]]] = {
        "find_traces_first_ms": reader.find_traces,
        "find_traces_next_ms": lambda: reader.find_traces(cursor=deep.cursor),
        "find_failures_first_ms": reader.find_failures,
        "find_failures_next_ms": lambda: reader.find_failures(cursor=failures.cursor),
        "failures of one kind": lambda: reader.find_failures(
            FailureFilter(error_type="OutOfStock", actor_type="Refund")
        ),
        "get_trace_ms": lambda: reader.get_trace(some.trace_id),
        "analytics_ms": lambda: analytics.statistics(now - day, now),
        "analytics of an hour": lambda: analytics.statistics(now - hour, now),
    }

    async def groups() -> object:
        found = await analytics.statistics(now - day, now)
        return await analytics.with_first_seen(found.groups[:50])

    asked["groups_ms"] = groups
    for name, criteria in filters.items():
        asked[f"filter: {name}"] = lambda criteria=criteria: reader.find_traces(criteria)
    return asked


async def measure(folder: Path, traces: int, rounds: int) -> dict[str, float]:
    store = SqliteStore(Database(folder / "search.db"))
    container = await store.container(TRACE_EVENTS)
    rate = 0.0
    if not (await TraceReader(container).find_traces(limit=1)).traces:
        rate = await fill(container, traces)
    asked = await questions(container)
    took: dict[str, list[float]] = {name: [] for name in asked}
    for _ in range(rounds):
        for name, question in asked.items():
            began = time.perf_counter()
            await question()
            took[name].append((time.perf_counter() - began) * 1e3)
    await store.close()
    medians = {name: statistics.median(times) for name, times in took.items()}
    return {**medians, "ingest": rate}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="20,000 traces")
    parser.add_argument("--keep", type=Path, help="folder to leave the store in, or to find it in")
    options = parser.parse_args()
    traces, rounds = (20_000, 3) if options.quick else (250_000, 7)
    with tempfile.TemporaryDirectory(prefix="loom-bench-") as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        found = asyncio.run(measure(folder, traces, rounds))
        megabytes = sum(file.stat().st_size for file in folder.glob("search.db*")) / 1e6
    filtered = {name: ms for name, ms in found.items() if name.startswith("filter: ")}
    print(f"Search in {traces:,} traces, {traces * 20:,} events, {megabytes:,.0f} MB")
    for name, value in found.items():
        if name != "ingest":
            print(f"{name.removesuffix('_ms'):44}{value:>10.1f} ms")
    if found["ingest"]:
        print(f"{'filled with':44}{found['ingest']:>10,.0f} events/s")
    if options.quick:
        print("(--quick: 20,000 traces)")
    figures = {"traces": traces, "events": traces * 20}
    figures |= {name: round(value, 1) for name, value in found.items() if name.endswith("_ms")}
    figures["filtered_worst_ms"] = round(max(filtered.values()), 1)
    figures["ingest_events_per_s"] = round(found["ingest"])
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
