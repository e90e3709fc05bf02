"""Small builders for tests: messages and trace events with sensible defaults."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from actors import Message
from storage import Container
from tracing import Event, Ref, StoreRecorder, TraceWriter
from tracing.context import NewId, random_id
from tracing.draft import Telling
from tracing.event import Clock
from tracing.sampling import Sampler
from tracing.spanlog import SpanLog

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


def spelled_out(told: Iterable[Telling]) -> list[SpanLog]:
    """Return the events of what was told, with a log for each span."""
    return [log for each in told for log in each.spelled_out()]


class RememberingWriter(TraceWriter):
    """A writer that remembers what it was given, whatever becomes of it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._told: list[SpanLog] = []

    def take(self, told: Telling) -> None:
        self._told += told.spelled_out()
        super().take(told)

    @property
    def emitted(self) -> list[Event]:
        posted = [each.told() for each in self._posted.values()]
        logs = [*self._told, *spelled_out([*posted, *self._open])]
        return [event for log in logs for event in log.events()]


def trace_writer(
    container: Container,
    *,
    clock: Clock | None = None,
    new_id: NewId = random_id,
    sampler: Sampler | None = None,
    **options: Any,
) -> TraceWriter:
    """Return a writer that records into the container, in this process."""
    recorder = StoreRecorder(container, clock=clock, new_id=new_id, **options)
    return TraceWriter(recorder, clock=clock, new_id=new_id, sampler=sampler)


def remembering_writer(
    container: Container, sampler: Sampler | None = None, **options: Any
) -> RememberingWriter:
    return RememberingWriter(StoreRecorder(container, **options), sampler=sampler)
