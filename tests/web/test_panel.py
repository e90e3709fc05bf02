"""The detail panel: each tab says all there is to say, loads that and nothing else."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import AsyncClient

from actors import Actor, handler
from actors.samples import WORKFLOWS
from loomweb import wiring
from loomweb.config import load_config
from loomweb.wiring import Loom
from storage import Unavailable
from tests.builders import TRACE, event
from tests.conftest import quick_settings
from tests.web.conftest import HTMX, settled, text
from tests.web.test_trace_rows import store
from tracing import Outcome, RefKind, Resolved, Resolvers, Source, Span, TraceTree
from tracing.models import PayloadAccess

Login = Callable[..., Awaitable[AsyncClient]]
WEEK_NS = 8 * 86_400 * 10**9


async def run(loom: Loom, workflow: str, **payload: Any) -> TraceTree:
    """Run a workflow to its end, and return its trace."""
    started = await loom.runtime.start(WORKFLOWS[workflow], payload)
    await settled(loom)
    return await tree_of(loom, str(started.trace_id))


async def tree_of(loom: Loom, trace_id: str) -> TraceTree:
    tree = await loom.reconstructor.reconstruct(trace_id)
    assert tree is not None
    return tree


def span_of(tree: TraceTree, name: str) -> Span:
    return next(span for span in tree.spans if span.name == name)


def address(tree: TraceTree, name: str) -> str:
    return f"/traces/{tree.summary.trace_id}/spans/{span_of(tree, name).span_id}/"


async def show(client: AsyncClient, tree: TraceTree, name: str, tab: str = "") -> str:
    query = f"?tab={tab}" if tab else ""
    response = await client.get(address(tree, name) + query, headers=HTMX)
    assert response.status_code == 200
    return text(response)


def selected(panel: str) -> str:
    found = re.search(r'aria-selected="true">(\w+)<', panel)
    assert found
    return found.group(1)


def to_span(tree: TraceTree, name: str) -> str:
    return f'href="/traces/{tree.summary.trace_id}/?span={span_of(tree, name).span_id}"'


@pytest.fixture
def reads(loom: Loom, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each container was read, by its name and the method."""
    calls: Counter[str] = Counter()
    for name, container in loom.containers.items():
        for method in ("read", "read_many", "query"):
            original = getattr(container, method)

            async def counted(
                *args: Any, _what: str = f"{name} {method}", _original: Any = original
            ) -> Any:
                calls[_what] += 1
                return await _original(*args)

            monkeypatch.setattr(container, method, counted)
    return calls


async def test_a_failed_message_shows_error_payload_and_state_at_once(
    loom: Loom, client: AsyncClient, reads: Counter[str]
) -> None:
    tree = await run(loom, "order", item="slide rule", quantity=1, restocked_after=20)
    reads.clear()
    panel = await show(client, tree, "reserve")
    assert selected(panel) == "Error"
    for part in ("OutOfStock", "slide rule is no longer made", "actors/samples/order.py"):
        assert part in panel
    assert '<span class="jk">restocked_after</span> <span class="j-number">20</span>' in panel
    assert '<span class="j-string">&quot;placed&quot;</span>' in panel
    assert "unchanged: the turn failed" in panel
    # What failed below it is one click away.
    assert to_span(tree, "look_at_shelf") in panel
    # One read for the message, one for the journal entry, one pass for the state.
    assert reads["message-archive read_many"] == 1
    assert reads["actor-journals read_many"] == 1
    assert reads["actor-journals query"] == 1
    assert {name.partition(" ")[0] for name in reads} == {
        *("trace-events", "message-archive", "actor-journals")
    }


async def test_a_tab_loads_what_it_shows_and_nothing_else(
    loom: Loom, client: AsyncClient, reads: Counter[str]
) -> None:
    tree = await run(loom, "loan-application", bureau="reliable")
    loaded = {
        "message": {"message-archive read_many"},
        "state": {"actor-journals query"},
        "journal": {"actor-journals read_many"},
        "effects": set(),
        "raw": set(),
    }
    for tab, expected in loaded.items():
        reads.clear()
        await show(client, tree, "submit", tab)
        assert {name for name in reads if not name.startswith("trace-events")} == expected
    reads.clear()
    await client.get(f"/traces/{tree.summary.trace_id}/")
    assert {name.partition(" ")[0] for name in reads} <= {"trace-events"}


async def test_a_failed_activity_shows_the_turn_that_it_failed(
    loom: Loom, client: AsyncClient
) -> None:
    tree = await run(loom, "order", item="slide rule", quantity=1, restocked_after=20)
    panel = await show(client, tree, "look_at_shelf")
    assert selected(panel) == "Error"
    assert "in an activity" in panel
    assert "slide rule is no longer made" in panel
    assert '<span class="jk">restocked_after</span>' in panel
    assert "&quot;placed&quot;" in panel
    assert to_span(tree, "reserve") in panel
    assert "Attempts" in await show(client, tree, "look_at_shelf", "journal")


async def test_a_failed_run_shows_the_failure_of_its_first_message(
    loom: Loom, client: AsyncClient
) -> None:
    tree = await run(loom, "loan-application", amount=900_000, income=48_000)
    panel = await show(client, tree, "loan-application")
    assert selected(panel) == "Error"
    assert "900000 EUR is more than ten times" in panel
    assert '<span class="jk">amount</span>' in panel
    assert "the actor had no state yet" in panel


async def test_what_recovered_shows_the_failures_and_what_changed_in_the_end(
    loom: Loom, client: AsyncClient
) -> None:
    tree = await run(loom, "order", item="pen", quantity=3, restocked_after=2)
    panel = await show(client, tree, "reserve")
    assert selected(panel) == "Error"
    assert "0 of 3 × pen on the shelf" in panel
    assert "1 earlier failure" in panel
    assert "attempt 1" in panel
    assert "attempt 2" in panel
    assert "$.reserved" in panel
    assert "⇄ after" in panel


async def test_what_left_no_text_says_so(client: AsyncClient, loom: Loom) -> None:
    dead = [
        event("message:started", at=1),
        event("message:dead_lettered", at=2, error_type="WorkerLost"),
    ]
    assert loom.writer is not None
    for each in dead:
        loom.writer.emit(each)
    await loom.writer.flush()
    panel = text(await client.get(f"/traces/{TRACE}/spans/{1:016x}/", headers=HTMX))
    assert selected(panel) == "Error"
    assert "WorkerLost" in panel
    assert "It left no text" in panel


async def test_sender_and_receivers_are_links_both_ways(loom: Loom, client: AsyncClient) -> None:
    tree = await run(loom, "loan-application", bureau="reliable")
    first = await show(client, tree, "submit", "message")
    assert to_span(tree, "loan-application") in first
    assert to_span(tree, "pay_out") in first
    second = await show(client, tree, "pay_out", "message")
    assert to_span(tree, "submit") in second
    assert to_span(tree, "paid_out") in second
    assert to_span(tree, "pay_out") in await show(client, tree, "paid_out", "message")
    assert 'class="attempts"' in first
    assert "/refs/0/?download=1" in first
    run_id = re.search(r'href="/traces/\?actor=([0-9a-f]{32})"', first)
    assert run_id
    found = text(await client.get(f"/traces/?actor={run_id.group(1)}"))
    assert tree.summary.trace_id in found


async def test_what_a_turn_waits_for_is_told_until_it_came(loom: Loom, client: AsyncClient) -> None:
    started = await loom.runtime.start(WORKFLOWS["loan-approval"], {"timeout": 600})
    await settled(loom, suspended=1)
    tree = await tree_of(loom, str(started.trace_id))
    waiting = next(span.name for span in tree.spans if span.end_ns is None and span.attempts)
    for tab in ("message", "effects"):
        panel = await show(client, tree, waiting, tab)
        assert "still waiting" in panel
        assert f'href="/actors/{started.actor_id}/"' in panel
    name = next(e.name for s in tree.spans for e in s.events if e.type == "event:awaited")
    await loom.runtime.send_event(started.actor_id, str(name), {"approved": True})
    await settled(loom)
    tree = await tree_of(loom, str(started.trace_id))
    panel = await show(client, tree, waiting, "effects")
    assert f'<b class="mono">{name}</b> received' in panel


async def test_effects_are_links_and_chips(loom: Loom, client: AsyncClient) -> None:
    tree = await run(loom, "trip", fails="third")
    panel = await show(client, tree, "book", "effects")
    for activity in ("book_train", "book_room", "book_concert", "cancel_room", "cancel_train"):
        assert to_span(tree, activity) in panel
    assert "SoldOut" in panel
    assert '<b>trip</b> <span class="warn">undone</span>' in panel
    for step in ("started", "step completed", "compensating", "compensated"):
        assert f"<li>{step}" in panel
    assert "Documents written" in panel
    assert "actor-journals/" in panel
    tree = await run(loom, "loan-application", bureau="reliable")
    panel = await show(client, tree, "submit", "effects")
    assert "Children spawned" in panel
    assert to_span(tree, "pay_out") in panel
    assert "This turn had no effects" not in panel


async def test_the_journal_holds_what_the_activities_of_the_turn_came_to(
    loom: Loom, client: AsyncClient
) -> None:
    tree = await run(loom, "loan-application", bureau="reliable")
    panel = await show(client, tree, "submit", "journal")
    entries = re.findall(r"<summary><span class=\"index\">(\d+)</span> <code>(\w+)</code>", panel)
    assert [int(index) for index, _ in entries] == list(range(len(entries)))
    assert [name for _, name in entries][:3] == [
        "state_patched",
        "activity_scheduled",
        "activity_completed",
    ]
    assert entries[-1][1] == "turn_completed"


class Crowd(Actor):
    @handler
    async def gather(self, payload: dict[str, Any]) -> None:
        for number in range(payload["sends"]):
            self.send(f"Crowd/{number}", "rest", {"number": number})

    @handler
    async def rest(self, payload: dict[str, Any]) -> None:
        self.update_state(number=payload["number"])


async def test_a_turn_that_did_a_lot_is_shown_in_part(
    tmp_path: Path, transactional_db: None
) -> None:
    loom = await wiring.open_loom(load_config(quick_settings(tmp_path)))
    try:
        loom.start_worker(Crowd)
        await loom.runtime.send("Crowd/all", "gather", {"sends": 400})
        (summary,) = await settled(loom)
        tree = await tree_of(loom, summary.trace_id)
        client = AsyncClient()
        effects = await show(client, tree, "gather", "effects")
        assert "300 more are in the waterfall" in effects
        assert len(effects) < 200_000
        message = await show(client, tree, "gather", "message")
        assert "380 more are in the waterfall" in message
        raw = await show(client, tree, "gather", "raw")
        assert re.search(r"\d+ more are among the <a[^>]+>events of the trace", raw)
        journal = await show(client, tree, "gather", "journal")
        assert "101 entries more are in the download" in journal
        assert len(journal) < 1_000_000
    finally:
        await wiring.close_loom()


OUTCOMES = ("loaded", "expired", "forbidden", "missing", "unreadable")


async def test_what_became_of_a_reference_can_be_told_apart(
    loom: Loom, login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, visitor = await login("view_payloads"), await login()
    tree = await run(loom, "chain", depth=2)
    span = span_of(tree, "extend")
    number = next(n for n, ref in enumerate(span.refs()) if ref.kind is RefKind.MESSAGE)
    ref = span.refs()[number]
    where = f"/traces/{tree.summary.trace_id}/spans/{span.span_id}/refs/{number}/"

    raw = await show(client, tree, "extend", "raw")
    assert f'<a class="chip ask" href="{where}" hx-get="{where}" hx-target="closest .ref"' in raw

    shown = {"loaded": text(await client.get(where, headers=HTMX))}
    shown["forbidden"] = text(await visitor.get(where, headers=HTMX))
    await loom.containers["message-archive"].delete(ref.id, ref.partition)
    shown["missing"] = text(await client.get(where, headers=HTMX))
    monkeypatch.setattr(loom.reconstructor._resolvers, "_clock", lambda: span.last_ns + WEEK_NS)
    shown["expired"] = text(await client.get(where, headers=HTMX))

    async def broken(*_: Any) -> None:
        raise Unavailable("no answer")

    monkeypatch.setattr(loom.containers["message-archive"], "read_many", broken)
    shown["unreadable"] = text(await client.get(where, headers=HTMX))
    icons = set()
    for outcome in OUTCOMES:
        assert f'<span class="chip {outcome}"' in shown[outcome]
        if outcome != "loaded":
            assert f"<span>{outcome}</span>" in shown[outcome]
        icons.add(re.search(r"<svg.*?</svg>", shown[outcome], re.DOTALL).group(0))
    assert len(icons) == len(OUTCOMES)
    assert re.search(r"expired on \d{4}-\d\d-\d\d, after 7 days", shown["expired"])
    assert "Try again" in shown["unreadable"]
    assert "you lack the permission" in shown["forbidden"]
    css = Path("static/css/status.css").read_text()
    looks = {re.search(rf"\.chip\.{o} \{{([^}}]+)\}}", css).group(1) for o in OUTCOMES}
    assert len(looks) == len(OUTCOMES)


async def test_a_key_names_something_and_is_no_link(loom: Loom, client: AsyncClient) -> None:
    tree = await run(loom, "loan-application", bureau="reliable")
    raw = await show(client, tree, "credit_check", "raw")
    assert '<button type="button" class="chip named copy"' in raw


async def test_the_error_tab_stands_when_nothing_can_be_loaded(
    loom: Loom, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = await run(loom, "order", item="slide rule", quantity=1, restocked_after=20)

    async def broken(refs: Any) -> dict[Any, Resolved]:
        raise ConnectionError("canary")

    monkeypatch.setattr(
        loom.reconstructor, "_resolvers", Resolvers({kind: Source(broken) for kind in RefKind})
    )
    panel = await show(client, tree, "reserve")
    assert "OutOfStock" in panel
    assert "which could not be read" in panel
    assert panel.count(f'class="chip {Outcome.UNREADABLE.value}"') == 3
    assert "canary" not in panel


async def test_on_its_own_page_the_address_tells_the_tab(loom: Loom, client: AsyncClient) -> None:
    tree = await run(loom, "chain", depth=2)
    own = address(tree, "extend")
    assert 'class="panel alone"' in text(await client.get(f"{own}?tab=raw"))
    alone = {**HTMX, "HX-Current-URL": f"http://testserver{own}"}
    response = await client.get(f"{own}?tab=raw", headers=alone)
    assert response["HX-Replace-Url"] == f"{own}?tab=raw"
    inside = {**HTMX, "HX-Current-URL": f"http://testserver/traces/{tree.summary.trace_id}/"}
    assert "HX-Replace-Url" not in await client.get(f"{own}?tab=raw", headers=inside)
    assert selected(await show(client, tree, "extend", "nonsense")) == "Message"


def questions(panel: str) -> dict[str, str]:
    """Return where the panel asks who changed a path, by path."""
    found = re.findall(
        r'class="who"[^>]*hx-get="([^"]+)"[^>]*title="Which message last changed ([^"]+)\?"', panel
    )
    return {path: where.replace("&amp;", "&") for where, path in found}


async def test_a_path_leads_to_the_message_that_changed_it(loom: Loom, client: AsyncClient) -> None:
    tree = await run(loom, "order", item="pen", quantity=3, restocked_after=0)
    asked = questions(await show(client, tree, "reserve", "state"))
    assert {"$", "$.status", "$.item", "$.reserved"} <= set(asked)
    answer = text(await client.get(asked["$.status"], headers=HTMX))
    assert "last changed by" in answer
    assert f"{to_span(tree, 'place')}><b>place</b>" in answer
    assert "version 3" in answer
    never = text(await client.get(asked["$.reserved"], headers=HTMX))
    assert "never written before" in never
    # Any path can be asked for, also by one who types it and has no scripts.
    where = asked["$.status"].partition("&path=")[0]
    typed = text(await client.get(f"{where}&path=item"))
    assert "<b>place</b>" in typed
    assert "Back to the state" in typed
    looks = [look.tab async for look in PayloadAccess.objects.all()]
    assert looks.count("last change") == 3


async def test_a_question_that_makes_no_sense_is_answered_so(
    loom: Loom, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = await run(loom, "order", item="pen", quantity=3, restocked_after=0)
    where = f"{address(tree, 'reserve')}last-change/"
    for version in ("", "7x", "99", "-1"):
        response = await client.get(f"{where}?version={version}&path=$.status", headers=HTMX)
        assert response.status_code == 404
    for path in ("$..a", '$["open', "$.a[x]", "$." + "x" * 3_000):
        answer = text(await client.get(where, {"version": "3", "path": path}, headers=HTMX))
        assert "path" in answer
        assert "last changed by" not in answer

    async def broken(*_: Any) -> None:
        raise Unavailable("secret")

    monkeypatch.setattr(loom.containers["actor-journals"], "query", broken)
    answer = text(await client.get(where, {"version": "3", "path": "$.status"}, headers=HTMX))
    assert "could not be read (Unavailable)" in answer
    assert "secret" not in answer


async def test_who_changed_a_state_is_for_those_who_may_see_it(loom: Loom, login: Login) -> None:
    tree = await run(loom, "order", item="pen", quantity=3, restocked_after=0)
    where = f"{address(tree, 'reserve')}last-change/?version=3&path=$.status"
    visitor = await login()
    answer = text(await visitor.get(where, headers=HTMX))
    assert "lack the permission" in answer
    assert "place" not in answer
    assert await PayloadAccess.objects.acount() == 0


async def test_what_a_failed_turn_never_sent_is_among_its_effects(
    loom: Loom, client: AsyncClient
) -> None:
    await store(
        loom,
        [
            event("queue:enqueued", 1, attempt=0),
            event("message:started", 1, at=1),
            event("message:failed", 1, at=2, error_type="Boom"),
            event("message:withheld", 1, at=3, name="<b>"),
            event("message:withheld", 1, at=4, name="<b>"),
            event("message:withheld", 1, at=5, name="bill"),
            event("message:dead_lettered", 1, at=6, error_type="Boom"),
        ],
    )
    page = text(await client.get(f"/traces/{TRACE}/"))
    assert "; 3 messages that it decided on were never sent" in page
    tab = text(await client.get(f"/traces/{TRACE}/spans/{1:016x}/?tab=effects"))
    assert '<b>&lt;b&gt;</b> <span class="muted">2×</span>' in tab
    assert "<li><b>bill</b></li>" in tab
