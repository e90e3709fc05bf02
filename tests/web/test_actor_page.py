"""The page of one actor: what it waits for, sending that, cancelling, and who may do what."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from html import unescape
from typing import Any

import pytest
from django.test import AsyncClient

from actors.models import ActorAccess
from actors.samples import WORKFLOWS
from loomweb.wiring import Loom
from storage import Unavailable
from tests.web.conftest import settled, text
from tests.web.test_security import NASTY
from tracing import TraceStatus

Login = Callable[..., Awaitable[AsyncClient]]


async def waiting_loan(loom: Loom, **payload: Any) -> str:
    """Start a loan that waits for its decision; return its actor's page."""
    started = await loom.runtime.start(WORKFLOWS["loan-approval"], payload)
    await settled(loom, suspended=1)
    return f"/actors/{started.actor_id}/"


def hidden(page: str, name: str) -> list[str]:
    """Return the values of all hidden inputs of this name."""
    return [unescape(v) for v in re.findall(rf'type="hidden" name="{name}" value="([^"]*)"', page)]


async def decide(client: AsyncClient, address: str, payload: str, wait: str | None = None) -> Any:
    """Post a payload for what the page says the turn waits for."""
    if wait is None:
        wait = hidden(text(await client.get(address)), "wait")[0]
    return await client.post(f"{address}events/", {"wait": wait, "payload": payload})


async def state_of(loom: Loom, address: str) -> Any:
    return (await loom.state_store.load(address[len("/actors/") : -1])).data


async def actions() -> list[str]:
    return [access.action async for access in ActorAccess.objects.order_by("id")]


async def test_the_page_shows_the_state_the_wait_and_the_journal(
    loom: Loom, client: AsyncClient
) -> None:
    address = await waiting_loan(loom, applicant="Mary Somerville")
    page = text(await client.get(address))
    assert "Waits for the event <code>decision</code>, since <time" in page
    assert "data-until>" in page
    assert "Mary Somerville" in page
    assert "undecided" in page
    kinds = re.findall(r'class="index">\d+</span> <code>(\w+)</code>', page)
    assert kinds[:2] == ["suspended", "event_awaited"]
    assert "activity_completed" in kinds
    assert 'class="mono">credit_check</span>' in page
    assert f'action="{address}events/"' in page
    assert f'action="{address}cancel/"' in page
    assert "Approve</button>" in page
    assert "Decline</button>" in page


async def test_messages_behind_the_suspended_turn_are_counted(
    loom: Loom, client: AsyncClient
) -> None:
    address = await waiting_loan(loom)
    actor_id = address[len("/actors/") : -1]
    for _ in range(3):
        await loom.runtime.send(actor_id, "paid_out", {"receipt": "x"})
    page = text(await client.get(address))
    assert "3 messages wait behind a turn suspended since <time" in page
    assert len(re.findall(r"<li><code>paid_out</code> <span class=\"at\">", page)) == 3


@pytest.mark.parametrize(("button", "status"), [(0, "paid"), (1, "declined")])
async def test_a_click_on_an_offer_completes_the_run(
    loom: Loom, client: AsyncClient, button: int, status: str
) -> None:
    address = await waiting_loan(loom)
    offer = hidden(text(await client.get(address)), "payload")[button]
    response = await decide(client, address, offer)
    assert (response.status_code, response.headers["Location"]) == (302, address)
    assert "decision was sent." in text(await client.get(address))
    (trace,) = await settled(loom)
    assert trace.status is TraceStatus.COMPLETED
    assert (await state_of(loom, address))["status"] == status
    page = text(await client.get(address))
    assert "No turn waits." in page
    assert "Approve</button>" not in page
    assert "sent the event decision to" in await actions()


async def test_a_payload_of_ones_own_is_sent(loom: Loom, client: AsyncClient) -> None:
    address = await waiting_loan(loom)
    response = await decide(client, address, '{"approved": true, "note": "zażółć 🧶"}')
    assert response.status_code == 302
    await settled(loom)
    assert (await state_of(loom, address))["note"] == "zażółć 🧶"


@pytest.mark.parametrize(
    ("payload", "complaint"),
    [
        ('{"approved": yes}', "This is not JSON: Expecting value in line 1, column 14"),
        ('{"a": 1,\n "b" 2}', "in line 2, column 6"),
        ("", "This is not JSON"),
        ('["approved"]', "A payload is a JSON object"),
        ('{"a": 1e999}', "This is not JSON"),
        ('{"a": NaN}', "This is not JSON"),
        ('{"a": "\\ud800"}', "Nothing was sent"),
        ("[" * 50_000, "Nothing was sent"),
        ('{"a": "' + "x" * 1_100_000 + '"}', "above the limit"),
        (f'{{"a": {NASTY}', "This is not JSON"),
    ],
)
async def test_a_payload_that_does_not_fit_is_explained_and_kept(
    loom: Loom, client: AsyncClient, payload: str, complaint: str
) -> None:
    address = await waiting_loan(loom)
    response = await decide(client, address, payload)
    assert response.status_code == 422
    page = text(response)
    assert complaint in unescape(page)
    (kept,) = re.findall(r"<textarea[^>]*>\n(.*?)</textarea>", page, re.S)
    assert unescape(kept) == payload
    assert "<img" not in page
    await settled(loom, suspended=1)
    assert (await state_of(loom, address))["status"] == "undecided"
    assert "sent the event decision to" not in await actions()


async def test_what_is_sent_first_counts(loom: Loom, client: AsyncClient) -> None:
    address = await waiting_loan(loom)
    wait = hidden(text(await client.get(address)), "wait")[0]
    assert loom.worker is not None
    loom.worker.stop()
    await decide(client, address, '{"approved": false}', wait)
    page = text(await client.get(address))
    assert "has not been taken yet" in page
    assert "data-reload" in page
    assert "Approve</button>" not in page
    await decide(client, address, '{"approved": true}', wait)
    assert "had been sent before; that one counts" in text(await client.get(address))
    loom.start_worker()
    await settled(loom)
    assert (await state_of(loom, address))["status"] == "declined"
    await decide(client, address, '{"approved": true}', wait)
    assert "no longer waits for this. Nothing was sent." in text(await client.get(address))
    assert await loom.runtime.inbox.waiting(address[len("/actors/") : -1]) == []  # type: ignore[union-attr]


async def test_only_what_a_turn_waits_for_can_be_sent(loom: Loom, client: AsyncClient) -> None:
    address = await waiting_loan(loom)
    response = await decide(client, address, "{}", "another-0")
    assert response.status_code == 302
    assert "Nothing was sent" in text(await client.get(address))
    await settled(loom, suspended=1)


async def test_a_turn_is_cancelled_with_a_reason(loom: Loom, client: AsyncClient) -> None:
    address = await waiting_loan(loom)
    response = await client.post(f"{address}cancel/", {"reason": "no longer wanted"})
    assert (response.status_code, response.headers["Location"]) == (302, address)
    assert "The turn is being cancelled." in text(await client.get(address))
    (trace,) = await settled(loom)
    assert trace.status is TraceStatus.COMPLETED
    assert (await state_of(loom, address))["status"] == "withdrawn"
    page = text(await client.get(address))
    assert "no longer wanted" in page
    assert "No turn waits." in page
    await client.post(f"{address}cancel/", {"reason": "again"})
    assert "No turn waits, or it is being cancelled already." in text(await client.get(address))
    assert (await actions()).count("cancelled") == 1


async def test_a_turn_that_sleeps_can_be_cancelled_and_takes_no_event(
    loom: Loom, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    actor = WORKFLOWS["loan-approval"].actor

    async def sleeping(self: Any, name: str, *, timeout: float | None = None) -> None:
        await self.sleep(600)

    monkeypatch.setattr(actor, "wait_for_event", sleeping)
    address = await waiting_loan(loom)
    page = text(await client.get(address))
    assert "Sleeps, since <time" in page
    assert "<textarea" not in page
    assert "Cancel the turn" in page
    monkeypatch.undo()


async def test_hostile_data_is_shown_as_text(loom: Loom, client: AsyncClient) -> None:
    address = await waiting_loan(loom, applicant=NASTY[:80])
    await decide(client, address, f'{{"approved": false, "note": "{NASTY.replace(chr(34), "")}"}}')
    await settled(loom)
    page = text(await client.get(address))
    assert "<img" not in page
    assert "alert(1)</script>" not in page
    assert "\u202e" not in page
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in page
    actor_id = "LoanApproval/</b><b>x\u202e".replace("/b", "b")
    await loom.runtime.send(actor_id, "paid_out", {"receipt": "x"})
    await settled(loom)
    page = text(await client.get(f"/actors/{actor_id}/"))
    assert "<b>x" not in page
    assert "\u202e" not in page
    assert "\u202e" not in text(await client.get("/audit/actors/"))


async def test_the_page_has_nothing_inline(loom: Loom, client: AsyncClient) -> None:
    address = await waiting_loan(loom)
    for page in (text(await client.get(address)), text(await client.get("/audit/actors/"))):
        assert "<style" not in page
        assert not re.findall(r"\s(?:style|on\w+)=\"", page)
        assert all("src=" in attributes for attributes in re.findall(r"<script([^>]*)>", page))


async def test_off_this_machine_the_page_needs_a_login(loom: Loom, with_login: None) -> None:
    address = await waiting_loan(loom)
    stranger = AsyncClient()
    for page in (address, "/audit/actors/"):
        assert (await stranger.get(page)).headers["Location"].startswith("/login/")
    assert (await stranger.post(f"{address}events/", {})).status_code == 302
    await settled(loom, suspended=1)


async def test_without_permissions_there_is_the_wait_and_no_data(loom: Loom, login: Login) -> None:
    address = await waiting_loan(loom, applicant="Mary Canary")
    curious = await login()
    page = text(await curious.get(address))
    assert "Waits for the event <code>decision</code>" in page
    assert "Canary" not in page
    assert "Can see payloads, states and errors of messages" in page
    assert "event_awaited" not in page
    assert "<button" not in page.split("<main")[1].split("</main>")[0]
    assert "<form" not in page.split("<main")[1].split("</main>")[0]
    assert (await curious.get(f"{address}?download=1")).status_code == 403
    assert (await decide(curious, address, "{}", "x-0")).status_code == 403
    assert (await curious.post(f"{address}cancel/", {"reason": "x"})).status_code == 403
    assert await ActorAccess.objects.acount() == 0
    await settled(loom, suspended=1)


async def test_every_look_and_every_act_is_written_down(loom: Loom, login: Login) -> None:
    address = await waiting_loan(loom, applicant="Mary Canary")
    allowed = await login("view_payloads", "run_workflows", "view_audit")
    assert "Mary Canary" in text(await allowed.get(address))
    state = await allowed.get(f"{address}?download=1")
    assert "attachment" in state.headers["Content-Disposition"]
    assert state.json()["state"]["applicant"] == "Mary Canary"
    await decide(allowed, address, '{"approved": true}')
    await settled(loom)
    assert await actions() == [
        "looked at",
        "downloaded the state of",
        "looked at",
        "sent the event decision to",
    ]
    log = text(await allowed.get("/audit/actors/"))
    assert log.count(f'href="{address}"') == 4
    assert "person-3" in log
    assert (await (await login("view_payloads")).get("/audit/actors/")).status_code == 403


async def test_whoever_may_only_decide_decides_without_seeing(loom: Loom, login: Login) -> None:
    address = await waiting_loan(loom, applicant="Mary Canary")
    clerk = await login("run_workflows")
    assert "Canary" not in text(await clerk.get(address))
    await decide(clerk, address, '{"approved": true}')
    await settled(loom)
    assert (await state_of(loom, address))["status"] == "paid"
    assert await actions() == ["sent the event decision to"]


async def test_what_was_sent_without_an_answer_is_noted_as_unknown(
    loom: Loom, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = await waiting_loan(loom)
    (wait, *_) = hidden(text(await client.get(address)), "wait")

    async def down(*_: object) -> None:
        raise Unavailable("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(loom.queue, "wake", down)
        await decide(client, address, '{"approved": true}', wait)
        await client.post(f"{address}cancel/", {"reason": "too late"})
    assert [action for action in await actions() if action != "looked at"] == [
        "sent the event decision to, outcome unknown",
        "cancelled, outcome unknown",
    ]
    # What was there already is not done again, and not noted.
    await decide(client, address, "no JSON", wait)
    await decide(client, address, '{"approved": true}', wait)
    await settled(loom)
    assert len([action for action in await actions() if action != "looked at"]) == 2


async def test_a_post_without_a_csrf_token_is_refused(loom: Loom, transactional_db: None) -> None:
    address = await waiting_loan(loom)
    strict = AsyncClient(enforce_csrf_checks=True)
    for form in ("events/", "cancel/"):
        assert (await strict.post(f"{address}{form}", {})).status_code == 403
    assert (await strict.get(f"{address}events/"))["Location"] == address
    await settled(loom, suspended=1)


@pytest.mark.parametrize(
    "address",
    ["/actors/LoanApproval/nobody/", "/actors/no-type/1/", "/actors/T/a%3Fb/", "/actors/T/a%00b/"],
)
async def test_what_is_no_actor_is_not_found(client: AsyncClient, address: str) -> None:
    for query in ("", "?download=1"):
        assert (await client.get(f"{address}{query}")).status_code == 404


async def test_a_store_that_does_not_answer_is_said(
    loom: Loom, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = await waiting_loan(loom)

    async def down(*args: Any, **more: Any) -> None:
        raise Unavailable("no")

    with monkeypatch.context() as patch:
        patch.setattr(loom.runtime, "send_event", down)
        response = await decide(client, address, '{"approved": true}')
        assert response.status_code == 503
        assert "Sending it again is safe." in text(response)
        patch.setattr(loom.queue, "waiting", down)
        response = await client.get(address)
        assert response.status_code == 503
        assert "does not answer (Unavailable)" in text(response)
        assert (await client.get(f"{address}?download=1")).status_code == 503
        patch.setattr(loom.queue, "parked", down)
        assert (await client.get("/workflows/loan-approval/")).status_code == 200


async def test_the_workflows_name_their_runs_that_wait(loom: Loom, client: AsyncClient) -> None:
    assert "Waiting now" not in text(await client.get("/workflows/"))
    address = await waiting_loan(loom)
    for page in ("/workflows/", "/workflows/loan-approval/"):
        shown = text(await client.get(page))
        assert shown.count("Waiting now") == 1
        assert f'href="{address}"' in shown
    assert "Waiting now" not in text(await client.get("/workflows/chain/"))
    for _ in range(5):
        await loom.runtime.start(WORKFLOWS["loan-approval"], {})
    await settled(loom, suspended=6)
    async with asyncio.timeout(5):
        shown = text(await client.get("/workflows/loan-approval/"))
    assert shown.count('href="/actors/LoanApproval/') == 5
    assert "and others" in shown
