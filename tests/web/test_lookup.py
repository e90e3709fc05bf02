"""The one box: whatever id is put into it, it goes there, or says that nothing has it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.test import AsyncClient

from actors.deadletters import DeadLetter, LetterFilter
from actors.samples import WORKFLOWS
from loomweb.wiring import Loom
from storage import Query, Unavailable, Where
from tests.web.conftest import settled, text
from tracing import RefKind


async def an_order(loom: Loom) -> tuple[str, str, str]:
    """Run an order that fails; return its trace, its run, and the id of its second message."""
    started = await loom.runtime.start(
        WORKFLOWS["order"], {"item": "pen", "quantity": 1, "restocked_after": 0}, key="one"
    )
    await settled(loom)
    tree = await loom.reconstructor.reconstruct(started.trace_id)
    assert tree is not None
    reserve = next(span for span in tree.spans if span.name == "reserve")
    message = next(ref.id for ref in reserve.refs() if ref.kind is RefKind.MESSAGE)
    return started.trace_id, started.correlation_id, message


async def goes_to(client: AsyncClient, asked: str) -> str:
    answer = await client.get("/", {"q": asked})
    assert answer.status_code == 302, asked
    return str(answer["Location"])


async def test_every_kind_of_id_leads_to_what_has_it(loom: Loom, client: AsyncClient) -> None:
    trace, run, message = await an_order(loom)
    assert await goes_to(client, trace.upper()) == f"/traces/{trace}/"
    assert (await goes_to(client, run)).startswith(f"/traces/{trace}/")
    assert await goes_to(client, "Order/one") == "/actors/Order/one/"
    assert await goes_to(client, "Order/one actor-journals/000000000000") == "/actors/Order/one/"
    tree = await loom.reconstructor.reconstruct(trace)
    assert tree is not None
    reserve = next(span for span in tree.spans if span.name == "reserve")
    for asked in (message, f"message-archive/{message}"):
        assert await goes_to(client, asked) == f"/traces/{trace}/?span={reserve.span_id}"


async def test_a_message_whose_archive_has_expired_leads_to_its_actor(
    loom: Loom, client: AsyncClient
) -> None:
    _, run, message = await an_order(loom)
    archive = loom.containers["message-archive"]
    document = await archive.read(message, run)
    await archive.delete(message, run, if_etag=document.etag)
    assert await goes_to(client, message) == "/actors/Order/one/"


async def a_dead_letter(loom: Loom) -> tuple[DeadLetter, str]:
    """Run a chain that breaks below its first message; return the dead letter and its address."""
    await loom.runtime.start(WORKFLOWS["chain"], {"depth": 3, "fail_at": 2}, key="c")
    await settled(loom)
    (letter,) = (await loom.dead_letters.find(LetterFilter())).letters
    assert letter.correlation_id != letter.message_id
    return letter, f"/traces/{letter.trace_id}/?span={letter.span_id}"


async def test_a_dead_letter_within_a_run_leads_to_its_message(
    loom: Loom, client: AsyncClient
) -> None:
    letter, span = await a_dead_letter(loom)
    for asked in (letter.message_id, f"dead-letters/{letter.message_id}"):
        assert await goes_to(client, asked) == span
    # Its actor's page names the run too.
    page = text(await client.get(f"/actors/{letter.actor_id}/"))
    assert f'href="/traces/?actor={letter.correlation_id}" title="Traces of its run"' in page


async def test_a_dead_letter_leads_to_its_message_when_the_journal_names_no_run(
    loom: Loom, client: AsyncClient
) -> None:
    letter, span = await a_dead_letter(loom)
    journals = loom.containers["actor-journals"]
    found = await journals.query(Query((Where("messageId", "=", letter.message_id),)))
    for document in found.documents:
        for entry in document.body["entries"]:
            entry.pop("correlationId", None)
        await journals.replace(document.body, if_etag=document.etag)
    assert await goes_to(client, letter.message_id) == span
    assert (await client.get(f"/actors/{letter.actor_id}/")).status_code == 200


async def test_a_message_that_is_tried_again_leads_to_itself(
    loom: Loom, client: AsyncClient
) -> None:
    letter, span = await a_dead_letter(loom)
    # As while it is tried again: its journal tells of failed attempts, and it is no dead letter.
    letters = loom.containers["dead-letters"]
    document = await letters.read(letter.message_id, letter.actor_id)
    await letters.delete(letter.message_id, letter.actor_id, if_etag=document.etag)
    assert await goes_to(client, letter.message_id) == span


@pytest.mark.parametrize(
    "asked",
    ["nothing", "Order/none", "Order/no/such", "message-archive/none", "<b>x</b>", "/", "a b"],
)
async def test_an_id_that_nothing_has_is_said(client: AsyncClient, asked: str) -> None:
    answer = await client.get("/", {"q": asked})
    assert answer.status_code == 404
    assert "Nothing has this id" in text(answer)
    assert "<b>x</b>" not in text(answer)


async def test_a_store_that_does_not_answer_is_not_taken_for_nothing(
    loom: Loom, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*args: Any) -> None:
        raise Unavailable("no answer")

    monkeypatch.setattr(loom.containers["message-archive"], "read_many", broken)
    answer = await client.get("/", {"q": "something"})
    assert answer.status_code == 503
    assert "could not be looked up" in text(answer)


async def test_the_first_characters_of_an_id_are_enough(loom: Loom, client: AsyncClient) -> None:
    trace, run, message = await an_order(loom)
    tree = await loom.reconstructor.reconstruct(trace)
    assert tree is not None
    reserve = next(span for span in tree.spans if span.name == "reserve")
    for asked in (trace[:8], trace[:8].upper(), f"{trace[:8]}…", f"{trace[:6]}..."):
        assert await goes_to(client, asked) == f"/traces/{trace}/"
    assert await goes_to(client, message[:8]) == f"/traces/{trace}/?span={reserve.span_id}"
    assert (await goes_to(client, run[:8])).startswith(f"/traces/{trace}/")
    # So little may be the beginning of anything.
    assert (await client.get("/", {"q": trace[:5]})).status_code == 404


async def test_traces_are_told_apart_by_what_pages_show_of_their_ids(
    loom: Loom, client: AsyncClient
) -> None:
    for _ in range(12):
        await loom.runtime.start(WORKFLOWS["chain"], {"depth": 0})
        await asyncio.sleep(0.005)
    await settled(loom)
    traces = [summary.trace_id for summary in (await loom.reader.find_traces()).traces]
    assert len({trace[:8] for trace in traces}) < len(traces)
    for trace in traces:
        shown = f"{trace[:14]}…"
        assert shown in text(await client.get(f"/traces/{trace}/"))
        assert await goes_to(client, shown) == f"/traces/{trace}/"


async def test_an_actor_is_found_without_its_type_or_with_its_type_in_another_case(
    loom: Loom, client: AsyncClient
) -> None:
    await an_order(loom)
    for asked in ("order/one", "ORDER/one"):
        assert await goes_to(client, asked) == "/actors/Order/one/"
    await loom.runtime.start(WORKFLOWS["chain"], {"depth": 1}, key="order-17")
    await settled(loom)
    assert await goes_to(client, "order-17") == "/actors/ChainLink/order-17/"
    assert await goes_to(client, "order") == "/actors/Order/"
    assert (await client.get("/", {"q": "order/ONE"})).status_code == 404


async def test_of_several_that_fit_one_can_be_chosen(loom: Loom, client: AsyncClient) -> None:
    for workflow in ("order", "chain"):
        await loom.runtime.start(WORKFLOWS[workflow], {}, key="one")
    for twin in ("twin-message-a", "twin-message-b"):
        await loom.runtime.send("Order/two", "reserve", {"restocked_after": 0}, message_id=twin)
    await settled(loom)
    answer = await client.get("/", {"q": "one"})
    assert answer.status_code == 200
    for actor in ("Order/one", "ChainLink/one"):
        assert f'href="/actors/{actor}/">{actor}</a>' in text(answer)
    twins = text(await client.get("/", {"q": "twin-m"}))
    assert "Which one?" in twins
    assert all(f">{twin}</a>" in twins for twin in ("twin-message-a", "twin-message-b"))


@pytest.mark.parametrize("asked", ["%", "______", "a" * 300, "ﬃ" * 8, "\ud7ff" * 6, "x" * 8])
async def test_what_nobody_meant_leads_nowhere_and_says_what_can_be_typed(
    loom: Loom, client: AsyncClient, asked: str
) -> None:
    await an_order(loom)
    answer = await client.get("/", {"q": asked})
    assert answer.status_code == 404
    assert "its first six characters or more" in text(answer)


async def test_the_list_of_traces_says_what_its_field_takes(
    loom: Loom, client: AsyncClient
) -> None:
    trace, _, _ = await an_order(loom)
    page = text(await client.get("/traces/", {"actor": trace[:8]}))
    assert f'href="/?q={trace[:8]}">Look for it everywhere</a>' in page
    assert "Look for it everywhere" not in text(await client.get("/traces/?type=Nobody"))
