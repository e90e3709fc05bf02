"""Traces that hold references, never copies: context, events, writer, reader, reconstructor.

Imports storage and never actors: what references point at is loaded by sources that
`loomweb.wiring` registers. Importable without Django.
"""

from tracing.analytics import Statistics, TraceAnalytics
from tracing.context import TraceContext, current_span, trace_headers
from tracing.event import Event, Ref, RefKind
from tracing.failure import Failure, FailureOutcome
from tracing.filters import FailureFilter, FailurePage, Trace, TraceFilter, TracePage
from tracing.reader import TraceReader
from tracing.reconstruct import TraceReconstructor
from tracing.recorder import StoreRecorder
from tracing.recording import WriterStats
from tracing.resolve import Outcome, Resolved, Resolvers, Source
from tracing.sampling import Sampler
from tracing.summary import Summary, TraceStatus
from tracing.tree import Attempt, Span, TraceTree
from tracing.writer import TraceWriter

__all__ = [
    "Attempt",
    "Event",
    "Failure",
    "FailureFilter",
    "FailureOutcome",
    "FailurePage",
    "Outcome",
    "Ref",
    "RefKind",
    "Resolved",
    "Resolvers",
    "Sampler",
    "Source",
    "Span",
    "Statistics",
    "StoreRecorder",
    "Summary",
    "Trace",
    "TraceAnalytics",
    "TraceContext",
    "TraceFilter",
    "TracePage",
    "TraceReader",
    "TraceReconstructor",
    "TraceStatus",
    "TraceTree",
    "TraceWriter",
    "WriterStats",
    "current_span",
    "trace_headers",
]
