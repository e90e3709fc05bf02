"""OTLP in: what real clients send becomes events; what is broken or hostile does no harm."""

from __future__ import annotations

import json
import sys
import threading
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace as otel
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from tracing import Event
from tracing.otlp.decode import (
    Decoded,
    InvalidOtlp,
    OtlpUnavailable,
    UnsupportedOtlp,
    answer,
    decode,
)

PROTOBUF, JSON = "application/x-protobuf", "application/json"
TRACE_ID, SPAN_ID = bytes.fromhex("0af7651916cd43dd8448eb211c80319c"), bytes.fromhex("b7" * 8)
NOW = 1_800_000_000_000_000_000


@dataclass
class Collector:
    """A local server that keeps what OTLP clients post to it."""

    endpoint: str
    bodies: list[bytes] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)

    def spans(self) -> list[Span]:
        return [
            span
            for body in self.bodies
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@contextmanager
def collecting(status: int = 200) -> Iterator[Collector]:
    """Serve on a free port of this machine; answers every request with `status`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            collector.bodies.append(self.rfile.read(length))
            collector.headers.append(dict(self.headers.items()))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = Collector(f"http://127.0.0.1:{server.server_port}/v1/traces")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class CardDeclined(Exception):
    """What the shop of these tests fails with."""


@pytest.fixture(scope="module")
def shop() -> bytes:
    """The request of a real SDK: a server span, and below it a client span that failed."""
    with collecting() as collector:
        provider = TracerProvider(resource=Resource.create({"service.name": "ladenbücher"}))
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(collector.endpoint)))
        tracer = provider.get_tracer("shop")
        with tracer.start_as_current_span(
            "POST /注文", kind=otel.SpanKind.SERVER, attributes={"user.email": "ada@example.org"}
        ):
            with (
                suppress(CardDeclined),
                tracer.start_as_current_span("charge 💳", kind=otel.SpanKind.CLIENT),
            ):
                raise CardDeclined("card 4111 1111 1111 1111 of ada@example.org")
            with tracer.start_as_current_span("pack"):
                pass
        provider.shutdown()
    (body,) = collector.bodies
    return body


def span(**fields: Any) -> Span:
    """Return a span that is taken as it is, but for `fields`."""
    plain: dict[str, Any] = {
        "trace_id": TRACE_ID,
        "span_id": SPAN_ID,
        "name": "work",
        "start_time_unix_nano": NOW - 5,
        "end_time_unix_nano": NOW,
    }
    return Span(**{**plain, **fields})


def request(*spans: Span, service: str | None = None) -> ExportTraceServiceRequest:
    made = ExportTraceServiceRequest()
    resource = made.resource_spans.add()
    if service is not None:
        resource.resource.attributes.add(key="service.name").value.string_value = service
    resource.scope_spans.add().spans.extend(spans)
    return made


def as_json(body: bytes) -> bytes:
    """Return a Protobuf request as OTLP/JSON: integers for enums, hex for ids."""
    message = ExportTraceServiceRequest.FromString(body)
    document = MessageToDict(message, use_integers_for_enums=True)
    for resource in document.get("resourceSpans", ()):
        for scope in resource.get("scopeSpans", ()):
            for found in scope.get("spans", ()):
                for key in {"traceId", "spanId", "parentSpanId"} & set(found):
                    found[key] = b64decode(found[key]).hex()
    return json.dumps(document).encode()


def both(*spans: Span, service: str | None = None) -> Decoded:
    """Decode spans from both encodings, which must be read alike."""
    body = request(*spans, service=service).SerializeToString()
    decoded = decode(body, PROTOBUF)
    assert decode(as_json(body), JSON) == decoded
    return decoded


def only(*spans: Span, service: str | None = None) -> Event:
    (event,) = both(*spans, service=service).events
    return event


def test_each_span_of_a_real_client_becomes_one_event(shop: bytes) -> None:
    decoded = decode(shop, PROTOBUF)
    assert (decoded.rejected, decoded.problem) == (0, "")
    by_name = {event.name: event for event in decoded.events}
    assert set(by_name) == {"POST /注文", "charge 💳", "pack"}
    order, charge, pack = by_name["POST /注文"], by_name["charge 💳"], by_name["pack"]
    assert [event.type for event in (order, charge, pack)] == [
        "foreign:completed",
        "foreign:failed",
        "foreign:completed",
    ]
    assert [event.actor for event in (order, charge, pack)] == [
        "ladenbücher/server",
        "ladenbücher/client",
        "ladenbücher/internal",
    ]
    assert len({event.trace_id for event in decoded.events}) == 1
    assert order.parent_span_id is None
    assert charge.parent_span_id == pack.parent_span_id == order.span_id
    assert [order.error_type, charge.error_type, pack.error_type] == [None, "CardDeclined", None]


def test_times_and_ids_are_those_of_the_spans(shop: bytes) -> None:
    sent = Collector("", [shop]).spans()
    for event, original in zip(decode(shop, PROTOBUF).events, sent, strict=True):
        assert event.trace_id == original.trace_id.hex()
        assert event.span_id == original.span_id.hex()
        assert event.time_ns == original.end_time_unix_nano
        assert event.duration_ns == original.end_time_unix_nano - original.start_time_unix_nano


def test_no_attribute_is_kept_and_no_error_text(shop: bytes) -> None:
    assert b"ada@example.org" in shop
    assert b"4111" in shop
    events = repr(decode(shop, PROTOBUF))
    assert "ada@example.org" not in events
    assert "4111" not in events


def test_ids_in_json_may_be_in_capitals(shop: bytes) -> None:
    document = json.loads(as_json(shop))
    for found in document["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        found["traceId"] = found["traceId"].upper()
    assert decode(json.dumps(document).encode(), JSON) == decode(shop, PROTOBUF)


def test_json_is_read_as_protobuf_is(shop: bytes) -> None:
    assert decode(as_json(shop), "application/json; charset=utf-8") == decode(shop, PROTOBUF)


def test_times_in_json_may_be_numbers_unknown_fields_are_ignored_and_null_is_absence() -> None:
    body = {
        "resourceSpans": [
            {
                "resource": None,
                "scopeSpans": [
                    {
                        "scope": {"name": "x", "later": [1]},
                        "spans": [
                            {
                                "traceId": TRACE_ID.hex(),
                                "spanId": SPAN_ID.hex(),
                                "parentSpanId": None,
                                "name": None,
                                "kind": None,
                                "startTimeUnixNano": NOW - 5,
                                "endTimeUnixNano": str(NOW),
                                "status": {},
                                "events": None,
                                "attributes": [
                                    {"key": "n", "value": {"intValue": "3"}},
                                    {"key": None, "value": None},
                                ],
                                "added": {"in": {"a": "later version"}},
                            }
                        ],
                    },
                    {"spans": None},
                ],
            },
            {},
        ]
    }
    assert decode(json.dumps(body).encode(), JSON).events == [
        Event(
            type="foreign:completed",
            trace_id=TRACE_ID.hex(),
            span_id=SPAN_ID.hex(),
            parent_span_id=None,
            time_ns=NOW,
            actor="unknown_service/unspecified",
            duration_ns=5,
        )
    ]


@pytest.mark.parametrize(
    ("number", "kind"),
    list(enumerate(["unspecified", "internal", "server", "client", "producer", "consumer"])),
)
def test_the_kind_of_a_span_is_its_actors_id(number: int, kind: str) -> None:
    assert only(span(kind=number), service="shop").actor == f"shop/{kind}"


def test_a_kind_of_a_later_version_is_unspecified() -> None:
    body = request(span(), service="shop").SerializeToString()
    document = json.loads(as_json(body))
    for kind in (6, -1, 10**30):
        document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["kind"] = kind
        (event,) = decode(json.dumps(document).encode(), JSON).events
        assert event.actor == "shop/unspecified"


def failed(*exceptions: str, **attributes: str) -> Span:
    found = span(status={"code": 2, "message": "secret"})
    for name in exceptions:
        event = found.events.add(name="exception", time_unix_nano=NOW)
        event.attributes.add(key="exception.message").value.string_value = "secret"
        event.attributes.add(key="exception.type").value.string_value = name
    for key, value in attributes.items():
        found.attributes.add(key=key.replace("_", ".")).value.string_value = value
    return found


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (failed("ValueError"), "ValueError"),
        (failed("KeyError", "java.lang.NullPointerException"), "NullPointerException"),
        (failed("shop.<locals>.Declined", error_type="timeout"), "Declined"),
        (failed(error_type="timeout"), "timeout"),
        (failed(error_type="500"), "error"),
        (failed("<script>alert(1)</script>"), "error"),
        (failed("E" * 101), "error"),
        (failed("Boom\n"), "error"),
        (failed("module."), "error"),
        (failed(), "error"),
    ],
)
def test_a_failed_span_names_the_class_of_its_last_exception(sent: Span, kept: str) -> None:
    event = only(sent)
    assert (event.type, event.error_type) == ("foreign:failed", kept)
    assert "secret" not in repr(event)


def test_an_exception_that_was_handled_is_no_failure() -> None:
    handled = failed("ValueError")
    handled.status.code = 1
    assert (only(handled).type, only(handled).error_type) == ("foreign:completed", None)


def test_an_error_type_that_is_no_text_is_not_kept() -> None:
    found = span(status={"code": 2})
    found.attributes.add(key="error.type").value.int_value = 404
    assert only(found).error_type == "error"


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("a\r\nSet-Cookie: b\x00\x1b[31m\x85", "a··Set-Cookie: b··[31m·"),
        ("left\u202eright\u2028below", "left·right·below"),
        ("<b>&amp;</b>", "<b>&amp;</b>"),
        ("👩‍🚀" * 100, ("👩‍🚀" * 100)[:120]),
        ("", None),
    ],
)
def test_hostile_names_are_cut_and_cleaned(name: str, kept: str | None) -> None:
    assert only(span(name=name)).name == kept


@pytest.mark.parametrize(
    ("service", "kept"),
    [
        ("team/shop/../x", "team·shop·..·x"),
        ("shop\n\x7f", "shop··"),
        ("s" * 500, "s" * 120),
        ("", "unknown_service"),
        (None, "unknown_service"),
    ],
)
def test_hostile_service_names_make_an_actor_of_one_type_and_one_id(
    service: str | None, kept: str
) -> None:
    assert only(span(), service=service).actor == f"{kept}/unspecified"


def test_spans_that_cannot_be_placed_are_rejected_and_counted() -> None:
    decoded = both(
        span(),
        span(trace_id=b""),
        span(trace_id=bytes(16)),
        span(trace_id=TRACE_ID + b"1"),
        span(span_id=bytes(8)),
        span(span_id=SPAN_ID[:7]),
        span(parent_span_id=b"123"),
        span(end_time_unix_nano=0),
        span(end_time_unix_nano=2**63),
        span(start_time_unix_nano=2**64 - 1),
    )
    assert len(decoded.events) == 1
    assert decoded.rejected == 9
    assert decoded.problem == (
        "9 spans were rejected: 2 with a time out of range, 1 with an invalid parent span id,"
        " 2 with an invalid span id, 3 with an invalid trace id, 1 with no end time."
    )


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("traceId", "g" * 32, "an invalid trace id"),
        ("traceId", " " + TRACE_ID.hex()[1:], "an invalid trace id"),
        ("traceId", TRACE_ID.hex()[:-1], "an invalid trace id"),
        ("spanId", "ÿ" * 16, "an invalid span id"),
        ("endTimeUnixNano", "tomorrow", "a time out of range"),
        ("endTimeUnixNano", -1, "a time out of range"),
        ("endTimeUnixNano", "9" * 20, "a time out of range"),
        ("startTimeUnixNano", "9" * 10_000, "a time out of range"),
        ("startTimeUnixNano", 10**40, "a time out of range"),
        ("endTimeUnixNano", "", "a time out of range"),
    ],
)
def test_ids_and_times_that_are_none_are_rejected_in_json(key: str, value: Any, why: str) -> None:
    document = json.loads(as_json(request(span()).SerializeToString()))
    document["resourceSpans"][0]["scopeSpans"][0]["spans"][0][key] = value
    decoded = decode(json.dumps(document).encode(), JSON)
    assert decoded == Decoded([], 1, f"1 span was rejected: 1 with {why}.")


def test_a_parent_of_zeros_is_no_parent() -> None:
    assert only(span(parent_span_id=bytes(8))).parent_span_id is None


def test_a_span_that_ends_before_it_starts_took_no_time() -> None:
    assert only(span(start_time_unix_nano=NOW + 1)).duration_ns == 0


def test_a_span_without_a_start_took_no_time() -> None:
    assert only(span(start_time_unix_nano=0)).duration_ns == 0


def test_a_duration_stays_within_what_a_segment_stores() -> None:
    assert only(span(start_time_unix_nano=1)).duration_ns == 2**53 - 1


def test_an_empty_request_holds_nothing() -> None:
    assert decode(b"", PROTOBUF) == decode(b"{}", JSON) == Decoded([], 0, "")


@pytest.mark.parametrize("content_type", [PROTOBUF, JSON, "Application/JSON ; charset=utf-8"])
def test_the_answer_says_what_was_rejected_in_the_encoding_of_the_request(
    content_type: str,
) -> None:
    fine = answer(Decoded([], 0, ""), content_type)
    partial = answer(Decoded([], 3, "3 spans were rejected: why."), content_type)
    if content_type == PROTOBUF:
        assert fine == b""
        success = ExportTraceServiceResponse.FromString(partial).partial_success
        assert success.rejected_spans == 3
        assert success.error_message == "3 spans were rejected: why."
    else:
        assert json.loads(fine) == {}
        assert json.loads(partial) == {
            "partialSuccess": {
                "rejectedSpans": "3",
                "errorMessage": "3 spans were rejected: why.",
            }
        }


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/jsonx", "application/grpc"]
)
def test_other_content_types_are_unsupported(content_type: str) -> None:
    with pytest.raises(UnsupportedOtlp):
        decode(b"{}", content_type)
    with pytest.raises(UnsupportedOtlp):
        answer(Decoded([], 0, ""), content_type)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"secret", PROTOBUF),
        (b"secret", JSON),
        (b'{"resourceSpans": "secret"}', JSON),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"kind": "secret"}]}]}]}', JSON),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "secret\xff"}]}]}]}', JSON),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "secret\\ud800"}]}]}]}', JSON),
        (b'{"secret": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", JSON),
    ],
)
def test_a_broken_body_is_invalid_and_not_quoted(body: bytes, content_type: str) -> None:
    with pytest.raises(InvalidOtlp) as raised:
        decode(body, content_type)
    assert "secret" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


def test_without_its_package_protobuf_is_unavailable_and_json_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.proto.collector.trace.v1", None)
    with pytest.raises(OtlpUnavailable, match="pip install opentelemetry-proto"):
        decode(b"", PROTOBUF)
    assert decode(b"{}", JSON).events == []


def check(decoded: Decoded, spans: int | None = None) -> None:
    """Whatever was sent: what comes out can be stored, shown and linked to."""
    if spans is not None:
        assert len(decoded.events) + decoded.rejected == spans
    assert bool(decoded.problem) == bool(decoded.rejected)
    for event in decoded.events:
        texts = [event.actor or "", event.name or "", event.error_type or ""]
        for text in texts:
            text.encode()
            assert len(text) <= 133
            assert not any(ord(char) < 32 or ord(char) == 127 for char in text)
        assert texts[0].count("/") == 1
        assert 0 < event.time_ns < 2**63
        assert 0 <= (event.duration_ns or 0) < 2**53
        assert (len(event.trace_id), len(event.span_id)) == (32, 16)


@given(st.binary(max_size=300))
def test_random_bytes_raise_nothing_but_invalid(body: bytes) -> None:
    for content_type in (PROTOBUF, JSON):
        with suppress(InvalidOtlp):
            check(decode(body, content_type))


MESSAGES = (
    ExportTraceServiceRequest,
    ResourceSpans,
    resource_pb2.Resource,
    ScopeSpans,
    Span,
    Span.Event,
    Status,
    KeyValue,
    AnyValue,
)
KEYS = sorted({field.json_name for kind in MESSAGES for field in kind.DESCRIPTOR.fields})
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=15,
)


@given(VALUES)
def test_random_json_raises_nothing_but_invalid(value: Any) -> None:
    for document in (
        value,
        {"resourceSpans": [value]},
        {"resourceSpans": [{"scopeSpans": [{"spans": [value]}]}]},
    ):
        with suppress(InvalidOtlp):
            check(decode(json.dumps(document).encode(), JSON))


TIMES = st.sampled_from([0, 1, NOW - 5, NOW, 2**63 - 1, 2**63, 2**64 - 1]) | st.integers(
    0, 2**64 - 1
)
SPANS = st.builds(
    span,
    trace_id=st.just(TRACE_ID) | st.binary(max_size=17),
    span_id=st.just(SPAN_ID) | st.binary(max_size=9),
    parent_span_id=st.sampled_from([b"", SPAN_ID, bytes(8)]) | st.binary(max_size=9),
    name=st.text(max_size=200),
    kind=st.integers(0, 5),
    start_time_unix_nano=TIMES,
    end_time_unix_nano=TIMES,
    status=st.fixed_dictionaries({"code": st.integers(0, 2)}),
)


@given(st.lists(SPANS, max_size=5), st.none() | st.text(max_size=200))
def test_both_encodings_are_read_alike_whatever_they_hold(
    spans: list[Span], service: str | None
) -> None:
    check(both(*spans, service=service), len(spans))


@given(st.data())
def test_a_damaged_request_raises_nothing_but_invalid(shop: bytes, data: st.DataObject) -> None:
    for body, content_type in ((shop, PROTOBUF), (as_json(shop), JSON)):
        damaged = bytearray(body)
        for _ in range(data.draw(st.integers(1, 4))):
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
        with suppress(InvalidOtlp):
            check(decode(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]), content_type))
