"""What a small trace costs to store, its summary included."""

from __future__ import annotations

from actors.samples import WORKFLOWS
from loomweb.wiring import Loom
from tests.web.conftest import settled
from tracing.economy import measure

LIMIT_PER_EVENT = 200
LIMIT_PER_TRACE = 4_096


async def test_a_trace_of_about_twenty_events_takes_at_most_four_kilobytes(loom: Loom) -> None:
    for number in range(10):
        await loom.runtime.start(
            WORKFLOWS["loan-application"],
            {"applicant": f"Applicant {number}", "amount": 9_000, "bureau": "reliable"},
        )
    small = [trace for trace in await settled(loom) if 15 <= trace.events <= 25]
    assert small
    for trace in small:
        economy = await measure(loom.containers["trace-events"], traces={trace.trace_id})
        assert economy.events == trace.events
        assert economy.bytes <= LIMIT_PER_TRACE
        assert economy.bytes / economy.events <= LIMIT_PER_EVENT
        print(f"{economy.events} events, {economy.bytes} bytes in {economy.documents} documents")
