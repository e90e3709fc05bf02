"""Deliveries that come twice, late and in another order, and clocks that jump, change nothing."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import time
from collections.abc import Collection, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from actors import Actor, MemoryLocks, MemoryQueue, Message, RetryPolicy, handler
from actors.journal import EntryType, JournalEntry
from actors.queues.port import Lease
from tests.actors.world import World
from tests.crash.cast import CAST, EFFECTS
from tests.crash.story import Ending, check_effects, check_ending, ending, send_events, send_wave

SEED = os.environ.get("DISORDER_SEED") or secrets.token_hex(4)
STORIES = int(os.environ.get("DISORDER_STORIES", "24"))
SIDE_BY_SIDE = 6
"""Stories at a time: with many more a busy machine does not get round to a lease before it ends."""
WORKERS = 3
PATIENT = RetryPolicy(max_retries=200, initial_delay=0.001, max_delay=0.001)


class Disorderly(MemoryQueue):
    """A queue between which and its users everything goes wrong that may.

    Leases arrive when they have run out, or a second time, while the first is being handled or long
    after; acknowledgements are lost; what is enqueued together arrives in any order and twice.
    """

    def __init__(self, source: random.Random) -> None:
        super().__init__()
        self._source = source
        self._again: list[Lease] = []
        self.duplicates = self.late = self.lost = 0

    async def lease(
        self, actor_types: Collection[str], *, limit: int, seconds: float, owner: str | None = None
    ) -> list[Lease]:
        leases = await super().lease(actor_types, limit=limit, seconds=seconds)
        if leases and self._source.random() < 0.2:
            self.late += len(leases)
            await asyncio.sleep(seconds * self._source.uniform(0.5, 2))
        for lease in leases:
            if self._source.random() < 0.2:
                self._again.append(
                    replace(lease, attempt=lease.attempt + 1, token="another", again=True)
                )
        while self._again and len(leases) < limit and self._source.random() < 0.5:
            self.duplicates += 1
            leases.append(self._again.pop(self._source.randrange(len(self._again))))
        return leases

    async def ack(self, lease: Lease) -> bool:
        if self._source.random() < 0.1:
            self.lost += 1
            return True
        return await super().ack(lease)

    async def enqueue(self, messages: Sequence[Message], *, delay: float = 0.0) -> list[bool]:
        mixed = self._source.sample(messages, len(messages))
        first = dict(
            zip(
                (message.message_id for message in mixed),
                await super().enqueue(mixed, delay=delay),
                strict=True,
            )
        )
        await super().enqueue(messages, delay=delay)
        return [first[message.message_id] for message in messages]

    async def wake(self, actor_id: str) -> None:
        await asyncio.sleep(self._source.uniform(0, 0.005))
        await super().wake(actor_id)
        await super().wake(actor_id)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.worker.BLOCKED_DELAY", 0.002)
    monkeypatch.setattr("actors.runtime.SNAPSHOT_EVERY", 4)
    monkeypatch.setattr("actors.runtime.COMPACT_EVERY", 8)


async def told(world: World, effects: Path, **options: Any) -> Ending:
    """Let some workers do the work; return what has come of it."""
    effects.parent.mkdir(parents=True)
    EFFECTS.set(effects)
    await send_wave(world.runtime, 0)
    async with AsyncExitStack() as stack:
        for _ in range(WORKERS):
            runtime = world.new_runtime()
            await stack.enter_async_context(
                world.serve(*CAST, runtime=runtime, retry_policy=PATIENT, **options)
            )
        await asyncio.sleep(0.02)
        await send_events(world.runtime, 0)
        await world.settled()
    return await ending(
        *(world.archived, world.dead_letters, world.events_container),
        *(world.store.records, world.state),
    )


async def in_order(tmp_path: Path) -> tuple[Ending, Path]:
    effects = tmp_path / "in order" / "effects"
    return await asyncio.create_task(told(World(traced=False), effects)), effects


async def test_deliveries_that_come_twice_late_and_in_any_order_change_nothing(
    tmp_path: Path,
) -> None:
    print(f"DISORDER_SEED={SEED}")
    peace, peaceful = await in_order(tmp_path)
    side_by_side = asyncio.Semaphore(SIDE_BY_SIDE)

    async def one(story: int) -> Disorderly:
        async with side_by_side:
            world = World(traced=False)
            world.queue = queue = Disorderly(random.Random(f"{SEED} {story}"))
            world.runtime = world.new_runtime()
            effects = tmp_path / str(story) / "effects"
            check_ending(await told(world, effects, lease_seconds=0.1), peace, 1)
            check_effects(effects, peaceful)
            return queue

    queues = await asyncio.gather(*(one(story) for story in range(STORIES)))
    assert sum(queue.duplicates for queue in queues) > STORIES
    assert sum(queue.late for queue in queues) > STORIES
    assert sum(queue.lost for queue in queues) > STORIES


@pytest.mark.parametrize(
    "jumps",
    [
        pytest.param([60, 60, 60], id="forward"),
        pytest.param([-3_600, 3_600], id="back, and corrected"),
        pytest.param([3_600, -3_600, 3_600], id="forward, and corrected too much"),
        pytest.param([-40, 80, -80, 120, -40, 40], id="both ways, again and again"),
    ],
)
async def test_a_clock_that_jumps_changes_nothing(jumps: list[float], tmp_path: Path) -> None:
    peace, peaceful = await in_order(tmp_path)
    ahead = 0.0

    def clock() -> float:
        return time.time() + ahead

    world = World(traced=False)
    world.queue, world.locks = MemoryQueue(clock=clock), MemoryLocks(clock=clock)
    world.clock_ns = lambda: int(clock() * 1e9)
    world.runtime = world.new_runtime()

    async def jump() -> None:
        nonlocal ahead
        for seconds in jumps:
            await asyncio.sleep(0.02)
            ahead += seconds

    jumping = asyncio.create_task(jump())
    effects = tmp_path / "jumps" / "effects"
    check_ending(await told(world, effects), peace, 1)
    check_effects(effects, peaceful)
    await jumping


class Till(Actor):
    @handler
    async def add(self, payload: dict[str, int]) -> None:
        self.update_state(total=self.state.get("total", 0) + payload["amount"])


async def test_a_message_whose_turn_ended_under_another_lease_is_not_handled_again() -> None:
    """Given back uncounted, and offered to a worker whose memory begins after that turn's end."""
    world = World(traced=False)
    sent = await world.send("Till/1", "add", {"amount": 5})
    (lease,) = await world.queue.lease(["Till"], limit=1, seconds=30)
    entries = [
        JournalEntry(EntryType.STATE_PATCHED, {"seq": 0, "patch": {"total": 5}}),
        JournalEntry(EntryType.TURN_COMPLETED, {"messageId": sent.message_id, "outbox": []}),
    ]
    await world.store.append("Till/1", 0, entries, message_id=sent.message_id, turn="another")
    await world.store.save("Till/1", (await world.store.load("Till/1")).state())
    await world.queue.nack(lease, count=False)
    assert (await world.runtime.activate("Till/1")).handled == {}
    async with world.serve(Till):
        await world.settled()
    assert await world.state("Till/1") == {"total": 5}
    assert len([record async for record in world.store.records("Till/1")]) == 1
