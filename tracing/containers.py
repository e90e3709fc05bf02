"""The one container that traces live in."""

from __future__ import annotations

from storage import DAY, ContainerSpec, Index

TRACE_EVENTS = ContainerSpec(
    "trace-events",
    "trace_id",
    default_ttl=90 * DAY,
    indexed=("k", "actorTypes"),
    # Only summaries have `startedAt` and only failures `failedAt`, so each index holds one kind.
    indexes=(
        Index(order=("startedAt",), descending=True),
        Index(equal=("status",), order=("startedAt",), descending=True),
        Index(equal=("rootActor",), order=("startedAt",), descending=True),
        Index(order=("failedAt",), descending=True),
        Index(equal=("errorType",), order=("failedAt",), descending=True),
        Index(equal=("actorType",), order=("failedAt",), descending=True),
        Index(equal=("fingerprint",), order=("failedAt",), descending=True),
    ),
)
"""Partitioned by trace. Documents are told apart by `k`: "g" is a segment of events, "s" the
trace's summary, "f" a failed message."""

SEGMENT, SUMMARY, FAILURE = "g", "s", "f"
