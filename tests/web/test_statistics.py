"""Where a trace's time went, and what traces take to store."""

from __future__ import annotations

import re

from django.test import AsyncClient

from actors.samples import WORKFLOWS
from loomweb.wiring import Loom
from storage import Unavailable
from tests.web.conftest import settled, text
from tracing.economy import cost_of, cost_of_latest
from tracing.tally import Tally


async def one_order(loom: Loom) -> str:
    """Run an order that succeeds at its second attempt; return its trace."""
    order = {"item": "pen <b>", "quantity": 1, "restocked_after": 1}
    await loom.runtime.start(WORKFLOWS["order"], order, key="one")
    (trace,) = await settled(loom)
    return trace.trace_id


async def test_the_statistics_tell_each_kind_of_work_and_the_critical_path(
    loom: Loom, client: AsyncClient
) -> None:
    trace_id = await one_order(loom)
    page = text(await client.get(f"/traces/{trace_id}/"))
    assert f'href="/traces/{trace_id}/statistics/"' in page
    page = text(await client.get(f"/traces/{trace_id}/statistics/"))
    work, path = page.split("Critical path")
    assert {"place", "reserve"} <= set(re.findall(r"<td class=\"main-cell\"><b>([^<]+)</b>", work))
    steps = re.findall(r'data-label="Doing">(\w+)<', path)
    assert "backoff" in steps
    links = re.findall(rf'href="/traces/{trace_id}/\?span=([0-9a-f]+)"', path)
    trace = await loom.reader.get_trace(trace_id)
    assert trace is not None
    assert set(links) <= {event.span_id for event in trace.events}


async def test_a_trace_that_is_not_there_says_so(client: AsyncClient) -> None:
    for address in ("statistics", "cost"):
        assert (await client.get(f"/traces/{'0' * 31}1/{address}/")).status_code == 404


async def test_the_cost_of_a_trace_is_counted_from_its_documents_and_what_they_refer_to(
    loom: Loom, client: AsyncClient
) -> None:
    trace_id = await one_order(loom)
    cost = await cost_of(loom.reader, loom.reconstructor, trace_id)
    assert cost is not None
    trace = await loom.reader.get_trace(trace_id)
    assert trace is not None
    assert cost.references == sum(len(event.refs) for event in trace.events)
    assert 0 < cost.followed <= cost.references
    assert cost.data_bytes > cost.stored_bytes > 0
    assert cost.share_percent < 50
    shown = text(await client.get(f"/traces/{trace_id}/cost/"))
    assert f"{cost.share_percent:.1f} %" in shown
    latest = await cost_of_latest(loom.reader, loom.reconstructor, 10)
    assert latest == cost
    assert f"{cost.share_percent:.1f} %" in text(await client.get("/system/cost/"))
    assert "Measure" in text(await client.get("/system/"))


async def test_nothing_to_measure_and_a_store_that_is_down_are_said(
    loom: Loom, client: AsyncClient, monkeypatch: object
) -> None:
    assert "no trace to measure" in text(await client.get("/system/cost/"))

    async def down(*_: object, **__: object) -> Tally:
        raise Unavailable("gone")

    loom.reader.find_traces = down  # type: ignore[method-assign,assignment]
    page = text(await client.get("/system/cost/"))
    assert "the store does not answer (Unavailable)" in page
