"""Workers that are killed in the middle of their work lose nothing and do nothing twice."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

from actors import Message
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

QUICK = {"LOOM_LEASE_SECONDS": "1", "LOOM_TRACE_FLUSH_SECONDS": "0.05"}


async def left_to_do(loom: Loom) -> int:
    depth = await loom.queue.depth()
    return depth.ready + depth.delayed + depth.leased


async def new_worker(folder: Path) -> subprocess.Popen[str]:
    """Start a worker process and wait until it says that it works."""
    worker = start(folder, "runworker", **QUICK)
    assert worker.stdout is not None
    assert "handles" in await asyncio.to_thread(worker.stdout.readline)
    return worker


async def work_under_fire(folder: Path, loom: Loom, kills: int, seed: int) -> int:
    """Run two worker processes, kill -9 one again and again; returns how often that hit work."""
    source = random.Random(seed)
    hits = 0
    workers = [await new_worker(folder) for _ in range(2)]
    try:
        for _ in range(kills):
            left = await left_to_do(loom)
            # Wait for progress, so that each kill meets a worker that is at work.
            for _ in range(400):
                if await left_to_do(loom) < left or not left:
                    break
                await asyncio.sleep(0.02)
            await asyncio.sleep(source.random() * 0.05)
            victim = workers.pop(0)
            hits += bool(await left_to_do(loom))
            victim.send_signal(signal.SIGKILL)
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
        await loom.runtime.dispatch(sent)
        await loom.writer.flush()
        hits = await work_under_fire(tmp_path / "data", loom, kills=3, seed=7)
        assert hits >= 1
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
        started = [
            await loom.runtime.start(WORKFLOWS[name], payload)
            for name, payload in (
                ("chain", {"depth": 60}),
                ("word-count", {"children": 60, "words": 400}),
                ("chain", {"depth": 40}),
                ("word-count", {"children": 40, "words": 300}),
            )
        ]
        assert loom.writer is not None
        await loom.writer.flush()
        await work_under_fire(tmp_path, loom, kills=3, seed=3)
        for run, children in ((started[1], 60), (started[3], 40)):
            state: Any = (await loom.state_store.load(run.actor_id)).data
            assert (state["received"], state["done"]) == (children, True)
        for run, depth in ((started[0], 60), (started[2], 40)):
            assert (await loom.state_store.load(run.actor_id)).data["reached"] == depth
        for run in started:
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
