"""OTLP out: spans arrive at a collector as they are stored; a collector that fails does no harm."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.builders import TRACE, event
from tests.tracing.test_otlp_decode import collecting
from tracing import Event, Ref, RefKind
from tracing.otlp import export
from tracing.otlp.decode import OtlpUnavailable, decode
from tracing.otlp.export import OtlpExporter
from tracing.registry import REGISTRY, SpanKind

START = 1_800_000_000_000_000_000
MS = 1_000_000
ORDER, SHIPMENT = Ref(RefKind.MESSAGE, "run-1", "m-1"), Ref(RefKind.MESSAGE, "run-1", "m-2")
JOURNAL = Ref(RefKind.JOURNAL_ENTRY, "Order/1", "0:3")
KEY = Ref(RefKind.IDEMPOTENCY, "Order/1", "k-1")
WEB, RUN, PLACE, CHARGE, SHIP = 1, 2, 3, 4, 5

RUN_EVENTS = [
    event("workflow:started", RUN, parent=WEB, at=5, name="order", attempt=0, refs=(ORDER,)),
    event("queue:enqueued", PLACE, parent=RUN, at=5, attempt=0, refs=(ORDER,)),
    event("queue:dequeued", PLACE, parent=RUN, at=7, refs=(ORDER,)),
    event("lock:acquired", PLACE, parent=RUN, at=8, duration_ns=900),
    event("message:started", PLACE, parent=RUN, at=9, refs=(ORDER,)),
    event("activity:scheduled", CHARGE, parent=PLACE, at=10, name="charge", attempt=0, refs=(KEY,)),
    event("activity:started", CHARGE, parent=PLACE, at=11, name="charge", refs=(KEY,)),
    event("activity:retried", CHARGE, parent=PLACE, at=12, name="charge", error_type="Timeout"),
    event("activity:started", CHARGE, parent=PLACE, at=13, name="charge", attempt=2, refs=(KEY,)),
    event(
        "activity:failed",
        CHARGE,
        parent=PLACE,
        at=15,
        name="charge",
        attempt=2,
        duration_ns=5 * MS,
        error_type="CardDeclined",
        refs=(KEY, JOURNAL),
    ),
    event("http:request", WEB, at=16, name="workflows/run", actor=None, duration_ns=12 * MS),
    event("queue:enqueued", SHIP, parent=PLACE, at=17, actor="Ship/1", name="ship", attempt=0),
    event("child:spawned", PLACE, parent=RUN, at=18, name="ship", refs=(SHIPMENT, JOURNAL)),
    event("message:completed", PLACE, parent=RUN, at=19, refs=(ORDER, JOURNAL)),
    event("workflow:completed", RUN, parent=WEB, at=20, name="order", attempt=0),
    event("lock:released", PLACE, parent=RUN, at=21, duration_ns=13 * MS),
    event("queue:dequeued", SHIP, parent=PLACE, at=22, actor="Ship/1", name="ship"),
    event(
        "message:failed",
        SHIP,
        parent=PLACE,
        at=24,
        actor="Ship/1",
        name="ship",
        error_type="NoAddress",
    ),
    event(
        "message:dead_lettered",
        SHIP,
        parent=PLACE,
        at=25,
        actor="Ship/1",
        name="ship",
        error_type="NoAddress",
    ),
]


def exported(*batches: Sequence[Event], **options: Any) -> dict[int, Span]:
    """Send batches to a real collector over HTTP; returns what arrived, by number of span."""
    with collecting() as collector:
        exporter = OtlpExporter(collector.endpoint, **options)
        for batch in batches:
            exporter(batch)
        exporter.close()
    spans = collector.spans()
    stats = exporter.stats()
    assert (stats.exported, stats.open, stats.queued, stats.dropped) == (len(spans), 0, 0, {})
    return {int.from_bytes(span.span_id): span for span in spans}


def plain(attributes: Sequence[KeyValue]) -> dict[str, Any]:
    """Return attributes as a dict of Python values."""
    found: dict[str, Any] = {}
    for attribute in attributes:
        kind = attribute.value.WhichOneof("value")
        value = getattr(attribute.value, kind)
        found[attribute.key] = (
            [each.string_value for each in value.values] if kind == "array_value" else value
        )
    return found


def kept(*batches: Sequence[Event], **options: Any) -> tuple[Sequence[ReadableSpan], OtlpExporter]:
    """Send batches to an exporter in memory; returns what it was given."""
    memory = InMemorySpanExporter()
    exporter = OtlpExporter("", exporter=memory, **options)
    for batch in batches:
        exporter(batch)
    exporter.close()
    return memory.get_finished_spans(), exporter


@pytest.fixture(scope="module")
def spans() -> dict[int, Span]:
    return exported(RUN_EVENTS)


def test_every_span_arrives_once_with_its_ids_and_its_parent(spans: dict[int, Span]) -> None:
    assert set(spans) == {WEB, RUN, PLACE, CHARGE, SHIP}
    assert {span.trace_id.hex() for span in spans.values()} == {TRACE}
    parents = {number: int.from_bytes(span.parent_span_id) for number, span in spans.items()}
    assert parents == {WEB: 0, RUN: WEB, PLACE: RUN, CHARGE: PLACE, SHIP: PLACE}
    assert spans[WEB].parent_span_id == b""


def test_a_span_lasts_from_its_first_event_to_its_closing_one(spans: dict[int, Span]) -> None:
    times = {
        number: (
            (span.start_time_unix_nano - START) / MS,
            (span.end_time_unix_nano - START) / MS,
        )
        for number, span in spans.items()
    }
    assert times == {WEB: (4, 16), RUN: (5, 20), PLACE: (5, 19), CHARGE: (10, 15), SHIP: (17, 25)}


def test_names_and_kinds_are_those_of_the_work(spans: dict[int, Span]) -> None:
    assert {number: (span.name, span.kind) for number, span in spans.items()} == {
        WEB: ("workflows/run", Span.SPAN_KIND_SERVER),
        RUN: ("order", Span.SPAN_KIND_INTERNAL),
        PLACE: ("place", Span.SPAN_KIND_CONSUMER),
        CHARGE: ("charge", Span.SPAN_KIND_CLIENT),
        SHIP: ("ship", Span.SPAN_KIND_CONSUMER),
    }


def test_only_what_ended_in_failure_is_an_error(spans: dict[int, Span]) -> None:
    assert {number: span.status.code for number, span in spans.items()} == {
        WEB: Status.STATUS_CODE_OK,
        RUN: Status.STATUS_CODE_OK,
        PLACE: Status.STATUS_CODE_OK,
        CHARGE: Status.STATUS_CODE_ERROR,
        SHIP: Status.STATUS_CODE_ERROR,
    }


def test_attributes_say_whose_work_it_was_and_what_went_wrong(spans: dict[int, Span]) -> None:
    assert {number: plain(span.attributes) for number, span in spans.items()} == {
        WEB: {"loom.attempt": 1, "loom.span_kind": "http"},
        RUN: {
            "loom.actor": "Order/1",
            "loom.actor_type": "Order",
            "loom.attempt": 0,
            "loom.span_kind": "workflow",
            "messaging.message.id": "m-1",
        },
        PLACE: {
            "loom.actor": "Order/1",
            "loom.actor_type": "Order",
            "loom.attempt": 1,
            "loom.span_kind": "message",
            "messaging.message.id": "m-1",
        },
        CHARGE: {
            "loom.actor": "Order/1",
            "loom.actor_type": "Order",
            "loom.attempt": 2,
            "loom.span_kind": "activity",
            "error.type": "CardDeclined",
        },
        SHIP: {
            "loom.actor": "Ship/1",
            "loom.actor_type": "Ship",
            "loom.attempt": 1,
            "loom.span_kind": "message",
            "error.type": "NoAddress",
        },
    }


def test_instant_events_become_span_events_with_references_as_text(spans: dict[int, Span]) -> None:
    found = [
        (happened.name, (happened.time_unix_nano - START) // MS, plain(happened.attributes))
        for happened in spans[PLACE].events
    ]
    order, shipment, journal = "message:run-1/m-1", "message:run-1/m-2", "journal_entry:Order/1/0:3"
    assert found == [
        ("queue:dequeued", 7, {"attempt": 1, "refs": [order]}),
        ("lock:acquired", 8, {"attempt": 1, "duration_ns": 900}),
        ("message:started", 9, {"attempt": 1, "refs": [order]}),
        ("child:spawned", 18, {"attempt": 1, "refs": [shipment, journal]}),
        ("lock:released", 21, {"attempt": 1, "duration_ns": 13 * MS}),
    ]
    assert [(happened.name, plain(happened.attributes)) for happened in spans[SHIP].events] == [
        ("queue:dequeued", {"attempt": 1}),
        ("message:failed", {"attempt": 1, "error_type": "NoAddress"}),
    ]


def test_requests_carry_the_service_and_the_headers() -> None:
    with collecting() as collector:
        exporter = OtlpExporter(collector.endpoint, headers={"X-Token": "t"}, service="orders")
        exporter(RUN_EVENTS)
        exporter.close()
    (headers,) = collector.headers
    lowered = {key.lower(): value for key, value in headers.items()}
    assert (lowered["x-token"], lowered["content-type"]) == ("t", "application/x-protobuf")
    (resource,) = ExportTraceServiceRequest.FromString(collector.bodies[0]).resource_spans
    assert plain(resource.resource.attributes)["service.name"] == "orders"
    assert [scope.scope.name for scope in resource.scope_spans] == ["loom"]


def test_what_is_exported_can_be_taken_in_by_another_loom() -> None:
    with collecting() as collector:
        exporter = OtlpExporter(collector.endpoint)
        exporter(RUN_EVENTS)
        exporter.close()
    (body,) = collector.bodies
    decoded = decode(body, "application/x-protobuf")
    assert decoded.rejected == 0
    closing = {e.span_id: e for e in RUN_EVENTS if REGISTRY[e.type].phase == "close"}
    assert len(decoded.events) == len(closing)
    for found in decoded.events:
        ours = closing[found.span_id]
        assert (found.trace_id, found.parent_span_id) == (ours.trace_id, ours.parent_span_id)
        assert (found.time_ns, found.error_type) == (ours.time_ns, ours.error_type)


def test_a_span_whose_events_come_in_many_batches_is_sent_once() -> None:
    apart = exported(*[[one] for one in RUN_EVENTS if one.type != "lock:released"])
    together = exported([one for one in RUN_EVENTS if one.type != "lock:released"])
    assert apart == together


def test_a_span_is_sent_when_it_closes_not_before() -> None:
    memory = InMemorySpanExporter()
    exporter = OtlpExporter("", exporter=memory)
    exporter([event("queue:enqueued"), event("message:started", at=1)])
    assert (exporter.stats().open, exporter.stats().queued) == (1, 0)
    exporter([event("message:completed", at=2)])
    assert exporter.stats().open == 0
    exporter.close()
    assert len(memory.get_finished_spans()) == 1
    assert exporter.stats().incomplete == 0


def test_what_is_tidied_up_after_a_span_was_sent_is_counted_not_sent() -> None:
    found, exporter = kept(
        [event("queue:dequeued"), event("message:completed", at=2)],
        [event("store:write", at=3), event("lock:released", at=4)],
        [event("queue:enqueued", at=-1)],
    )
    assert len(found) == 1
    assert exporter.stats().dropped_events == {"late": 3}


@pytest.mark.parametrize("batches", [1, 2])
def test_a_message_retried_from_the_dead_letters_is_sent_again(batches: int) -> None:
    events = [
        event("queue:enqueued"),
        event("message:dead_lettered", at=1, error_type="Boom"),
        event("lock:released", at=2),
        event("queue:dequeued", at=3, attempt=1),
        event("message:completed", at=4),
    ]
    found, exporter = kept(*([events] if batches == 1 else [events[:3], events[3:]]))
    assert [span.status.status_code.name for span in found] == ["ERROR", "OK"]
    assert [(span.start_time, span.end_time) for span in found] == [
        (START, START + MS),
        (START + 3 * MS, START + 4 * MS),
    ]
    assert exporter.stats().dropped_events == {}


def test_events_of_a_batch_are_taken_by_their_time() -> None:
    (span,), exporter = kept(
        [event("queue:dequeued", at=1), event("message:completed", at=2), event("queue:enqueued")]
    )
    assert (span.start_time, span.end_time) == (START, START + 2 * MS)
    assert exporter.stats().dropped_events == {}


def test_a_message_that_another_process_enqueued_has_its_own_name() -> None:
    (span,), _ = kept(
        [event("store:read", name="actor-state"), event("message:completed", at=1, name="place")]
    )
    assert span.name == "place"


def test_a_closing_event_alone_began_its_duration_before() -> None:
    (span,), _ = kept([event("workflow:completed", at=50, duration_ns=30 * MS)])
    assert (span.start_time, span.end_time) == (START + 20 * MS, START + 50 * MS)


def test_beyond_the_limit_the_oldest_spans_are_sent_unfinished() -> None:
    found, exporter = kept(
        *[[event("queue:enqueued", n), event("queue:dequeued", n, at=n)] for n in range(1, 6)],
        [event("message:completed", 5, at=9)],
        max_open=3,
    )
    assert [span.context.span_id for span in found] == [1, 2, 5, 3, 4]
    assert [(span.attributes or {}).get("loom.incomplete") for span in found] == [
        True,
        True,
        None,
        True,
        True,
    ]
    assert found[0].end_time == START + MS
    assert found[0].status.status_code.name == "UNSET"
    assert exporter.stats().incomplete == 4


def test_of_a_span_with_too_many_events_the_first_and_the_newest_are_kept() -> None:
    many = [event("message:retried", at=n) for n in range(1, 500)]
    (span,), exporter = kept(
        [event("queue:enqueued")], many, [event("message:dead_lettered", at=500)]
    )
    assert len(span.events) < export.MAX_SPAN_EVENTS
    assert (span.start_time, span.end_time) == (START, START + 500 * MS)
    assert span.events[-1].timestamp == START + 499 * MS
    assert exporter.stats().dropped_events["limit"] + len(span.events) == len(many)


def test_spans_of_other_services_are_never_sent_on() -> None:
    found, exporter = kept([event("foreign:completed", 1), event("foreign:failed", 2, at=1)])
    assert found == ()
    assert exporter.stats().dropped_events == {}


def test_what_cannot_be_sent_is_counted_and_the_rest_goes_out() -> None:
    found, exporter = kept(
        [
            event("message:completed", 1, trace="no hex"),
            event("no:such", 2),
            event("message:completed", 3, at=1),
        ]
    )
    assert [span.context.span_id for span in found] == [3]
    assert exporter.stats().dropped == {"invalid": 1}
    assert exporter.stats().dropped_events == {"invalid": 1}


def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}/v1/traces"


def test_with_the_endpoint_down_nothing_raises_and_memory_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(export, "MAX_QUEUED", 50)
    monkeypatch.setattr(export, "MAX_BATCH", 10)
    monkeypatch.setattr(export, "CLOSE_SECONDS", 0.2)
    exporter = OtlpExporter(closed_port(), max_open=20)
    for number in range(1, 501):
        exporter([event("message:completed", number)])
        exporter([event("queue:enqueued", 1_000 + number)])
        stats = exporter.stats()
        assert stats.open <= 20
        assert stats.queued <= 50 + 10
    started = time.monotonic()
    exporter.close()
    assert time.monotonic() - started < 5
    stats = exporter.stats()
    assert stats.exported == stats.open == stats.queued == 0
    assert stats.dropped["overflow"] > 0
    assert sum(stats.dropped.values()) == 1_000


def test_a_collector_that_refuses_is_counted() -> None:
    with collecting(status=400) as collector:
        exporter = OtlpExporter(collector.endpoint)
        exporter(RUN_EVENTS)
        exporter.close()
    assert exporter.stats().exported == 0
    assert exporter.stats().dropped == {"failed": 5}


class StuckExporter(SpanExporter):
    """Never answers, as a network that lost a packet for good."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.told_to_stop = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.release.wait(60)
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        self.told_to_stop = True


def test_a_collector_that_never_answers_holds_up_neither_work_nor_shutdown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(export, "CLOSE_SECONDS", 0.1)
    stuck = StuckExporter()
    exporter = OtlpExporter("", exporter=stuck)
    started = time.monotonic()
    for number in range(1, 2_001):
        exporter([event("message:completed", number)])
    assert time.monotonic() - started < 5
    started = time.monotonic()
    exporter.close()
    assert time.monotonic() - started < 5
    assert stuck.told_to_stop
    assert exporter.stats().dropped == {"shutdown": 2_000}
    stuck.release.set()


class RaisingExporter(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        raise RuntimeError("a fault of its own")


def test_an_exporter_that_raises_is_counted() -> None:
    exporter = OtlpExporter("", exporter=RaisingExporter())
    exporter(RUN_EVENTS)
    exporter.close()
    assert exporter.stats().dropped == {"failed": 5}


def test_after_closing_events_are_counted_and_closing_again_changes_nothing() -> None:
    found, exporter = kept(RUN_EVENTS)
    exporter(RUN_EVENTS)
    exporter.close()
    assert len(found) == 5
    assert exporter.stats().dropped_events == {"shutdown": len(RUN_EVENTS)}


@pytest.mark.parametrize(
    "module", ["opentelemetry.sdk.resources", "opentelemetry.exporter.otlp.proto.http"]
)
def test_without_its_packages_exporting_is_unavailable(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, f"{module}.trace_exporter", raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(OtlpUnavailable, match="pip install"):
        OtlpExporter("http://127.0.0.1:4318/v1/traces")


EVENTS = st.builds(
    event,
    st.sampled_from(sorted(REGISTRY)),
    st.integers(1, 4),
    parent=st.none() | st.integers(1, 5),
    at=st.integers(0, 20),
    actor=st.none() | st.text(max_size=5),
    name=st.none() | st.text(max_size=5),
    attempt=st.integers(0, 3),
    duration_ns=st.none() | st.integers(0, 10**20),
    error_type=st.none() | st.text(max_size=5),
    refs=st.sampled_from([(), (ORDER,), (KEY, SHIPMENT)]),
)


@settings(deadline=None)
@given(st.lists(st.lists(EVENTS, max_size=6), max_size=5), st.integers(1, 4))
def test_whatever_comes_in_whatever_order_every_span_goes_out(
    batches: list[list[Event]], max_open: int
) -> None:
    found, exporter = kept(*batches, max_open=max_open)
    ours = {
        int(one.span_id, 16)
        for batch in batches
        for one in batch
        if REGISTRY[one.type].span is not SpanKind.FOREIGN
    }
    assert {span.context.span_id for span in found} == ours
    for span in found:
        assert 0 <= (span.start_time or 0) <= (span.end_time or 0)
    stats = exporter.stats()
    assert (stats.exported, stats.dropped) == (len(found), {})
