"""What tracing raises to its readers; the writer raises nothing.

TracingError
├── UnreadableExport    a file is not an exported trace
└── UnreadableSegment   a stored segment is not what this version can read
"""

from __future__ import annotations


class TracingError(Exception):
    """Base of what the trace reader may meet."""


class UnreadableSegment(TracingError):
    """A stored segment is not what this version can read."""


class UnreadableExport(TracingError):
    """A file is not an exported trace."""
