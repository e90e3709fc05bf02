"""The one box: whatever id is put into it, it goes there, or says that nothing has it."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import AsyncClient

from actors.samples import WORKFLOWS
from loomweb.wiring import Loom
from storage import Unavailable
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
