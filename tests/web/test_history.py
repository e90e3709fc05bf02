"""Downloading an actor's history: who may, what is written down, and that it replays."""

from __future__ import annotations

import asyncio
from typing import Any

from django.test import AsyncClient

from actors.models import ActorAccess
from actors.samples import ACTOR_TYPES
from actors.testing import replay
from loomweb.wiring import Loom
from storage import Unavailable
from tests.web.conftest import settled, text
from tests.web.test_actor_page import Login, waiting_loan


async def download(client: AsyncClient, address: str) -> Any:
    return await client.get(f"{address}history/")


async def body(response: Any) -> str:
    return b"".join([part async for part in response.streaming_content]).decode()


async def test_the_history_is_offered_downloaded_and_replays(
    loom: Loom, client: AsyncClient
) -> None:
    address = await waiting_loan(loom, applicant="Mary Somerville")
    assert f'href="{address}history/"' in text(await client.get(address))
    response = await download(client, address)
    assert response.headers["Content-Disposition"] == 'attachment; filename="history.jsonl"'
    history = await body(response)
    assert "Mary Somerville" in history
    found = await asyncio.to_thread(replay, history, *ACTOR_TYPES)
    assert (found.turns, found.in_flight, found.mismatches) == (2, 1, [])


async def test_it_needs_the_permission_to_see_payloads_and_is_written_down(
    loom: Loom, login: Login
) -> None:
    address = await waiting_loan(loom, applicant="Mary Canary")
    curious = await login("run_workflows")
    assert (await download(curious, address)).status_code == 403
    assert "history/" not in text(await curious.get(address))
    assert await ActorAccess.objects.acount() == 0
    allowed = await login("run_workflows", "view_payloads")
    assert "Mary Canary" in await body(await download(allowed, address))
    (access,) = [access async for access in ActorAccess.objects.all()]
    assert (access.user, access.action) == ("person-2", "downloaded the history of")
    assert access.actor_id == address[len("/actors/") : -1]


async def test_what_has_no_history_is_not_found(client: AsyncClient) -> None:
    for actor in ("LoanApproval/nobody", "no-type/1", "T/a%3Fb"):
        assert (await download(client, f"/actors/{actor}/")).status_code == 404
    assert (await client.post("/actors/LoanApproval/nobody/history/")).status_code == 405


async def test_a_store_that_fails_midway_leaves_a_file_that_is_known_to_be_cut(
    loom: Loom, client: AsyncClient, monkeypatch: Any
) -> None:
    address = await waiting_loan(loom)

    async def down(*args: Any, **more: Any) -> Any:
        raise Unavailable("no")

    with monkeypatch.context() as patch:
        patch.setattr(loom.containers["message-archive"], "read_many", down)
        history = await body(await download(client, address))
    assert history.startswith('{"history":1')
    assert '"end"' not in history
    with monkeypatch.context() as patch:
        patch.setattr(loom.queue, "waiting", down)
        assert (await download(client, address)).status_code == 503
    await settled(loom, suspended=1)
