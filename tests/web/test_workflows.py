"""The Workflows page: forms, runs that land on their trace, inputs that do not fit."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable

import pytest
from django.test import AsyncClient

from actors.models import ActorAccess
from actors.samples import WORKFLOWS
from loomweb.wiring import Loom
from tests.web.conftest import HTMX, settled, text
from tracing import TraceStatus
from tracing.pages import awaited

DEFAULTS: dict[str, dict[str, object]] = {
    "loan-application": {
        "applicant": "Ada",
        "amount": 9_000,
        "income": 50_000,
        "bureau": "reliable",
    },
    "loan-approval": {"applicant": "Ada", "amount": 9_000, "bureau": "reliable", "timeout": 0.05},
    "checkout": {"customer": "Ada", "item": "pen", "cents": 250, "fails": "charge card"},
    "account": {"owner": "Ada", "days": 2, "day_seconds": 0.02, "day": 1},
    "poison": {"depot": "Utrecht", "parcels": 3, "poison": "none"},
    "trip": {"traveller": "Ada", "destination": "Trieste", "fails": "third"},
    "order": {"item": "pen", "quantity": 2, "restocked_after": 0},
    "word-count": {"children": 5, "words": 20},
    "chain": {"depth": 5, "fail_at": 0},
}


def form(name: str, **changes: object) -> dict[str, object]:
    """Return what the browser would post: the form's fields, prefixed by the workflow."""
    return {f"{name}-{key}": value for key, value in {**DEFAULTS[name], **changes}.items()}


async def test_every_workflow_has_a_form_filled_with_its_defaults(client: AsyncClient) -> None:
    page = text(await client.get("/workflows/"))
    assert set(DEFAULTS) == set(WORKFLOWS)
    for name, workflow in WORKFLOWS.items():
        assert workflow.title.replace("'", "&#x27;") in page
        assert f'action="/workflows/{name}/"' in page
    assert 'name="loan-application-applicant" value="Ada Lovelace"' in page
    assert 'max="1000000"' in page
    assert '<option value="flaky" selected>' in page
    assert "Yearly income in EUR" in page


@pytest.mark.parametrize("name", sorted(DEFAULTS))
async def test_a_run_lands_on_its_trace_which_completes(
    loom: Loom, client: AsyncClient, name: str
) -> None:
    response = await client.post(f"/workflows/{name}/", form(name))
    assert response.status_code == 302
    address = response.headers["Location"]
    assert address.startswith("/traces/")
    # At once, before its first events are stored: the page waits instead of failing.
    assert (await client.get(address)).status_code == 200
    (trace,) = await settled(loom)
    assert trace.trace_id in address
    assert trace.status is TraceStatus.COMPLETED
    assert trace.root == name
    page = text(await client.get(address))
    assert "completed" in page
    types = {event.type for event in (await loom.reader.get_trace(trace.trace_id)).events}  # type: ignore[union-attr]
    assert {"http:request", "workflow:started", "workflow:completed"} <= types


async def test_a_run_continues_the_trace_of_the_request_that_asked_for_it(
    loom: Loom, client: AsyncClient
) -> None:
    caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    response = await client.post(
        "/workflows/chain/", form("chain"), headers={"traceparent": caller}
    )
    assert "0af7651916cd43dd8448eb211c80319c" in response.headers["Location"]
    (trace,) = await settled(loom)
    assert trace.trace_id == "0af7651916cd43dd8448eb211c80319c"


async def test_an_unsampled_caller_gets_a_run_without_a_trace(
    loom: Loom, client: AsyncClient
) -> None:
    caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    response = await client.post(
        "/workflows/chain/", form("chain"), headers={"traceparent": caller}
    )
    assert response.headers["Location"] == "/workflows/"
    assert await settled(loom) == []
    assert loom.worker is not None
    assert loom.worker.stats().handled == 9


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"amount": 5}, "greater than or equal to 100"),
        ({"amount": "lots"}, "Enter a whole number"),
        ({"applicant": ""}, "This field is required"),
        ({"bureau": "bribed"}, "not one of the available choices"),
        ({"applicant": "x" * 500}, "at most 80 characters"),
    ],
)
async def test_input_that_does_not_fit_is_explained_and_nothing_starts(
    loom: Loom, client: AsyncClient, changes: dict[str, object], complaint: str
) -> None:
    response = await client.post(
        "/workflows/loan-application/", form("loan-application", **changes)
    )
    assert response.status_code == 422
    assert complaint in text(response)
    assert await settled(loom) == []


async def test_a_workflow_that_is_not_there_is_not_found(client: AsyncClient) -> None:
    assert (await client.get("/workflows/nothing/")).status_code == 404
    assert (await client.post("/workflows/nothing/", {})).status_code == 404


async def test_running_needs_its_permission(
    loom: Loom, login: Callable[..., Awaitable[AsyncClient]]
) -> None:
    reader = await login("view_payloads")
    page = text(await reader.get("/workflows/chain/"))
    assert "needs the permission" in page
    assert (await reader.post("/workflows/chain/", form("chain"))).status_code == 403
    assert await settled(loom) == []
    runner = await login("view_payloads", "run_workflows")
    assert (await runner.post("/workflows/chain/", form("chain"))).status_code == 302


async def test_a_post_without_a_csrf_token_is_refused(loom: Loom, transactional_db: None) -> None:
    strict = AsyncClient(enforce_csrf_checks=True)
    assert (await strict.post("/workflows/chain/", form("chain"))).status_code == 403
    assert await settled(loom) == []


async def test_the_live_part_says_when_to_stop_asking(loom: Loom, client: AsyncClient) -> None:
    response = await client.post("/workflows/order/", form("order", restocked_after=1))
    trace = response.headers["Location"].split("/")[2]
    assert loom.writer is not None
    await loom.writer.flush()
    live = await client.get(f"/traces/{trace}/live/", headers=HTMX)
    assert live.status_code in (200, 204)
    await settled(loom)
    ended = await client.get(f"/traces/{trace}/live/", headers=HTMX)
    assert ended.status_code == 200
    assert "data-live" not in text(ended)
    assert "completed after 1 failed attempt" in text(ended)


async def test_one_click_starts_as_many_runs_as_are_asked_for(
    loom: Loom, client: AsyncClient
) -> None:
    response = await client.post("/workflows/chain/", form("chain") | {"chain-times": "4"})
    assert response.status_code == 302
    await settled(loom)
    listed = text(await client.get(response.headers["Location"]))
    assert "4 runs of Deep chain were started." in listed
    assert listed.count("row-link") == 4
    # All are here and have ended: there is nothing to wait for.
    assert "here so far" not in listed
    assert 'hx-trigger="load delay' not in listed


async def test_the_list_waits_for_runs_that_were_just_started(
    loom: Loom, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = time.time_ns() // 1_000_000
    address = f"/traces/?type=LoanApproval&runs=3&begun={begun}"
    await loom.runtime.start(WORKFLOWS["loan-approval"], {})
    await settled(loom, suspended=1)
    some = text(await client.get(address))
    assert "1 of the 3 runs is here so far; the others appear by themselves." in some
    again = f'hx-get="{address.replace("&", "&amp;")}" hx-trigger="load delay:1s"'
    assert again in some
    assert again in text(await client.get(address, headers=HTMX))
    for _ in range(2):
        await loom.runtime.start(WORKFLOWS["loan-approval"], {})
    await settled(loom, suspended=3)
    assert "3 of them still run." in text(await client.get(address))
    # What does not come does not keep the page busy.
    monkeypatch.setattr(awaited, "PATIENCE_NS", 0)
    late = text(await client.get(address.replace("runs=3", "runs=4")))
    assert "3 of the 4 runs are here so far. The others are filtered out" in late
    assert 'hx-trigger="load delay' not in late
    none = text(await client.get(f"/traces/?type=Nobody&runs=3&begun={begun}"))
    assert "No trace matches these filters" in none


@pytest.mark.parametrize("query", ["runs=3", "runs=-1&begun=1", "runs=x&begun=y", "runs=0&begun=1"])
async def test_a_malformed_wait_for_runs_is_none(client: AsyncClient, query: str) -> None:
    page = text(await client.get(f"/traces/?{query}"))
    assert 'class="awaited"' not in page


@pytest.mark.parametrize("times", ["0", "101", "many", ""])
async def test_a_number_of_runs_that_does_not_fit_starts_none(
    loom: Loom, client: AsyncClient, times: str
) -> None:
    response = await client.post("/workflows/chain/", form("chain") | {"chain-times": times})
    assert response.status_code == 422
    assert 'role="alert"' in text(response).split('class="run"')[1]
    assert await settled(loom) == []


async def test_run_again_opens_the_form_with_the_runs_input(
    loom: Loom, client: AsyncClient
) -> None:
    await client.post("/workflows/order/", form("order", item="<b>quill</b>", quantity=7))
    (trace,) = await settled(loom)
    page = text(await client.get(f"/traces/{trace.trace_id}/"))
    link = re.search(r'<a href="([^"]+)"[^>]*>Run again</a>', page)
    assert link
    filled = text(await client.get(link[1]))
    assert 'value="&lt;b&gt;quill&lt;/b&gt;"' in filled
    assert 'name="order-quantity" value="7"' in filled
    assert f"The input of {trace.root_actor}, ready to be changed." in filled
    seen = [(a.actor_id, a.action) async for a in ActorAccess.objects.all()]
    assert seen == [(trace.root_actor, "saw the input of")]


@pytest.mark.parametrize("run", ["0" * 32, "../../x", "a" * 5_000, ""])
async def test_a_run_whose_input_is_not_kept_leaves_the_defaults(
    client: AsyncClient, run: str
) -> None:
    filled = text(await client.get("/workflows/order/", {"again": run}))
    assert "That run&#x27;s input is no longer kept. These are the defaults." in filled
    assert 'name="order-quantity" value="' in filled


async def test_the_input_of_another_workflow_is_not_taken(loom: Loom, client: AsyncClient) -> None:
    await client.post("/workflows/chain/", form("chain"))
    (trace,) = await settled(loom)
    filled = text(await client.get("/workflows/order/", {"again": trace.correlation}))
    assert "no longer kept" in filled
    assert await ActorAccess.objects.acount() == 0


async def test_whoever_may_not_see_payloads_gets_the_defaults(
    loom: Loom, login: Callable[..., Awaitable[AsyncClient]]
) -> None:
    curious = await login("run_workflows")
    await curious.post("/workflows/order/", form("order", item="a canary in ink"))
    (trace,) = await settled(loom)
    filled = text(await curious.get("/workflows/order/", {"again": trace.correlation}))
    assert "“Can see payloads, states and errors of messages”. These are the defaults." in filled
    assert "canary" not in filled
    assert await ActorAccess.objects.acount() == 0
