"""How fast is a real log, and what does a trace cost?

Runs `manage.py replay_log` in processes of its own, each on an empty embedded store with everything
on that is on by default, interleaved with the same run without tracing. Input is the log of loan
offers given with --log, or one that is made up.

    python -m bench.replay [--quick] [--log FILE] [--runs N]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from storage import ContainerSpec
from storage.sqlite import Database, SqliteStore
from tests.offer_log import REAL_LOG, make_log
from tests.processes import start


def replay(log: Path, limit: int | None, **environ: str) -> dict[str, Any]:
    """Replay in a new process and store; return its figures and its peak memory."""
    with tempfile.TemporaryDirectory(prefix="loom-bench-") as folder:
        arguments = ["replay_log", str(log)] + (["--limit", str(limit)] if limit else [])
        process = start(Path(folder), *arguments, **environ)
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit(f"the replay failed:\n{output}")
        figures: dict[str, Any] = json.loads(output.splitlines()[-1])
        # Linux counts in KiB.
        return {**figures, "rss_mb": usage.ru_maxrss / 1024}


async def bare_engine(documents: int) -> float:
    """Return how many documents a second the embedded engine alone creates, 200 at a time."""
    with tempfile.TemporaryDirectory(prefix="loom-bench-") as folder:
        store = SqliteStore(Database(Path(folder) / "bare.db"))
        container = await store.container(ContainerSpec("bare", "k"))

        async def write(lane: int) -> None:
            for number in range(lane, documents, 200):
                await container.create({"id": str(number), "k": str(lane), "text": "x" * 400})

        started = time.perf_counter()
        await asyncio.gather(*(write(lane) for lane in range(200)))
        seconds = time.perf_counter() - started
        await store.close()
    return round(documents / seconds, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="5,000 messages, one run each")
    parser.add_argument("--log", type=Path, default=REAL_LOG if REAL_LOG.exists() else None)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    limit, runs = (5_000, 1) if options.quick else (None, options.runs)
    with tempfile.TemporaryDirectory(prefix="loom-bench-") as folder:
        log = options.log
        if log is None:
            log = Path(folder) / "made-up.csv"
            make_log(log, applications=5_000, broken=0.01)
        on, off = [], []
        for number in range(runs):
            print(f"run {number + 1} of {runs} …", file=sys.stderr, flush=True)
            on.append(replay(log, limit))
            off.append(replay(log, limit, LOOM_TRACING="0"))
    figures = summarise(on, off)
    figures["bare_engine_creates_per_s"] = asyncio.run(bare_engine(5_000 if limit else 40_000))
    source = "the real log" if options.log else "a made-up log"
    print(f"Replay of {source}, {figures['messages']:,} messages, {runs} run(s) each, medians")
    print(f"{'':24}{'tracing on':>14}{'tracing off':>14}")
    for key, name in (("messages_per_s", "messages/s"), ("rss_mb", "peak RSS, MB")):
        print(f"{name:24}{figures[key]:>14,.0f}{figures[key + '_untraced']:>14,.0f}")
    for key in ("events", "bytes_per_event", "bytes_per_trace", "bytes_if_copied"):
        print(f"{key:24}{figures[key]:>14,.0f}")
    print(f"{'stored / if copied':24}{figures['stored_to_copied']:>14.3f}")
    bare = figures["bare_engine_creates_per_s"]
    print(f"The bare engine creates {bare:,.0f} documents of 0.4 KB a second, 200 at a time.")
    if options.quick:
        print("(--quick: smaller, one run, noisier)")
    print(json.dumps(figures))


def summarise(on: list[dict[str, Any]], off: list[dict[str, Any]]) -> dict[str, float]:
    """Return medians; sizes are of the traced runs."""

    def median(runs: list[dict[str, Any]], key: str) -> float:
        return round(statistics.median(run[key] for run in runs), 1)

    figures = {
        key: median(on, key)
        for key in (
            "messages",
            "messages_per_s",
            "rss_mb",
            "events",
            "bytes_per_event",
            "bytes_per_trace",
            "bytes_if_copied",
        )
    }
    figures["messages_per_s_untraced"] = median(off, "messages_per_s")
    figures["rss_mb_untraced"] = median(off, "rss_mb")
    figures["traced_to_untraced"] = round(
        statistics.median(
            a["messages_per_s"] / b["messages_per_s"] for a, b in zip(on, off, strict=True)
        ),
        3,
    )
    stored = figures["bytes_per_event"] * figures["events"]
    figures["stored_to_copied"] = round(stored / figures["bytes_if_copied"], 4)
    return figures


if __name__ == "__main__":
    main()
