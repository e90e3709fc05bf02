"""The documents that the trace page draws, and traces as files."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import AsyncClient

from actors.samples import WORKFLOWS
from bench.large_traces import events_of, write_trace
from loomweb.wiring import Loom
from storage import Unavailable
from tests.builders import TRACE, event
from tests.web.conftest import HTMX, settled, text
from tracing import Event
from tracing.export import export, read_export
from tracing.live import Streams, streams
from tracing.rows import ERRORS, FAILED, OPEN, WINDOW
from tracing.sink import TraceSink
from tracing.spanlog import logs_of

STARTED = 1_800_000_000_000_000_000
LARGE = "ab" * 16


async def store(loom: Loom, events: list[Event]) -> None:
    sink = TraceSink(loom.containers["trace-events"], writer="w")
    await sink.store(sink.batch(logs_of(events)))


async def rows(client: AsyncClient, trace: str, query: str = "") -> dict[str, Any]:
    response = await client.get(f"/traces/{trace}/rows/{query}")
    assert response.status_code == 200
    return dict(response.json())


async def test_rows_are_columns_without_anything_referenced(
    loom: Loom, client: AsyncClient
) -> None:
    order = {"item": "canary", "quantity": 1, "restocked_after": 1}
    await loom.runtime.start(WORKFLOWS["order"], order, key="one")
    (trace,) = await settled(loom)
    body = await rows(client, trace.trace_id)
    count = body["total"]
    for column in ("id", "depth", "kind", "name", "actor", "t", "d", "h", "f"):
        assert len(body[column]) == count, column
    assert body["depth"][0] == 0
    assert "canary" not in json.dumps(body)
    names = [body["S"][number] for number in body["name"]]
    reserve = names.index("reserve")
    ((_, *attempts),) = [each for each in body["A"] if each[0] == reserve]
    assert len(attempts) == 8
    assert attempts[0] == 1
    assert body["S"][attempts[3]] == "ActivityFailed"
    assert body["f"][reserve] & ERRORS
    assert not body["f"][reserve] & (FAILED | OPEN)
    assert {error[1] for error in body["errors"]} >= {body["id"][reserve]}
    assert body["live"] is False


async def test_rows_that_are_known_are_not_sent_again(loom: Loom, client: AsyncClient) -> None:
    await store(loom, [event("queue:enqueued", 1), event("message:started", 1, at=5)])
    first = await client.get(f"/traces/{TRACE}/rows/")
    etag = first.headers["ETag"]
    known = {"If-None-Match": etag}
    assert (await client.get(f"/traces/{TRACE}/rows/", headers=known)).status_code == 304
    sink = TraceSink(loom.containers["trace-events"], writer="x")
    await sink.store(sink.batch(logs_of([event("message:completed", 1, at=9)])))
    again = await client.get(f"/traces/{TRACE}/rows/", headers=known)
    assert again.status_code == 200
    assert again.headers["ETag"] != etag
    assert again.json()["live"] is False


async def test_a_large_trace_comes_in_windows_and_a_link_opens_the_one_that_holds_its_span(
    loom: Loom, client: AsyncClient
) -> None:
    await write_trace(
        loom.containers["trace-events"], LARGE, events_of(LARGE, WINDOW + 500, STARTED)
    )
    body = await rows(client, LARGE)
    assert (body["first"], len(body["id"]), body["total"]) == (0, WINDOW, WINDOW + 500)
    assert len(body["o"]) <= 2_000
    last = (await rows(client, LARGE, f"?from={WINDOW}"))["id"][-1]
    assert last not in body["id"]
    window = await rows(client, LARGE, f"?span={last}")
    assert last in window["id"]
    assert window["first"] == 500
    page = text(await client.get(f"/traces/{LARGE}/?span={last}"))
    assert f'data-rows="/traces/{LARGE}/rows/?from=500"' in page
    assert f'id="s-{last}"' in page
    assert page.count("<tr ") <= 302
    assert "of 10,500" in page
    assert "Earlier rows" in page
    # Every error of the whole trace can be gone to, also those outside of the window.
    assert {error[0] for error in body["errors"]} - set(range(WINDOW))


async def test_hostile_names_are_bounded_and_cannot_disturb(
    loom: Loom, client: AsyncClient
) -> None:
    nasty = "</script><b>\u202e" + "x" * 5_000
    await store(loom, [event("queue:enqueued", 1, actor=f"Order/{nasty}", name=nasty)])
    body = await rows(client, TRACE)
    assert max(len(each) for each in body["S"]) < 400
    assert "\u202e" not in json.dumps(body, ensure_ascii=False)
    for address in (f"/traces/{TRACE}/", f"/traces/{TRACE}/events/"):
        page = text(await client.get(address))
        assert "<b>\u202e" not in page
        assert "</script><b>" not in page


@pytest.mark.parametrize("part", ["rows", "path", "events", "export"])
async def test_parts_of_a_trace_that_is_not_there_are_not_found(
    client: AsyncClient, part: str
) -> None:
    for trace in ("0" * 32, "<script>"):
        assert (await client.get(f"/traces/{trace}/{part}/")).status_code == 404


@pytest.mark.parametrize("query", ["?from=-1", "?from=9999999999", "?span=%00", "?from=x&span=<"])
async def test_a_malformed_window_is_the_first_one(
    loom: Loom, client: AsyncClient, query: str
) -> None:
    await store(loom, [event("queue:enqueued", 1)])
    assert (await rows(client, TRACE, query))["first"] == 0


async def test_a_store_that_does_not_answer_asks_the_page_to_try_again(
    loom: Loom, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> None:
        raise Unavailable("no answer")

    monkeypatch.setattr(loom.containers["trace-events"], "read", broken)
    for part in ("rows", "path"):
        response = await client.get(f"/traces/{TRACE}/{part}/")
        assert response.status_code == 503
        assert response.headers["Retry-After"] == "1"


async def test_the_critical_path_names_rows(loom: Loom, client: AsyncClient) -> None:
    await loom.runtime.start(WORKFLOWS["chain"], {"depth": 3}, key="one")
    (trace,) = await settled(loom)
    body = await rows(client, trace.trace_id)
    path = (await client.get(f"/traces/{trace.trace_id}/path/")).json()["path"]
    assert path
    assert all(0 <= row < body["total"] and start < end for row, start, end in path)


async def test_events_are_listed_filtered_and_paged(loom: Loom, client: AsyncClient) -> None:
    await store(loom, [event("queue:enqueued", n, at=n, actor=f"Order/{n}") for n in range(1, 251)])
    page = text(await client.get(f"/traces/{TRACE}/events/"))
    assert "1–100 of 250" in page
    assert "<html" in page
    links = re.findall(r'href="([^"]+from=\d+)"', page)
    assert links == [f"/traces/{TRACE}/events/?from=100"]
    part = text(await client.get(f"/traces/{TRACE}/events/?from=200", headers=HTMX))
    assert "<html" not in part
    assert "201–250 of 250" in part
    found = text(await client.get(f"/traces/{TRACE}/events/?q=order/249"))
    assert "1–1 of 1" in found
    nothing = text(await client.get(f"/traces/{TRACE}/events/?type=message:failed"))
    assert "No event matches" in nothing


async def test_an_exported_trace_can_be_uploaded_and_is_shown_but_not_kept(
    loom: Loom, client: AsyncClient
) -> None:
    order = {"item": "canary", "quantity": 1, "restocked_after": 1}
    await loom.runtime.start(WORKFLOWS["order"], order, key="one")
    (trace,) = await settled(loom)
    response = await client.get(f"/traces/{trace.trace_id}/export/")
    assert f'filename="trace-{trace.trace_id}.json"' in response.headers["Content-Disposition"]
    content = b"".join([piece async for piece in response.streaming_content])
    assert b"canary" not in content
    stored = await loom.reader.get_trace(trace.trace_id)
    assert stored is not None
    refs = sum(len(each["refs"]) for each in json.loads(content)["events"] if "refs" in each)
    assert refs == sum(len(each.refs) for each in stored.events)
    other = content.replace(trace.trace_id.encode(), b"cd" * 16)
    page = text(await upload(client, other))
    assert 'class="tag">uploaded' in page
    assert 'id="rows-data"' in page
    assert "reserve" in page
    assert (await client.get(f"/traces/{'cd' * 16}/")).status_code == 404


async def upload(client: AsyncClient, content: bytes) -> Any:
    file = SimpleUploadedFile("trace.json", content, "application/json")
    return await client.post("/traces/upload/", {"file": file})


def exported(**changes: Any) -> bytes:
    body = json.loads(b"".join(export(TRACE, [event("queue:enqueued", 1)])))
    body["events"][0] |= changes
    return json.dumps(body).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json",
        b"[]",
        b'{"format":"loom-trace/1","trace_id":"' + b"a" * 32 + b'","events":[]}',
        exported(type="nonsense:event"),
        exported(payload={"secret": 1}),
        exported(time_ns=-1),
        exported(time_ns="soon"),
        exported(span_id="<script>"),
        exported(actor="x" * 3_000),
        exported(refs=[{"kind": "nonsense", "partition": "a", "id": "b"}]),
        b"[" * 100_000,
    ],
)
async def test_what_is_not_an_exported_trace_is_refused_and_said(
    client: AsyncClient, content: bytes
) -> None:
    response = await upload(client, content)
    assert response.status_code == 400
    assert "That cannot be shown" in text(response)


async def test_an_upload_is_bounded(client: AsyncClient) -> None:
    response = await upload(client, b" " * 20_100_000)
    assert response.status_code == 413
    assert "20 MB" in text(response)
    assert (await client.post("/traces/upload/", {})).status_code == 400
    assert "Open an exported trace" in text(await client.get("/traces/upload/"))


async def test_an_uploaded_name_cannot_leave_its_place(client: AsyncClient) -> None:
    page = text(await upload(client, exported(name="</script><b>x\u202e")))
    assert "</script><b>" not in page
    assert "\u202e" not in page


def test_what_is_exported_is_read_back() -> None:
    events = [
        event("queue:enqueued", 1),
        event("message:failed", 1, at=3, error_type="E", duration_ns=5),
    ]
    trace = read_export(b"".join(export(TRACE, events)))
    assert trace.events == events


async def test_a_stream_tells_of_changes_and_ends_with_the_trace(
    loom: Loom, client: AsyncClient
) -> None:
    await store(loom, [event("queue:enqueued", 1)])
    response = await client.get(f"/traces/{TRACE}/stream/")
    assert response.headers["Content-Type"] == "text/event-stream"
    pieces = response.streaming_content
    assert await anext(pieces) == b"retry: 1000\n\n"
    assert (await anext(pieces)).startswith(b"event: change")
    sink = TraceSink(loom.containers["trace-events"], writer="x")
    await sink.store(sink.batch(logs_of([event("message:completed", 1, at=9)])))
    assert b'"events":2' in await anext(pieces)
    assert (await anext(pieces)).startswith(b"event: end")
    with pytest.raises(StopAsyncIteration):
        await anext(pieces)
    assert len(streams) == 0


async def test_streams_end_when_told_to_and_others_are_refused(
    loom: Loom, client: AsyncClient
) -> None:
    await store(loom, [event("queue:enqueued", 1)])
    own = Streams()
    pieces = own.changes(loom.reader, TRACE)
    await anext(pieces)
    await anext(pieces)
    assert len(own) == 1
    own.stop()
    with pytest.raises(StopAsyncIteration):
        await anext(pieces)
    assert len(own) == 0
    try:
        streams.stop()
        assert (await client.get(f"/traces/{TRACE}/stream/")).status_code == 503
    finally:
        streams.resume()


async def test_a_tree_is_kept_only_while_the_summary_counts_its_events(loom: Loom) -> None:
    await store(loom, [event("queue:enqueued", 1)])
    first = await loom.reconstructor.reconstruct(TRACE)
    assert await loom.reconstructor.reconstruct(TRACE) is first
    sink = TraceSink(loom.containers["trace-events"], writer="x")
    batch = sink.batch(logs_of([event("message:started", 1, at=4)]))
    await loom.containers["trace-events"].create(batch.document)
    batch.segment_stored = True
    await sink.store(batch)
    second = await loom.reconstructor.reconstruct(TRACE)
    assert second is not first
    assert second is not None
    assert second.summary.events == 2
