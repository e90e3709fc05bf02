"""The one container that traces live in."""

from __future__ import annotations

from storage import DAY, ContainerSpec, Index

_OF_TRACES = (
    "status",
    "duration",
    "actorTypes",
    "messageTypes",
    "errorTypes",
)
_OF_FAILURES = ("errorType", "actorType", "name", "outcome")

TRACE_EVENTS = ContainerSpec(
    "trace-events",
    "trace_id",
    default_ttl=90 * DAY,
    # Only summaries have `startedAt`, only failures `failedAt` and only rollups `bucket`, so each
    # index holds one kind of document.
    indexes=(
        Index(order=("startedAt",), descending=True, covers=_OF_TRACES),
        Index(equal=("rootActor",), order=("startedAt",), descending=True),
        Index(equal=("correlation",), order=("startedAt",), descending=True),
        Index(order=("failedAt",), descending=True, covers=_OF_FAILURES),
        Index(equal=("fingerprint",), order=("failedAt",), descending=True),
        Index(equal=("fingerprint",), order=("failedAt",)),
        Index(order=("promotedAt",)),
        Index(equal=("resolution",), order=("bucket",)),
        Index(order=("intentAt",)),
    ),
)
"""Partitioned by trace. Documents are told apart by `k`: "g" is a segment of events, "s" the
trace's summary, which may hold one, "f" a failed message, "r" a rollup of a time bucket, "i" a
writer's intent."""

SEGMENT, SUMMARY, FAILURE, ROLLUP, INTENT = "g", "s", "f", "r", "i"
