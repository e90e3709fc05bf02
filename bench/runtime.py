"""How many durable runs a second, and how soon is one done, against DBOS, Restate and no runtime?

A run is a message to one of 200 actors whose handler calls three activities, each journaled before
the next begins, and updates its state once. So many runs are under way at a time; each is done
when its message has been acknowledged. Tracing and archive are on, engines the embedded ones.
Several at a time are handled by one process, and by two that share the store, a type of actors
each: a process of Python's keeps one core busy, and Restate's server and service are two as well.

* DBOS does three steps in one workflow, on SQLite, as installed and with its database in WAL mode.
* Restate does three `ctx.run` and one `ctx.set` in a handler of a virtual object, one of 200; its
  server is told to use 2 partitions instead of 24, and hypercorn not to close connections.
* The bare engine creates the documents that such a run creates, each after the other, and no more.
* Tracing's cost is that of pairs of blocks of runs at concurrency 200, with it and without it in
  turn (`bench/paired.py`), in one process: telling, and what the other process slows this one down.

Every figure comes from processes of its own, interleaved; the medians are printed. Peers are looked
for in the Python environment named by --peers (see `bench/peers/requirements.txt`), and the Restate
server by --restate or on the path; what is not there is left out, and said.

    python -m bench.runtime [--quick] [--peers PYTHON] [--restate PROGRAM]
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from actors import Actor, activity, handler
from actors.archive import MESSAGE_ARCHIVE
from actors.journal import ACTOR_JOURNALS
from actors.worker import ActorWorker
from bench.paired import overhead
from bench.peers.load import drive
from loomweb.wiring import Loom
from storage import mapped
from storage.sqlite import Database, SqliteStore

ACTORS = 200
RUNS, RUNS_ALONE = 4_000, 400
RUNS_OF = {"dbos": 100, "dbos_wal": 100, "restate": 1_500}
"""Of one part with `--quick`: enough for some seconds, the slower the fewer. Else thrice that."""
TRACING_RUNS, QUICK_TRACING_RUNS = 120_000, 16_000
BLOCK = 2_000
"""Runs of a block that is traced or not: enough that what is told is recorded meanwhile."""
PEERS = Path(__file__).parent / "peers"

Opened = tuple[Loom, ActorWorker, Callable[[int], Awaitable[None]]]


@activity
async def add(number: int, to: int) -> dict[str, int]:
    return {"sum": number + to}


class Steps(Actor):
    """Three activities, one after the other, and one update of the state."""

    process = 0

    @classmethod
    def type_name(cls) -> str:
        return f"Steps{cls.process}"

    @handler
    async def run(self, payload: dict[str, int]) -> None:
        total = payload["number"]
        for step in range(3):
            total = (await self.call_activity(add, number=total, to=step))["sum"]
        self.update_state(total=total)


@asynccontextmanager
async def opened(folder: str, concurrency: int, process: int) -> AsyncIterator[Opened]:
    """Open the store in `folder` with a worker on it; yield what does one run, by its number."""
    from loomweb import collector, wiring
    from loomweb.config import load_config

    environ = {
        **os.environ,
        "LOOM_DATA_DIR": folder,
        "LOOM_CONCURRENCY": str(max(64, concurrency)),
    }
    loom = await wiring.open_loom(load_config(environ))
    Steps.process = process
    worker = loom.start_worker(Steps)
    collector.settle()
    waiting: dict[str, asyncio.Future[None]] = {}
    acknowledge = loom.queue.ack

    def ack(lease: Any) -> Awaitable[bool]:
        def acknowledged(done: bool) -> bool:
            waiting.pop(lease.message.message_id).set_result(None)
            return done

        return mapped(acknowledge(lease), acknowledged)

    loom.queue.ack = ack  # type: ignore[method-assign]

    async def one(number: int) -> None:
        done = asyncio.get_running_loop().create_future()
        id = f"{process}{number:031x}"
        waiting[id] = done
        await loom.runtime.send(
            f"{Steps.type_name()}/{number % ACTORS}", "run", {"number": number}, message_id=id
        )
        await done

    yield loom, worker, one
    if loom.writer is not None:
        await loom.writer.flush()
        assert loom.writer.stats().dropped == {}, loom.writer.stats()
    await wiring.close_loom()


async def durable(
    runs: int, concurrency: int, folder: str, process: int, processes: int
) -> dict[str, float]:
    """Return throughput and latency of one of the processes on the store in `folder`."""

    async def others() -> None:
        """Wait until the other processes are as far as this one."""
        await asyncio.to_thread((Path(folder) / f"ready-{process}").touch)
        while sum(name[:5] == "ready" for name in os.listdir(folder)) < processes:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async with opened(folder, concurrency, process) as (loom, worker, one):
        figures = await drive(one, runs, concurrency, others)
        stats = worker.stats()
        assert (stats.handled, stats.failed) == (figures["started"], 0), stats
        journal = loom.containers[ACTOR_JOURNALS.name]
        archive = loom.containers[MESSAGE_ARCHIVE.name]
        figures["documents"] = (
            journal.usage().operations["create"] + archive.usage().operations["create"]
        ) / figures["started"]
    return figures


async def tracing(runs: int, concurrency: int, folder: str) -> dict[str, float]:
    """Return what tracing adds to `runs` runs, half of them traced."""
    async with opened(folder, concurrency, 0) as (loom, _, one):
        numbers = itertools.count()

        async def block() -> None:
            todo = itertools.islice(numbers, BLOCK)

            async def lane() -> None:
                for number in todo:
                    await one(number)

            await asyncio.gather(*(lane() for _ in range(concurrency)))

        return await overhead(loom, block, max(2, runs // BLOCK // 2))


async def bare(runs: int, concurrency: int, documents: int) -> dict[str, float]:
    """Return how many runs' worth of documents the embedded engine creates a second."""
    with tempfile.TemporaryDirectory(prefix="loom-bench-") as folder:
        store = SqliteStore(Database(Path(folder) / "bare.db"))
        archive = await store.container(MESSAGE_ARCHIVE)
        journal = await store.container(ACTOR_JOURNALS)

        async def one(number: int) -> None:
            await archive.create(
                {"id": f"{number:032x}", "correlationId": f"{number:032x}", "body": "x" * 400}
            )
            for step in range(documents - 1):
                await journal.create(
                    {
                        "id": f"{number:012d}-{step}",
                        "actorId": f"Steps/{number % ACTORS}",
                        "entries": "x" * 300,
                    }
                )

        figures = await drive(one, runs, concurrency)
        await store.close()
    return figures


def own(options: argparse.Namespace) -> Awaitable[dict[str, float]]:
    """Return the part that was asked for, about to be run by this interpreter."""
    runs, concurrency = options.runs, options.concurrency
    if options.part == "bare":
        return bare(runs, concurrency, options.documents)
    if options.part == "tracing":
        return tracing(runs, concurrency, options.folder)
    processes = (options.process, options.processes)
    return durable(runs, concurrency, options.folder, *processes)


def measured(
    command: list[str], runs: int, concurrency: int, processes: int = 1, **environ: str
) -> dict[str, float]:
    """Run one part in so many processes of its own, which share a folder; return its figures.

    What does its runs more often than once computes them by itself, in one process.
    """
    arguments = ["--runs", str(runs // processes), "--concurrency", str(concurrency // processes)]
    with tempfile.TemporaryDirectory(prefix="loom-bench-") as folder:
        started = [
            subprocess.Popen(
                [*command, *arguments, "--folder", folder, "--process", str(process)]
                + (["--processes", str(processes)] if processes > 1 else []),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=PEERS.parents[1],
                env={**os.environ, "PYTHONHASHSEED": "0", **environ},
            )
            for process in range(processes)
        ]
        told = [process.communicate() for process in started]
    for process, (output, errors) in zip(started, told, strict=True):
        if process.returncode:
            sys.exit(f"{' '.join(command)} failed:\n{output[-2_000:]}\n{errors[-4_000:]}")
    found: list[dict[str, float]] = [json.loads(output.splitlines()[-1]) for output, _ in told]
    if "began" not in found[0]:
        return found[0]
    # From when the first began until the last had ended.
    seconds = max(each["ended"] for each in found) - min(each["began"] for each in found)
    return {
        "per_s": runs / seconds,
        "p50_ms": statistics.median(each["p50_ms"] for each in found),
        "documents": found[0].get("documents", 0),
    }


def has(python: str, module: str) -> bool:
    """Return whether an interpreter has a module."""
    found = subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False)
    return found.returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer runs, one round")
    parser.add_argument("--peers", default=os.environ.get("LOOM_BENCH_PEERS", sys.executable))
    parser.add_argument("--restate", default=shutil.which("restate-server"))
    parser.add_argument("--part", choices=("loom", "tracing", "bare"), help=argparse.SUPPRESS)
    parser.add_argument("--runs", type=int, default=100, help=argparse.SUPPRESS)
    parser.add_argument("--concurrency", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--documents", type=int, default=5, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("--process", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--processes", type=int, default=1, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        print(json.dumps(asyncio.run(own(options))))
        return
    compare(options)


def compare(options: argparse.Namespace) -> None:
    """Measure all sides, interleaved, and print them."""
    ours = [sys.executable, "-m", "bench.runtime", "--part"]
    sides: dict[str, tuple[list[str], dict[str, str]]] = {
        "loom": ([*ours, "loom"], {}),
        "loom_one": ([*ours, "loom"], {}),
        "tracing": ([*ours, "tracing"], {}),
        "bare": ([*ours, "bare"], {}),
    }
    missing = []
    if has(options.peers, "dbos"):
        dbos = [options.peers, "-m", "bench.peers.dbos_runs"]
        sides["dbos"] = (dbos, {})
        sides["dbos_wal"] = ([*dbos, "--wal"], {})
    else:
        missing.append("DBOS")
    if options.restate and has(options.peers, "restate") and has(options.peers, "hypercorn"):
        restate = [options.peers, "-m", "bench.peers.restate_runs"]
        sides["restate"] = (restate, {"RESTATE_SERVER": str(Path(options.restate).resolve())})
    else:
        missing.append("Restate")
    rounds = 1 if options.quick else 3
    scale = 1 if options.quick else 3
    plans = {
        (side, concurrency): scale
        * min(RUNS_OF.get(side, RUNS), RUNS_ALONE if concurrency == 1 else RUNS)
        for side in sides
        for concurrency in ((200,) if side in ("tracing", "bare") else (1, 50, 200))
        if (side, concurrency) != ("loom_one", 1)
    }
    plans["tracing", 200] = QUICK_TRACING_RUNS if options.quick else TRACING_RUNS
    found: dict[tuple[str, int], list[dict[str, float]]] = {plan: [] for plan in plans}
    for number in range(rounds):
        for (side, concurrency), runs in plans.items():
            print(f"round {number + 1}: {side} at {concurrency} …", file=sys.stderr, flush=True)
            command, environ = sides[side]
            if side == "bare":
                documents = found["loom", 200][0]["documents"]
                command = [*command, "--documents", str(round(documents))]
            processes = min(concurrency, 2) if side == "loom" else 1
            figures = measured(command, runs, concurrency, processes, **environ)
            found[side, concurrency].append(figures)
    report(found, missing, rounds, quick=options.quick)


def report(
    found: dict[tuple[str, int], list[dict[str, float]]],
    missing: list[str],
    rounds: int,
    *,
    quick: bool,
) -> None:
    """Print the table, and the figures as JSON."""

    def median(side: str, concurrency: int, key: str) -> float | None:
        measured = found.get((side, concurrency))
        if not measured:
            return None
        return round(statistics.median(figures[key] for figures in measured), 2)

    figures: dict[str, float | None] = {}
    for side in ("loom", "loom_one", "dbos", "dbos_wal", "restate"):
        for concurrency in (1, 50, 200):
            figures[f"{side}_c{concurrency}_per_s"] = median(side, concurrency, "per_s")
        figures[f"{side}_c1_p50_ms"] = median(side, 1, "p50_ms")
    figures["bare_engine_c200_per_s"] = median("bare", 200, "per_s")
    figures["documents_per_run"] = median("loom", 200, "documents")
    for key in ("overhead_percent", "overhead_error_percent", "overhead_cpu_percent"):
        figures[f"tracing_{key}"] = median("tracing", 200, key)

    def ratio(side: str) -> float | None:
        """Median of the rounds' ratios: what else the machine did was alike in a round."""
        theirs = found.get((side, 200))
        if not theirs:
            return None
        both = zip(found["loom", 200], theirs, strict=True)
        return round(statistics.median(a["per_s"] / b["per_s"] for a, b in both), 2)

    for side in ("loom_one", "dbos", "dbos_wal", "restate", "bare"):
        figures[f"loom_to_{side}_c200"] = ratio(side)

    def cell(value: float | None) -> str:
        return f"{'–' if value is None else f'{value:,.1f}':>12}"

    print(f"Durable runs a second, medians of {rounds} round(s)")
    print(f"{'at a time':26}{'1':>12}{'50':>12}{'200':>12}{'p50 at 1, ms':>16}{'Loom ÷ it':>12}")
    names = {
        "loom": "Loom, two processes",
        "loom_one": "Loom, one process",
        "dbos": "DBOS, SQLite",
        "dbos_wal": "DBOS, SQLite in WAL mode",
        "restate": "Restate, 2 partitions",
    }
    for side, name in names.items():
        cells = "".join(cell(figures[f"{side}_c{c}_per_s"]) for c in (1, 50, 200))
        against = figures.get(f"loom_to_{side}_c200")
        print(f"{name:26}{cells}{cell(figures[f'{side}_c1_p50_ms']):>16}{cell(against)}")
    bare_cell = cell(figures["bare_engine_c200_per_s"])
    print(f"{'the bare engine':26}{'':24}{bare_cell}{'':16}{cell(figures['loom_to_bare_c200'])}")
    documents = figures["documents_per_run"]
    time, error, cpu = (figures[f"tracing_overhead_{key}percent"] for key in ("", "error_", "cpu_"))
    print(
        f"A run creates {documents} documents. Tracing adds {time} % of time (± {error} in each"
        f" round), {cpu} % of CPU."
    )
    if missing:
        print(f"Not installed, and left out: {', '.join(missing)}.")
    if quick:
        print("(--quick: fewer runs, one round, noisier)")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
