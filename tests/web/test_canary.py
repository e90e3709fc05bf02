"""A canary in a payload, a state and an exception is found in the expanded parts alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from django.test import AsyncClient

from actors import Actor, activity, handler
from loomweb import wiring
from loomweb.config import load_config
from loomweb.wiring import Loom
from storage import scan
from tests.conftest import quick_settings
from tests.web.conftest import HTMX, panel_links, settled, tabs_and_references, text

PAYLOAD, STATE, ERROR = "canary-payload-7f3", "canary-state-9a1", "canary-error-c44"
RESULT, ARGUMENT = "canary-result-51d", "canary-argument-e02"
ALL = (PAYLOAD, STATE, ERROR, RESULT, ARGUMENT)


@activity
async def look_up(secret: str) -> dict[str, str]:
    return {"found": RESULT}


class Birdcage(Actor):
    @handler
    async def keep(self, payload: dict[str, str]) -> None:
        found = await self.call_activity(look_up, secret=ARGUMENT)
        self.update_state(secret=STATE, **found)
        self.send(self.actor_id, "lose", {"secret": PAYLOAD})

    @handler
    async def lose(self, payload: dict[str, str]) -> None:
        raise ValueError(ERROR)


@pytest.fixture
async def loom(tmp_path: Path) -> object:
    config = load_config(quick_settings(tmp_path))
    opened = await wiring.open_loom(replace(config, grace_seconds=0.1))
    opened.start_worker(Birdcage)
    yield opened
    await wiring.close_loom()


async def test_referenced_data_is_in_the_expanded_parts_alone(
    loom: Loom, client: AsyncClient
) -> None:
    assert loom.worker is not None
    loom.worker._policy = replace(loom.worker._policy, max_retries=1, initial_delay=0.01)
    await loom.runtime.send("Birdcage/1", "keep", {"secret": PAYLOAD})
    (trace,) = await settled(loom)

    for address in (
        "/",
        "/traces/",
        f"/traces/{trace.trace_id}/",
        "/failures/",
        "/system/",
        "/workflows/",
    ):
        page = text(await client.get(address))
        assert not [canary for canary in ALL if canary in page], address
    live = text(await client.get(f"/traces/{trace.trace_id}/live/", headers=HTMX))
    assert not [canary for canary in ALL if canary in live]

    async for document in scan(loom.containers["trace-events"]):
        assert "canary" not in str(document.body)
    async for document in scan(loom.containers["dead-letters"]):
        assert "canary" not in str(document.body)

    page = text(await client.get(f"/traces/{trace.trace_id}/"))
    seen: set[str] = set()
    asked: set[str] = set()
    wanted = set(panel_links(page))
    assert len(wanted) == 3
    while wanted - asked:
        address = (wanted - asked).pop()
        asked.add(address)
        response = await client.get(address, headers=HTMX)
        assert response.status_code == 200, address
        part = text(response)
        seen |= {canary for canary in ALL if canary in part}
        wanted |= tabs_and_references(part)
    # An activity's arguments are never kept: the journal holds their hash.
    assert seen == {PAYLOAD, STATE, ERROR, RESULT}


async def test_each_kind_of_data_has_its_tab(loom: Loom, client: AsyncClient) -> None:
    assert loom.worker is not None
    loom.worker._policy = replace(loom.worker._policy, max_retries=0)
    await loom.runtime.send("Birdcage/1", "keep", {"secret": PAYLOAD})
    (trace,) = await settled(loom)
    keep, _, lose = panel_links(text(await client.get(f"/traces/{trace.trace_id}/")))

    async def tab(panel: str, name: str) -> str:
        return text(await client.get(f"{panel}?tab={name}", headers=HTMX))

    assert PAYLOAD in await tab(keep, "message")
    assert STATE in await tab(keep, "state")
    assert "$.secret" in await tab(keep, "state")
    journal = await tab(keep, "journal")
    assert STATE in journal
    assert "message_sent" in journal
    effects = await tab(keep, "effects")
    assert "actor-journals/" in effects
    assert "lose" in effects
    assert ERROR not in await tab(lose, "message")
    # A span that failed opens on its error.
    opened = text(await client.get(lose, headers=HTMX))
    assert ERROR in opened
    assert "ValueError" in opened
    assert "test_canary.py" in opened
