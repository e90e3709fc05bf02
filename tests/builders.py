"""Small builders for tests: messages and trace events with sensible defaults."""

from __future__ import annotations

from actors import Message
from tracing import Event, Ref

TRACE = "0af7651916cd43dd8448eb211c80319c"


def message(actor_id: str = "Order/1", message_type: str = "place", **payload: object) -> Message:
    return Message.new(actor_id, message_type, payload)


def event(
    type: str,
    span: int = 1,
    *,
    parent: int | None = None,
    at: int = 0,
    trace: str = TRACE,
    actor: str | None = "Order/1",
    name: str | None = "place",
    attempt: int = 1,
    duration_ns: int | None = None,
    error_type: str | None = None,
    fingerprint: str | None = None,
    refs: tuple[Ref, ...] = (),
) -> Event:
    """Return an event; `at` is in milliseconds after a fixed instant."""
    return Event(
        type,
        trace,
        f"{span:016x}",
        None if parent is None else f"{parent:016x}",
        1_800_000_000_000_000_000 + at * 1_000_000,
        actor,
        name,
        attempt,
        duration_ns,
        error_type,
        fingerprint,
        refs,
    )
