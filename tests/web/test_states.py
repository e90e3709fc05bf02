"""Time travel: each actor's state at an instant, and what is said where it is not known."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Any

import pytest
from django.test import AsyncClient

from actors import Actor, handler
from actors.samples import WORKFLOWS
from loomweb import wiring
from loomweb.config import load_config
from loomweb.wiring import Loom
from tests.builders import TRACE, event
from tests.conftest import quick_settings
from tests.web.conftest import HTMX, settled, text
from tracing import Event, Outcome, Ref, RefKind, Resolved, Resolvers, Source, TraceTree
from tracing.models import PayloadAccess
from tracing.pages.states import MAX_ACTORS, milliseconds
from tracing.sink import TraceSink
from tracing.spanlog import logs_of

Login = Callable[..., Awaitable[AsyncClient]]


async def run(loom: Loom, workflow: str, **payload: Any) -> TraceTree:
    started = await loom.runtime.start(WORKFLOWS[workflow], payload)
    await settled(loom)
    tree = await loom.reconstructor.reconstruct(str(started.trace_id))
    assert tree is not None
    return tree


def times(tree: TraceTree, kind: str) -> list[str]:
    """Return the instants of moments of a kind, as addresses have them."""
    begin = tree.bounds[0]
    moments = tree.history.moments
    return [milliseconds(each.time_ns - begin) for each in moments if each.kind == kind]


async def show(client: AsyncClient, trace: str, **query: str) -> str:
    response = await client.get(f"/traces/{trace}/states/", query, headers=HTMX)
    assert response.status_code == 200
    return text(response)


def cards(page: str) -> dict[str, str]:
    """Return each actor's card."""
    found = re.findall(r'<article [^>]*aria-label="([^"]+)">(.*?)</article>', page, re.DOTALL)
    return dict(found)


async def test_each_step_shows_what_had_changed_by_then(loom: Loom, client: AsyncClient) -> None:
    tree = await run(loom, "order", item="pen", quantity=3, restocked_after=1)
    trace = tree.summary.trace_id
    new, (_, reserved, shipped) = times(tree, "created")[0], times(tree, "changed")
    before = await show(client, trace, at="0")
    assert "No actor has begun yet" in before
    assert "2 actors come later" in before
    ((_, card),) = cards(await show(client, trace, at=new)).items()
    assert "No state yet" in card
    ((order, card),) = cards(await show(client, trace, at=reserved)).items()
    assert "changed now" in card
    assert re.search(r'jl mark-changed"><span class="jk">status</span>[^\n]*was &quot;placed', card)
    assert re.search(r'jl mark-added"><span class="jk">reserved</span>', card)
    assert re.search(r'class="jl"><span class="jk">quantity</span>', card)
    later = cards(await show(client, trace, at=shipped))
    assert "unchanged for" in later[order]
    assert list(later) == [order, order.replace("Order", "Shipment")]
    end = await show(client, trace)
    assert re.findall(r'data-at="([^"]+)"', end) == [shipped]
    assert cards(end).keys() == later.keys()


async def test_a_failure_is_a_step_that_changes_nothing(loom: Loom, client: AsyncClient) -> None:
    tree = await run(loom, "order", item="pen", quantity=3, restocked_after=20)
    page = await show(client, tree.summary.trace_id, at=times(tree, "failed")[0])
    ((_, card),) = cards(page).items()
    assert "failed handling" in card
    assert "OutOfStock" in card
    assert '<span class="j-string">&quot;placed&quot;</span>' in card
    assert "changed now" not in card
    assert f"{times(tree, 'failed')[0]}!" in page


async def test_steps_lead_from_change_to_change(loom: Loom, client: AsyncClient) -> None:
    tree = await run(loom, "order", item="pen", quantity=3, restocked_after=0)
    begin = tree.bounds[0]
    steps = [milliseconds(each.time_ns - begin) for each in tree.history.moments]
    page = await show(client, tree.summary.trace_id, at=steps[0])
    assert re.findall(r'data-around="([^"]+)"', page) == [" ".join(steps)]
    seen = [steps[0]]
    while found := re.search(r'data-step="1" href="([^"]+)"', page):
        page = text(await client.get(found.group(1), headers=HTMX))
        seen += re.findall(r'data-at="([^"]+)"', page)
    assert seen == steps
    assert f"{len(steps)} of {len(steps)}" in page
    back = re.findall(r'data-step="-1" href="[^"]+at=([^"]+)"', page)
    assert back == [steps[-2]]


async def test_states_come_in_one_pass_for_each_actor_and_the_look_is_written_down(
    loom: Loom, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = await run(loom, "word-count", children=4, words=20)
    asked: list[tuple[str, int]] = []
    store = loom.runtime.state_store
    states = store.states

    async def counted(actor: str, versions: Collection[int]) -> Any:
        asked.append((actor, len(versions)))
        return await states(actor, versions)

    monkeypatch.setattr(store, "states", counted)
    page = await show(client, tree.summary.trace_id)
    assert len(cards(page)) == 5
    assert sorted(actor for actor, _ in asked) == sorted(tree.history.actors)
    looks = [look async for look in PayloadAccess.objects.all()]
    assert {(look.tab, look.trace_id) for look in looks} == {("states", tree.summary.trace_id)}
    # Each actor has a line, which leads to the turn that its state is from.
    last = len(tree.history.moments) - 1
    turns = {held.actor: held.since.span_id for held in tree.history.held(last)}
    assert sorted(look.span_id for look in looks) == sorted(turns.values())
    for actor, turn in turns.items():
        span = tree.span(turn)
        assert span is not None
        assert span.actor == actor
    narrowed = await show(client, tree.summary.trace_id, among="Counter/")
    assert await PayloadAccess.objects.acount() == 5 + len(cards(narrowed)) == 5 + 4


async def test_without_the_permission_nothing_is_loaded_and_versions_are_told(
    loom: Loom, login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = await run(loom, "order", item="canary", quantity=3, restocked_after=0)

    async def never(*_: Any) -> Any:
        raise AssertionError("a state was loaded")

    monkeypatch.setattr(loom.runtime.state_store, "states", never)
    page = await show(await login(), tree.summary.trace_id)
    assert "You lack the permission" in page
    for card in cards(page).values():
        assert 'class="chip forbidden"' in card
        assert "version " in card
    assert "canary" not in page
    assert not await PayloadAccess.objects.aexists()


async def test_what_became_of_a_state_that_is_not_there_is_told(
    loom: Loom, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    actors = {f"Order/{number}": outcome for number, outcome in enumerate(Outcome)}

    async def load(refs: Collection[Ref]) -> dict[Ref, Resolved]:
        return {
            ref: Resolved(ref, actors[ref.partition], {"state": {"a": 1}}, f"why {ref.id}")
            for ref in refs
        }

    resolvers = Resolvers({RefKind.ACTOR_STATE: Source(load)})
    monkeypatch.setattr(loom.reconstructor, "_resolvers", resolvers)
    await store(loom, [each for actor in actors for each in changed(actor)])
    shown = cards(await show(client, TRACE))
    for actor, outcome in actors.items():
        if outcome is Outcome.LOADED:
            assert '<span class="jk">a</span>' in shown[actor]
        else:
            assert f'class="chip {outcome.value}"' in shown[actor]
            assert "why 2" in shown[actor]
    (look,) = [look async for look in PayloadAccess.objects.all()]
    tree = await loom.reconstructor.reconstruct(TRACE)
    assert tree is not None
    span = tree.span(look.span_id)
    assert span is not None
    assert span.actor is not None
    assert actors[span.actor] is Outcome.LOADED


def changed(actor: str, at: int = 1) -> list[Event]:
    """Return a turn that changed an actor's state."""
    span = int(actor.rpartition("/")[2]) + 1
    before, after = (Ref(RefKind.ACTOR_STATE, actor, version) for version in ("0", "2"))
    return [
        event("message:started", span, at=at, actor=actor),
        event("actor:state_changed", span, at=at + 1, actor=actor, refs=(before, after)),
        event("message:completed", span, at=at + 2, actor=actor, refs=(after,)),
    ]


async def store(loom: Loom, events: list[Event]) -> None:
    sink = TraceSink(loom.containers["trace-events"], writer="w")
    await sink.store(sink.batch(logs_of(events)))


async def test_of_many_actors_those_are_loaded_that_something_happened_to_last(
    loom: Loom, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    most: list[int] = []

    async def load(refs: Collection[Ref]) -> dict[Ref, Resolved]:
        most.append(len(refs))
        return {
            ref: Resolved(ref, Outcome.LOADED, {"state": {"of": ref.partition}}) for ref in refs
        }

    resolvers = Resolvers({RefKind.ACTOR_STATE: Source(load)})
    monkeypatch.setattr(loom.reconstructor, "_resolvers", resolvers)
    await store(loom, [each for n in range(1_000) for each in changed(f"Order/{n}", 4 * n)])
    page = await show(client, TRACE)
    assert f"Showing {MAX_ACTORS} of 1,000 actors" in page
    assert list(cards(page)) == [f"Order/{n}" for n in range(1_000 - MAX_ACTORS, 1_000)]
    further = re.search(r'href="([^"]+)" data-further', page)
    assert further
    page = text(await client.get(further.group(1).replace("&amp;", "&"), headers=HTMX))
    assert f"Showing {MAX_ACTORS + 1}–{2 * MAX_ACTORS} of 1,000 actors" in page
    assert f"Order/{1_000 - MAX_ACTORS - 1}" in cards(page)
    assert list(cards(await show(client, TRACE, among="ORDER/77"))) == [
        "Order/77",
        *(f"Order/77{n}" for n in range(10)),
    ]
    assert "No actor whose id holds" in await show(client, TRACE, among="<b>nobody")
    assert max(most) <= 2 * MAX_ACTORS


async def test_the_page_of_its_own_is_a_form(loom: Loom, client: AsyncClient) -> None:
    tree = await run(loom, "order", item="pen", quantity=3, restocked_after=0)
    trace = tree.summary.trace_id
    trace_page = text(await client.get(f"/traces/{trace}/"))
    assert f'<noscript><a href="/traces/{trace}/states/">' in trace_page
    page = text(await client.get(f"/traces/{trace}/states/", {"at": "1.5", "among": "Order"}))
    assert '<form method="get"' in page
    assert 'value="1.5"' in page
    assert f'href="/traces/{trace}/?at=1.5"' in page


@pytest.mark.parametrize("at", ["-1", "NaN", "1e9", "٣", "1.2.3", "<b>", "1" * 400, "1.0000001"])
async def test_an_instant_that_is_none_is_the_last_change(
    loom: Loom, client: AsyncClient, at: str
) -> None:
    await store(loom, changed("Order/1"))
    assert 'data-at="1"' in await show(client, TRACE, at=at)


async def test_there_are_only_states_of_traces(client: AsyncClient) -> None:
    for trace in ("0" * 32, "nothing"):
        response = await client.get(f"/traces/{trace}/states/")
        assert response.status_code == 404


class Counter(Actor):
    @handler
    async def add(self, payload: dict[str, Any]) -> None:
        self.update_state(total=self.state.get("total", 0) + 1, note=payload["note"])


async def test_an_actor_that_is_older_than_the_trace_has_its_state_from_the_first_turn_on(
    tmp_path: Path, transactional_db: None
) -> None:
    loom = await wiring.open_loom(load_config(quick_settings(tmp_path)))
    try:
        loom.start_worker(Counter)
        for note in ("a note", None):
            await loom.runtime.send("Counter/1", "add", {"note": note})
            summaries = await settled(loom)
        tree = await loom.reconstructor.reconstruct(summaries[0].trace_id)
        assert tree is not None
        assert [moment.kind for moment in tree.history.moments] == ["seen", "changed"]
        client, trace = AsyncClient(), tree.summary.trace_id
        (card,) = cards(await show(client, trace, at=times(tree, "seen")[0])).values()
        assert "first seen" in card
        assert "&quot;a note&quot;" in card
        (card,) = cards(await show(client, trace)).values()
        assert "was 1" in card
        assert re.search(r"<code>\$\.note</code> removed", card)
    finally:
        await wiring.close_loom()
