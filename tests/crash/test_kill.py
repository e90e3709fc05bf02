"""Workers that are killed in the middle of their work lose nothing and do nothing twice."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from actors import Message, Started
from actors.samples import WORKFLOWS
from actors.samples.offers import LoanOffers
from loomweb import wiring
from loomweb.config import Config, load_config
from loomweb.replay import read_log
from loomweb.wiring import Loom
from tests.conftest import quick_settings
from tests.offer_log import make_log, recount
from tests.processes import environment, start
from tracing import Outcome

Wave = Callable[[], Awaitable[object]]
# Two turns at a time: slow enough to be met at work.
QUICK = {
    "LOOM_LEASE_SECONDS": "1",
    "LOOM_TRACE_FLUSH_SECONDS": "0.05",
    "LOOM_CONCURRENCY": "2",
}


async def left_to_do(loom: Loom) -> int:
    depth = await loom.queue.depth()
    return depth.ready + depth.delayed + depth.leased


async def new_worker(folder: Path) -> subprocess.Popen[str]:
    """Start a worker process and wait until it says that it works."""
    worker = start(folder, "runworker", **QUICK)
    assert worker.stdout is not None
    assert "handles" in await asyncio.to_thread(worker.stdout.readline)
    return worker


async def work_under_fire(folder: Path, loom: Loom, waves: list[Wave]) -> int:
    """Let two worker processes do each wave of work, and kill -9 one of them in its midst.

    Returns how many of the kills met unfinished work.
    """
    hits = 0
    workers = [await new_worker(folder) for _ in range(2)]
    try:
        for wave in waves:
            await wave()
            begun = await left_to_do(loom)
            async with asyncio.timeout(60):
                # Some of it must be done, so that the kill meets a worker that is at work.
                while begun and await left_to_do(loom) == begun:
                    await asyncio.sleep(0.002)
            victim = workers.pop(0)
            victim.send_signal(signal.SIGKILL)
            hits += bool(await left_to_do(loom))
            await asyncio.to_thread(victim.communicate)
            workers.append(await new_worker(folder))
        async with asyncio.timeout(90):
            while await left_to_do(loom):
                await asyncio.sleep(0.05)
    finally:
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
        for worker in workers:
            output, _ = await asyncio.to_thread(worker.communicate)
            assert worker.returncode == 0, output
    return hits


def configured(folder: Path) -> Config:
    return load_config(quick_settings(folder))


async def test_every_row_counts_exactly_once_though_workers_are_killed(tmp_path: Path) -> None:
    make_log(tmp_path / "log.csv", applications=150, seed=7)
    rows = read_log(tmp_path / "log.csv")
    loom = await wiring.open_loom(configured(tmp_path / "data"))
    try:
        assert loom.writer is not None
        sent: list[Message] = []
        for row in rows:
            payload = {
                "event": row.event,
                "at": row.at,
                "amount": row.amount,
                "resource": row.resource,
            }
            root = loom.writer.create_root_trace()
            sent.append(
                Message.new(LoanOffers.address(row.application), "offer_event", payload, trace=root)
            )
        third = len(sent) // 3
        parts = (sent[:third], sent[third : 2 * third], sent[2 * third :])
        waves: list[Wave] = [partial(loom.runtime.dispatch, part) for part in parts]
        assert await work_under_fire(tmp_path / "data", loom, waves) >= 1
        expected, broken = recount(rows)
        ended: Counter[str] = Counter()
        for application, state in expected.items():
            actor_id = LoanOffers.address(application)
            assert dict((await loom.state_store.load(actor_id)).data) == state
            async for record in loom.state_store.records(actor_id):
                ended[record.message_id] += record.ends_turn
        assert set(ended) == {message.message_id for message in sent}
        assert set(ended.values()) == {1}
        assert (await loom.queue.depth()).dead == broken
    finally:
        await wiring.close_loom()


async def test_runs_of_many_actors_finish_and_their_references_never_lie(tmp_path: Path) -> None:
    loom = await wiring.open_loom(configured(tmp_path))
    try:
        started: dict[str, Started] = {}

        async def begin(name: str, workflow: str, **payload: int) -> None:
            started[name] = await loom.runtime.start(WORKFLOWS[workflow], payload)

        waves: list[Wave] = [
            partial(begin, "deep", "chain", depth=60),
            partial(begin, "wide", "word-count", children=60, words=400),
            partial(begin, "wider", "word-count", children=90, words=300),
        ]
        assert await work_under_fire(tmp_path, loom, waves) >= 1
        assert loom.writer is not None
        await loom.writer.flush()
        for name, children in (("wide", 60), ("wider", 90)):
            state: Any = (await loom.state_store.load(started[name].actor_id)).data
            assert (state["received"], state["done"]) == (children, True)
        deep = await loom.state_store.load(started["deep"].actor_id)
        assert deep.data["reached"] == 60
        for run in started.values():
            assert run.trace_id is not None
            tree = await loom.reconstructor.reconstruct(run.trace_id)
            assert tree is not None
            refs = [r for s in tree.spans for r in s.refs() if r.kind.value != "idempotency"]
            loaded = await loom.reconstructor.load(refs)
            lies = [ref for ref, found in loaded.items() if found.outcome is not Outcome.LOADED]
            assert lies == []
    finally:
        await wiring.close_loom()


def test_the_children_of_these_tests_see_no_settings_but_theirs(tmp_path: Path) -> None:
    assert {k for k in environment(tmp_path) if k.startswith("LOOM_")} == {"LOOM_DATA_DIR"}
