"""Every call that a worker makes of its store, queue and locks fails once, in every way it can.

A workload is run once to count the calls; then it is run again for each of them, with that one
failing. However it fails, everything must come to what it comes to when nothing does. Where every
call takes its time, turns outlast their leases, and what prolongs those fails.
"""

from __future__ import annotations

import asyncio
import functools
from collections import Counter
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from actors import ActivityExecutor, ActorRuntime, ActorWorker, DeadLetters, RetryPolicy
from actors.archive import MessageArchive
from actors.inbox import Inbox
from actors.journal import ACTOR_JOURNALS
from actors.stores import ACTOR_STATES, CosmosStateStore
from storage import Conflict, Throttled, Unavailable
from storage.memory import MemoryContainer
from tests.actors import world
from tests.crash import cast
from tests.crash.story import Ending, check_effects, check_ending, ending, send_events, send_wave

OUTAGE_CALLS = 10
LEASE_SECONDS = 1.0
BRIEF_LEASE = 0.09
"""Extended every 30 ms."""
SLOW = 0.004
"""Seconds that a call takes where turns are to outlast a third of that."""
RENEWALS = ("queue.extend", "locks.renew")
SIDE_BY_SIDE = 24
PATIENT = RetryPolicy(max_retries=50, initial_delay=0.001, max_delay=0.001)


class Fault(StrEnum):
    """How a call fails."""

    REFUSED = "refused"
    """Nothing happened."""
    LOST = "lost"
    """It happened, and the answer was lost."""
    OUTAGE = "outage"
    """It happened, the answer was lost, and the next calls are refused: all patience ends."""
    CONFLICT = "conflict"
    """Another worker was first, as it seems; of a journal alone."""
    TAKEN = "taken"
    """Others hold by now what was to be prolonged, as it seems; of leases and locks alone."""


def can_fail(name: str, fault: Fault) -> bool:
    if fault is Fault.CONFLICT:
        return name == f"{ACTOR_JOURNALS.name}.create"
    return fault is not Fault.TAKEN or name in RENEWALS


class Faults:
    """Lets one call of all fail, the `at`th of those of the name `only`; remembers them.

    `slow` is how many seconds each takes.
    """

    def __init__(
        self, fault: Fault | None = None, at: int = 0, *, only: str = "", slow: float = 0.0
    ) -> None:
        self._fault, self._at, self._only = fault, at, only
        self._slow = slow
        self._refused = 0
        self.calls: list[str] = []
        """What was called, in order."""
        self.failed: str | None = None
        """The call that failed."""

    async def call(self, name: str, do: Callable[[], Awaitable[Any]]) -> Any:
        """Do it, or fail."""
        if not self._slow:
            return await self._call(name, do)
        # Some of it before the call does what it does, some after.
        await asyncio.sleep(self._slow / 2)
        try:
            return await self._call(name, do)
        finally:
            await asyncio.sleep(self._slow / 2)

    async def _call(self, name: str, do: Callable[[], Awaitable[Any]]) -> Any:
        self.calls.append(name)
        if self._refused:
            self._refused -= 1
            raise Throttled("not now", 0.001)
        # Runs differ a little in their order: then it is the next call that can fail so.
        called = self.calls.count(name) if self._only else len(self.calls)
        due = self.failed is None and called >= self._at and self._only in ("", name)
        if self._fault is None or not due or not can_fail(name, self._fault):
            return await do()
        self.failed = name
        if self._fault is Fault.TAKEN:
            return [False for _ in await do()]
        if self._fault is Fault.CONFLICT:
            raise Conflict("another worker was first")
        if self._fault is not Fault.REFUSED:
            await do()
        if self._fault is Fault.OUTAGE:
            self._refused = OUTAGE_CALLS
        raise Unavailable("no answer")


class Faulty:
    """A port that fails as its faults say."""

    PASSING = ("wait", "depth", "usage")

    def __init__(self, port: Any, name: str, faults: Faults) -> None:
        self._port, self._name, self._faults = port, name, faults

    def __getattr__(self, method: str) -> Any:
        real = getattr(self._port, method)
        if method in self.PASSING or not asyncio.iscoroutinefunction(real):
            return real

        async def call(*args: Any, **options: Any) -> Any:
            do = functools.partial(real, *args, **options)
            return await self._faults.call(f"{self._name}.{method}", do)

        return call


class FaultyWorld(world.World):
    """A world whose workers' ports fail; whoever sends from outside meets no fault."""

    def __init__(self, faults: Faults) -> None:
        super().__init__(traced=False)
        self.states = MemoryContainer(ACTOR_STATES)
        self.journals = MemoryContainer(ACTOR_JOURNALS)
        self.store = CosmosStateStore(self.states, self.journals)
        self.runtime = self.new_runtime()
        self._faults = faults

    def faulty_worker(self, lease_seconds: float) -> ActorWorker:
        def faulty(port: Any, name: str | None = None) -> Any:
            return Faulty(port, name or port.spec.name, self._faults)

        store = CosmosStateStore(faulty(self.states), faulty(self.journals))
        queue, locks = faulty(self.queue, "queue"), faulty(self.locks, "locks")
        archive = MessageArchive(faulty(self.archived))
        runtime = ActorRuntime(
            *(store, queue, locks),
            message_archive=archive,
            inbox=Inbox(faulty(self.events_container)),
        )
        return ActorWorker(
            *(runtime, queue, cast.CAST, ActivityExecutor(PATIENT), PATIENT, None, archive),
            dead_letters=DeadLetters(faulty(self.dead_letters)),
            lease_seconds=lease_seconds,
        )


async def told(faults: Faults, effects: Path, lease_seconds: float = LEASE_SECONDS) -> Ending:
    """Let a worker do the work; return what has come of it."""
    effects.parent.mkdir()
    cast.EFFECTS.set(effects)
    there = FaultyWorld(faults)
    worker = there.faulty_worker(lease_seconds)
    there.workers.append(worker)
    await send_wave(there.runtime, 0)
    task = asyncio.create_task(worker.run())
    try:
        async with asyncio.timeout(20):
            while not await there.queue.parked("Person", limit=1):
                await asyncio.sleep(0.001)
        await send_events(there.runtime, 0)
        await there.settled()
    finally:
        worker.stop()
        await task
    return await ending(
        *(there.archived, there.dead_letters, there.events_container),
        *(there.store.records, there.state),
    )


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "worker.BLOCKED_DELAY": 0.001,
        "worker.STORE_DELAY": 0.001,
        "turn_journal.APPEND_PAUSE": 0.0001,
        "runtime.SNAPSHOT_EVERY": 4,
        "runtime.COMPACT_EVERY": 8,
    }.items():
        monkeypatch.setattr(f"actors.{name}", value)


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.TAKEN])
async def test_whichever_call_fails_nothing_is_lost_and_nothing_done_twice(
    fault: Fault, tmp_path: Path
) -> None:
    none = Faults()
    peaceful = tmp_path / "peace" / "effects"
    peace = await asyncio.create_task(told(none, peaceful))
    wrong: dict[str, str] = {}
    side_by_side = asyncio.Semaphore(SIDE_BY_SIDE)

    async def one(at: int) -> None:
        faults, effects = Faults(fault, at), tmp_path / str(at) / "effects"
        async with side_by_side:
            try:
                check_ending(await told(faults, effects), peace, 1)
                check_effects(effects, peaceful)
            except (AssertionError, TimeoutError) as error:
                wrong[f"call {at}, {faults.failed}"] = repr(error)[:500]

    numbers = [at for at, name in enumerate(none.calls, 1) if can_fail(name, fault)]
    await asyncio.gather(*(one(at) for at in numbers))
    assert not wrong
    assert len(numbers) > 50


@pytest.mark.parametrize("renewal", RENEWALS)
@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.CONFLICT])
async def test_whichever_renewal_fails_nothing_is_lost_and_nothing_done_twice(
    fault: Fault, renewal: str, tmp_path: Path
) -> None:
    none = Faults(slow=SLOW)
    peaceful = tmp_path / "peace" / "effects"
    peace = await asyncio.create_task(told(none, peaceful, BRIEF_LEASE))
    wrong: dict[str, str] = {}
    failed: Counter[str] = Counter()
    side_by_side = asyncio.Semaphore(SIDE_BY_SIDE)

    async def one(at: int) -> None:
        faults = Faults(fault, at, only=renewal, slow=SLOW)
        effects = tmp_path / str(at) / "effects"
        async with side_by_side:
            try:
                check_ending(await told(faults, effects, BRIEF_LEASE), peace, 1)
                check_effects(effects, peaceful)
            except (AssertionError, TimeoutError) as error:
                wrong[f"call {at}, {faults.failed}"] = repr(error)[:500]
            failed[str(faults.failed)] += 1

    renewals = none.calls.count(renewal)
    await asyncio.gather(*(one(at) for at in range(1, renewals + 1)))
    assert not wrong
    assert failed[renewal] > 5
