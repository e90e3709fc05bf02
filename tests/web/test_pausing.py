"""Pausing an actor from its page; and a turn that today's code does not match, on that page."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from django.test import AsyncClient

from actors import Actor, ActorWorker, handler
from actors.models import ActorAccess
from actors.queues import MailboxState
from loomweb.wiring import Loom
from storage import Unavailable
from tests.web.conftest import text
from tests.web.test_actors import Till, age, suspended, tills, until

Login = Callable[..., Awaitable[AsyncClient]]


class TillOfToday(Actor):
    """The till, as today's code has it: it waits for something else."""

    @classmethod
    def type_name(cls) -> str:
        return Till.type_name()

    @handler
    async def wait(self, payload: dict[str, Any]) -> None:
        await self.wait_for_event("another <word>")


async def parked(loom: Loom) -> None:
    """Leave Till/1 parked: its turn began in other code."""
    await suspended(loom, "1")
    worker = ActorWorker(loom.runtime, loom.queue, TillOfToday, loom.executor)
    task = asyncio.create_task(worker.run())
    await loom.runtime.send_event("Till/1", "word")
    async with asyncio.timeout(20):
        while (await loom.inspector.look("Till/1")).parked is None:
            await asyncio.sleep(0.005)
    worker.stop()
    await task


async def test_a_paused_actor_handles_nothing_until_it_is_resumed(
    loom: Loom, client: AsyncClient
) -> None:
    await suspended(loom, "1")
    response = await client.post("/actors/Till/1/pause/")
    page = text(await client.get(response.headers["Location"]))
    assert "Paused: its messages wait, in order, until it is resumed." in page
    assert 'action="/actors/Till/1/resume/"' in page
    assert 'action="/actors/Till/1/pause/"' not in page
    await loom.runtime.send_event("Till/1", "word")
    async with tills(loom):
        await until(loom, MailboxState.PAUSED)
        await client.post("/actors/Till/1/resume/")
        async with asyncio.timeout(20):
            while (await loom.inspector.look("Till/1")).turn is not None:
                await asyncio.sleep(0.005)
    page = text(await client.get("/actors/Till/1/"))
    assert 'action="/actors/Till/1/pause/"' in page
    assert await acts() == ["paused", "resumed"]


async def test_a_pause_is_not_said_to_be_as_old_as_the_message_that_waits(
    loom: Loom, client: AsyncClient
) -> None:
    await loom.runtime.send("Till/1", "wait", {})
    await age(loom, "Till/1")
    await loom.runtime.pause("Till/1")
    row = text(await client.get("/actors/Till/?status=paused")).split("<tbody>")[1]
    assert re.search(
        r"it is paused, and nothing is delivered; its next message was sent <time", row
    )
    assert "since <time" not in row
    stuck = text(await client.get("/actors/?all=stuck")).split("<tbody>")[1]
    assert re.search(r'data-label="Since"></td>', stuck)
    page = text(await client.get("/actors/Till/1/"))
    assert re.search(r"Its next message, <code>wait</code>, was sent <time", page)


async def test_a_page_follows_what_an_actor_does_after_it_was_resumed(
    loom: Loom, client: AsyncClient
) -> None:
    await loom.runtime.send("Till/1", "wait", {})
    await loom.runtime.pause("Till/1")
    resumed = (await client.post("/actors/Till/1/resume/"))["Location"]
    page = text(await client.get(resumed))
    assert "Resumed." in page
    assert "data-reload" in page
    # Once it is done the page rests, and so it does where nobody takes the message.
    path, acted = resumed.split("?acted=")
    for other in (int(acted) - 60, int(acted) + 60, "x"):
        assert "data-reload" not in text(await client.get(f"{path}?acted={other}"))
    async with tills(loom):
        await until(loom, MailboxState.SUSPENDED)
    assert "data-reload" not in text(await client.get(resumed))


async def test_a_parked_turn_shows_what_was_expected_and_found_and_the_line(
    loom: Loom, client: AsyncClient
) -> None:
    await parked(loom)
    page = text(await client.get("/actors/Till/1/"))
    shown = page.split('class="parked"')[1].split("</form>")[0]
    assert "it waits for code that takes the path which its journal records" in shown
    expected, found = shown.split("Found, in")
    assert "&quot;word&quot;" in expected
    assert "another &lt;word&gt;" in found
    assert re.search(r"test_pausing\.py:\d+ in <b>wait</b>", found)
    assert "self.wait_for_event(&quot;another &lt;word&gt;&quot;)" in found
    # Deployed again as it was, the turn goes on at once.
    async with tills(loom):
        await client.post("/actors/Till/1/resume/")
        async with asyncio.timeout(20):
            while (await loom.inspector.look("Till/1")).turn is not None:
                await asyncio.sleep(0.005)


async def test_without_permissions_there_is_neither_detail_nor_button(
    loom: Loom, login: Login
) -> None:
    await parked(loom)
    curious = await login()
    page = text(await curious.get("/actors/Till/1/"))
    assert "it waits for code that takes the path" in page
    assert "another" not in page
    assert "/resume/" not in page
    for act in ("pause", "resume"):
        assert (await curious.post(f"/actors/Till/1/{act}/")).status_code == 403
    assert not await loom.queue.paused("Till/1")


async def acts() -> list[str]:
    """Return what the log says that was done, in order; looks left out."""
    found = [access.action async for access in ActorAccess.objects.order_by("id")]
    return [action for action in found if action != "looked at"]


@pytest.mark.parametrize(
    ("act", "noted"),
    [("pause", "paused, outcome unknown"), ("resume", "resumed, outcome unknown")],
)
async def test_an_act_is_noted_before_it_is_done_and_stays_when_no_answer_comes(
    loom: Loom, client: AsyncClient, monkeypatch: pytest.MonkeyPatch, act: str, noted: str
) -> None:
    await suspended(loom, "1")
    done = getattr(loom.queue, act)
    before: list[str] = []

    async def answer_lost(actor_id: str) -> None:
        before.extend(await acts())
        await done(actor_id)
        raise Unavailable("the answer is lost")

    with monkeypatch.context() as patch:
        patch.setattr(loom.queue, act, answer_lost)
        await client.post(f"/actors/Till/1/{act}/")
    assert before == [noted]
    assert await acts() == [noted]
    # Repeating it is safe, and noted again.
    await client.post(f"/actors/Till/1/{act}/")
    assert await acts() == [noted, noted.removesuffix(", outcome unknown")]


@pytest.mark.parametrize("act", ["pause", "resume"])
async def test_a_queue_that_does_not_answer_is_told(
    loom: Loom, client: AsyncClient, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    await suspended(loom, "1")

    async def unavailable(*_: object) -> None:
        raise Unavailable("down")

    monkeypatch.setattr(loom.queue, act, unavailable)
    response = await client.post(f"/actors/Till/1/{act}/")
    page = text(await client.get(response.headers["Location"]))
    assert "The queue does not answer (Unavailable)." in page
    assert "again is safe" in page
    assert (await client.post(f"/actors/Till/{'x' * 5_000}/{act}/")).status_code == 404
    assert (await client.get(f"/actors/Till/1/{act}/")).status_code == 405
