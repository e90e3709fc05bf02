"""One trace through another service and Loom, with the real OpenTelemetry SDK on both sides."""

from __future__ import annotations

import re
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlencode

import pytest
from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from tests.processes import serving

TOKEN = "a-token-for-this-test"


@pytest.fixture
def collector() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """A server that keeps what is exported to it."""
    kept: list[ExportTraceServiceRequest] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/traces", kept
    server.shutdown()
    thread.join()
    server.server_close()


def start_run(address: str, **headers: str) -> None:
    """Start the chain sample through its form, as a program would."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    page = opener.open(f"{address}workflows/chain/", timeout=10).read().decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert token
    form = {"csrfmiddlewaretoken": token[1], "chain-depth": "3", "chain-fail_at": "0"}
    request = urllib.request.Request(
        f"{address}workflows/chain/", urlencode(form).encode(), headers=headers
    )
    opener.open(request, timeout=10).read()


def shown(address: str, trace_id: str, *wanted: str) -> str:
    """Return the trace's page once it holds every text that is wanted."""
    page = ""
    for _ in range(200):
        page = urllib.request.urlopen(f"{address}traces/{trace_id}/?new=1", timeout=10).read()
        page = page.decode()
        if all(text in page for text in wanted):
            return page
        time.sleep(0.05)
    raise AssertionError(f"the page of {trace_id} never held {wanted}: {page[:2000]}")


def test_a_run_that_another_service_started_is_one_waterfall_with_it(tmp_path: Path) -> None:
    with serving(tmp_path, LOOM_TRACE_FLUSH_SECONDS="0.05", LOOM_OTLP_TOKEN=TOKEN) as address:
        provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
        exporter = OTLPSpanExporter(
            f"{address}v1/traces", headers={"Authorization": f"Bearer {TOKEN}"}
        )
        provider.add_span_processor(BatchSpanProcessor(exporter))
        with provider.get_tracer("shop").start_as_current_span(
            "POST /checkout", kind=trace.SpanKind.CLIENT
        ) as span:
            headers: dict[str, str] = {}
            propagate.inject(headers)
            start_run(address, **headers)
        assert provider.force_flush()
        trace_id = f"{span.get_span_context().trace_id:032x}"
        page = shown(address, trace_id, "POST /checkout", "<code>chain</code> completed")
        provider.shutdown()
    rows = re.findall(r'id="s-([0-9a-f]{16})"[^>]*aria-level="(\d+)".*?<b>([^<]*)</b>', page)
    assert [(level, name) for _, level, name in rows[:3]] == [
        ("1", "POST /checkout"),
        ("2", "POST /workflows/&lt;slug:name&gt;/"),
        ("3", "chain"),
    ]
    assert rows[0][0] == f"{span.get_span_context().span_id:016x}"
    assert page.count('<span class="kind">foreign</span>') == 1
    assert "name a parent that is not in this trace" not in page


def test_our_spans_arrive_at_another_back_end_with_their_ids_and_parents(
    tmp_path: Path, collector: tuple[str, list[ExportTraceServiceRequest]]
) -> None:
    endpoint, kept = collector
    settings = {"LOOM_TRACE_FLUSH_SECONDS": "0.05", "LOOM_OTLP_ENDPOINT": endpoint}
    caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with serving(tmp_path, **settings) as address:
        start_run(address, traceparent=caller)
        trace_id = caller.split("-")[1]
        page = shown(address, trace_id, "<code>chain</code> completed")
    found = [
        span
        for request in kept
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
        if span.trace_id.hex() == trace_id
    ]
    rows = dict(re.findall(r'id="s-([0-9a-f]{16})".*?<b>([^<]*)</b>', page))
    assert {span.span_id.hex() for span in found} == set(rows)
    by_id = {span.span_id.hex(): span for span in found}
    (root,) = [span for span in found if span.parent_span_id.hex() not in by_id]
    assert root.parent_span_id.hex() == caller.split("-")[2]
    assert all(span.end_time_unix_nano >= span.start_time_unix_nano for span in found)
