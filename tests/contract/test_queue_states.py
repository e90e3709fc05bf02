"""Every engine of the queue against a model of it, through calls in any order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from actors import Lease, Message
from tests.conftest import ManualClock
from tests.contract.conftest import RunMachine
from tests.queue_engines import Engine
from tests.queue_model import QueueModel

ACTORS = ("Order/1", "Order/2", "Shipment/1")
TYPES = ("Order", "Shipment")
SECONDS = st.sampled_from((0, 0, 0, 1, 60))

actors = st.sampled_from(ACTORS)
settlements = st.one_of(
    st.just(("ack",)),
    st.tuples(st.just("nack"), SECONDS, st.booleans()),
    st.tuples(st.sampled_from(("park", "park", "wake and park")), SECONDS),
    st.just(("extend",)),
    st.just(("dead letter",)),
)


class QueueMachine(RuleBasedStateMachine):
    """One queue and its model, told the same."""

    def __init__(self, runner: asyncio.Runner, engine: Engine) -> None:
        super().__init__()
        self.runner = runner
        self.engine = engine
        self.model = QueueModel()
        self.clock = ManualClock()
        self.leases: list[Lease] = []
        self.sent = self.steps = 0

    def run(self, call: Awaitable[Any]) -> Any:
        async def awaited() -> Any:
            return await call

        return self.runner.run(awaited())

    @initialize()
    def start(self) -> None:
        self.opened = self.engine(self.clock)
        self.queue, _ = self.run(self.opened.__aenter__())
        self.model.set_clock(self.clock())
        for priority in (0, 0, 1, 0):
            self.enqueue([(actor, priority, None, 0) for actor in ACTORS], 0)

    def teardown(self) -> None:
        try:
            self.drain()
        finally:
            self.run(self.opened.__aexit__(None, None, None))

    @rule(
        to=st.lists(
            st.tuples(actors, st.integers(-1, 1), st.none() | SECONDS, st.integers(0, 6)),
            min_size=1,
            max_size=3,
        ),
        delay=st.sampled_from((0, 0, 0, 1, 60)),
    )
    def enqueue(self, to: list[tuple[str, int, int | None, int]], delay: int) -> None:
        messages = []
        for actor, priority, later, repeated in to:
            self.sent += 1
            message_id = f"id-{self.sent}"
            if self.leases and repeated > 3:
                message_id = self.leases[-(repeated - 3) % len(self.leases)].message.message_id
            due = 0 if later is None else int((self.clock() + later) * 1e9)
            messages.append(
                Message.new(
                    actor,
                    "m",
                    {},
                    message_id=message_id,
                    priority=priority,
                    not_before_ns=due,
                )
            )
        added = self.run(self.queue.enqueue(messages, delay=delay))
        assert added == self.model.enqueue(messages, delay)

    @rule(
        types=st.sampled_from((TYPES, TYPES, TYPES[:1], TYPES[1:])),
        limit=st.integers(1, 3),
        seconds=st.sampled_from((10, 30)),
    )
    def lease_and_hold(self, types: tuple[str, ...], limit: int, seconds: int) -> None:
        self.lease(types, limit, seconds)

    def lease(self, types: tuple[str, ...], limit: int, seconds: int) -> list[Lease]:
        got = self.run(self.queue.lease(types, limit=limit, seconds=seconds))
        self.model.leased(types, limit, seconds * 1_000_000, got)
        self.leases += got
        return list(got)

    @rule(which=st.integers(0, 5), how=settlements)
    def settle(self, which: int, how: tuple[Any, ...]) -> None:
        """Settle one of the latest leases, which may have ended: its token is tried again."""
        if self.leases:
            self.settle_one(self.leases[-1 - which % len(self.leases)], *how)

    @rule(hows=st.lists(settlements, min_size=2, max_size=6), after=st.sampled_from((0, 0, 1, 60)))
    def work(self, hows: list[tuple[Any, ...]], after: int) -> None:
        """Lease and settle at once, again and again, as a worker does."""
        self.move_clock(after)
        for how in hows:
            for lease in self.lease(TYPES, 1, 30):
                self.settle_one(lease, *how)

    def settle_one(self, lease: Lease, how: str, seconds: int = 0, count: bool = True) -> None:
        queue, model = self.queue, self.model
        us = seconds * 1_000_000
        if how == "ack":
            assert self.run(queue.ack(lease)) == model.ack(lease)
        elif how == "nack":
            done = self.run(queue.nack(lease, delay=seconds, count=count))
            assert done == model.nack(lease, us, count)
        elif how == "park":
            assert self.run(queue.park(lease, seconds=seconds)) == model.park(lease, us)
        elif how == "extend":
            assert self.run(queue.extend([lease], seconds=20)) == [model.extend(lease, 20_000_000)]
        elif how == "wake and park":
            self.wake(lease.message.actor_id)
            assert self.run(queue.park(lease, seconds=seconds)) == model.park(lease, us)
        else:
            assert self.run(queue.dead_letter(lease)) == model.dead_letter(lease)

    @rule(actor=actors)
    def wake(self, actor: str) -> None:
        self.run(self.queue.wake(actor))
        self.model.wake(actor)

    @rule(actor=actors, on=st.sampled_from((True, False, False)))
    def pause_or_resume(self, actor: str, on: bool) -> None:
        if on:
            self.run(self.queue.pause(actor))
            self.model.pause(actor)
        else:
            self.resume(actor)

    def resume(self, actor: str) -> None:
        self.run(self.queue.resume(actor))
        self.model.resume(actor)

    @rule(seconds=st.sampled_from((0.5, 1, 10, 31, 60, 3_600, 90_000)))
    def let_time_pass(self, seconds: float) -> None:
        self.move_clock(seconds)

    @rule(seconds=st.sampled_from((0.5, 10, 45, 7_200)), caught_up=st.booleans())
    def jump_back(self, seconds: float, caught_up: bool) -> None:
        self.move_clock(-seconds)
        self.lease(TYPES, 2, 10)
        if caught_up:
            self.move_clock(self.model.latest / 1e6 - self.clock())

    def move_clock(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.model.set_clock(self.clock())

    @invariant()
    def look(self) -> None:
        self.steps += 1
        if self.steps % 4 == 0:
            self.run(self._look())

    async def _look(self) -> None:
        if self.model.at_latest:
            assert await self.queue.depth() == self.model.depth()
            for actor in ACTORS:
                seen = await self.queue.peek(actor, limit=99)
                assert seen == [one.message for one in self.model.peek(actor)]
            for actor_type in TYPES:
                assert [
                    (box.actor_id, box.state, box.attempts, box.since_us, box.behind)
                    for box in await self.queue.mailboxes(actor_type, limit=9)
                ] == self.model.mailboxes(actor_type)
        assert await self.queue.tally() == self.model.tally()
        for actor_type in TYPES:
            parked = await self.queue.parked(actor_type, limit=9)
            assert parked == self.model.parked(actor_type)
        for actor in ACTORS:
            assert await self.queue.waiting(actor) == self.model.waiting(actor)
            assert await self.queue.paused(actor) == self.model.is_paused(actor)

    def drain(self) -> None:
        """Everything that is there can be had, in order, and then nothing is left."""
        for actor in ACTORS:
            self.resume(actor)
        self.clock.now = self.model.latest / 1e6
        self.move_clock(10_000)
        while got := self.run(self.queue.lease(TYPES, limit=3, seconds=30)):
            self.model.leased(TYPES, 3, 30_000_000, got)
            for lease in got:
                self.settle_one(lease, "ack")
        self.run(self._look())
        depth = self.run(self.queue.depth())
        assert (depth.ready, depth.delayed, depth.leased, depth.paused) == (0, 0, 0, 0)


def test_any_calls_in_any_order_do_what_the_model_does(run_machine: RunMachine) -> None:
    run_machine(QueueMachine, 50)
