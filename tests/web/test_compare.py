"""Two traces side by side: what is compared with what, who may see data, and what is said."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import pytest
from django.test import AsyncClient
from django.urls import reverse

from actors.samples import WORKFLOWS
from loomweb.wiring import Loom
from storage import Unavailable
from tests.web.conftest import HTMX, settled, text
from tests.web.test_security import NASTY
from tracing.models import PayloadAccess
from tracing.tree import TraceTree

Login = Callable[..., Awaitable[AsyncClient]]


async def chain(loom: Loom, key: str, fail_at: int = 0, depth: int = 3) -> str:
    """Run a chain to its end; return its trace."""
    started = await loom.runtime.start(
        WORKFLOWS["chain"], {"depth": depth, "fail_at": fail_at}, key=key
    )
    await settled(loom)
    assert started.trace_id is not None
    return started.trace_id


async def failed_and_fine(loom: Loom) -> tuple[str, str]:
    fine = await chain(loom, "fine")
    return await chain(loom, "bad", fail_at=2), fine


async def tree_of(loom: Loom, trace_id: str) -> TraceTree:
    tree = await loom.reconstructor.reconstruct(trace_id)
    assert tree is not None
    return tree


def plain(page: str) -> str:
    """Return what a page says, without its tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def first_divergence(page: str) -> str:
    found = re.search(r'<p class="divergence-words">(.*?)</p>', page, re.S)
    assert found
    return re.sub(r"<[^>]+>", "", found[1])


async def test_a_failed_trace_beside_the_last_success_tells_where_they_went_apart(
    loom: Loom, client: AsyncClient
) -> None:
    bad, fine = await failed_and_fine(loom)
    answer = await client.get(f"/traces/{bad}/compare/", follow=True)
    assert answer.redirect_chain == [(f"/traces/{bad}/compare/{fine}/", 302)]
    page = text(answer)
    assert first_divergence(page) == (
        "ChainLink/bad-2 extend failed with BrokenLink in A; in B it completed."
    )
    bad_tree, fine_tree = await tree_of(loom, bad), await tree_of(loom, fine)
    for trace, tree in ((bad, bad_tree), (fine, fine_tree)):
        for span in tree.spans:
            assert f'href="/traces/{trace}/?span={span.span_id}"' in page
    assert page.count("only in B</span>") == len(fine_tree.spans) - len(bad_tree.spans)
    assert page.count("not in A</span>") == len(fine_tree.spans) - len(bad_tree.spans)
    assert re.search(r"[\d.]+× (slower|faster)|alike", page)
    assert f'href="/traces/{fine}/compare/{bad}/"' in page
    swapped = text(await client.get(f"/traces/{fine}/compare/{bad}/"))
    assert first_divergence(swapped) == (
        "ChainLink/bad-2 extend failed with BrokenLink in B; in A it completed."
    )
    # Nothing that the traces refer to is in the page itself.
    assert "fail_at" not in page
    assert await PayloadAccess.objects.acount() == 0


async def test_the_statistics_lead_to_the_comparison(loom: Loom, client: AsyncClient) -> None:
    fine = await chain(loom, "fine")
    page = text(await client.get(f"/traces/{fine}/statistics/"))
    assert f'href="{reverse("tracing:compare-last", args=(fine,))}"' in page


async def test_the_first_differences_in_payload_and_state_are_found_on_demand(
    loom: Loom, client: AsyncClient
) -> None:
    bad, fine = await failed_and_fine(loom)
    address = f"/traces/{bad}/compare/{fine}/data/"
    page = text(await client.get(f"/traces/{bad}/compare/{fine}/"))
    assert f'hx-get="{address}"' in page
    part = text(await client.get(address, headers=HTMX))
    assert "<html" not in part
    assert "First difference in payload: ChainLink/bad extend" in plain(part)
    assert "$.fail_at" in part
    assert "First difference in state: ChainLink/bad-2 extend" in plain(part)
    assert "$.level" in part
    whole = text(await client.get(address))
    assert "<html" in whole
    assert f'href="/traces/{bad}/compare/{fine}/"' in whole
    looked = {(look.trace_id, look.span_id) async for look in PayloadAccess.objects.all()}
    expected = {
        (trace, span.span_id)
        for trace in (bad, fine)
        for span in (await tree_of(loom, trace)).spans[1:3]
    }
    assert looked == expected
    assert {look.tab async for look in PayloadAccess.objects.all()} == {"compare"}


async def test_what_names_each_run_is_ignored_and_said_unless_all_is_asked_for(
    loom: Loom, client: AsyncClient
) -> None:
    one, other = await chain(loom, "one"), await chain(loom, "other")
    address = f"/traces/{one}/compare/{other}/data/"
    part = text(await client.get(address, headers=HTMX))
    assert "No difference in payload among the 5 messages looked at" in plain(part)
    assert "No difference in state among the 5 messages looked at" in plain(part)
    assert "$.parent" in part
    assert re.search(r"\$\.parent</code> \(id, \d×\)", part)
    assert f'hx-get="{address}?all=1"' in part
    part = text(await client.get(f"{address}?all=1", headers=HTMX))
    assert "First difference in state: ChainLink/one-2 extend" in plain(part)
    assert "ChainLink/other" in part
    assert f'hx-get="{address}"' in part
    part = text(await client.get(f"{address}?from=2", headers=HTMX))
    assert "among the 3 messages looked at" in plain(part)


async def test_one_pair_is_compared_on_demand(loom: Loom, client: AsyncClient) -> None:
    bad, fine = await failed_and_fine(loom)
    page = text(await client.get(f"/traces/{bad}/compare/{fine}/"))
    links = re.findall(rf'hx-get="(/traces/{bad}/compare/{fine}/data/[0-9a-f]+/)"', page)
    assert len(links) == 2
    part = text(await client.get(links[0], headers=HTMX))
    assert "<html" not in part
    assert "$.fail_at" in part
    assert "State before alike" in plain(part)
    assert "State after alike" in plain(part)
    assert await PayloadAccess.objects.acount() == 2
    only = (await tree_of(loom, fine)).spans[-1].span_id
    for span in (only, "0" * 16):
        assert (await client.get(f"/traces/{bad}/compare/{fine}/data/{span}/")).status_code == 404


async def test_data_needs_the_permission_and_every_look_is_written_down(
    loom: Loom, login: Login
) -> None:
    bad, fine = await failed_and_fine(loom)
    curious = await login()
    page = text(await curious.get(f"/traces/{bad}/compare/{fine}/"))
    assert "BrokenLink" in page
    addresses = re.findall(rf'hx-get="(/traces/{bad}/compare/{fine}/data/[^"]*)"', page)
    assert len(addresses) == 3
    for address in addresses:
        part = text(await curious.get(address, headers=HTMX))
        assert "You lack the permission" in part
        assert "fail_at" not in part
    assert await PayloadAccess.objects.acount() == 0
    allowed = await login("view_payloads")
    assert "fail_at" in text(await allowed.get(addresses[0], headers=HTMX))
    users = [look.user async for look in PayloadAccess.objects.all()]
    assert users == ["person-1"] * 4
    stranger = AsyncClient()
    for address in (f"/traces/{bad}/compare/", f"/traces/{bad}/compare/{fine}/", *addresses):
        assert (await stranger.get(address)).status_code == 302


async def test_hostile_names_and_payloads_are_shown_as_text(
    loom: Loom, client: AsyncClient
) -> None:
    traces = []
    for ending in ("x", "y"):
        key = NASTY.replace("/", "")[:60] + ending
        await loom.runtime.send(f"LoanApplication/{key}", "submit", {
            "applicant": NASTY[:70] + ending, "amount": 9_000, "income": 50_000,
            "bureau": "reliable",
        })  # fmt: skip
        traces.append((await settled(loom))[0].trace_id)
    here = f"/traces/{traces[0]}/compare/{traces[1]}/"
    first = (await tree_of(loom, traces[0])).spans[0].span_id
    for address in (here, f"{here}data/?all=1", f"{here}data/{first}/?all=1"):
        for headers in ({}, HTMX):
            page = text(await client.get(address, headers=headers))
            assert "alert(1)" in page
            assert "<img" not in page
            assert "<script>alert" not in page
            assert "\u202e" not in page
            assert not re.findall(r"\s(?:style|on\w+)=\"", page)
    assert "&lt;img" in text(await client.get(f"/traces/{traces[1]}/compare/?choose=1"))
    asked = text(await client.get("/traces/" + traces[0] + "/compare/", {"with": NASTY}))
    assert "<img" not in asked
    assert "A trace id is written" in asked


async def test_without_a_success_before_it_a_form_asks_for_a_trace(
    loom: Loom, client: AsyncClient
) -> None:
    bad = await chain(loom, "bad", fail_at=2)
    fine = await chain(loom, "fine")
    await chain(loom, "worse", fail_at=1)
    page = text(await client.get(f"/traces/{bad}/compare/"))
    assert "no last success to compare with" in page
    assert 'name="with"' in page
    assert f'href="/traces/{bad}/compare/{fine}/"' in page
    for asked in (fine, f" http://127.0.0.1:8000/traces/{fine}/?span=1 "):
        answer = await client.get(f"/traces/{bad}/compare/", {"with": asked})
        assert answer.headers["Location"] == f"/traces/{bad}/compare/{fine}/"
    page = text(await client.get(f"/traces/{bad}/compare/", {"with": "nope"}))
    assert "A trace id is written" in page
    assert 'value="nope"' in page


async def test_the_last_success_is_of_the_same_root_and_may_have_recovered(
    loom: Loom, client: AsyncClient
) -> None:
    order = {"item": "pen", "quantity": 1}
    start = loom.runtime.start
    recovered = await start(WORKFLOWS["order"], {**order, "restocked_after": 1}, key="slow")
    await settled(loom)
    await chain(loom, "fine")
    failed = await start(WORKFLOWS["order"], {**order, "restocked_after": 20}, key="bad")
    await settled(loom)
    answer = await client.get(f"/traces/{failed.trace_id}/compare/")
    assert answer.headers["Location"].endswith(f"/compare/{recovered.trace_id}/")
    page = text(await client.get(answer.headers["Location"]))
    assert first_divergence(page) == (
        "The activity look_at_shelf of Order/bad reserve failed with OutOfStock in A and with"
        " ShelfEmpty in B."
    )
    fine = await start(WORKFLOWS["order"], {**order, "restocked_after": 0}, key="fine")
    await settled(loom)
    later = await start(WORKFLOWS["order"], {**order, "restocked_after": 20}, key="worse")
    await settled(loom)
    answer = await client.get(f"/traces/{later.trace_id}/compare/")
    assert answer.headers["Location"].endswith(f"/compare/{fine.trace_id}/")


async def test_unknown_traces_are_not_there(loom: Loom, client: AsyncClient) -> None:
    fine = await chain(loom, "fine")
    unknown = "0" * 31 + "1"
    for address in (
        f"/traces/{unknown}/compare/",
        f"/traces/{unknown}/compare/{fine}/",
        f"/traces/{fine}/compare/{unknown}/",
        f"/traces/{fine}/compare/{unknown}/data/",
        f"/traces/{fine}/compare/{unknown}/data/{'0' * 16}/",
        f"/traces/{fine}/compare/!/",
        "/traces/!/compare/",
    ):
        assert (await client.get(address)).status_code == 404, address
    assert unknown in text(await client.get(f"/traces/{fine}/compare/{unknown}/"))


async def test_a_trace_beside_itself_has_no_divergence(loom: Loom, client: AsyncClient) -> None:
    fine = await chain(loom, "fine", depth=30)
    page = text(await client.get(f"/traces/{fine}/compare/{fine}/"))
    assert "Both went the same way" in page
    assert "Both sides are the same trace" in page
    everything = text(await client.get(f"/traces/{fine}/compare/{fine}/?rows=all&from=0"))
    assert everything.count('<tr id="row-') == len((await tree_of(loom, fine)).spans)
    part = text(await client.get(f"/traces/{fine}/compare/{fine}/data/", headers=HTMX))
    assert "among the 50 messages looked at" in plain(part)
    assert f'hx-get="/traces/{fine}/compare/{fine}/data/?from=50"' in part


async def test_a_store_that_does_not_answer_is_said(
    loom: Loom, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    fine = await chain(loom, "fine")

    async def down(*_: object, **__: object) -> object:
        raise Unavailable("gone")

    monkeypatch.setattr(loom.reader, "find_traces", down)
    page = text(await client.get(f"/traces/{fine}/compare/"))
    assert "The trace store does not answer (Unavailable)" in page
    assert "no last success" not in page
    assert 'name="with"' in page


async def test_data_that_is_gone_is_said_and_not_taken_for_alike(
    loom: Loom, client: AsyncClient
) -> None:
    bad, fine = await failed_and_fine(loom)
    archive = loom.containers["message-archive"]
    first = (await tree_of(loom, bad)).spans[1]
    ref = next(ref for ref in first.refs() if ref.kind.value == "message")
    await archive.delete(ref.id, ref.partition)
    part = text(await client.get(f"/traces/{bad}/compare/{fine}/data/", headers=HTMX))
    assert "Not compared, 1×: the payload in trace A is missing" in plain(part)
    pair = f"/traces/{bad}/compare/{fine}/data/{first.span_id}/"
    part = text(await client.get(pair, headers=HTMX))
    assert "Payload: not compared, the payload in trace A is missing" in plain(part)
