"""The whole product on both engines: a run is started from its page and its trace opened."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from django.test import AsyncClient

from actors.samples import WORKFLOWS
from loomweb import wiring
from loomweb.config import load_config
from loomweb.seed import RUNS, seed_when_empty
from loomweb.wiring import Loom
from tests.conftest import cosmos_settings, quick_settings
from tests.web.conftest import HTMX, panel_links, settled, text
from tracing import FailureFilter, Outcome, TraceFilter, TraceStatus


@pytest.fixture(params=["sqlite", "cosmos"])
async def loom(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Loom]:
    if request.param == "sqlite":
        environ = quick_settings(tmp_path, LOOM_RUN_WORKERS="1")
    else:
        endpoint = request.getfixturevalue("cosmos_endpoint")
        environ = cosmos_settings(tmp_path, endpoint, f"e2e-{uuid4().hex[:8]}")
    opened = await wiring.open_loom(load_config(environ))
    assert opened.store.engine == request.param
    yield opened
    await wiring.close_loom()


async def test_a_workflow_is_run_and_its_trace_opened(loom: Loom, transactional_db: None) -> None:
    client = AsyncClient()
    response = await client.post(
        "/workflows/loan-application/",
        {
            "loan-application-applicant": "Grace Hopper",
            "loan-application-amount": 9_000,
            "loan-application-income": 50_000,
            "loan-application-bureau": "reliable",
        },
    )
    address = response.headers["Location"]
    (trace,) = await settled(loom)
    assert trace.status is TraceStatus.COMPLETED
    page = text(await client.get(address))
    assert "Grace Hopper" not in page
    links = panel_links(page)
    assert len(links) >= 4
    titles = {link: text(await client.get(link, headers=HTMX)) for link in links}
    submit = next(link for link, part in titles.items() if "<h2>submit</h2>" in part)
    message = text(await client.get(f"{submit}?tab=message", headers=HTMX))
    assert "Grace Hopper" in message
    state = text(await client.get(f"{submit}?tab=state", headers=HTMX))
    assert "$.applicant" in state
    effects = text(await client.get(f"{submit}?tab=effects", headers=HTMX))
    assert "Documents written" in effects
    assert "actor-journals/000000000000" in effects
    listed = text(await client.get("/traces/?type=Disbursement&status=completed"))
    assert trace.trace_id in listed


async def test_sample_runs_fail_recover_and_complete_and_every_reference_loads(
    loom: Loom,
) -> None:
    assert await seed_when_empty() == len(RUNS)
    await settled(loom, suspended=1)
    assert await seed_when_empty() == 0
    traces = (await loom.reader.find_traces(limit=50)).traces
    found = [trace.status for trace in traces]
    assert found.count(TraceStatus.FAILED) == 4
    assert found.count(TraceStatus.RECOVERED) == 1
    assert found.count(TraceStatus.COMPLETED) == 9
    assert found.count(TraceStatus.RUNNING) == 1
    failed = await loom.reader.find_traces(TraceFilter(status=TraceStatus.FAILED))
    for summary in failed.traces:
        tree = await loom.reconstructor.reconstruct(summary.trace_id)
        assert tree is not None
        assert tree.summary == summary
        refs = [
            ref for span in tree.spans for ref in span.refs() if ref.kind.value != "idempotency"
        ]
        outcomes = {found.outcome for found in (await loom.reconstructor.load(refs)).values()}
        assert outcomes == {Outcome.LOADED}
    failures = await loom.reader.find_failures(FailureFilter(error_type="OutOfStock"))
    assert [failure.outcome.value for failure in failures.failures] == ["dead_lettered"]


async def test_what_happens_is_recorded_without_a_line_in_the_actors(
    loom: Loom, transactional_db: None
) -> None:
    await seed_when_empty()
    await settled(loom, suspended=1)
    (undecided,) = await loom.inspector.suspended("LoanApproval", limit=2)
    await loom.runtime.send_event(undecided, "decision", {"approved": True})
    await AsyncClient().post("/workflows/chain/", {"chain-depth": 1, "chain-fail_at": 0})
    # A flaky bureau fails about every second time, so of many runs some are retried.
    for number in range(16):
        flaky = {"applicant": str(number), "amount": 9_000, "bureau": "flaky"}
        await loom.runtime.start(WORKFLOWS["loan-application"], flaky)
    await settled(loom)
    # An actor that is not in memory any more. Blocked and lost locks and duplicates take a second
    # worker: tests/actors/test_worker.py has them.
    started = await loom.runtime.start(WORKFLOWS["chain"], {"depth": 1}, key="again")
    await settled(loom)
    loom.runtime.deactivate(started.actor_id)
    await loom.runtime.send(started.actor_id, "reached", {"depth": 1})
    await settled(loom)
    family = "cosmosdb" if loom.store.engine == "cosmos" else "store"
    seen: set[str] = set()
    for summary in (await loom.reader.find_traces(limit=100)).traces:
        trace = await loom.reader.get_trace(summary.trace_id)
        assert trace is not None
        seen |= {event.type for event in trace.events}
    assert seen == {
        "http:request",
        "timer:fired",
        "workflow:started",
        "workflow:completed",
        "workflow:failed",
        "queue:enqueued",
        "queue:dequeued",
        "message:received",
        "message:started",
        "message:completed",
        "message:failed",
        "message:retried",
        "message:dead_lettered",
        "message:sent",
        "actor:created",
        "actor:activated",
        "actor:state_changed",
        "activity:scheduled",
        "activity:started",
        "activity:completed",
        "activity:failed",
        "activity:retried",
        "child:spawned",
        "event:awaited",
        "event:received",
        "turn:suspended",
        "turn:replayed",
        "saga:started",
        "saga:step_completed",
        "saga:compensating",
        "saga:compensated",
        f"{family}:read",
        f"{family}:write",
        "lock:acquired",
        "lock:released",
    }
