"""The tracing services that pages use, installed once by `loomweb.wiring`."""

from __future__ import annotations

from dataclasses import dataclass

from tracing.reader import TraceReader
from tracing.reconstruct import TraceReconstructor
from tracing.writer import TraceWriter


@dataclass(frozen=True, slots=True)
class TracingServices:
    """What the trace pages read through. `writer` is None when this process records nothing."""

    reader: TraceReader
    reconstructor: TraceReconstructor
    writer: TraceWriter | None


_installed: TracingServices | None = None


def install(services: TracingServices | None) -> None:
    """Set the services of this process; None takes them away."""
    global _installed
    _installed = services


def current() -> TracingServices:
    """Return the installed services.

    Raises:
        RuntimeError: none are installed; the ASGI lifespan or the command has not opened Loom.
    """
    if _installed is None:
        raise RuntimeError("Loom is not open: start it through loomweb.asgi or a manage.py command")
    return _installed
