"""Reading the reference system's traces: one document per event.

Each is `{id, trace_id, span_id, parent_span_id, event_type, timestamp, status, refs, metadata,
tags}`. What such a document says beyond its references (tags, error texts) is left where it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tracing.event import Event, Ref, RefKind
from tracing.registry import REGISTRY

_KINDS = {kind.value: kind for kind in RefKind}
_MAX_NAME = 200
_UNITS = ((1e11, 1_000_000_000), (1e14, 1_000_000), (1e17, 1_000))
"""Below which a number is seconds, milliseconds or microseconds, and nanoseconds in one of them."""
_LATEST = 10**20


def is_legacy(body: Mapping[str, Any]) -> bool:
    """Return whether a document of the trace container is an event of its own."""
    return "event_type" in body and "k" not in body


def decode(body: Mapping[str, Any]) -> Event | None:
    """Return the event, or None when its type, time or span cannot be made out."""
    name, span_id, trace_id = body.get("event_type"), body.get("span_id"), body.get("trace_id")
    time_ns = _time(body.get("timestamp"))
    if not isinstance(name, str) or name not in REGISTRY or time_ns is None:
        return None
    if not isinstance(span_id, str) or not span_id or not isinstance(trace_id, str):
        return None
    parent = body.get("parent_span_id")
    found = body.get("metadata")
    metadata: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
    failed = body.get("status") in ("error", "failed", "failure")
    return Event(
        name,
        trace_id,
        span_id,
        parent if isinstance(parent, str) and parent else None,
        time_ns,
        actor=_actor(metadata),
        name=_text(metadata, "message_type", "name", "activity", "workflow"),
        attempt=_number(metadata.get("attempt")) or 0,
        duration_ns=_duration(metadata, time_ns),
        error_type=_text(metadata, "error_type") or ("error" if failed else None),
        fingerprint=_text(metadata, "fingerprint"),
        refs=tuple(_refs(body.get("refs"))),
    )


def _time(value: object) -> int | None:
    """Return nanoseconds since the epoch of an ISO 8601 time or a number of any usual unit.

    None also for a time that no event can have and no page could show: before 1970, after 5138.
    """
    if isinstance(value, str):
        time_ns = _iso_time(value)
    elif isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < _LATEST:
        time_ns = _epoch_time(value)
    else:
        return None
    return time_ns if time_ns is not None and 0 < time_ns < _LATEST else None


def _iso_time(value: str) -> int | None:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    moment = moment.replace(tzinfo=moment.tzinfo or UTC)
    # In whole numbers: a float of seconds would lose microseconds.
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000


def _epoch_time(value: float) -> int:
    scale = next((scale for limit, scale in _UNITS if value < limit), 1)
    if isinstance(value, int):
        return value * scale
    # Microseconds are what a float of seconds holds; the digits below them are its error.
    return round(value * (scale / 1_000)) * 1_000


def _actor(metadata: Mapping[str, Any]) -> str | None:
    actor, kind = _text(metadata, "actor_id", "actor"), _text(metadata, "actor_type")
    if actor is None or kind is None or actor.startswith(f"{kind}/"):
        return actor or kind
    return f"{kind}/{actor}"


def _text(metadata: Mapping[str, Any], *names: str) -> str | None:
    for name in names:
        value = metadata.get(name)
        if isinstance(value, str) and value:
            return value[:_MAX_NAME]
    return None


def _number(value: object) -> int | None:
    usable = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**53
    return int(value) if usable and isinstance(value, int | float) else None


def _duration(metadata: Mapping[str, Any], longest: int) -> int | None:
    for name, scale in (("duration_ns", 1), ("duration_us", 1_000), ("duration_ms", 1_000_000)):
        number = metadata.get(name)
        if isinstance(number, int | float) and _number(number) is not None:
            # What is longer than the time since the epoch would begin before it.
            return int(number * scale) if number * scale < longest else None
    return None


def _refs(found: object) -> list[Ref]:
    """Read references: a mapping from kind to one or several, or a list that names the kinds."""
    pairs: list[tuple[object, object]] = []
    if isinstance(found, Mapping):
        for kind, value in found.items():
            pairs += [(kind, each) for each in (value if isinstance(value, list) else [value])]
    elif isinstance(found, list):
        pairs = [
            (each.get("kind") or each.get("type"), each)
            for each in found
            if isinstance(each, Mapping)
        ]
    refs = [_ref(_KINDS.get(str(kind)), value) for kind, value in pairs]
    return [ref for ref in refs if ref is not None]


def _ref(kind: RefKind | None, value: object) -> Ref | None:
    if kind is None or not isinstance(value, Mapping):
        return None
    partition, id = (
        next((str(value[name]) for name in names if value.get(name) not in (None, "")), None)
        for names in (_PARTITION, _ID[kind])
    )
    if partition is None or id is None:
        return None
    if kind is RefKind.DOCUMENT and value.get("container"):
        id = f"{value['container']}/{id}"
    if kind is RefKind.JOURNAL_ENTRY and ":" not in id:
        id = f"{id}:{value.get('count', 1)}"
    return Ref(kind, partition, id)


_PARTITION = ("partition", "partition_key", "correlation_id", "correlationId", "actor_id")
_ID = {
    RefKind.MESSAGE: ("id", "message_id", "messageId"),
    RefKind.ACTOR_STATE: ("id", "version", "state_version"),
    RefKind.JOURNAL_ENTRY: ("id", "index", "journal_index"),
    RefKind.DOCUMENT: ("id", "document_id"),
    RefKind.BLOB: ("id", "name"),
    RefKind.IDEMPOTENCY: ("id", "key"),
}
