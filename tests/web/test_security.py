"""Who may see what, and that nothing hostile gets out of its box."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import pytest
from django.test import AsyncClient

from actors.samples import WORKFLOWS
from loomweb.wiring import Loom
from tests.web.conftest import HTMX, panel_links, settled, tabs_and_references, text
from tracing.models import PayloadAccess

Login = Callable[..., Awaitable[AsyncClient]]
PAGES = ("/", "/traces/", "/failures/", "/workflows/", "/system/", "/system/events/", "/audit/")
NASTY = "</script><script>alert(1)</script>'\"><img src=x onerror=alert(1)>{{7*7}}\u202e"


async def one_run(loom: Loom, applicant: str = "Ada") -> str:
    await loom.runtime.start(
        WORKFLOWS["loan-application"],
        {"applicant": applicant, "amount": 9_000, "income": 50_000, "bureau": "reliable"},
    )
    (trace,) = await settled(loom)
    return trace.trace_id


async def test_off_this_machine_everything_needs_a_login(loom: Loom, with_login: None) -> None:
    trace = await one_run(loom)
    stranger = AsyncClient()
    for address in (*PAGES, f"/traces/{trace}/", f"/traces/{trace}/live/"):
        response = await stranger.get(address)
        assert response.status_code == 302, address
        assert response.headers["Location"].startswith("/login/"), address
    assert (await stranger.post("/workflows/chain/", {})).status_code == 302
    for address in ("/healthz", "/readyz", "/login/"):
        assert (await stranger.get(address)).status_code == 200


async def test_payloads_need_their_permission_and_every_look_is_written_down(
    loom: Loom, login: Login
) -> None:
    trace = await one_run(loom, "Ada Canary")
    curious = await login()
    page = text(await curious.get(f"/traces/{trace}/"))
    links = panel_links(page)
    wanted, asked = set(links), set()
    while wanted - asked:
        address = (wanted - asked).pop()
        asked.add(address)
        part = text(await curious.get(address, headers=HTMX))
        assert "Canary" not in part
        wanted |= tabs_and_references(part)
    assert "forbidden" in text(await curious.get(f"{links[1]}?tab=message", headers=HTMX))
    download = await curious.get(f"{links[1]}refs/0/?download=1")
    assert "Canary" not in text(download)
    assert await PayloadAccess.objects.acount() == 0

    allowed = await login("view_payloads")
    assert "Ada Canary" in text(await allowed.get(f"{links[1]}?tab=message", headers=HTMX))
    (look,) = [look async for look in PayloadAccess.objects.all()]
    assert (look.user, look.trace_id, look.tab) == ("person-1", trace, "message")


async def test_the_audit_log_needs_its_permission(loom: Loom, login: Login) -> None:
    trace = await one_run(loom)
    allowed = await login("view_payloads")
    link = panel_links(text(await allowed.get(f"/traces/{trace}/")))[1]
    await allowed.get(f"{link}?tab=message", headers=HTMX)
    assert (await allowed.get("/audit/")).status_code == 403
    auditor = await login("view_payloads", "view_audit")
    page = text(await auditor.get("/audit/"))
    assert "person-1" in page
    assert trace in page


async def test_every_page_forbids_what_is_inline_or_from_elsewhere(
    loom: Loom, client: AsyncClient
) -> None:
    trace = await one_run(loom)
    for address in (*PAGES, f"/traces/{trace}/", "/nope/", "/workflows/chain/"):
        response = await client.get(address)
        policy = response.headers["Content-Security-Policy"]
        assert "script-src 'self'" in policy
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert response.headers["X-Frame-Options"] == "DENY"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        page = text(response)
        scripts = re.findall(r"<script([^>]*)>([^<]*)", page)
        assert all("src=" in a or 'type="application/json"' in a for a, _ in scripts)
        assert "<style" not in page
        assert not re.findall(r"\s(?:style|on\w+)=\"", page)
        outside = re.findall(r'(?:src|href|action)="(?:https?:)?//[^"]*"', page)
        assert outside == []


@pytest.mark.parametrize("tab", ["message", "state", "journal", "effects", "raw"])
async def test_hostile_payloads_are_shown_as_text(
    loom: Loom, client: AsyncClient, tab: str
) -> None:
    trace = await one_run(loom, NASTY[:80])
    page = text(await client.get(f"/traces/{trace}/"))
    part = text(await client.get(f"{panel_links(page)[1]}?tab={tab}", headers=HTMX))
    for document in (page, part):
        assert "<img" not in document
        assert "alert(1)</script>" not in document.replace("&lt;/script&gt;", "")
        assert "\u202e" not in document
    if tab in ("message", "state"):
        assert "&lt;/script&gt;&lt;script&gt;alert(1)" in part


async def test_hostile_names_are_shown_as_text(loom: Loom, client: AsyncClient) -> None:
    key = "</script><b>x"  # not a legal key: "/" is refused, what remains is not
    await loom.runtime.send("ChainLink/" + key.replace("/", ""), "extend", {"depth": 1})
    (trace,) = await settled(loom)
    for address in ("/traces/", f"/traces/{trace.trace_id}/"):
        page = text(await client.get(address))
        assert "<b>x" not in page
        assert "&lt;b&gt;x" in page or "\\u003Cb\\u003Ex" in page


async def test_an_error_page_tells_no_details(loom: Loom, client: AsyncClient) -> None:
    client.raise_request_exception = False

    def broken() -> None:
        raise RuntimeError("canary-secret")

    loom.runtime.start = broken  # type: ignore[method-assign, assignment]
    response = await client.post("/workflows/chain/", {"chain-depth": 3, "chain-fail_at": 0})
    assert response.status_code == 500
    assert "canary" not in text(response)
