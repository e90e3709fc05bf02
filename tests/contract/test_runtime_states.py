"""Queue, journal and runtime together, on every engine of the queue, through anything in any order.

The model is what a person would say: every message is handled once, those of an actor in the order
in which they were sent, and in the end nothing is left.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from actors import Actor, Message, activity, handler
from tests.conftest import ManualClock
from tests.contract.conftest import RunMachine
from tests.mortal import Fuse, Process, Shared
from tests.queue_engines import Engine

T = TypeVar("T")

CELLS = ("Cell/0", "Cell/1", "Cell/2")
KINDS = ("add", "add", "nap", "ask", "stumble")
PROCESSES = 3
MOST_SECONDS = 70_000
"""The clock stays within the day for which ids are known."""

cells = st.sampled_from(CELLS)
sendings = st.tuples(
    cells, st.none() | cells, st.sampled_from(KINDS), st.sampled_from((0, 0, 0, 0, 20))
)
numbers = st.integers(0, PROCESSES - 1)
steps = st.sampled_from((1, 1, 2, 3, 5, 8, 12))
renewals = st.sampled_from(("extend", "renew"))
names = st.sampled_from((None, None, None, "create", "enqueue", "park", "ack"))

done: dict[str, set[str]] = defaultdict(set)
"""What activities did to the outside world, and under which keys."""
stumbled: set[str] = set()


@activity
async def effect(what: str, idempotency_key: str) -> str:
    done[what].add(idempotency_key)
    return what


class Cell(Actor):
    """Keeps a list of what it handled, and tells its neighbour of each."""

    async def keep(self, payload: dict[str, Any]) -> None:
        name = payload["name"]
        await self.call_activity(effect, what=f"{self.actor_id} {name}")
        self.update_state(seen=[*self.state.get("seen", []), name])
        if payload["to"] is not None:
            echo = {"name": f"{self.key}:{name}", "to": None}
            self.send(payload["to"], "add", echo)

    @handler
    async def add(self, payload: dict[str, Any]) -> None:
        await self.keep(payload)

    @handler
    async def nap(self, payload: dict[str, Any]) -> None:
        await self.sleep(5)
        await self.keep(payload)

    @handler
    async def ask(self, payload: dict[str, Any]) -> None:
        await self.call("Oracle/1", "answer", {"name": payload["name"]})
        await self.keep(payload)

    @handler
    async def stumble(self, payload: dict[str, Any]) -> None:
        if payload["name"] not in stumbled:
            stumbled.add(payload["name"])
            raise ValueError("only the first time")
        await self.keep(payload)


class Oracle(Actor):
    @handler
    async def answer(self, payload: dict[str, Any]) -> str:
        self.update_state(asked=[*self.state.get("asked", []), payload["name"]])
        return "yes"


class RuntimeMachine(RuleBasedStateMachine):
    """Some processes that share everything, and lists of what was sent."""

    def __init__(self, runner: asyncio.Runner, engine: Engine) -> None:
        super().__init__()
        self.runner = runner
        self.engine = engine
        self.clock = ManualClock()
        self.began = self.latest = self.clock.now
        self.messages: list[Message] = []
        self.sent: dict[str, list[str]] = {cell: [] for cell in CELLS}
        self.in_order: dict[str, list[str]] = {cell: [] for cell in CELLS}
        self.echoes: dict[str, dict[str, list[str]]] = {cell: {} for cell in CELLS}
        self.asked: set[str] = set()
        self.processes: dict[int, Process] = {}
        self.steps = 0
        done.clear()
        stumbled.clear()

    def run(self, call: Awaitable[T]) -> T:
        async def awaited() -> T:
            return await call

        return self.runner.run(awaited())

    @initialize()
    def start(self) -> None:
        self.opened = self.engine(self.clock)
        self.run(self._start())
        for kind, to in zip(KINDS, (*CELLS, None, None), strict=True):
            for cell in CELLS:
                self.send(cell, to, kind, 0)

    async def _start(self) -> None:
        queue, locks = await self.opened.__aenter__()
        self.shared = await Shared.over(queue, locks, self.clock)

    def teardown(self) -> None:
        if not hasattr(self, "shared"):
            return
        try:
            self.run(self._drain())
        finally:
            self.run(self._end())

    @rule(wanted=st.lists(sendings, min_size=1, max_size=4))
    def send_some(self, wanted: list[tuple[str, str | None, str, int]]) -> None:
        for sending in wanted:
            self.send(*sending)

    def send(self, cell: str, to: str | None, kind: str, delay: int) -> None:
        name = f"{kind}-{len(self.messages)}"
        payload = {"name": name, "to": to}
        sending = self.shared.runtime.send(cell, kind, payload, message_id=name, delay=delay)
        self.messages.append(self.run(sending))
        self.sent[cell].append(name)
        if not delay:
            self.in_order[cell].append(name)
        if to is not None:
            self.sent[to].append(f"{cell[5:]}:{name}")
        if kind == "ask":
            self.asked.add(name)

    @precondition(lambda self: self.messages)
    @rule(which=st.integers(0, 5))
    def send_again(self, which: int) -> None:
        """A sender in doubt: waiting, in hand or handled, it changes nothing."""
        message = self.messages[-1 - which % len(self.messages)]
        assert self.run(self.shared.queue.enqueue([message])) == [False]

    @rule(number=numbers, turns=st.integers(1, 4))
    def work(self, number: int, turns: int) -> None:
        self.run(self._work(number, turns, None))

    @rule(number=numbers, where=st.builds(Fuse, steps, st.booleans(), st.just(False), names))
    def work_and_die(self, number: int, where: Fuse) -> None:
        self.run(self._work(number, 9, replace(where)))

    @rule(number=numbers, where=st.builds(Fuse, steps, st.booleans(), st.just(True), names))
    def work_and_stand_still(self, number: int, where: Fuse) -> None:
        self.run(self._work(number, 9, replace(where)))

    @precondition(lambda self: any(process.stalled for process in self.processes.values()))
    @rule(where=st.none() | st.builds(Fuse, st.just(1), st.booleans(), st.just(False), renewals))
    def beat(self, where: Fuse | None) -> None:
        """Who stands still at an answer goes on to say that it is there, or ends when it does."""
        self.run(self._beat(where))

    async def _beat(self, where: Fuse | None) -> None:
        for number, process in list(self.processes.items()):
            if process.stalled:
                await process.beat(None if where is None else replace(where))
            if process.dead:
                del self.processes[number]

    async def _work(self, number: int, turns: int, fuse: Fuse | None) -> None:
        process = self.processes.get(number)
        if process is None:
            process = self.processes[number] = Process(self.shared, (Cell, Oracle))
        if process.stalled:
            await process.go_on()
        else:
            await process.work(turns, fuse)
        if process.dead:
            del self.processes[number]

    @rule(seconds=st.sampled_from((0.5, 5, 31, 31, 3_600, -0.5, -20, -45, -7_200)))
    def move_clock(self, seconds: float) -> None:
        if self.clock.now + seconds < self.began + MOST_SECONDS:
            self.clock.advance(seconds)
            self.latest = max(self.latest, self.clock.now)

    @invariant()
    def look(self) -> None:
        self.steps += 1
        if self.steps % 5 == 0:
            self.run(self._look())

    async def _look(self) -> dict[str, list[str]]:
        """Whatever was handled was sent, was handled once, and in order."""
        handled = {}
        for cell in CELLS:
            handled[cell] = seen = (await self.shared.store.load(cell)).data.get("seen", [])
            assert max(Counter(seen).values(), default=1) == 1, "something was handled twice"
            assert set(seen) <= set(self.sent[cell]), "something was handled that was not sent"
            at_once = [name for name in seen if name in self.in_order[cell]]
            assert at_once == self.in_order[cell][: len(at_once)], "one overtook another"
        for cell in CELLS:
            for other in CELLS:
                told = [n.partition(":")[2] for n in handled[cell] if n.startswith(f"{other[5:]}:")]
                known = [name for name in handled[other] if name in told]
                assert told == known, "what an actor sent arrived in another order"
        return handled

    async def _drain(self) -> None:
        """Everything that was sent is handled, whoever stands still, and nothing is left."""
        await self._come_to_rest()
        for process in list(self.processes.values()):
            if process.stalled:
                # What it does now, it does with leases and locks that ran out long ago.
                await process.go_on()
        await self._come_to_rest()
        handled = await self._look()
        for cell in CELLS:
            assert sorted(handled[cell]) == sorted(self.sent[cell]), "something was lost"
        asked = (await self.shared.store.load("Oracle/1")).data.get("asked", [])
        assert sorted(asked) == sorted(self.asked)
        assert done.keys() == {f"{cell} {name}" for cell in CELLS for name in self.sent[cell]}
        assert all(len(keys) == 1 for keys in done.values()), "an activity had two keys"
        ended: Counter[str] = Counter()
        for actor in (*CELLS, "Oracle/1"):
            async for record in self.shared.store.records(actor):
                ended[record.message_id] += record.ends_turn
        assert set(ended.values()) <= {1}, "a turn ended twice"
        assert await self.shared.queue.tally() == []
        assert (await self.shared.queue.depth()).dead == 0

    async def _come_to_rest(self) -> None:
        self.clock.now = self.latest
        process = Process(self.shared, (Cell, Oracle))
        # Within the hour after which a suspended turn looks by itself: no wake-up may be lost.
        for _ in range(60):
            depth = await self.shared.queue.depth()
            if not (depth.ready or depth.delayed or depth.leased):
                break
            self.clock.advance(31)
            await process.work(1_000)
        else:
            raise AssertionError(f"it does not come to rest: {depth}")
        self.latest = self.clock.now
        await process.kill()

    async def _end(self) -> None:
        for process in self.processes.values():
            await process.kill()
        await self.opened.__aexit__(None, None, None)


def test_whatever_happens_every_message_is_handled_once_and_in_order(
    run_machine: RunMachine,
) -> None:
    run_machine(RuntimeMachine, 30)
