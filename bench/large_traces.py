"""Large traces, written straight into a store through the trace sink, for benches and tests."""

from __future__ import annotations

import random
import secrets

from storage import Container
from tracing import Event, Ref, RefKind
from tracing.sink import TraceSink
from tracing.spanlog import logs_of

ACTORS = ("Order", "Shelf", "Payment", "Shipment", "Invoice")
NAMES = ("reserve", "charge", "pack", "ship", "book", "notify", "close")
MICRO = 1_000


def events_of(trace_id: str, spans: int, started_ns: int, *, seed: int = 7) -> list[Event]:
    """Return three events for each of so many spans; one span in 400 fails."""
    source = random.Random(seed)
    ids = [f"{source.getrandbits(64) or 1:016x}" for _ in range(spans)]
    events: list[Event] = []
    now = started_ns
    for number, span in enumerate(ids):
        # A parent among the last ones gives depth, one of the first gives width.
        first = max(0, number - 12) if number % 3 else 0
        parent = ids[source.randrange(first, number)] if number else None
        kind = source.choice(ACTORS)
        actor, name = f"{kind}/{source.randrange(40)}", source.choice(NAMES)
        message = Ref(RefKind.MESSAGE, trace_id, f"{number:032x}")
        now += source.randrange(5, 60) * MICRO
        handled = now + source.randrange(20, 2_000) * MICRO
        took = int(source.lognormvariate(14, 1.2))
        common = (trace_id, span, parent)
        events.append(Event("queue:enqueued", *common, now, actor, name, refs=(message,)))
        events.append(Event("message:started", *common, handled, actor, name, 1))
        failed = number % 400 == 399
        if failed:
            error = {"error_type": "OutOfStock", "fingerprint": "00000000000000aa"}
            events.append(
                Event("message:failed", *common, handled + took, actor, name, 1, took, **error)
            )
        closing = "message:dead_lettered" if failed else "message:completed"
        events.append(
            Event(
                closing,
                *common,
                handled + took + 1,
                actor,
                name,
                1,
                None if failed else took,
                "OutOfStock" if failed else None,
            )
        )
    events.sort(key=lambda event: event.time_ns)
    return events


async def write_trace(container: Container, trace_id: str, events: list[Event]) -> None:
    """Store a trace in segments, as a writer does."""
    sink = TraceSink(container, writer=secrets.token_hex(6))
    for start in range(0, len(events), 2_000):
        await sink.store(sink.batch(logs_of(events[start : start + 2_000])))
