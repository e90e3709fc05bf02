"""The page of a failure group: its numbers, its samples, how it stands and what was said of it."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from django.test import AsyncClient

from actors.samples import WORKFLOWS
from loomweb.wiring import Loom
from storage import Unavailable
from tests.web.conftest import HTMX, settled, text
from tests.web.test_home import S, count, happened
from tracing import Event
from tracing.models import FailureRemark
from tracing.sink import TraceSink
from tracing.spanlog import logs_of

Login = Callable[..., Awaitable[AsyncClient]]
GROUP = "f00d"
NASTY = "</textarea><script>alert(1)</script>{{7*7}}\u202e"


def failed(number: int, ago: float, **fields: Any) -> Event:
    """Return the failure of a message in a trace of its own, so many seconds ago."""
    return happened(
        fields.pop("type", "message:failed"),
        int(ago * S),
        trace=f"{number:032x}",
        span=number,
        actor=fields.pop("actor", f"Order/{number}"),
        error_type=fields.pop("error_type", "NoTruck"),
        fingerprint=GROUP,
        **fields,
    )


async def store(loom: Loom, *events: Event) -> None:
    """Store events, one trace each, and count them."""
    sink = TraceSink(loom.containers["trace-events"], writer="test")
    for trace_id in dict.fromkeys(event.trace_id for event in events):
        of_trace = [event for event in events if event.trace_id == trace_id]
        await sink.store(sink.batch(logs_of(of_trace)))
    await count(loom, *events)


def samples(page: str) -> list[str]:
    """Return the actors of the samples, in order."""
    table = page[page.index('id="samples"') :]
    return re.findall(r'row-link mono" href="[^"]+"(?: aria-current="true")?>([^<]+)<', table)


def opened(page: str) -> str:
    """Return the span whose details the page opens, as its own addresses name it."""
    (row,) = re.findall(r'data-panel="[^"]+/spans/([0-9a-f]+)/"[^>]+ class="selected"', page)
    return str(row)


def number(page: str, label: str) -> str:
    found = re.search(rf"<dt>{label}[^<]*</dt><dd>(.*?)</dd>", page, re.DOTALL)
    assert found, f"nothing says {label}"
    return " ".join(re.sub(r"<[^>]+>", " ", found[1]).split())


def standing(page: str) -> str:
    found = re.search(r'class="standing"[^>]*>(.*?)</p>', page, re.DOTALL)
    assert found
    return " ".join(re.sub(r"<[^>]+>", "", found[1]).split())


async def test_a_group_opens_on_its_latest_sample_at_the_failing_message(
    loom: Loom, client: AsyncClient
) -> None:
    for item in ("abacus", "slide rule"):
        await loom.runtime.start(WORKFLOWS["order"], {"item": item, "restocked_after": 20})
        await settled(loom)
    (latest, older) = (await loom.reader.find_failures()).failures
    page = text(await client.get(f"/failures/{latest.fingerprint}/"))
    assert samples(page) == [latest.actor, older.actor]
    assert opened(page) == latest.span_id
    assert number(page, "Messages") == number(page, "Actors affected") == "2"
    assert number(page, "Failed attempts") == "2"
    assert 'class="spark"' in page
    assert standing(page) == "dead-lettered"
    # What it links to is there, and nothing of the payload is in the page itself.
    assert "slide rule" not in page
    span = f"/traces/{latest.trace_id}/spans/{latest.span_id}/"
    panel = text(await client.get(span, headers=HTMX))
    assert 'aria-selected="true">Error' in panel
    assert "slide rule is no longer made" in panel
    assert "State" in panel
    assert f'href="/traces/{latest.trace_id}/?span={latest.span_id}"' in page
    counts = re.findall(r'hx-get="(/dead-letters/counts/[^"]+)"', page)[0]
    assert "<b>2</b> unresolved" in text(await client.get(counts, headers=HTMX))


async def test_another_sample_is_opened_by_its_address(loom: Loom, client: AsyncClient) -> None:
    await store(loom, *(failed(n, 60 - n) for n in range(1, 36)))
    page = text(await client.get(f"/failures/{GROUP}/"))
    assert samples(page) == [f"Order/{n}" for n in range(35, 5, -1)]
    assert opened(page) == f"{35:016x}"
    address = html.unescape(re.findall(r'href="(\?sample=[^"]+)"', page)[3])
    assert opened(text(await client.get(f"/failures/{GROUP}/{address}"))) == f"{32:016x}"
    following = html.unescape(re.findall(r'rel="next" href="([^"]+)"', page)[0])
    page = text(await client.get(f"/failures/{GROUP}/{following}"))
    assert samples(page) == [f"Order/{n}" for n in range(5, 0, -1)]
    assert opened(page) == f"{5:016x}"
    assert 'href="?">' in page
    # A shared link opens its sample, wherever in the list that has come to be.
    page = text(await client.get(f"/failures/{GROUP}/?sample={2:032x}.{2:016x}"))
    assert f'data-elsewhere="/traces/{2:032x}/spans/{2:016x}/"' in page
    assert "is on another page of this list" in page
    for wrong in ("sample=zzz", f"sample={2:032x}.{3:016x}", "sample=%22%3E.x"):
        assert opened(text(await client.get(f"/failures/{GROUP}/?{wrong}"))) == f"{35:016x}"
    assert "does not exist any more" in text(await client.get(f"/failures/{GROUP}/?cursor=zzz"))


async def test_a_sample_of_another_group_is_not_opened(loom: Loom, client: AsyncClient) -> None:
    await store(loom, failed(1, 5))
    other = happened(
        "message:failed", S, trace=f"{2:032x}", span=2, error_type="E", fingerprint="beef"
    )
    await store(loom, other)
    page = text(await client.get(f"/failures/{GROUP}/?sample={2:032x}.{2:016x}"))
    assert opened(page) == f"{1:016x}"


async def test_a_group_says_how_it_stands(loom: Loom, client: AsyncClient) -> None:
    await store(loom, failed(1, 20, attempt=2), failed(1, 9, type="message:completed", attempt=3))
    page = text(await client.get(f"/failures/{GROUP}/"))
    assert standing(page).startswith("recovered")
    await store(loom, failed(2, 8, type="message:dead_lettered", attempt=6))
    page = text(await client.get(f"/failures/{GROUP}/"))
    assert standing(page) == "dead-lettered"
    assert (number(page, "Recovered"), number(page, "Dead-lettered")) == ("1", "1 resolved or not")
    await store(
        loom,
        failed(3, 4, attempt=2),
        failed(3, 3, type="message:retried", attempt=2, error_type=None, duration_ns=60 * S),
        failed(4, 4, attempt=4),
        failed(4, 3, type="message:retried", attempt=4, error_type=None, duration_ns=30 * S),
    )
    page = text(await client.get(f"/failures/{GROUP}/"))
    assert standing(page).startswith("retrying 2 messages: the next attempt 5 of 6 at ")
    due = re.search(r'datetime="([^"]+)" data-due', page)
    assert due
    (failure,) = (
        one for one in (await loom.reader.find_failures()).failures if one.actor == "Order/4"
    )
    assert 25 * S < failure.retry_ns - time.time_ns() < 30 * S


async def test_actors_are_counted_among_the_latest_and_that_is_said(
    loom: Loom, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tracing.pages.group.SURVEYED", 3)
    await store(loom, *(failed(n, 60 - n, actor="Order/same") for n in range(1, 6)))
    page = text(await client.get(f"/failures/{GROUP}/"))
    assert number(page, "Actors affected") == "at least 1"
    assert number(page, "Messages, latest") == "3"


async def test_a_group_that_did_not_fail_lately_is_still_shown(
    loom: Loom, client: AsyncClient
) -> None:
    await store(loom, failed(1, 20 * 86_400))
    page = text(await client.get(f"/failures/{GROUP}/?since=24h"))
    assert number(page, "Failed attempts, last 24 hours") == "0"
    assert samples(page) == ["Order/1"]
    assert number(page, "First seen") == number(page, "Last seen")


async def test_numbers_without_samples_are_shown_as_such(loom: Loom, client: AsyncClient) -> None:
    await count(loom, failed(1, 5))
    page = text(await client.get(f"/failures/{GROUP}/"))
    assert number(page, "Failed attempts") == "1"
    assert "No failed message of this group is stored any more" in page


async def test_what_is_no_group_is_not_found(client: AsyncClient) -> None:
    response = await client.get("/failures/0123456789abcdef/")
    assert response.status_code == 404
    assert "Nothing of this failure group is stored" in text(response)
    for wrong in ("/failures/%22%3E%3Cb%3E/", f"/failures/{'f' * 65}/"):
        assert (await client.get(wrong)).status_code == 404


async def test_a_store_that_does_not_answer_is_said(
    loom: Loom, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store(loom, failed(1, 5))

    async def down(*args: Any, **more: Any) -> None:
        raise Unavailable("no")

    monkeypatch.setattr(loom.analytics, "statistics", down)
    page = text(await client.get(f"/failures/{GROUP}/"))
    assert "does not answer" in page
    assert samples(page) == ["Order/1"]
    monkeypatch.setattr(loom.reader, "find_failures", down)
    response = await client.get(f"/failures/{GROUP}/")
    assert response.status_code == 503
    assert "does not answer" in text(response)


async def remark(client: AsyncClient, kind: str, note: str = "") -> Any:
    return await client.post(f"/failures/{GROUP}/remarks/", {"kind": kind, "text": note})


async def test_a_note_is_saved_changed_and_taken_away_and_all_is_kept(
    loom: Loom, client: AsyncClient
) -> None:
    await store(loom, failed(1, 5))
    response = await remark(client, "note", NASTY)
    assert (response.status_code, response.headers["Location"]) == (302, f"/failures/{GROUP}/")
    page = text(await client.get(f"/failures/{GROUP}/"))
    assert "<script>alert" not in page
    assert html.unescape(page).count("</textarea><script>alert(1)</script>{{7*7}}") == 3
    for where in ("/", "/failures/"):
        assert "&lt;script&gt;alert(1)" in text(await client.get(where))
    await remark(client, "note", "ask the depot")
    await remark(client, "note", "  ")
    page = text(await client.get(f"/failures/{GROUP}/"))
    assert 'class="note"' not in page
    assert page.index("took the note away") < page.index("noted “ask the depot”")
    response = await remark(client, "note", "x" * 2_001)
    assert response.status_code == 422
    assert "this has 2,001. It is not saved." in text(response)
    assert "x" * 2_001 in text(response)
    assert await FailureRemark.objects.acount() == 3


async def test_a_group_is_resolved_comes_back_and_is_opened_again(
    loom: Loom, client: AsyncClient
) -> None:
    await store(loom, failed(1, 5))
    await remark(client, "resolved", "what is said here is no note")
    page = text(await client.get(f"/failures/{GROUP}/"))
    assert '<span class="mark">resolved</span>' in page
    assert "Resolved by local operator" in page
    assert '<span class="mark">resolved</span>' in text(await client.get("/failures/"))
    await store(loom, failed(2, -1))
    for where in (f"/failures/{GROUP}/", "/failures/"):
        assert '<span class="mark back">came back</span>' in text(await client.get(where))
    await remark(client, "reopened")
    page = text(await client.get(f"/failures/{GROUP}/"))
    assert 'class="mark' not in page
    assert "Mark as resolved" in page
    assert [one.kind async for one in FailureRemark.objects.all()] == ["reopened", "resolved"]
    assert (await remark(client, "ignored")).status_code == 404


async def test_saying_something_needs_its_permission_and_a_token(loom: Loom, login: Login) -> None:
    await store(loom, failed(1, 5))
    reader = await login()
    assert "Mark as resolved" not in text(await reader.get(f"/failures/{GROUP}/"))
    assert (await remark(reader, "resolved")).status_code == 403
    assert (await remark(await login("triage_failures"), "resolved")).status_code == 302
    assert [one.user async for one in FailureRemark.objects.all()] == ["person-1"]
    page = text(await reader.get(f"/failures/{GROUP}/"))
    assert "Resolved by person-1" in page


async def test_remarks_are_posted_with_a_csrf_token(loom: Loom, transactional_db: None) -> None:
    await store(loom, failed(1, 5))
    strict = AsyncClient(enforce_csrf_checks=True)
    assert (await remark(strict, "resolved")).status_code == 403
    assert (await strict.get(f"/failures/{GROUP}/remarks/"))["Location"] == f"/failures/{GROUP}/"
    assert await FailureRemark.objects.acount() == 0


async def test_a_sample_is_compared_with_the_last_success_of_its_message_type(
    loom: Loom, client: AsyncClient
) -> None:
    order = WORKFLOWS["order"]
    await loom.runtime.start(order, {"item": "pen", "restocked_after": 0})
    (success,) = await settled(loom)
    # Later, and of the same root, but without the message that failed.
    await loom.runtime.send("Order/9", "place", {"item": "pen", "restocked_after": 20})
    await settled(loom)
    (failure,) = (await loom.reader.find_failures()).failures
    page = text(await client.get(f"/failures/{failure.fingerprint}/"))
    compare = html.unescape(re.findall(r'data-open-compare href="([^"]+)"', page)[0])
    # No run of that root has succeeded: the one of another root that handled such a message does.
    response = await client.get(compare)
    assert (response.status_code, response.headers["Location"]) == (
        302,
        f"/traces/{failure.trace_id}/compare/{success.trace_id}/",
    )
    await loom.runtime.send("Order/8", "place", {"item": "pen", "restocked_after": 0})
    (own, *_) = await settled(loom)
    await loom.runtime.start(order, {"item": "pen", "restocked_after": 0})
    await settled(loom)
    await loom.runtime.send("Order/7", "place", {"item": "pen", "restocked_after": 20})
    await settled(loom)
    latest = (await loom.reader.find_failures()).failures[0]
    at = f"/traces/{latest.trace_id}/compare/?span={latest.span_id}"
    assert (await client.get(at)).headers["Location"].endswith(f"/compare/{own.trace_id}/")
