"""OTLP trace requests into events, and the answers to them.

Follows the OTLP specification 1.x, "OTLP/HTTP": binary and JSON Protobuf encoding, and its "Partial
Success". Everything in a request is hostile: texts are cut and cleaned, and attributes, which are
payload, are left out.

OtlpError
├── OtlpUnavailable   a package that OTLP needs is not installed
├── UnsupportedOtlp   the content type is not one of OTLP/HTTP
└── InvalidOtlp       the body is not what its content type says
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import msgspec

from tracing.event import Event

PROTOBUF = "application/x-protobuf"
JSON = "application/json"

MAX_TEXT = 120
"""Characters of a name that are kept."""
MAX_TIME_NS = 2**63 - 1
MAX_DURATION_NS = 2**53 - 1
"""As far as the numbers of a stored segment reach: 104 days."""

_ERROR = 2
_KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
# Control characters, line separators, and what turns the direction of the text around it.
_HOSTILE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_ERROR_TYPE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})*")
_DECIMAL = re.compile(r"[0-9]{1,20}")


class OtlpError(Exception):
    """Base of what reading or sending OTLP may raise. No message quotes what was sent."""


class OtlpUnavailable(OtlpError):
    """A package that OTLP needs is not installed; the message says which."""


class UnsupportedOtlp(OtlpError):
    """The content type is not one of OTLP/HTTP."""


class InvalidOtlp(OtlpError):
    """The body is not what its content type says."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a request held.

    Attributes:
        events: one per span that was taken, in the order of the request.
        rejected: number of spans that were not.
        problem: how many were rejected and why, in one sentence; "" when none were.
    """

    events: list[Event]
    rejected: int
    problem: str


def decode(body: bytes, content_type: str) -> Decoded:
    """Return the events of an ExportTraceServiceRequest, one for each of its spans.

    An event is of type "foreign:failed" when its span's status is ERROR, else "foreign:completed".
    Its time is the span's end; its actor is "service/kind". A span without a start has duration 0.

    Args:
        body: the request's body, decompressed.
        content_type: the request's header; parameters are ignored.

    Raises:
        UnsupportedOtlp: the content type is neither binary nor JSON Protobuf.
        InvalidOtlp: the body cannot be read.
        OtlpUnavailable: the body is Protobuf and `opentelemetry-proto` is not installed.
    """
    if _encoding(content_type) == PROTOBUF:
        return _decode(_read_protobuf(body), bytes, int)
    return _decode(_read_json(body), _id_from_hex, _time_from_json)


def answer(decoded: Decoded, content_type: str) -> bytes:
    """Return the ExportTraceServiceResponse to a request, in the request's encoding.

    It is empty, or a partial success when spans were rejected ("Partial Success" in the OTLP
    specification): clients must not send those again.

    Raises:
        UnsupportedOtlp: the content type is neither binary nor JSON Protobuf.
        OtlpUnavailable: the answer is Protobuf and `opentelemetry-proto` is not installed.
    """
    if _encoding(content_type) == JSON:
        if not decoded.rejected:
            return b"{}"
        partial = {"rejectedSpans": str(decoded.rejected), "errorMessage": decoded.problem}
        return msgspec.json.encode({"partialSuccess": partial})
    response = _protobuf().ExportTraceServiceResponse()
    if decoded.rejected:
        response.partial_success.rejected_spans = decoded.rejected
        response.partial_success.error_message = decoded.problem
    encoded: bytes = response.SerializeToString()
    return encoded


def _encoding(content_type: str) -> str:
    encoding = content_type.partition(";")[0].strip().lower()
    if encoding not in (PROTOBUF, JSON):
        raise UnsupportedOtlp(f"OTLP/HTTP is {PROTOBUF} or {JSON}")
    return encoding


def _protobuf() -> Any:
    try:
        from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
    except ImportError:
        raise OtlpUnavailable(
            f"{PROTOBUF} needs a package that is not installed: pip install opentelemetry-proto"
        ) from None
    return trace_service_pb2


def _read_protobuf(body: bytes) -> Any:
    service, message = _protobuf(), import_module("google.protobuf.message")
    try:
        return service.ExportTraceServiceRequest.FromString(body)
    except message.DecodeError:
        raise InvalidOtlp("the body is not an ExportTraceServiceRequest in Protobuf") from None


class _Value(msgspec.Struct, rename="camel"):
    string_value: str | None = None


class _Attribute(msgspec.Struct, rename="camel"):
    key: str | None = None
    value: _Value | None = None


class _Resource(msgspec.Struct, rename="camel"):
    attributes: list[_Attribute] | None = None


class _SpanEvent(msgspec.Struct, rename="camel"):
    name: str | None = None
    attributes: list[_Attribute] | None = None


class _Status(msgspec.Struct, rename="camel"):
    code: int | None = None


class _Span(msgspec.Struct, rename="camel"):
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    name: str | None = None
    kind: int | None = None
    start_time_unix_nano: int | str | None = None
    end_time_unix_nano: int | str | None = None
    attributes: list[_Attribute] | None = None
    events: list[_SpanEvent] | None = None
    status: _Status | None = None


class _ScopeSpans(msgspec.Struct, rename="camel"):
    spans: list[_Span] | None = None


class _ResourceSpans(msgspec.Struct, rename="camel"):
    resource: _Resource | None = None
    scope_spans: list[_ScopeSpans] | None = None


class _Request(msgspec.Struct, rename="camel"):
    """The part of an ExportTraceServiceRequest that is read; names are those of its Protobuf."""

    resource_spans: list[_ResourceSpans] | None = None


_JSON_REQUEST = msgspec.json.Decoder(_Request)


def _read_json(body: bytes) -> _Request:
    try:
        return _JSON_REQUEST.decode(body)
    except (ValueError, RecursionError):
        raise InvalidOtlp("the body is not an ExportTraceServiceRequest in JSON") from None


def _id_from_hex(text: str | None) -> bytes:
    """Read an id; what is not hex becomes one byte, which no id is."""
    text = text or ""
    return bytes.fromhex(text) if _HEX.fullmatch(text) else b"?"


def _time_from_json(value: int | str | None) -> int:
    """Read a 64-bit integer, which may come as text; what is none becomes -1."""
    if isinstance(value, str):
        return int(value) if _DECIMAL.fullmatch(value) else -1
    return value or 0


def _decode(
    request: Any, read_id: Callable[[Any], bytes], read_time: Callable[[Any], int]
) -> Decoded:
    events: list[Event] = []
    reasons: Counter[str] = Counter()
    for group in request.resource_spans or ():
        name = _attribute(group.resource.attributes, "service.name") if group.resource else ""
        service = _clean(name).replace("/", "·") or "unknown_service"
        for scope in group.scope_spans or ():
            for span in scope.spans or ():
                found = _event(span, service, read_id, read_time)
                if isinstance(found, Event):
                    events.append(found)
                else:
                    reasons[found] += 1
    rejected = reasons.total()
    return Decoded(events, rejected, _sentence(rejected, reasons))


def _event(
    span: Any, service: str, read_id: Callable[[Any], bytes], read_time: Callable[[Any], int]
) -> Event | str:
    """Return the span's event, or why it is rejected."""
    trace_id, span_id = read_id(span.trace_id), read_id(span.span_id)
    parent_id = read_id(span.parent_span_id)
    start_ns, end_ns = read_time(span.start_time_unix_nano), read_time(span.end_time_unix_nano)
    if len(trace_id) != 16 or not any(trace_id):
        return "an invalid trace id"
    if len(span_id) != 8 or not any(span_id):
        return "an invalid span id"
    if len(parent_id) not in (0, 8):
        return "an invalid parent span id"
    if end_ns == 0:
        return "no end time"
    if not (0 <= start_ns <= MAX_TIME_NS and 0 < end_ns <= MAX_TIME_NS):
        return "a time out of range"
    kind = span.kind or 0
    failed = span.status is not None and span.status.code == _ERROR
    return Event(
        type="foreign:failed" if failed else "foreign:completed",
        trace_id=trace_id.hex(),
        span_id=span_id.hex(),
        parent_span_id=parent_id.hex() if any(parent_id) else None,
        time_ns=end_ns,
        actor=f"{service}/{_KINDS[kind if 0 <= kind < len(_KINDS) else 0]}",
        name=_clean(span.name or "") or None,
        duration_ns=min(max(0, end_ns - start_ns), MAX_DURATION_NS) if start_ns else 0,
        error_type=_error_type(span) if failed else None,
    )


def _error_type(span: Any) -> str:
    """Return the class of a failed span's last exception, without its module."""
    found = ""
    for event in span.events or ():
        if event.name == "exception":
            found = _attribute(event.attributes, "exception.type")
    found = (found or _attribute(span.attributes, "error.type")).rpartition(".")[2]
    return found if _ERROR_TYPE.fullmatch(found) else "error"


def _attribute(attributes: Iterable[Any] | None, key: str) -> str:
    """Return the text of an attribute, or "" when it is missing or no text."""
    for attribute in attributes or ():
        if attribute.key == key:
            return (attribute.value.string_value or "") if attribute.value is not None else ""
    return ""


def _clean(text: str) -> str:
    return _HOSTILE.sub("·", text[:MAX_TEXT])


def _sentence(rejected: int, reasons: Counter[str]) -> str:
    if not rejected:
        return ""
    why = ", ".join(f"{count} with {reason}" for reason, count in sorted(reasons.items()))
    return f"{rejected} {'span was' if rejected == 1 else 'spans were'} rejected: {why}."
