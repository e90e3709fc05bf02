"""The pages of all actors and of one type: what fails, what is stuck, who is where in the queue."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from django.test import AsyncClient

from actors import Actor, ActorWorker, DeadLetters, handler
from actors.deadletters import DEAD_LETTERS
from actors.models import ActorAccess
from actors.queues import MailboxState
from actors.retry import RetryPolicy
from actors.samples import WORKFLOWS
from loomweb.wiring import Loom
from storage import Unavailable
from tests.builders import message
from tests.web.conftest import HTMX, settled, text
from tests.web.test_security import NASTY

Login = Callable[..., Awaitable[AsyncClient]]
SLOW = RetryPolicy(max_retries=5, initial_delay=300, max_delay=300, jitter=0)
AT_ONCE = RetryPolicy(max_retries=0)


class DrawerStuck(Exception):
    pass


class Till(Actor):
    @handler
    async def open(self, payload: dict[str, Any]) -> None:
        raise DrawerStuck(payload.get("text", "the drawer Canary is stuck"))

    @handler
    async def wait(self, payload: dict[str, Any]) -> None:
        await self.wait_for_event("word")

    @handler
    async def ask(self, payload: dict[str, Any]) -> None:
        await self.call("Till/asked", "wait", {})

    @handler
    async def count(self, payload: dict[str, Any]) -> None:
        for number in range(payload["steps"]):
            self.update_state(**{f"n{number}": number})


@asynccontextmanager
async def tills(loom: Loom, policy: RetryPolicy = SLOW) -> AsyncIterator[None]:
    """Run a worker for tills within the block; what it left waits afterwards."""
    worker = ActorWorker(
        *(loom.runtime, loom.queue, Till, loom.executor, policy, loom.writer, loom.archive),
        dead_letters=DeadLetters(loom.containers[DEAD_LETTERS.name]),
    )
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        worker.stop()
        await task


async def until(loom: Loom, state: MailboxState, count: int = 1) -> None:
    """Wait until so many tills are in a state, and all that is told of them is stored."""
    async with asyncio.timeout(20):
        while len(await loom.queue.mailboxes("Till", state=state, limit=100)) < count:
            await asyncio.sleep(0.005)
    assert loom.writer is not None
    await loom.writer.flush()


async def failing(loom: Loom, *keys: str, **payload: Any) -> None:
    """Leave tills whose first attempt failed and whose next one is due in five minutes."""
    async with tills(loom):
        for key in keys:
            await loom.runtime.send(f"Till/{key}", "open", payload)
        await until(loom, MailboxState.RETRYING, len(keys))


async def suspended(loom: Loom, *keys: str, message_type: str = "wait") -> None:
    """Leave tills whose turn is suspended."""
    async with tills(loom):
        for key in keys:
            await loom.runtime.send(f"Till/{key}", message_type, {})
        more = len(keys) + (message_type == "ask")
        await until(loom, MailboxState.SUSPENDED, more)


def section(page: str, name: str) -> str:
    """Return what stands below the heading of a section."""
    return page.split(f'id="h-{name}"')[1].split("</section>")[0]


async def test_a_turn_that_fails_and_goes_on_is_listed_with_its_error_and_when_it_is_due(
    loom: Loom, client: AsyncClient
) -> None:
    await failing(loom, "7")
    await loom.runtime.send("Till/7", "wait", {})
    found = section(text(await client.get("/actors/")), "failing")
    assert 'href="/actors/Till/7/?since=1h"' in found
    assert "<code>open</code>" in found
    assert "1 of 6" in found
    assert "DrawerStuck" in found
    assert "the drawer Canary is stuck" in found
    assert re.search(r'class="next"[^>]*><time [^>]*data-until>', found)
    assert re.search(r'data-label="Behind it">1<', found)
    (trace,) = (await loom.reader.find_traces(limit=10)).traces[-1:]
    assert re.search(rf'href="/traces/{trace.trace_id}/\?span=[0-9a-f]{{16}}&amp;new=1"', found)
    seen = [(a.actor_id, a.action) async for a in ActorAccess.objects.all()]
    assert seen == [("Till/7", "saw the last error of")]


async def test_without_the_permission_there_is_the_error_type_and_no_text(
    loom: Loom, login: Login
) -> None:
    await failing(loom, "7")
    curious = await login()
    for address in ("/actors/", "/actors/?all=failing", "/actors/Till/", "/actors/Till/7/"):
        page = text(await curious.get(address))
        assert "DrawerStuck" in page
        assert "Canary" not in page
    assert "Can see payloads, states and errors of messages" in text(await curious.get("/actors/"))
    assert await ActorAccess.objects.acount() == 0
    assert "Canary" in text(await (await login("view_payloads")).get("/actors/"))


async def test_what_a_suspended_turn_waits_for_is_listed_with_whom_it_asked(
    loom: Loom, client: AsyncClient
) -> None:
    await suspended(loom, "asking", message_type="ask")
    await loom.runtime.send("Till/asked", "wait", {})
    found = section(text(await client.get("/actors/")), "stuck")
    asking, asked = re.findall(r"<tr>\s*<td class=\"main-cell\">.*?</tr>", found, re.DOTALL)
    assert 'the answer of <a class="above mono" href="/actors/Till/asked/?since=1h">' in asking
    assert "(suspended)" in asking
    assert "the event <code>word</code>" in asked
    assert re.search(r'data-label="Behind it">1<', asked)
    assert "nothing is longer than usual · 2 suspended turns in all" in found


async def test_what_nobody_takes_and_what_is_paused_comes_first_among_the_stuck(
    loom: Loom, client: AsyncClient
) -> None:
    await suspended(loom, "a")
    await loom.queue.enqueue([message("Orphan/1", "lost")])
    await loom.queue.pause("Till/paused")
    await age(loom, "Orphan/1")
    found = section(text(await client.get("/actors/")), "stuck")
    order = re.findall(r'class="row-link mono" href="/actors/([^"?]+)/', found)
    assert set(order[:2]) == {"Orphan/1", "Till/paused"}
    assert order[2:] == ["Till/a"]
    assert "its message is ready, and nobody takes it" in found
    assert "more than 5 s" in found
    assert "it is paused, and nothing is delivered" in found
    assert "2 longer than usual · 1 suspended turn in all" in found


async def age(loom: Loom, actor_id: str) -> None:
    """Let a ready mailbox have waited for a minute."""
    await loom._stores.database.write(
        lambda c: (
            c.execute(
                "UPDATE queue_mailboxes SET next_at = next_at - 60000000 WHERE actor_id = ?",
                (actor_id,),
            ).rowcount
        )
    )


async def test_lists_are_short_and_say_where_the_rest_is(loom: Loom, client: AsyncClient) -> None:
    await failing(loom, *(f"f{n:02}" for n in range(11)))
    await suspended(loom, *(f"s{n:02}" for n in range(11)))
    page = text(await client.get("/actors/?since=24h"))
    for name, beginning in (("failing", "f"), ("stuck", "s")):
        found = section(page, name)
        assert found.count("row-link") == 8
        assert f'href="?all={name}&amp;since=24h"' in found
        alone = text(await client.get(f"/actors/?all={name}&since=24h"))
        ids = re.findall(r'row-link mono" href="/actors/Till/(\w+)/\?since=24h"', alone)
        assert sorted(ids) == [f"{beginning}{n:02}" for n in range(11)]
        assert "Show more" not in alone
        assert 'id="h-types"' not in alone
    assert "8 of 11" in section(page, "failing")


async def test_every_type_has_its_numbers_and_its_place_in_the_queue(
    loom: Loom, client: AsyncClient
) -> None:
    await loom.runtime.start(WORKFLOWS["order"], {"quantity": 1, "restocked_after": 0})
    await settled(loom)
    await suspended(loom, "a", "b")
    await failing(loom, "c")
    await loom.runtime.send("Till/a", "wait", {})
    await loom.queue.enqueue([message("Orphan/1", "lost")])
    found = section(text(await client.get("/actors/")), "types")
    cells = {
        name: re.findall(r'data-label="([^"]+)">(.*?)</td>', row, re.DOTALL)
        for name, row in re.findall(r'class="pill c\d+">(\w+)</span>(.*?)</tr>', found, re.DOTALL)
    }
    assert set(cells) >= {"Order", "Till", "Orphan"}

    def cell(name: str, label: str) -> str:
        return re.sub(r"<[^>]+>", "", dict(cells[name])[label]).strip()

    assert cell("Till", "Failed attempts") == "1 · 100%"
    assert cell("Till", "Actors") == "3"
    assert cell("Till", "Retrying") == "1"
    assert cell("Till", "Suspended") == "2"
    assert cell("Till", "Messages") == "4"
    assert cell("Order", "Actors") == "0"
    assert cell("Order", "Rate").endswith("/h")
    assert "ms" in cell("Order", "p95")
    assert cell("Orphan", "Rate") == "–"
    assert cell("Orphan", "Messages") == "1"
    assert 'href="/actors/Till/?status=suspended&amp;since=1h"' in found


async def test_an_empty_system_says_what_to_do_next(client: AsyncClient) -> None:
    page = text(await client.get("/actors/"))
    assert "No turn is being tried again." in page
    assert "Nothing waits longer than usual, and no turn is suspended." in page
    assert "Run a sample workflow" in page
    page = text(await client.get("/actors/Till/"))
    assert "All of them are idle" in page
    assert "None is retrying" in text(await client.get("/actors/Till/?status=retrying"))
    assert "No trace began with one" in text(await client.get("/actors/Till/?status=seen"))
    assert "No message was given up" in text(await client.get("/actors/Till/?status=dead"))


async def test_the_actors_of_a_type_are_narrowed_by_status_and_key(
    loom: Loom, client: AsyncClient
) -> None:
    await suspended(loom, "a1", "a2", "b1")
    await failing(loom, "a3")

    async def keys(query: str = "") -> list[str]:
        page = text(await client.get(f"/actors/Till/{query}"))
        return re.findall(r'row-link mono" href="/actors/Till/(\w+)/', page)

    assert await keys() == ["a1", "a2", "a3", "b1"]
    assert await keys("?status=suspended") == ["a1", "a2", "b1"]
    assert await keys("?status=suspended&key=a") == ["a1", "a2"]
    assert await keys("?status=retrying") == ["a3"]
    assert await keys("?key=a3") == ["a3"]
    assert await keys("?key=zz") == []
    assert await keys("?status=nonsense") == ["a1", "a2", "a3", "b1"]
    page = text(await client.get("/actors/Till/?status=suspended&key=a"))
    tabs = dict(re.findall(r">([A-Z][\w ]+) <b>(\d+)</b></a>", page))
    assert tabs == {
        "In the queue": "4",
        "Running": "0",
        "Waiting": "0",
        "Retrying": "1",
        "Suspended": "3",
        "Paused": "0",
    }
    assert 'href="?status=retrying&amp;key=a&amp;since=1h"' in page
    assert 'href="?status=suspended&amp;key=a&amp;since=7d"' in page
    assert 'name="status" value="suspended"' in page


async def test_a_long_list_is_read_page_by_page(loom: Loom, client: AsyncClient) -> None:
    await loom.queue.enqueue([message(f"Orphan/{n:03}") for n in range(120)])
    found: list[str] = []
    address: str | None = "/actors/Orphan/?key="
    pages = 0
    while address is not None:
        page = text(await client.get(address))
        found += re.findall(r'row-link mono" href="/actors/Orphan/(\w+)/', page)
        following = re.search(r'rel="next" href="\?([^"]+)"', page)
        address = following and f"/actors/Orphan/?{following[1].replace('&amp;', '&')}"
        pages += 1
    assert found == [f"{n:03}" for n in range(120)]
    assert pages == 3
    assert "« First" in page


async def test_idle_actors_are_found_where_traces_tell_of_them(
    loom: Loom, client: AsyncClient
) -> None:
    started = await loom.runtime.start(WORKFLOWS["order"], {"quantity": 1, "restocked_after": 0})
    await settled(loom)
    page = text(await client.get("/actors/Order/?status=seen"))
    assert f'href="/actors/{started.actor_id}/?since=1h"' in page
    assert f'href="/traces/{started.trace_id}/"' in page
    other = text(await client.get("/actors/Shipment/?status=seen"))
    assert "No trace began with one" in other
    assert "None whose key begins with" in text(
        await client.get("/actors/Order/?status=seen&key=nobody")
    )


async def test_an_actor_whose_message_was_given_up_is_found_by_that(
    loom: Loom, client: AsyncClient
) -> None:
    async with tills(loom, AT_ONCE):
        await loom.runtime.send("Till/9", "open", {})
        await settled(loom)
    page = text(await client.get("/actors/Till/?status=dead"))
    assert 'href="/actors/Till/9/?since=1h"' in page
    assert "open: DrawerStuck" in page
    one = text(await client.get("/actors/Till/9/"))
    letters = one.split("<h2>Dead letters")[1].split("</section>")[0]
    assert "DrawerStuck" in letters
    assert re.search(r'href="/(traces/[0-9a-f]{32}|dead-letters/Till/9/[0-9a-f]+)/"', letters)
    assert "Canary" not in letters


async def test_a_turn_that_is_tried_again_is_told_on_its_actors_page(
    loom: Loom, client: AsyncClient
) -> None:
    await failing(loom, "7")
    await loom.runtime.send("Till/7", "wait", {})
    page = text(await client.get("/actors/Till/7/"))
    assert "Attempt 1 of 6 at <code>open</code> failed" in page
    assert re.search(r"Next attempt: <time [^>]*data-until>", page)
    assert "the drawer Canary is stuck" in page
    assert "1 message waits behind one that is tried again." in page
    assert re.search(r'class="status retrying">', page)


async def test_older_journal_entries_come_on_demand(loom: Loom, client: AsyncClient) -> None:
    async with tills(loom):
        for _ in range(3):
            await loom.runtime.send("Till/busy", "count", {"steps": 30})
        await settled(loom)

    def indexes(page: str) -> list[int]:
        return [int(found) for found in re.findall(r'class="index">(\d+)</span>', page)]

    page = text(await client.get("/actors/Till/busy/"))
    assert indexes(page) == list(range(92, 42, -1))
    assert "the last 50 of 93 entries" in page
    assert 'hx-get="/actors/Till/busy/?before=43&amp;since=1h"' in page
    more = text(await client.get("/actors/Till/busy/?before=43", headers=HTMX))
    assert "<html" not in more
    assert indexes(more) == list(range(42, -1, -1))
    assert "Older entries" not in more
    # Without scripts the same address is a page.
    whole = text(await client.get("/actors/Till/busy/?before=43"))
    assert "<html" in whole
    assert indexes(whole) == list(range(42, -1, -1))
    assert "Back to the last entries" in whole
    assert indexes(text(await client.get("/actors/Till/busy/?before=x"))) == indexes(page)
    assert indexes(text(await client.get("/actors/Till/busy/?before=999999"))) == indexes(page)


async def test_an_actors_messages_and_traces_are_linked(loom: Loom, client: AsyncClient) -> None:
    started = await loom.runtime.start(WORKFLOWS["order"], {"quantity": 1, "restocked_after": 0})
    await settled(loom)
    page = text(await client.get(f"/actors/{started.actor_id}/"))
    traces = page.split("<h2>Traces that began with it")[1].split("</section>")[0]
    assert f'href="/traces/{started.trace_id}/"' in traces
    messages = page.split("<h2>Its messages")[1].split("</section>")[0]
    assert f'href="/traces/?actor={started.correlation_id}"' in messages
    assert 'class="status completed"' in messages
    assert 'class="status idle"' in page
    assert 'href="/actors/Order/?since=1h"' in page


async def test_the_time_range_is_kept_from_page_to_page(loom: Loom, client: AsyncClient) -> None:
    await suspended(loom, "a")
    page = text(await client.get("/actors/?since=7d"))
    assert 'href="/actors/Till/?since=7d"' in page
    assert 'href="/actors/Till/a/?since=7d"' in page
    page = text(await client.get("/actors/Till/?since=7d"))
    assert 'href="/actors/?since=7d"' in page
    assert 'href="/actors/Till/a/?since=7d"' in page
    page = text(await client.get("/actors/Till/a/?since=7d"))
    assert 'href="/actors/Till/?since=7d"' in page
    assert 'since=1h"' not in text(await client.get("/actors/Till/a/?since=7d"))
    assert 'aria-current="true">1h</a>' in text(await client.get("/actors/?since=forever"))


async def test_hostile_ids_and_errors_are_shown_as_text(loom: Loom, client: AsyncClient) -> None:
    key = "<img src=x>{{7*7}}\u202e'\""
    await failing(loom, key, text=NASTY + "x" * 5_000)
    for address in ("/actors/", "/actors/Till/", "/actors/Till/?key=<img>"):
        page = text(await client.get(address))
        assert "<img" not in page
        assert "alert(1)</script>" not in page
        assert "\u202e" not in page
        assert "x" * 500 not in page
        assert not re.findall(r"\s(?:style|on\w+)=\"", page)


async def test_a_queue_that_does_not_answer_is_said_and_the_numbers_stay(
    loom: Loom, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await failing(loom, "7")

    async def down(*args: Any, **more: Any) -> None:
        raise Unavailable("no")

    with monkeypatch.context() as patch:
        patch.setattr(loom.queue, "oldest", down)
        patch.setattr(loom.queue, "mailboxes", down)
        response = await client.get("/actors/")
        assert response.status_code == 503
        assert "The queue does not answer (Unavailable)." in text(response)
        assert "1 · 100%" in text(response)
        assert (await client.get("/actors/Till/")).status_code == 503
        assert (await client.get("/actors/Till/?status=dead")).status_code == 200
        assert (await client.get("/actors/Till/7/")).status_code == 503
    with monkeypatch.context() as patch:
        patch.setattr(loom.analytics, "statistics", down)
        response = await client.get("/actors/")
        assert response.status_code == 200
        assert "does not answer (Unavailable)" in text(response)
        assert "DrawerStuck" in text(response)
    with monkeypatch.context() as patch:
        patch.setattr(loom.reader, "find_traces", down)
        page = text(await client.get("/actors/Till/7/"))
        assert "its traces cannot be listed" in page
        assert "DrawerStuck" in page


@pytest.mark.parametrize("address", ["/actors/no-type/", "/actors/9x/", "/actors/a%00/"])
async def test_what_is_no_type_is_not_found(client: AsyncClient, address: str) -> None:
    assert (await client.get(address)).status_code == 404


async def test_off_this_machine_the_lists_need_a_login(loom: Loom, with_login: None) -> None:
    for address in ("/actors/", "/actors/Till/"):
        response = await AsyncClient().get(address)
        assert response.headers["Location"].startswith("/login/")
