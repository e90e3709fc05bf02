"""No payload, state or error text gets into the trace store, whatever runs and however it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.test import AsyncClient

from actors import ActivityFailed, Actor, RetryPolicy, activity, handler
from actors.samples import ACTOR_TYPES
from loomweb import wiring
from loomweb.config import load_config
from loomweb.wiring import Loom
from storage import scan
from tests.conftest import quick_settings
from tests.sample_runs import QUICK, SAMPLE_RUNS, SampleRun, begin, prepare, text_inputs
from tests.web.conftest import settled
from tests.web.test_workflows import form
from tracing import TraceStatus
from tracing.containers import FAILURE, INTENT, ROLLUP, SEGMENT, SUMMARY

CANARY = "kanarie"
"""Part of every canary, and of no other word."""


def canary(place: str) -> str:
    return f"{CANARY} {place}"


class Escaped(Exception):
    """Says a canary, and holds another."""

    def __init__(self) -> None:
        super().__init__(canary("error"))
        self.held = canary("held")


@activity(retry_policy=QUICK)
async def sing(song: str, ends: bool, idempotency_key: str) -> dict[str, str]:
    if ends:
        return {"heard": canary("result")}
    raise Escaped


class Aviary(Actor):
    """Takes, keeps, sends, spawns with, calls with, returns and raises canaries."""

    @handler
    async def enter(self, payload: dict[str, Any]) -> None:
        heard = await self.call_activity(sing, song=canary("argument"), ends=True)
        self.update_state({canary("key"): canary("state"), **heard})
        self.send(self.actor_id, "escape", {canary("field"): canary("sent")})
        self.spawn(Aviary, "listen", {"song": canary("spawned")})

    @handler
    async def escape(self, payload: dict[str, Any]) -> None:
        self.update_state(lost=canary("undone"))
        raise Escaped

    @handler
    async def listen(self, payload: dict[str, Any]) -> None:
        try:
            await self.call_activity(sing, song=payload["song"], ends=False)
        except ActivityFailed as error:
            self.update_state(caught=str(error))

    @handler
    async def wait(self, payload: dict[str, Any]) -> None:
        word = await self.wait_for_event("song")
        async with self.saga("flight") as saga:
            await saga.step(sing, undo=sing, song=word["song"], ends=True)
            raise Escaped


@pytest.fixture
async def loom(tmp_path: Path) -> AsyncIterator[Loom]:
    """A Loom on the embedded engine that retries at once."""
    opened = await wiring.open_loom(load_config(quick_settings(tmp_path)))
    worker = opened.start_worker(*ACTOR_TYPES, Aviary)
    worker._policy = RetryPolicy(max_retries=1, initial_delay=0.01)
    yield opened
    await wiring.close_loom()


async def texts(loom: Loom, *containers: str) -> list[str]:
    """Return every document of some containers as JSON."""
    return [
        msgspec.json.encode(document.body).decode()
        for name in containers
        async for document in scan(loom.containers[name])
    ]


async def traced(loom: Loom) -> list[str]:
    """Return every document of the trace store, of which there is each kind that there has to be.

    Messages that fail have failures, and traces that are not told whole have segments.
    """
    documents = await texts(loom, "trace-events")
    kinds = {msgspec.json.decode(document)["k"] for document in documents}
    assert kinds | {FAILURE, SEGMENT} == {SEGMENT, SUMMARY, FAILURE, ROLLUP, INTENT}
    return documents


@pytest.mark.parametrize("run", SAMPLE_RUNS, ids=lambda run: run.title)
async def test_a_sample_run_leaves_nothing_of_its_input_and_errors_in_its_trace(
    loom: Loom, run: SampleRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(run, monkeypatch, error_text=canary("error"))
    planted = {name: canary(name) for name in (*text_inputs(run.workflow), "note")}
    await begin(loom.runtime, run, planted)
    (trace,) = await settled(loom)
    assert trace.status is (TraceStatus.FAILED if run.fails else TraceStatus.COMPLETED)

    documents = await traced(loom)
    assert [document for document in documents if CANARY in document] == []
    failures = [d for d in documents if msgspec.json.decode(d)["k"] == FAILURE]
    assert failures or not run.fails

    archived = "".join(await texts(loom, "message-archive"))
    assert all(text in archived for text in planted.values())
    journal = "".join(await texts(loom, "actor-journals"))
    assert canary("error") in journal or run.breaks is None
    assert canary("note") in journal or run.event is None


async def test_payloads_states_results_and_errors_stay_out_of_the_trace(loom: Loom) -> None:
    await loom.runtime.send("Aviary/1", "enter", {canary("field"): canary("payload")})
    (trace,) = await settled(loom)
    assert trace.status is TraceStatus.FAILED

    documents = await traced(loom)
    assert [document for document in documents if CANARY in document] == []
    assert "Escaped" in "".join(documents)
    assert "".join(await texts(loom, "dead-letters")).count(CANARY) == 0

    archived = "".join(await texts(loom, "message-archive"))
    assert all(canary(place) in archived for place in ("payload", "field", "sent", "spawned"))
    journal = "".join(await texts(loom, "actor-journals"))
    assert all(canary(place) in journal for place in ("state", "key", "result", "error"))
    # Nobody keeps what a turn that failed had changed, or what an exception holds.
    assert canary("undone") not in journal
    assert canary("held") not in journal


async def test_events_cancellations_and_sagas_leave_their_texts_elsewhere(loom: Loom) -> None:
    for key in ("told", "cancelled"):
        await loom.runtime.send(f"Aviary/{key}", "wait", {"why": canary("payload")})
    async with asyncio.timeout(10):
        while (await loom.queue.depth()).delayed < 2:
            await asyncio.sleep(0.01)
    await loom.runtime.send_event("Aviary/told", "song", {"song": canary("event")})
    await loom.runtime.cancel("Aviary/cancelled", canary("reason"))
    traces = await settled(loom)
    assert [trace.status for trace in traces] == [TraceStatus.FAILED] * 2

    documents = await traced(loom)
    assert [document for document in documents if CANARY in document] == []
    found = [await loom.reader.get_trace(trace.trace_id) for trace in traces]
    told = {event.type for trace in found if trace is not None for event in trace.events}
    assert told >= {"event:received", "turn:cancelled", "saga:compensated"}
    journal = "".join(await texts(loom, "actor-journals"))
    assert all(canary(place) in journal for place in ("event", "reason", "error"))


async def test_of_a_request_its_method_and_route_are_kept(
    loom: Loom, transactional_db: None
) -> None:
    client = AsyncClient(headers={"User-Agent": canary("agent"), "Cookie": canary("cookie")})
    inputs = form("order", item=canary("item"))
    address = f"/workflows/order/?note={CANARY}"
    assert (await client.post(address, inputs)).status_code == 302
    (trace,) = await settled(loom)
    assert [document for document in await traced(loom) if CANARY in document] == []
    found = await loom.reader.get_trace(trace.trace_id)
    assert found is not None
    (request,) = [event for event in found.events if event.type == "http:request"]
    assert request.name == "POST /workflows/<slug:name>/"
    assert canary("item") in "".join(await texts(loom, "message-archive"))
