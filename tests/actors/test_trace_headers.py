"""What an activity sends along when it calls another service."""

from __future__ import annotations

from typing import Any

from actors import Actor, activity, handler, trace_headers
from tests.actors.world import World
from tracing import TraceContext, TraceReader

SEEN: list[dict[str, str]] = []


@activity
async def call_service() -> int:
    SEEN.append(trace_headers())
    return 1


@activity
def call_from_a_thread() -> int:
    SEEN.append(trace_headers())
    return 1


class Caller(Actor):
    @handler
    async def go(self, payload: dict[str, Any]) -> None:
        await self.call_activity(call_service)
        await self.call_activity(call_from_a_thread)
        SEEN.append(trace_headers())


async def test_an_activity_hands_on_its_own_span_and_the_state_of_other_vendors() -> None:
    SEEN.clear()
    world = World()
    caller = TraceContext.from_traceparent(
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "congo=t61rcWkgMzE"
    )
    await world.runtime.send("Caller/1", "go", {}, trace=caller)
    async with world.serve(Caller):
        await world.settled()
    assert world.writer is not None
    await world.writer.flush()
    trace = await TraceReader(world.traces).get_trace("0af7651916cd43dd8448eb211c80319c")
    assert trace is not None
    spans = [event.span_id for event in trace.events if event.type == "activity:scheduled"]
    assert [
        {"traceparent": f"00-{trace.summary.trace_id}-{span}-01", "tracestate": "congo=t61rcWkgMzE"}
        for span in spans
    ] + [{}] == SEEN


async def test_without_tracing_there_is_nothing_to_hand_on() -> None:
    SEEN.clear()
    world = World(traced=False)
    await world.send("Caller/1", "go", {})
    async with world.serve(Caller):
        await world.settled()
    assert SEEN == [{}, {}, {}]
