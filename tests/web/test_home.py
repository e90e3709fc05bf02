"""Home and the failure groups: the numbers of what ran, and what to do when there are none."""

from __future__ import annotations

import asyncio
import html
import json
import re
import time
from itertools import chain
from typing import Any

import pytest
from django.test import AsyncClient

from actors.samples import WORKFLOWS
from loomweb.wiring import Loom
from storage import Unavailable
from tests.builders import event
from tests.web.conftest import HTMX, settled, text
from tests.web.test_traces import rows, some_runs
from tracing import Event
from tracing.keeper import RollupKeeper
from tracing.sampling import Sampler
from tracing.sink import TraceSink
from tracing.spanlog import logs_of

S = 1_000_000_000
HOUR = 3_600 * S


async def count(loom: Loom, *events: Event) -> None:
    """Store a rollup of the events, as another writer would."""
    keeper = RollupKeeper(loom.containers["trace-events"], writer="other")
    keeper.count(logs_of(events))
    await keeper.save()


def happened(type: str, ago_ns: int, **fields: Any) -> Event:
    made = event(type, **{"duration_ns": 2_000_000, **fields})
    return Event(**{**_fields(made), "time_ns": time.time_ns() - ago_ns})


def _fields(made: Event) -> dict[str, Any]:
    return {name: getattr(made, name) for name in made.__struct_fields__}


def cells(page: str, name: str) -> list[str]:
    """Return the cells of the row of an actor type, as text."""
    tables = page[page.index('id="h-types"') :]
    found = re.search(rf"<tr>(?:(?!</tr>).)*>{name}<(?:(?!</tr>).)*</tr>", tables, re.DOTALL)
    assert found, f"no row of {name}"
    parts = re.findall(r"<td[^>]*>(.*?)</td>", found.group(), re.DOTALL)
    return [html.unescape(re.sub(r"<[^>]+>", "", part)).strip() for part in parts]


def tile(page: str, label: str) -> str:
    """Return the text of a tile."""
    found = re.search(
        rf'<div class="tile[^"]*">(?:(?!small>).)*{label}.*?</small>', page, re.DOTALL
    )
    assert found, f"no tile {label}"
    return " ".join(re.sub(r"<[^>]+>", " ", found.group()).split())


def data_of(page: str) -> Any:
    found = re.search(r'id="home-data"[^>]*>([^<]*)<', page)
    assert found
    return json.loads(found.group(1))


async def test_the_numbers_are_those_of_what_ran(loom: Loom, client: AsyncClient) -> None:
    await some_runs(loom)
    page = text(await client.get("/"))
    # Two chains: three links down and two answers; two links, of which the second failed.
    assert cells(page, "ChainLink")[:5] == ["ChainLink", "7", "1 · 14%", "0", "1"]
    order = cells(page, "Order")
    assert order[2].startswith("1 · ")
    assert order[3:5] == ["1", "0"]
    statistics = await loom.analytics.statistics(time.time_ns() - HOUR, time.time_ns())
    total = statistics.total
    assert f"{total.handled} handled" in tile(page, "Messages")
    assert f"2 of {total.handled}" in tile(page, "Failed attempts")
    assert "nothing before" in tile(page, "Failed attempts")
    assert tile(page, "Dead-lettered").startswith("Dead-lettered 1 resolved or not ")
    data = data_of(page)
    assert sum(data["handled"]) == total.handled
    assert sum(data["failed"]) == 2
    assert sum(n for _, _, n in data["heat"]["cells"]) == total.handled
    assert len(data["handled"]) == len(data["queries"]) in (60, 61)
    assert f"Messages over time: {total.handled} handled, 2 of them failed" in page
    assert 'href="/traces/?type=ChainLink&amp;since=1h"' in page
    assert "Numbers include traces that were not sampled" in page
    assert 'href="/" aria-current="page"' in page


async def test_a_slot_opens_its_traces(loom: Loom, client: AsyncClient) -> None:
    # Within one minute: a run is listed in the slot in which it began.
    await asyncio.sleep(max(0.0, time.time() % 60 - 55))
    await some_runs(loom)
    page = text(await client.get("/"))
    table = page[page.index("Every number as a table") : page.index('id="h-groups"')]
    links = re.findall(r'href="(/traces/\?from=\d+&amp;to=\d+)"', table)
    found = [rows(text(await client.get(html.unescape(link)))) for link in links]
    assert list(chain.from_iterable(found)) == ["Order/slow", "ChainLink/bad", "ChainLink/fine"]


async def test_failure_groups_lead_to_their_page_and_to_all_of_them(
    loom: Loom, client: AsyncClient
) -> None:
    await some_runs(loom)
    page = text(await client.get("/"))
    groups = page[page.index('id="h-groups"') : page.index('id="h-map"')]
    assert groups.count('class="spark"') == 2
    (broken,) = (row for row in groups.split("<tr>") if ">BrokenLink<" in row)
    assert ">ActivityFailed<" in groups
    group = re.search(r'row-link mono" href="(/failures/[0-9a-f]{16}/\?since=1h)"', broken)
    every = re.search(r'href="(/failures/\?fingerprint=[^"]+)"', broken)
    assert group
    assert every
    assert "ChainLink/bad-2" in text(await client.get(group.group(1)))
    listed = text(await client.get(html.unescape(every.group(1))))
    assert "ChainLink/bad-2" in listed
    assert "Order/slow" not in listed


async def test_who_sends_to_whom_is_counted(loom: Loom, client: AsyncClient) -> None:
    await some_runs(loom)
    page = text(await client.get("/"))
    section = page[page.index('id="h-map"') : page.index('id="h-types"')]
    pairs = re.findall(
        r'">(\w+)</span><span class="to">→</span><span class="pill c\d+">(\w+)</span>'
        r'.*?class="num">(\d+)<',
        section,
    )
    assert pairs[0] == ("ChainLink", "ChainLink", "5")
    statistics = await loom.analytics.statistics(time.time_ns() - HOUR, time.time_ns())
    assert pairs == [(e.source, e.target, str(e.messages)) for e in statistics.edges]


async def test_a_range_is_compared_with_the_one_before_it(loom: Loom, client: AsyncClient) -> None:
    before = [happened("message:completed", int(1.5 * HOUR)) for _ in range(19)]
    before.append(happened("message:failed", int(1.5 * HOUR), error_type="E", fingerprint="e"))
    now = [happened("message:completed", 600 * S) for _ in range(8)]
    now += [happened("message:failed", 600 * S, error_type="E", fingerprint="e") for _ in range(2)]
    await count(loom, *before, *now)
    page = text(await client.get("/?since=1h"))
    assert "10 handled" in tile(page, "Messages")
    assert re.search(r"▼ down (49|50)% from (19\.7|20)/h", tile(page, "Messages"))
    assert "20% 2 of 10 ▲ up 15.0 pts from 5.0%" in tile(page, "Failed attempts")
    assert '<em class="change bad">' in page
    wider = text(await client.get("/?since=24h"))
    assert "30 handled" in tile(wider, "Messages")
    assert "nothing before" in tile(wider, "Messages")
    assert 'href="?since=24h" title="Last 24 hours" aria-current="true"' in wider
    assert "10 handled" in tile(text(await client.get("/?since=nonsense")), "Messages")


@pytest.mark.parametrize("since", ["15m", "1h", "24h", "7d"])
async def test_every_range_renders(loom: Loom, client: AsyncClient, since: str) -> None:
    await some_runs(loom)
    page = text(await client.get(f"/?since={since}"))
    assert cells(page, "ChainLink")[1] == "7"


async def test_with_nothing_to_count_it_says_what_to_do_next(client: AsyncClient) -> None:
    response = await client.get("/")
    assert response.status_code == 200
    page = text(response)
    assert "Nothing has run yet" in page
    assert 'href="/workflows/">Run a sample workflow' in page
    assert "home-data" not in page


async def test_a_quiet_hour_names_the_latest_run(loom: Loom, client: AsyncClient) -> None:
    sink = TraceSink(loom.containers["trace-events"], writer="w")
    old = happened("queue:enqueued", 5 * HOUR, actor="Order/old")
    await sink.store(sink.batch(logs_of([old])))
    page = text(await client.get("/"))
    assert "Nothing ran in the last hour" in page
    assert f'href="/traces/{old.trace_id}/"' in page
    assert 'href="?since=7d">Show the last 7 days' in page
    assert "data-reload" not in page
    new = happened("queue:enqueued", 1 * S, trace="f" * 32)
    await sink.store(sink.batch(logs_of([new])))
    page = text(await client.get("/"))
    assert "has just started" in page
    assert 'data-reload="2000"' in page


async def test_a_store_that_does_not_answer_is_said_with_what_still_works(
    loom: Loom, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*args: Any) -> None:
        raise Unavailable("no answer: secret details")

    monkeypatch.setattr(loom.containers["trace-events"], "query", broken)
    response = await client.get("/")
    assert response.status_code == 200
    page = text(response)
    assert "does not answer" in page
    assert "Still working" in page
    assert "0 waiting, 0 being handled" in tile(page, "Oldest waiting")
    assert "secret" not in page
    assert "Failures cannot be counted" in text(await client.get("/failures/"))
    monkeypatch.setattr(loom.queue, "depth", broken)
    page = text(await client.get("/"))
    assert "does not answer" in tile(page, "Queue")
    assert "secret" not in page


async def test_hostile_names_are_shown_as_text(loom: Loom, client: AsyncClient) -> None:
    nasty = "</script><b>x\u202e"
    odd = {"actor": "<b>y/1", "name": "\"'><b>z", "error_type": nasty, "fingerprint": '"><b>f&a=1'}
    await count(
        loom,
        happened("message:failed", S, **odd),
        Event(**{**_fields(happened("queue:enqueued", S, **odd)), "peer": "<b>p/1"}),
    )
    for address in ("/", "/failures/", "/failures/?fingerprint=%22%3E%3Cb%3Ef%26a%3D1"):
        page = text(await client.get(address))
        assert "<b>y" not in page
        assert "<b>x" not in page
        assert "<b>z" not in page
        assert "<b>f" not in page
        assert "<b>p" not in page
        assert "\u202e" not in page
        assert "&lt;/script&gt;&lt;b&gt;x" in page
    assert "fingerprint=%22%3E%3Cb%3Ef%26a%3D1" in text(await client.get("/"))
    assert 'href="/traces/?type=%3Cb%3Ey&amp;since=1h"' in text(await client.get("/"))


async def test_above_the_failures_stand_their_groups(loom: Loom, client: AsyncClient) -> None:
    await some_runs(loom)
    page = text(await client.get("/failures/"))
    assert 'name="since"' in page
    assert 'name="error"' in page
    top, _, below = page.partition('id="results"')
    assert "last 7 days" in top
    assert 'class="list failures"' in below
    fingerprints = re.findall(r'href="/failures/\?fingerprint=([^"&]+)"', top)
    assert len(fingerprints) == 2
    assert 'href="/failures/?fingerprint=' in text(await client.get("/failures/?since=1h"))
    part = text(await client.get("/failures/", headers=HTMX))
    assert "<html" not in part
    assert "fingerprint=" not in part
    assert part.count('class="list') == 1


async def test_a_group_shows_its_facts_and_only_its_failures(
    loom: Loom, client: AsyncClient
) -> None:
    await some_runs(loom)
    (broken,) = (
        group
        for group in (await loom.analytics.statistics(time.time_ns() - HOUR, time.time_ns())).groups
        if group.error_type == "BrokenLink"
    )
    address = f"/failures/?since=24h&fingerprint={broken.fingerprint}"
    page = text(await client.get(address))
    facts = page[page.index("group-facts") : page.index('id="results"')]
    assert "BrokenLink" in facts
    assert 'class="spark"' in facts
    assert f'href="/failures/{broken.fingerprint}/?since=24h"' in facts
    assert f'type="hidden" name="fingerprint" value="{broken.fingerprint}"' in page
    assert 'href="?since=24h" aria-label="Show every group"' in page
    for headers in ({}, HTMX):
        listed = text(await client.get(address, headers=headers))
        assert "ChainLink/bad-2" in listed
        assert "Order/slow" not in listed
    nothing = text(await client.get("/failures/?since=15m&fingerprint=nope"))
    assert "This group has not failed in the last 15 minutes" in nothing
    assert "No failure matches" in nothing


async def test_groups_follow_the_filters(loom: Loom, client: AsyncClient) -> None:
    await some_runs(loom)
    part = text(await client.get("/failures/groups/?type=Order&since=1h", headers=HTMX))
    assert "<html" not in part
    assert "ActivityFailed" in part
    assert "BrokenLink" not in part
    assert "last hour" in part
    both = text(await client.get("/failures/groups/?type=Order&error=BrokenLink", headers=HTMX))
    assert "row-link" not in both


async def test_more_groups_than_are_shown_are_counted(loom: Loom, client: AsyncClient) -> None:
    await count(
        loom,
        *(
            happened("message:failed", (20 - n) * S, error_type=f"E{n}", fingerprint=f"f{n}")
            for n in range(15)
        ),
    )
    page = text(await client.get("/failures/"))
    assert "3 more groups" in page
    assert ">E14<" in page
    assert ">E2<" not in page
    assert "latest 8 of 15" in text(await client.get("/"))


async def test_an_unsampled_run_is_counted_all_the_same(loom: Loom, client: AsyncClient) -> None:
    assert loom.writer is not None
    loom.writer._sampler = Sampler(rate=0)
    await loom.runtime.start(WORKFLOWS["chain"], {"depth": 3}, key="unseen")
    assert await settled(loom) == []
    page = text(await client.get("/"))
    assert cells(page, "ChainLink")[1] == "5"
