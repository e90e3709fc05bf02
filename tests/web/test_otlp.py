"""The OTLP address: who may send spans, how much, and what becomes of them."""

from __future__ import annotations

import gzip
import json
import time
from typing import Any

import pytest
from django.test import AsyncClient

from loomweb.wiring import Loom
from tests.web.conftest import settled, text
from tracing import services
from tracing.pages import ingest

TRACE = "5b8efff798038103d269b633813fc60c"


def request_of(*names: str, ended_ns: int | None = None, status: int = 0) -> dict[str, Any]:
    """Return an ExportTraceServiceRequest in OTLP/JSON with one span per name."""
    end = ended_ns or time.time_ns()
    return {
        "resourceSpans": [
            {
                "resource": {
                    "attributes": [{"key": "service.name", "value": {"stringValue": "checkout"}}]
                },
                "scopeSpans": [
                    {
                        "spans": [
                            {
                                "traceId": TRACE,
                                "spanId": f"{number + 1:016x}",
                                "name": name,
                                "kind": 2,
                                "startTimeUnixNano": str(end - 5_000_000),
                                "endTimeUnixNano": str(end),
                                "status": {"code": status},
                            }
                            for number, name in enumerate(names)
                        ]
                    }
                ],
            }
        ]
    }


async def send(client: AsyncClient, body: bytes | dict[str, Any], **headers: str) -> Any:
    """Post a request; JSON unless a header says otherwise."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = headers.pop("content_type", "application/json")
    return await client.post("/v1/traces", data, content_type=kind, headers=headers)


async def test_spans_of_another_service_appear_as_foreign_in_the_waterfall(
    loom: Loom, client: AsyncClient
) -> None:
    response = await send(client, request_of("GET /cart", "charge <b>card</b>", status=2))
    assert (response.status_code, response.json()) == (200, {})
    (summary,) = await settled(loom)
    assert (summary.trace_id, summary.status.value, summary.events) == (TRACE, "failed", 2)
    assert summary.actor_types == ("checkout",)
    page = text(await client.get(f"/traces/{TRACE}/"))
    assert "GET /cart" in page
    assert "charge &lt;b&gt;card" in page
    assert page.count('<span class="kind">foreign</span>') == 2


async def test_a_gzipped_request_is_unpacked_within_bounds(
    loom: Loom, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = gzip.compress(json.dumps(request_of("packed")).encode())
    assert (await send(client, packed, **{"Content-Encoding": "gzip"})).status_code == 200
    assert (await send(client, packed[:-9], **{"Content-Encoding": "gzip"})).status_code == 400
    assert (await send(client, b"nothing", **{"Content-Encoding": "gzip"})).status_code == 400
    assert (await send(client, packed, **{"Content-Encoding": "br"})).status_code == 400
    monkeypatch.setattr(ingest, "MAX_BODY", 1_000)
    bomb = gzip.compress(b" " * 100_000)
    assert len(bomb) < 1_000
    assert (await send(client, bomb, **{"Content-Encoding": "gzip"})).status_code == 413
    assert (await send(client, b" " * 1_001)).status_code == 413
    assert [trace.events for trace in await settled(loom)] == [1]


async def test_what_is_no_otlp_is_refused_without_an_echo(client: AsyncClient) -> None:
    for body, kind, status in (
        (b"canary{", "application/json", 400),
        (b"canary", "application/x-protobuf", 400),
        (b"canary", "text/plain", 415),
    ):
        response = await send(client, body, content_type=kind)
        assert response.status_code == status
        assert "canary" not in text(response)
    assert (await client.get("/v1/traces")).status_code == 405


async def test_spans_of_another_age_are_rejected_and_the_sender_is_told(
    loom: Loom, client: AsyncClient
) -> None:
    old = time.time_ns() - 91 * 86_400 * 10**9
    answer = (await send(client, request_of("old", ended_ns=old))).json()
    assert answer["partialSuccess"]["rejectedSpans"] == "1"
    assert "90 days" in answer["partialSuccess"]["errorMessage"]
    assert await settled(loom) == []


@pytest.mark.parametrize(
    ("access", "sent", "status"),
    [
        (services.OtlpAccess("secret", open=True), "", 401),
        (services.OtlpAccess("secret", open=True), "Bearer wrong", 401),
        (services.OtlpAccess("secret", open=False), "Bearer secret", 200),
        (services.OtlpAccess(None, open=False), "Bearer anything", 401),
        (services.OtlpAccess(None, open=True), "", 200),
    ],
)
async def test_spans_are_taken_from_whoever_has_the_token(
    loom: Loom, with_login: None, access: services.OtlpAccess, sent: str, status: int
) -> None:
    now = services.current()
    services.install(
        services.TracingServices(now.reader, now.analytics, now.reconstructor, now.writer, access)
    )
    # With CSRF checks on, as for a browser: a program has no cookie to show.
    stranger = AsyncClient(enforce_csrf_checks=True)
    headers = {"Authorization": sent} if sent else {}
    assert (await send(stranger, request_of("one"), **headers)).status_code == status


async def test_a_full_buffer_asks_the_sender_to_come_again(
    loom: Loom, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loom.writer, "has_room", lambda events: False)
    response = await send(client, request_of("late"))
    assert (response.status_code, response["Retry-After"]) == (503, "5")
