"""The page of event types."""

from __future__ import annotations

import re

from django.test import AsyncClient
from django.urls import reverse

from tests.web.conftest import text
from tracing.event_docs import PHASES
from tracing.registry import REGISTRY


async def test_the_registry_shows_itself(client: AsyncClient) -> None:
    assert reverse("tracing:events") == "/system/events/"
    page = text(await client.get("/system/events/"))
    rows = dict(re.findall(r'<tr id="([^"]+)">(.*?)</tr>', page, re.S))
    assert set(rows) == set(REGISTRY)
    for name, row in rows.items():
        kind = REGISTRY[name]
        assert kind.description.replace("'", "&#x27;") in row
        assert f'data-label="Span">{PHASES[kind.phase]}<' in row
        assert re.findall(r'class="chip"><b>(\w+)</b>', row) == list(kind.refs)
        assert re.findall(r'class="op"><b><code>(\w+)</code>', row) == list(kind.attributes)
        assert ('class="status failed"' in row) is kind.failed


async def test_the_page_only_answers_get(client: AsyncClient) -> None:
    assert (await client.post("/system/events/")).status_code == 405
