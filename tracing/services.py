"""The tracing services that pages use, installed once by `loomweb.wiring`."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from tracing.analytics import TraceAnalytics
from tracing.changes import FindLastChange
from tracing.reader import TraceReader
from tracing.reconstruct import TraceReconstructor
from tracing.resolutions import Resolutions
from tracing.writer import TraceWriter


@dataclass(frozen=True, slots=True)
class TracingServices:
    """What the trace pages read through.

    Attributes:
        writer: None when this process records nothing.
        otlp: who may send spans of other services.
        max_attempts: how often a message is tried; None: nobody says.
        last_change: who finds which message changed a part of an actor's state; None: nobody can.
        resolutions: who tells what became of messages that were given up; None: nobody can.
    """

    reader: TraceReader
    analytics: TraceAnalytics
    reconstructor: TraceReconstructor
    writer: TraceWriter | None
    otlp: OtlpAccess
    last_change: FindLastChange | None = None
    max_attempts: int | None = None
    resolutions: Resolutions | None = None


@dataclass(frozen=True, slots=True)
class OtlpAccess:
    """Who may send spans: whoever has the token; without one everybody, or nobody."""

    token: str | None
    open: bool

    def admits(self, authorization: str) -> bool:
        """Return whether a request with this `Authorization` header may send spans."""
        if self.token is None:
            return self.open
        wanted = f"Bearer {self.token}"
        return hmac.compare_digest(authorization.encode(), wanted.encode())


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
