"""What a turn had decided to send when it failed for good is told, and nothing else is."""

from __future__ import annotations

from typing import Any

from actors import Actor, NonRetryable, handler
from tests.actors.world import Calls, World
from tracing import TraceReader
from tracing.build import build_tree
from tracing.effects import effects_of
from tracing.words import sentence

calls = Calls()


class Boom(NonRetryable):
    pass


class Clerk(Actor):
    """Sends letters, and fails when it is told to."""

    @handler
    async def write(self, payload: dict[str, Any]) -> None:
        self.send("Postman/1", "stamp")
        if payload.get("waits"):
            await self.sleep(0.01)
        self.send("Postman/1", "carry")
        self.send("Postman/1", "carry")
        if payload.get("once") and calls("once") == 1:
            raise RuntimeError("once")
        if payload.get("fails"):
            raise Boom


class Postman(Actor):
    @handler
    async def stamp(self, payload: dict[str, Any]) -> None:
        pass

    @handler
    async def carry(self, payload: dict[str, Any]) -> None:
        pass


async def told(**payload: Any) -> tuple[str, list[str], list[str]]:
    """Run a turn; return its trace's sentence, and what it sent and withheld, by type."""
    world = World()
    sent = await world.send("Clerk/1", "write", payload)
    async with world.serve(Clerk, Postman):
        await world.settled()
    assert world.writer is not None
    await world.writer.flush()
    assert sent.trace is not None
    trace = await TraceReader(world.traces).get_trace(sent.trace.trace_id)
    assert trace is not None
    tree = build_tree(trace)
    effects = effects_of(tree.roots[0])
    said = "".join(word.text for word in sentence(tree))
    return said, [each.event.name or "" for each in effects.sent], effects.withheld


async def test_what_a_turn_that_failed_for_good_did_not_send_is_told() -> None:
    said, sent, withheld = await told(fails=True)
    assert said == (
        "Clerk/1 failed handling write after 1 attempt: Boom;"
        " 3 messages that it decided on were never sent"
    )
    assert sent == []
    assert withheld == ["stamp", "carry", "carry"]


async def test_what_was_sent_before_a_wait_was_sent() -> None:
    said, sent, withheld = await told(fails=True, waits=True)
    assert said.endswith("; 2 messages that it decided on were never sent")
    assert sent == ["stamp"]
    assert withheld == ["carry", "carry"]


async def test_an_attempt_that_is_followed_by_another_withholds_nothing() -> None:
    said, sent, withheld = await told(once=True)
    assert "never sent" not in said
    assert sorted(sent) == ["carry", "carry", "stamp"]
    assert withheld == []
