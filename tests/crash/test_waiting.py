"""Workers that are killed while turns wait, sleep and undo: nothing is lost, nothing done twice."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actors import ActorRuntime, EntryType, JournalRecord, StateStore
from loomweb import wiring
from loomweb.wiring import Loom
from tests.actors.world import World
from tests.crash.test_kill import QUICK, configured
from tests.crash.waiters import LEDGER, Ledger, Listener, Sleeper, Voyage
from tests.processes import start

ENDS = ("paid", "early", "late", "cancelled", "plain")
SAGA_ENDS = {EntryType.SAGA_COMPLETED, EntryType.SAGA_COMPENSATED, EntryType.SAGA_FAILED}
WORDS = 4
NAPS = 8
KILLS = 6
TOLD_PER_KILL = 8


@dataclass
class Story:
    """Everything that is sent in one run, under the same ids each time it is told."""

    folder: Path
    listeners: list[str] = field(default_factory=lambda: [f"Listener/{n}" for n in range(12)])
    sleepers: list[str] = field(default_factory=lambda: [f"Sleeper/{n}" for n in range(8)])
    voyages: dict[str, str] = field(
        default_factory=lambda: {f"Voyage/{n}": ENDS[n % len(ENDS)] for n in range(15)}
    )

    @property
    def actors(self) -> list[str]:
        return [*self.listeners, *self.sleepers, *self.voyages, LEDGER]

    async def begin(self, runtime: ActorRuntime) -> set[str]:
        """Send every message; return their ids."""
        self.folder.mkdir()
        messages = [(a, "listen", {"words": WORDS}) for a in self.listeners]
        messages += [(a, "after", {}) for a in self.listeners]
        messages += [(a, "nap", {"naps": NAPS, "seconds": 0.2}) for a in self.sleepers]
        messages += [
            (a, "plan", {"ends": ends, "folder": str(self.folder)})
            for a, ends in self.voyages.items()
        ]
        sent = [
            await runtime.send(actor, kind, payload, message_id=f"{kind}-{actor.replace('/', '-')}")
            for actor, kind, payload in messages
        ]
        return {message.message_id for message in sent}

    async def tell(
        self,
        runtime: ActorRuntime,
        source: random.Random,
        pause: float,
        may_tell: asyncio.Semaphore | None = None,
    ) -> None:
        """Send every event, in the order of its numbers to each actor, and cancel some voyages.

        With `may_tell` each waits until it may be told.
        """
        told = [actor for actor in self.listeners for _ in range(WORDS)]
        told += [actor for actor, ends in self.voyages.items() if ends in ("paid", "cancelled")]
        source.shuffle(told)
        numbers: Counter[str] = Counter()
        for actor in told:
            if may_tell is not None:
                await may_tell.acquire()
            if actor in self.listeners:
                await self._say(runtime, actor, numbers[actor], source.choice((1, 2)))
                numbers[actor] += 1
            elif self.voyages[actor] == "paid":
                await runtime.send_event(actor, "paid", {}, event_id="paid")
            else:
                async with asyncio.timeout(20):
                    while not await runtime.cancel(actor, "changed my mind"):
                        await asyncio.sleep(0.02)
            await asyncio.sleep(source.uniform(0, pause))

    async def _say(self, runtime: ActorRuntime, actor: str, number: int, times: int) -> None:
        # A sender that is in doubt sends again, under the same id.
        for _ in range(times):
            await runtime.send_event(actor, "word", {"number": number}, event_id=f"word-{number}")


async def in_peace(story: Story) -> dict[str, Mapping[str, Any]]:
    """Tell the story where nothing fails; return the actors' states."""
    world = World(traced=False)
    await story.begin(world.runtime)
    async with world.serve(Listener, Sleeper, Voyage, Ledger):
        await story.tell(world.runtime, random.Random(1), 0.01)
        await world.settled()
    return {actor: await world.state(actor) for actor in story.actors}


async def new_worker(folder: Path) -> subprocess.Popen[str]:
    worker = start(folder, "runworker", **QUICK, LOOM_ACTORS="tests.crash.waiters")
    assert worker.stdout is not None
    assert "handles" in await asyncio.to_thread(worker.stdout.readline)
    return worker


async def kill_again_and_again(
    folder: Path,
    loom: Loom,
    source: random.Random,
    telling: asyncio.Task[None],
    may_tell: asyncio.Semaphore,
) -> int:
    """Kill one of two workers at random moments until everything is told and done.

    Some of the events are told for each kill, so that however long a worker takes to start, there
    is work left for it. Returns how many of the kills met a turn under way.
    """
    hits = 0
    workers = [await new_worker(folder) for _ in range(2)]
    try:
        for _ in range(KILLS):
            for _ in range(TOLD_PER_KILL):
                may_tell.release()
            await asyncio.sleep(source.uniform(0.05, 0.6))
            victim = workers.pop(source.randrange(2))
            async with asyncio.timeout(20):
                while not (may_tell.locked() or (await loom.queue.depth()).leased):
                    await asyncio.sleep(0.002)
            victim.send_signal(signal.SIGKILL)
            hits += bool((await loom.queue.depth()).leased)
            await asyncio.to_thread(victim.communicate)
            workers.append(await new_worker(folder))
        while not telling.done():
            may_tell.release()
            await asyncio.sleep(0.01)
        await telling
        async with asyncio.timeout(30):
            while True:
                depth = await loom.queue.depth()
                if not (depth.ready or depth.delayed or depth.leased):
                    break
                await asyncio.sleep(0.05)
    finally:
        telling.cancel()
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
        for worker in workers:
            output, _ = await asyncio.to_thread(worker.communicate)
            assert worker.returncode == 0, output
    return hits


async def records_of(store: StateStore, actor_id: str) -> list[JournalRecord]:
    return [record async for record in store.records(actor_id)]


async def test_waits_and_sagas_end_as_without_kills(tmp_path: Path) -> None:
    peace = Story(tmp_path / "peace")
    war = Story(tmp_path / "war")
    source = random.Random(7)
    async with AsyncExitStack() as stack:
        loom = await wiring.open_loom(configured(tmp_path / "data"))
        stack.push_async_callback(wiring.close_loom)
        expected = await in_peace(peace)
        sent = await war.begin(loom.runtime)
        may_tell = asyncio.Semaphore(0)
        telling = asyncio.create_task(war.tell(loom.runtime, source, 0.25, may_tell))
        hits = await kill_again_and_again(tmp_path / "data", loom, source, telling, may_tell)
        print(f"{hits} of {KILLS} kills met a turn under way")
        assert hits >= KILLS // 2

        states = {a: (await loom.state_store.load(a)).data for a in war.actors}
        assert states == expected
        assert [states[a]["heard"] for a in war.listeners] == [[0, 10, 20, 30]] * 12
        assert {states[a]["status"] for a, end in war.voyages.items() if end == "paid"} == {
            "booked"
        }
        assert (await loom.queue.depth()).dead == 0

        ended: Counter[str] = Counter()
        received: Counter[str] = Counter()
        for actor in war.actors:
            for record in await records_of(loom.state_store, actor):
                ended[record.message_id] += record.ends_turn
                received.update(
                    f"{actor} {entry.data['event']}"
                    for entry in record.entries
                    if entry.type is EntryType.EVENT_RECEIVED
                )
        assert sent <= set(ended)
        assert set(ended.values()) == {1}
        assert set(received.values()) == {1}

        for actor, ends in war.voyages.items():
            kinds = Counter(
                entry.type
                for record in await records_of(loom.state_store, actor)
                for entry in record.entries
            )
            assert kinds[EntryType.SAGA_STARTED] == 1
            booked = ends in ("paid", "plain")
            end = EntryType.SAGA_COMPLETED if booked else EntryType.SAGA_COMPENSATED
            assert {kind: kinds[kind] for kind in SAGA_ENDS & set(kinds)} == {end: 1}
        # The outside world has what the sagas say, and nothing that they took back.
        booked_now = {file.name for file in war.folder.iterdir()}
        assert booked_now == {b for state in states.values() for b in state.get("bookings", [])}
        assert booked_now == {file.name for file in peace.folder.iterdir()}
