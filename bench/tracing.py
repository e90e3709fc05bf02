"""What does tracing cost against OpenTelemetry, and against none?

Each figure comes from processes of its own, in turn; the medians are printed.

* CPU per event: messages of a made-up run are emitted, packed and flushed, here into the memory
  engine and into the embedded one; there as spans with the same facts as attributes, through
  `BatchSpanProcessor` into OTLP protobuf. Neither side touches a network.
* Overhead: the sample workflows, handled to the end by one worker on the embedded store, in blocks
  with tracing on and off in turn (`bench/paired.py`); the archive is on in both. Given as time, as
  CPU of the process that is traced, and what the recorder's process takes of that CPU.
* Ingest: events of 20-event traces as fast as one process takes them into the embedded store.

    python -m bench.tracing [--quick]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from actors.telemetry import SpanEmitter, document_ref, state_ref
from bench.paired import overhead
from storage import Container
from storage.memory import MemoryContainer
from storage.sqlite import Database, SqliteStore
from tracing import Event, Ref, RefKind, StoreRecorder, TraceContext, TraceWriter
from tracing.containers import TRACE_EVENTS
from tracing.spanlog import OWN_MESSAGE, pointer

MESSAGES = 2
BLOCK = 40
"""How often a block runs each sample workflow: enough that what is told is recorded meanwhile."""
STEPS = (
    "queue:enqueued",
    "queue:dequeued",
    "lock:acquired",
    "message:received",
    "actor:activated",
    "message:started",
    "store:write",
    "actor:state_changed",
    "message:completed",
    "lock:released",
)


def enqueued(
    trace: TraceContext, at_ns: int, actor: str, name: str, message: Ref, peer: str | None = None
) -> Event:
    """Return the event that a message was put into a mailbox."""
    return Event(
        *("queue:enqueued", trace.trace_id, trace.span_id, trace.parent_span_id, at_ns),
        *(actor, name),
        refs=(message,),
        peer=peer,
    )


def emit_trace(writer: TraceWriter, number: int) -> None:
    """Emit what a worker emits for two messages, the second sent by the first: 20 events."""
    correlation, actor = secrets.token_hex(16), f"Order/{number}"
    trace = writer.create_root_trace("bench")
    for turn in range(MESSAGES):
        trace = writer.create_child_span(trace)
        message = Ref(RefKind.MESSAGE, correlation, secrets.token_hex(16))
        span = SpanEmitter(writer, trace, actor, "submit", 1, (message.id, correlation))
        before, after = state_ref(turn), state_ref(turn + 1)
        journal = pointer(RefKind.JOURNAL_ENTRY, f"{turn}:2")
        writer.emit(enqueued(trace, writer.now(), actor, "submit", message))
        span.emit("queue:dequeued", OWN_MESSAGE, duration_ns=12_345)
        span.emit("lock:acquired", duration_ns=12_345)
        span.emit("message:received", OWN_MESSAGE)
        span.emit("actor:activated", before)
        span.emit("message:started", OWN_MESSAGE)
        span.emit("store:write", document_ref("actor-journals", f"{turn:012d}"))
        span.emit("actor:state_changed", before, after, journal)
        span.emit("message:completed", OWN_MESSAGE, journal, after, duration_ns=12_345)
        span.emit("lock:released", duration_ns=12_345)


async def ours(container: Container, traces: int) -> dict[str, float]:
    """Return CPU per event and throughput of writing traces into a container."""
    writer = TraceWriter(StoreRecorder(container))
    writer.start()
    began, cpu = time.perf_counter(), time.process_time()
    for number in range(traces):
        emit_trace(writer, number)
        if number % 50 == 0:
            await asyncio.sleep(0)
            while writer.stats().buffered > 50_000:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
    await writer.flush()
    cpu, seconds = time.process_time() - cpu, time.perf_counter() - began
    stats = writer.stats()
    assert stats.dropped == {}, stats.dropped
    assert stats.events_written == traces * MESSAGES * len(STEPS)
    await writer.close()
    return {
        "us": cpu / stats.events_written * 1e6,
        "per_s": stats.events_written / seconds,
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


async def into_memory(size: int) -> dict[str, float]:
    return await ours(MemoryContainer(TRACE_EVENTS), size)


async def into_sqlite(size: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="loom-bench-") as folder:
        store = SqliteStore(Database(Path(folder) / "bench.db"))
        figures = await ours(await store.container(TRACE_EVENTS), size)
        await store.close()
    return figures


async def opentelemetry(size: int) -> dict[str, float]:
    """Return CPU and bytes per span of the OpenTelemetry SDK, as many spans as we have events."""
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
    from opentelemetry.trace import SpanKind

    class Encode(SpanExporter):
        spans = size_bytes = 0

        def export(self, spans: Any) -> SpanExportResult:
            self.size_bytes += len(encode_spans(spans).SerializeToString())
            self.spans += len(spans)
            return SpanExportResult.SUCCESS

        def shutdown(self) -> None:
            return

    exporter = Encode()
    spans = size * MESSAGES * len(STEPS)
    provider = TracerProvider()
    provider.add_span_processor(
        BatchSpanProcessor(exporter, max_queue_size=spans + 1, max_export_batch_size=512)
    )
    tracer = provider.get_tracer("bench")
    cpu = time.process_time()
    for number in range(size):
        correlation, actor = secrets.token_hex(16), f"Order/{number}"
        with tracer.start_as_current_span("run"):
            for turn in range(MESSAGES):
                message = secrets.token_hex(16)
                for name in STEPS[1:] if turn == 0 else STEPS:
                    attributes: dict[str, str | int] = {
                        "loom.actor": actor,
                        "loom.message_type": "submit",
                        "loom.attempt": 1,
                        "loom.ref": f"message:{correlation}/{message}",
                    }
                    with tracer.start_as_current_span(
                        name, kind=SpanKind.CONSUMER, attributes=attributes
                    ):
                        pass
    provider.force_flush()
    cpu = time.process_time() - cpu
    provider.shutdown()
    assert exporter.spans == spans, f"{exporter.spans} of {spans}"
    return {"us": cpu / spans * 1e6, "bytes": exporter.size_bytes / spans}


async def samples(pairs: int) -> dict[str, float]:
    """Run the sample workflows in pairs of blocks; return what tracing adds, and its bytes."""
    from actors.samples import WORKFLOWS
    from loomweb import collector, wiring
    from loomweb.config import load_config
    from tracing.economy import measure

    inputs: tuple[tuple[str, dict[str, Any]], ...] = (
        ("loan-application", {"bureau": "reliable"}),
        ("order", {"quantity": 1, "restocked_after": 0}),
        ("word-count", {"children": 10, "words": 200}),
        ("chain", {"depth": 10}),
    )
    with tempfile.TemporaryDirectory(prefix="loom-bench-") as folder:
        loom = await wiring.open_loom(load_config({**os.environ, "LOOM_DATA_DIR": folder}))
        loom.start_worker()
        collector.settle()

        async def block() -> None:
            for _ in range(BLOCK):
                for name, payload in inputs:
                    await loom.runtime.start(WORKFLOWS[name], payload)
            while True:
                depth = await loom.queue.depth()
                if not depth.ready + depth.delayed + depth.leased:
                    break
                await asyncio.sleep(0.002)

        figures = await overhead(loom, block, pairs)
        economy = await measure(loom.containers[TRACE_EVENTS.name])
        figures["bytes_per_event"] = economy.bytes / economy.events
        await wiring.close_loom()
    recorder = resource.getrusage(resource.RUSAGE_CHILDREN)
    recorder_s = recorder.ru_utime + recorder.ru_stime
    figures["recorder_cpu_percent"] = recorder_s / figures["traced_cpu_s"] * 100
    return figures


PARTS: dict[str, Callable[[int], Any]] = {
    "memory": into_memory,
    "sqlite": into_sqlite,
    "otel": opentelemetry,
    "samples": samples,
}


def measured(part: str, size: int) -> dict[str, float]:
    """Run one part in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.tracing", "--part", part, "--size", str(size)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )
    if done.returncode:
        sys.exit(f"{part} failed:\n{done.stderr}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="smaller, fewer runs")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, default=1, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        print(json.dumps(asyncio.run(PARTS[options.part](options.size))))
        return
    runs, small, large, pairs = (2, 500, 5_000, 4) if options.quick else (5, 2_000, 25_000, 16)
    found: dict[str, list[dict[str, float]]] = {part: [] for part in PARTS}
    for number in range(runs):
        print(f"run {number + 1} of {runs} …", file=sys.stderr, flush=True)
        for part in PARTS:
            size = {"sqlite": large, "samples": pairs}.get(part, small)
            found[part].append(measured(part, size))

    def median(part: str, key: str) -> float:
        return statistics.median(figures[key] for figures in found[part])

    emit, stored, otel = median("memory", "us"), median("sqlite", "us"), median("otel", "us")
    overheads = [each["overhead_percent"] for each in found["samples"]]
    figures = {
        "emit_us": round(emit, 2),
        "stored_us": round(stored, 2),
        "otel_us": round(otel, 2),
        "emit_ratio": round(otel / emit, 1),
        "stored_ratio": round(otel / stored, 1),
        "bytes_per_event": round(median("samples", "bytes_per_event"), 1),
        "otel_bytes_per_span": round(median("otel", "bytes"), 1),
        "overhead_percent": round(median("samples", "overhead_percent"), 1),
        "overhead_least_percent": round(min(overheads), 1),
        "overhead_most_percent": round(max(overheads), 1),
        "overhead_cpu_percent": round(median("samples", "overhead_cpu_percent"), 1),
        "recorder_cpu_percent": round(median("samples", "recorder_cpu_percent"), 1),
        "ingest_events_per_s": round(median("sqlite", "per_s")),
        "ingest_rss_mb": round(median("sqlite", "rss_mb"), 1),
    }
    print(f"Tracing, medians of {runs} runs")
    print(f"{'CPU per event: emit, pack, flush to memory':52}{emit:>10.2f} µs")
    print(f"{'CPU per event: the same, to the embedded store':52}{stored:>10.2f} µs")
    print(f"{'CPU per OpenTelemetry span: batch, OTLP encoding':52}{otel:>10.2f} µs")
    print(f"{'ratio, without and with storing':52}{otel / emit:>7.1f} / {otel / stored:.1f}")
    for key in tuple(figures)[5:]:
        print(f"{key:52}{figures[key]:>10,.1f}")
    if options.quick:
        print("(--quick: smaller, fewer runs, noisier)")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
