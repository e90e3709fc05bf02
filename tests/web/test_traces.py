"""The lists of traces and failures, and the trace page: filters, pages, links, empty states."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import AsyncClient

from actors.samples import WORKFLOWS
from loomweb.wiring import Loom
from storage import Unavailable
from tests.builders import event
from tests.web.conftest import HTMX, panel_links, settled, text
from tracing.sink import TraceSink
from tracing.spanlog import logs_of


async def some_runs(loom: Loom) -> None:
    await loom.runtime.start(WORKFLOWS["chain"], {"depth": 3, "fail_at": 0}, key="fine")
    await loom.runtime.start(WORKFLOWS["chain"], {"depth": 3, "fail_at": 2}, key="bad")
    await loom.runtime.start(
        WORKFLOWS["order"], {"item": "pen", "quantity": 1, "restocked_after": 1}, key="slow"
    )
    await settled(loom)


def rows(page: str) -> list[str]:
    """Return the actor of each row of a list."""
    return re.findall(r'class="actor-id">([^<]+)</span></td>', page)


async def test_without_traces_the_list_says_what_to_do_next(client: AsyncClient) -> None:
    page = text(await client.get("/traces/"))
    assert "No traces yet" in page
    assert 'href="/workflows/"' in page
    assert "Nothing has failed" in text(await client.get("/failures/"))


async def test_a_trace_is_found_by_its_correlation_id_and_by_its_own(
    loom: Loom, client: AsyncClient
) -> None:
    started = await loom.runtime.start(WORKFLOWS["chain"], {"depth": 2}, key="one")
    await settled(loom)
    page = text(await client.get(f"/traces/?actor={started.correlation_id}"))
    assert rows(page) == ["ChainLink/one"]
    answer = await client.get(f"/traces/?actor={started.trace_id}")
    assert (answer.status_code, answer["Location"]) == (302, f"/traces/{started.trace_id}/")


async def test_a_bound_that_is_no_duration_is_said_not_ignored(
    loom: Loom, client: AsyncClient
) -> None:
    await some_runs(loom)
    for headers in ({}, HTMX):
        page = text(await client.get("/traces/?least=soon", headers=headers))
        assert "A duration is written like" in page
        assert rows(page) == []


async def test_traces_are_listed_newest_first_with_their_numbers(
    loom: Loom, client: AsyncClient
) -> None:
    await some_runs(loom)
    page = text(await client.get("/traces/"))
    assert rows(page) == ["Order/slow", "ChainLink/bad", "ChainLink/fine"]
    assert re.findall(r'class="status (\w+)"', page) == [
        "recovered",
        "failed",
        "completed",
    ]
    assert "<title>Traces" in page


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status=failed", ["ChainLink/bad"]),
        ("status=recovered", ["Order/slow"]),
        ("type=ChainLink", ["ChainLink/bad", "ChainLink/fine"]),
        ("type=Shipment", ["Order/slow"]),
        ("actor=ChainLink/fine", ["ChainLink/fine"]),
        ("since=15m", ["Order/slow", "ChainLink/bad", "ChainLink/fine"]),
        ("status=failed&type=Order", []),
        ("status=nonsense&type=Order", ["Order/slow"]),
        ("message=place", ["Order/slow"]),
        ("error=ShelfEmpty", ["Order/slow"]),
        ("error=ShelfEmpty&status=failed", []),
        ("least=5 min", []),
        ("most=5+min&type=ChainLink", ["ChainLink/bad", "ChainLink/fine"]),
        ("from=1000&to=2000", []),
        ("from=2000&to=1000&type=Order", ["Order/slow"]),
        ("from=1000&to=9999999999999&type=Order", ["Order/slow"]),
    ],
)
async def test_filters_stand_in_the_address(
    loom: Loom, client: AsyncClient, query: str, found: list[str]
) -> None:
    await some_runs(loom)
    whole = text(await client.get(f"/traces/?{query}"))
    assert rows(whole) == found
    part = await client.get(f"/traces/?{query}", headers=HTMX)
    assert "<html" not in text(part)
    assert rows(text(part)) == found
    assert "HX-Request" in part.headers["Vary"]
    if not found:
        assert "No trace matches" in whole


async def test_a_trace_id_in_the_filter_or_the_box_goes_to_its_trace(client: AsyncClient) -> None:
    trace = "ABCDEF" + "0" * 26
    for address in (f"/traces/?actor={trace}", f"/?q={trace}", f"/?q=+{trace}+"):
        response = await client.get(address)
        assert response.headers["Location"] == f"/traces/{trace.lower()}/"
    part = await client.get(f"/traces/?actor={trace}", headers=HTMX)
    assert part.headers["HX-Redirect"] == f"/traces/{trace.lower()}/"


async def test_pages_follow_each_other_and_keep_the_filters(
    loom: Loom, client: AsyncClient
) -> None:
    sink = TraceSink(loom.containers["trace-events"], writer="w")
    for n in range(120):
        found = event("queue:enqueued", n, trace=f"{n + 1:032x}", at=n, actor=f"Order/{n}")
        await sink.store(sink.batch(logs_of([found])))
    seen: list[str] = []
    address = "/traces/?type=Order"
    pages = 0
    while address:
        page = text(await client.get(address))
        pages += 1
        seen += rows(page)
        link = re.search(r'rel="next" href="([^"]+)"', page)
        address = "/traces/" + link.group(1).replace("&amp;", "&") if link else ""
        assert not link or "type=Order" in link.group(1)
    assert pages == 3
    assert seen == [f"Order/{n}" for n in range(119, -1, -1)]


async def orders(loom: Loom, first: int, last: int) -> None:
    """Store traces of one event each, a millisecond apart; every other one is of a Shipment."""
    sink = TraceSink(loom.containers["trace-events"], writer=f"w{first}")
    for n in range(first, last):
        actor = f"{'Shipment' if n % 2 else 'Order'}/{n}"
        found = event("queue:enqueued", n, trace=f"{n + 1:032x}", at=n, actor=actor)
        await sink.store(sink.batch(logs_of([found])))


async def test_the_newest_that_match_are_points_and_no_more_than_fit(
    loom: Loom, client: AsyncClient
) -> None:
    await orders(loom, 0, 300)
    page = text(await client.get("/traces/"))
    assert "the newest 250 that match" in page
    assert page.count('<svg class="dot running" x=') == 250
    page = text(await client.get("/traces/?type=Order"))
    assert "150 traces" in page
    assert page.count('<svg class="dot running" x=') == 150
    places = [float(x) for x in re.findall(r'<svg class="dot \w+" x="([\d.]+)%"', page)]
    assert all(0 <= place <= 100 for place in places)
    assert places == sorted(places, reverse=True)
    later = re.search(r'rel="next" href="([^"]+)"', page)
    assert later
    assert "data-scatter" not in text(
        await client.get("/traces/" + later.group(1).replace("&amp;", "&"))
    )


async def test_newer_traces_are_counted_with_the_filters_of_the_list(
    loom: Loom, client: AsyncClient
) -> None:
    await orders(loom, 0, 1)
    page = text(await client.get("/traces/?type=Order"))
    asked = re.search(r'hx-get="(/traces/newer/[^"]+)"', page)
    assert asked
    address = asked.group(1).replace("&amp;", "&")
    assert "newer-pill" not in text(await client.get(address))
    await orders(loom, 1, 6)
    pill = text(await client.get(address))
    assert ">2 new</a>" in pill
    assert 'href="/traces/?type=Order"' in pill
    # It asks again for the same, so that the number grows while nobody looks.
    assert asked.group(1) in pill
    await orders(loom, 6, 120)
    assert ">50+ new</a>" in text(await client.get(address))
    assert "newer/" not in text(await client.get("/traces/?from=1000&to=2000"))
    for wrong in ("", "?after=", "?after=x", "?after=-1", "?after=" + "9" * 30):
        assert (await client.get(f"/traces/newer/{wrong}")).status_code == 404


async def test_a_page_that_does_not_exist_is_explained(client: AsyncClient) -> None:
    for address in ("/traces/?cursor=zzz", "/failures/?cursor=zzz"):
        response = await client.get(address)
        assert response.status_code == 200
        assert "does not exist any more" in text(response)


async def test_failures_link_to_the_span_that_failed(loom: Loom, client: AsyncClient) -> None:
    await some_runs(loom)
    page = text(await client.get("/failures/"))
    assert "BrokenLink" in page
    assert "ActivityFailed" in page
    listed = page.partition('id="results"')[2]
    links = re.findall(r'href="(/traces/[0-9a-f]{32}/\?span=[0-9a-f]{16})"', listed)
    assert len(links) == 2
    for link in links:
        trace = text(await client.get(link.replace("&amp;", "&")))
        span = link.rpartition("=")[2]
        assert re.search(rf'id="s-{span}"[^>]*class="[^"]*selected', trace)
        assert f'/spans/{span}/">Open its details' in trace
    only = text(await client.get("/failures/?error=BrokenLink"))
    assert "ActivityFailed" not in only
    assert "ChainLink/bad-2" in only


async def test_the_trace_page_says_what_happened_and_shows_every_span(
    loom: Loom, client: AsyncClient
) -> None:
    await some_runs(loom)
    traces = (await loom.reader.find_traces()).traces
    bad = next(trace for trace in traces if trace.root_actor == "ChainLink/bad")
    page = text(await client.get(f"/traces/{bad.trace_id}/"))
    assert "<code>ChainLink/bad-2</code> failed handling <code>extend</code>" in page
    assert "<code>BrokenLink</code>" in page
    assert len(panel_links(page)) == 3
    assert page.count('class="waiting"') >= 2
    assert page.count('class="handling"') >= 2
    assert 'aria-level="3"' in page
    assert f'data-rows="/traces/{bad.trace_id}/rows/"' in page


@pytest.mark.parametrize("trace", ["0" * 32, "f" * 32])
async def test_a_trace_that_is_not_there_is_explained(client: AsyncClient, trace: str) -> None:
    response = await client.get(f"/traces/{trace}/")
    assert response.status_code == 404
    assert "trace" in text(response)


@pytest.mark.parametrize("address", ["/traces/nonsense/", "/traces/%3Cscript%3E/", "/nope/"])
async def test_a_malformed_address_is_not_found(client: AsyncClient, address: str) -> None:
    assert (await client.get(address)).status_code == 404


async def test_a_span_that_is_not_there_is_not_found(loom: Loom, client: AsyncClient) -> None:
    await some_runs(loom)
    trace = (await loom.reader.find_traces()).traces[0].trace_id
    assert (await client.get(f"/traces/{trace}/spans/{'0' * 16}/")).status_code == 404
    span = panel_links(text(await client.get(f"/traces/{trace}/")))[0]
    assert (await client.get(f"{span}refs/999/")).status_code == 404


async def test_a_panel_is_a_page_of_its_own_without_scripts(
    loom: Loom, client: AsyncClient
) -> None:
    await some_runs(loom)
    trace = (await loom.reader.find_traces()).traces[0].trace_id
    link = panel_links(text(await client.get(f"/traces/{trace}/")))[1]
    alone = text(await client.get(link))
    assert "<html" in alone
    assert "Back to the trace" in alone


async def test_a_referenced_value_can_be_downloaded_whole(loom: Loom, client: AsyncClient) -> None:
    await some_runs(loom)
    traces = (await loom.reader.find_traces()).traces
    trace = next(t for t in traces if t.root_actor == "Order/slow").trace_id
    link = panel_links(text(await client.get(f"/traces/{trace}/")))[1]
    panel = text(await client.get(f"{link}?tab=message", headers=HTMX))
    address = re.search(r'href="([^"]+refs/\d+/\?download=1)"', panel)
    assert address
    file = await client.get(address.group(1))
    assert file.headers["Content-Disposition"].startswith('attachment; filename="message-')
    assert file.json()["payload"] == {"item": "pen", "quantity": 1, "restocked_after": 1}


async def test_a_store_that_does_not_answer_is_said_and_the_page_stands(
    loom: Loom, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(query: Any) -> None:
        raise Unavailable("no answer")

    monkeypatch.setattr(loom.containers["trace-events"], "query", broken)
    for address in ("/traces/", "/failures/"):
        response = await client.get(address)
        assert response.status_code == 200
        assert "does not answer" in text(response)
        assert "Runs go on without it" in text(response)
    assert (await client.get("/system/")).status_code == 200


async def test_the_trace_renders_when_every_reference_fails_to_load(
    loom: Loom, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await some_runs(loom)
    trace = (await loom.reader.find_traces()).traces[0].trace_id

    async def broken(*args: Any, **options: Any) -> None:
        raise Unavailable("no answer")

    for name in ("message-archive", "actor-journals", "actor-states", "dead-letters"):
        for call in ("read", "read_many", "query"):
            monkeypatch.setattr(loom.containers[name], call, broken)
    page = text(await client.get(f"/traces/{trace}/"))
    for link in panel_links(page):
        for tab in ("error", "message", "state", "journal", "effects", "raw"):
            response = await client.get(f"{link}?tab={tab}", headers=HTMX)
            assert response.status_code == 200
    message = text(await client.get(f"{panel_links(page)[1]}?tab=message", headers=HTMX))
    assert "unreadable" in message


async def test_the_system_page_shows_what_was_measured(loom: Loom, client: AsyncClient) -> None:
    await some_runs(loom)
    page = text(await client.get("/system/"))
    stats = loom.worker.stats() if loom.worker else None
    assert stats is not None
    assert f"<dt>Handled</dt><dd>{stats.handled}</dd>" in page
    for name in loom.containers:
        assert name in page
    assert (await client.get("/healthz")).content == b"ok\n"
    assert (await client.get("/readyz")).json() == {"ready": True}


async def test_readiness_is_refused_when_the_queue_does_not_answer(
    loom: Loom, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken() -> None:
        raise Unavailable("secret details")

    monkeypatch.setattr(loom.queue, "depth", broken)
    response = await client.get("/readyz")
    assert response.status_code == 503
    assert "secret" not in text(response)


async def test_failed_attempts_and_failing_spans_are_told_apart_and_agree(
    loom: Loom, client: AsyncClient
) -> None:
    # Two failed attempts at one message, in a run that is well in the end.
    await loom.runtime.start(WORKFLOWS["order"], {"restocked_after": 2})
    (trace,) = await settled(loom)
    assert trace.errors > 1
    row = text(await client.get("/traces/")).split("<tbody>")[1].split("</tr>")[0]
    assert f'data-label="Failed attempts">{trace.errors}</td>' in row
    page = text(await client.get(f"/traces/{trace.trace_id}/"))
    head = page.split('class="trace-facts"')[1].split("</header>")[0]
    assert f"; {trace.errors} failed attempts at messages" in head
    tree = await loom.reconstructor.reconstruct(trace.trace_id)
    assert tree is not None
    failing = len(tree.failing)
    assert failing != trace.errors
    assert f">{failing} failing span" in head
    statistics = text(await client.get(f"/traces/{trace.trace_id}/statistics/"))
    assert sum(map(int, re.findall(r'data-label="Failing">(\d+)<', statistics))) == failing
