"""Workers that are killed before and after each of their durable steps, and anywhere at random.

After the kills a last worker does what is left. Everything must then be as if nobody was killed.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from loomweb import wiring
from loomweb.config import load_config
from loomweb.wiring import Loom
from tests.crash.points import ANY, STEPS, FaultPoint, Step
from tests.crash.story import (
    Ending,
    check_effects,
    check_ending,
    check_references,
    ending_of,
    in_peace,
    joined,
    send_events,
    send_wave,
    unfinished,
)
from tests.crash.worker import LEASE_SECONDS, NOTHING_LEFT, Job, settings, start

SEED = os.environ.get("CRASH_SEED") or secrets.token_hex(4)
KILLED = -signal.SIGKILL
NOWHERE = FaultPoint(ANY, after=True, nth=10**9)
ROUNDS = 10
"""Kills per step: half of them before it, half after."""
STORIES, STORY_ROUNDS = 5, 12
AHEAD = 2 * LEASE_SECONDS

Record = Callable[[str, object], None]
_peace: dict[int, tuple[Ending, Path]] = {}


async def peace(waves: int, factory: pytest.TempPathFactory) -> tuple[Ending, Path]:
    """Return what a story of so many waves comes to when nothing fails; told once."""
    if waves not in _peace:
        folder = factory.mktemp("peace") / "effects"
        _peace[waves] = (await in_peace(waves, folder), folder / "effects")
    return _peace[waves]


class War:
    """A story during which workers are killed."""

    def __init__(self, loom: Loom, folder: Path) -> None:
        self.loom = loom
        self.data = folder / "data"
        self.effects = folder / "war" / "effects"
        self.effects.parent.mkdir()
        self.waves = 0
        self.kills = 0

    def job(self, point: FaultPoint | None = None, ahead: float = AHEAD) -> Job:
        return Job(self.data, self.effects, self.waves * ahead, point)

    async def next_wave(self) -> None:
        """Send the next wave, and the events that the one before has waited for meanwhile."""
        if self.waves:
            await send_events(self.loom.runtime, self.waves - 1)
        await send_wave(self.loom.runtime, self.waves)
        self.waves += 1

    async def finish(self, record: Record, told: tuple[Ending, Path]) -> None:
        """Let a last worker do what is left, and check what has come of it all."""
        await send_events(self.loom.runtime, self.waves - 1)
        self.waves += 1
        left = await joined([start(self.job())])
        assert left == [NOTHING_LEFT], f"this is left to do: {await unfinished(self.loom)}"
        ending, peaceful = told
        check_ending(await ending_of(self.loom), ending, self.waves - 1)
        assert (await self.loom.queue.depth()).dead == len(ending.dead)
        repeated = check_effects(self.effects, peaceful)
        await check_references(self.loom)
        record("workers were killed", self.kills)
        record("activities ran again, each under its own key", repeated)


@pytest.fixture
async def war(tmp_path: Path) -> AsyncIterator[War]:
    loom = await wiring.open_loom(load_config(settings(tmp_path / "data")))
    yield War(loom, tmp_path)
    await wiring.close_loom()


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
async def test_killed_before_and_after_a_step(
    step: Step,
    war: War,
    tmp_path_factory: pytest.TempPathFactory,
    record_property: Record,
) -> None:
    source = random.Random(f"{SEED} {step.name}")
    print(f"CRASH_SEED={SEED}")
    for number in range(ROUNDS):
        point = FaultPoint(step.name, bool(number % 2), source.randint(1, step.often))
        print(f"killed {point}")
        await war.next_wave()
        assert await joined([start(war.job(point))]) == [KILLED]
        war.kills += 1
    await war.finish(record_property, await peace(ROUNDS, tmp_path_factory))


@pytest.mark.parametrize("story", range(STORIES))
async def test_killed_anywhere_while_another_believes_to_own_the_same_actors(
    story: int,
    war: War,
    tmp_path_factory: pytest.TempPathFactory,
    record_property: Record,
) -> None:
    source = random.Random(f"{SEED} {story}")
    print(f"CRASH_SEED={SEED}")
    for _ in range(STORY_ROUNDS):
        await war.next_wave()
        point = FaultPoint(ANY, source.random() < 0.5, source.randint(1, 150))
        seconds = source.uniform(0.02, 0.25)
        print(f"killed {point}, and another after {seconds:.3f} s")
        # The clock of one is ahead: what the other holds has run out, as it sees it.
        first, second = (
            start(war.job(point)),
            start(war.job(FaultPoint(ANY, True, 10**9), AHEAD / 2)),
        )
        await asyncio.sleep(seconds)
        second.kill()
        assert await joined([first, second]) == [KILLED, KILLED]
        war.kills += 2
    await war.finish(record_property, await peace(STORY_ROUNDS, tmp_path_factory))


STANDSTILLS = [
    FaultPoint(*(step, after, nth, True))
    for step, after, nth in (
        ("actor-journals.create", False, 3),
        ("actor-journals.create", True, 6),
        ("activity", False, 2),
        ("activity", True, 3),
        ("message-archive.create", True, 2),
        ("queue.ack", False, 2),
    )
]


@pytest.mark.parametrize("point", STANDSTILLS, ids=str)
async def test_a_worker_that_stood_still_until_another_took_over_leaves_no_trace_of_its_turn(
    point: FaultPoint, war: War, tmp_path_factory: pytest.TempPathFactory, record_property: Record
) -> None:
    await war.next_wave()
    still = start(war.job(point))
    async with asyncio.timeout(30):
        while _state_of(still.pid) != "T":
            await asyncio.sleep(0.01)
    # Its leases and locks have run out, by the clock of the one that takes over.
    await send_events(war.loom.runtime, 0)
    assert await joined([start(war.job(ahead=2 * AHEAD))]) == [NOTHING_LEFT]
    before = await ending_of(war.loom)
    told, peaceful = await peace(1, tmp_path_factory)
    check_ending(before, told, 1)
    assert still.pid is not None
    os.kill(still.pid, signal.SIGCONT)
    assert await joined([still]) == [NOTHING_LEFT]
    assert await ending_of(war.loom) == before
    check_effects(war.effects, peaceful)
    await check_references(war.loom)
    completed = [
        event.span_id
        for summary in (await war.loom.reader.find_traces(limit=1_000)).traces
        for event in (await war.loom.reader.get_trace(summary.trace_id)).events  # type: ignore[union-attr]
        if event.type == "message:completed"
    ]
    assert len(completed) == len(set(completed))


def _state_of(pid: int | None) -> str:
    """Return the one letter by which the kernel says what a process does."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
