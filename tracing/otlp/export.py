"""Spans of ours to an OpenTelemetry collector, through the OpenTelemetry SDK."""

from __future__ import annotations

import logging
import threading
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, cast

from tracing.event import Event, RefKind
from tracing.otlp.decode import OtlpUnavailable
from tracing.registry import REGISTRY, SpanKind

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.util.types import AttributeValue

logger = logging.getLogger(__name__)

MAX_QUEUED, MAX_BATCH = 10_000, 512
"""Spans that wait for the network at most, and that are sent at once."""
MAX_SPAN_EVENTS = 128
"""Events kept per span, its first and the newest; as many as the SDK keeps by default."""
CLOSE_SECONDS = 5.0
_PACKAGE = "opentelemetry-exporter-otlp-proto-http"

_KINDS = {
    SpanKind.MESSAGE: "CONSUMER",
    SpanKind.HTTP: "SERVER",
    SpanKind.WORKFLOW: "INTERNAL",
    SpanKind.ACTIVITY: "CLIENT",
}
_time = attrgetter("time_ns")
# With these a message that was closed begins again, as one retried from the dead letters does.
_AGAIN = frozenset({"queue:enqueued", "queue:dequeued"})


@dataclass(frozen=True, slots=True)
class ExportStats:
    """What the exporter holds and has done since it was made.

    Attributes:
        open: spans whose closing event has not come yet.
        queued: spans that wait for the network.
        exported: spans that the endpoint took.
        incomplete: spans that were let go before their closing event came.
        dropped: spans lost, by reason: "overflow", "failed", "invalid" or "shutdown".
        dropped_events: events lost: "late" (after their span), "limit", "invalid" or "shutdown".
    """

    open: int
    queued: int
    exported: int
    incomplete: int
    dropped: Mapping[str, int]
    dropped_events: Mapping[str, int]


class OtlpExporter:
    """Exports spans over OTLP/HTTP in binary Protobuf, in the background.

    A span is sent when the batch with its closing event has come. Spans of other services are left
    out, or two services that export to each other would never stop. The parts of a span that two
    processes worked on are sent by each of them under the same id.

    Args:
        endpoint: the collector's full address, as in "http://localhost:4318/v1/traces".
        headers: sent with every request.
        service: the resource's `service.name`.
        max_open: spans held until they close; beyond it the oldest go out as `loom.incomplete`.
        exporter: takes the spans instead of one for `endpoint`; `close` shuts it down.

    Raises:
        OtlpUnavailable: the OpenTelemetry SDK is not installed.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        headers: Mapping[str, str] | None = None,
        service: str = "loom",
        max_open: int = 10_000,
        exporter: SpanExporter | None = None,
    ) -> None:
        try:
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.sdk.util.instrumentation import InstrumentationScope

            if exporter is None:
                from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

                exporter = OTLPSpanExporter(endpoint, headers=headers)
        except ImportError:
            raise OtlpUnavailable(f"exporting over OTLP needs: pip install {_PACKAGE}") from None
        self._sender = _Sender(exporter)
        self._processor = BatchSpanProcessor(
            cast("SpanExporter", self._sender), MAX_QUEUED, max_export_batch_size=MAX_BATCH
        )
        self._resource = Resource.create({"service.name": service})
        self._scope = InstrumentationScope("loom")
        self._max_open = max_open
        self._lock = threading.Lock()
        self._open: OrderedDict[str, list[Event]] = OrderedDict()
        self._ended: OrderedDict[str, int] = OrderedDict()
        self._sent = self._incomplete = 0
        self._dropped: Counter[str] = Counter()
        self._dropped_events: Counter[str] = Counter()
        self._closed = self._stopped = False

    def __call__(self, events: Sequence[Event]) -> None:
        """Take stored events of one trace. Never raises and never waits for the network."""
        with self._lock:
            if self._closed:
                self._dropped_events["shutdown"] += len(events)
                return
            closing: dict[str, Event] = {}
            for event in sorted(events, key=_time):
                self._take(event, closing)
            for span_id, end in closing.items():
                self._end(span_id, end)
            while len(self._open) > self._max_open:
                self._end(next(iter(self._open)), None)

    def close(self) -> None:
        """Send what is held, unfinished spans too, and stop. Blocks for some seconds at most."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for span_id in list(self._open):
                self._end(span_id, None)
        # Its own shutdown waits for half a minute, longer than a process that ends is given.
        stopping = threading.Thread(target=self._processor.shutdown, daemon=True)
        stopping.start()
        stopping.join(CLOSE_SECONDS)
        if stopping.is_alive():
            self._sender.shutdown()
            stopping.join(1.0)
        self._stopped = True
        if lost := self.stats().dropped.get("shutdown"):
            logger.warning("%d spans could not be exported before shutdown", lost)

    def stats(self) -> ExportStats:
        """Return the exporter's counters."""
        dropped = Counter(self._dropped)
        dropped["failed"] = self._sender.failed
        waiting = self._sent - self._sender.exported - self._sender.failed
        if self._stopped:
            dropped["shutdown"], waiting = waiting, 0
        return ExportStats(
            open=len(self._open),
            queued=waiting,
            exported=self._sender.exported,
            incomplete=self._incomplete,
            dropped=dict(+dropped),
            dropped_events=dict(+self._dropped_events),
        )

    def _take(self, event: Event, closing: dict[str, Event]) -> None:
        """Add an event to its span; one that ends the span goes into `closing` too."""
        row, span_id = REGISTRY.get(event.type), event.span_id
        if row is None or row.span is SpanKind.FOREIGN:
            self._dropped_events["invalid"] += row is None
            return
        if span_id in closing and event.type in _AGAIN:
            self._end(span_id, closing.pop(span_id))
        held = self._open.get(span_id)
        if held is None:
            # What a worker tidies up after a turn may come a batch later than the turn's end.
            ended = self._ended.get(span_id)
            again = row.phase == "close" or event.type in _AGAIN
            if ended is not None and (event.time_ns < ended or not again):
                self._dropped_events["late"] += 1
                return
            held = self._open[span_id] = []
        elif len(held) >= MAX_SPAN_EVENTS:
            del held[1]
            self._dropped_events["limit"] += 1
        held.append(event)
        if row.phase == "close":
            closing[span_id] = event

    def _end(self, span_id: str, end: Event | None) -> None:
        """Let go of a span, and send it unless too many wait for the network already."""
        events = sorted(self._open.pop(span_id), key=_time)
        self._incomplete += end is None
        self._ended.pop(span_id, None)
        self._ended[span_id] = (end or events[-1]).time_ns
        if len(self._ended) > self._max_open:
            self._ended.popitem(last=False)
        if self._sent - self._sender.taken >= MAX_QUEUED:
            self._dropped["overflow"] += 1
            return
        try:
            span = _readable(events, end, self._resource, self._scope)
        except Exception as error:  # the border to the work that is traced
            self._dropped["invalid"] += 1
            logger.warning("a span cannot be exported (%s)", type(error).__name__)
            return
        self._sent += 1
        self._processor.on_end(span)


class _Sender:
    """The SDK's exporter, with counters; shutting it down twice is no mistake."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._stopped = False
        self.taken = self.exported = self.failed = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        from opentelemetry.sdk.trace.export import SpanExportResult

        self.taken += len(spans)
        result = SpanExportResult.FAILURE
        try:
            if not self._stopped:
                result = self._exporter.export(spans)
        finally:
            if result is SpanExportResult.SUCCESS:
                self.exported += len(spans)
            elif not self._stopped:
                self.failed += len(spans)
        return result

    def shutdown(self) -> None:
        if not self._stopped:
            self._stopped = True
            self._exporter.shutdown()


def _readable(
    events: list[Event], end: Event | None, resource: Resource, scope: InstrumentationScope
) -> ReadableSpan:
    """Return the span as the SDK knows one. Raises ValueError when its ids are not hex."""
    from opentelemetry import trace as api
    from opentelemetry.sdk import trace as sdk

    first = events[0]
    # What a turn sent carries the name of what was sent; what opens or closes a span, its own.
    named = next((e for e in events if REGISTRY[e.type].phase == "open"), end or first)
    kind = REGISTRY[named.type].span
    failed = end is not None and REGISTRY[end.type].failed
    actor = next((event.actor for event in events if event.actor), None)
    parent_id = next((event.parent_span_id for event in events if event.parent_span_id), None)
    message_id = next((r.id for e in events for r in e.refs if r.kind is RefKind.MESSAGE), None)
    status = "UNSET" if end is None else "ERROR" if failed else "OK"
    attributes = {
        "loom.actor": actor,
        "loom.actor_type": actor.partition("/")[0] if actor is not None else None,
        "loom.attempt": max(event.attempt for event in events),
        "loom.span_kind": kind.value,
        "loom.incomplete": True if end is None else None,
        "messaging.message.id": message_id,
        "error.type": (end.error_type or "_OTHER") if failed and end else None,
    }

    def place(span_id: str) -> api.SpanContext:
        return api.SpanContext(int(first.trace_id, 16), int(span_id, 16), False, api.TraceFlags(1))

    return sdk.ReadableSpan(
        name=named.name or named.type,
        context=place(first.span_id),
        parent=place(parent_id) if parent_id is not None else None,
        resource=resource,
        attributes=_known(**attributes),
        events=[
            sdk.Event(event.type, _details(event), event.time_ns)
            for event in events
            if REGISTRY[event.type].phase == "instant"
        ],
        kind=api.SpanKind[_KINDS[kind]],
        status=api.Status(api.StatusCode[status]),
        start_time=max(0, first.time_ns - ((first.duration_ns or 0) if first is end else 0)),
        end_time=(end or events[-1]).time_ns,
        instrumentation_scope=scope,
    )


def _details(event: Event) -> dict[str, AttributeValue]:
    return _known(
        attempt=event.attempt,
        duration_ns=event.duration_ns,
        error_type=event.error_type,
        refs=[f"{ref.kind.value}:{ref.partition}/{ref.id}" for ref in event.refs] or None,
    )


def _known(**attributes: AttributeValue | None) -> dict[str, AttributeValue]:
    return {key: value for key, value in attributes.items() if value is not None}
