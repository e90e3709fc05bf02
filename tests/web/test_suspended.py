"""The trace of a run that waits says for what, since when, and where to send it."""

from __future__ import annotations

import html
import re

from django.test import AsyncClient

from actors.samples import WORKFLOWS
from loomweb.wiring import Loom
from tests.web.conftest import settled, text


async def test_a_trace_that_waits_for_an_event_leads_to_where_it_is_sent(
    loom: Loom, client: AsyncClient
) -> None:
    started = await loom.runtime.start(WORKFLOWS["loan-approval"], {})
    await settled(loom, suspended=1)
    for address in (f"/traces/{started.trace_id}/", f"/traces/{started.trace_id}/live/"):
        head = text(await client.get(address)).split('id="trace-head"')[1].split("</header>")[0]
        assert '<span class="status suspended">' in head
        assert "<code>loan-approval</code> is suspended: " in head
        assert re.search(
            r"waits for the event <code>decision</code>, since <time [^>]*data-ago", head
        )
        assert re.search(r"data-so-far=\"\d+\"[^>]*>[^<]+ so far<", head)
        assert "Incomplete" not in head
        link = re.search(r'href="([^"#]+)#turn">Send decision</a>', head)
        assert link
        assert link[1] == f"/actors/{started.actor_id}/"
    assert 'id="turn"' in text(await client.get(link[1]))
    listed = text(await client.get("/traces/"))
    assert re.search(r"data-so-far=\"\d+\"[^>]*>[^<]+ so far<", listed)


async def test_a_trace_that_went_on_says_so_no_more(loom: Loom, client: AsyncClient) -> None:
    started = await loom.runtime.start(WORKFLOWS["loan-approval"], {})
    await settled(loom, suspended=1)
    await loom.runtime.send_event(started.actor_id, "decision", {"approved": True})
    await settled(loom)
    page = html.unescape(text(await client.get(f"/traces/{started.trace_id}/")))
    assert "suspended: " not in page
    assert "so far" not in page
    assert "Send decision" not in page
