"""An activity's time limits: for an attempt as a whole, and between its signs of life."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from actors import (
    ActivityExecutor,
    ActivityFailed,
    ActivityTimeout,
    Actor,
    RetryPolicy,
    activity,
    handler,
    heartbeat,
)
from tests.actors.world import Calls, World

CALLS = Calls()
ONCE = RetryPolicy(max_retries=0)
TWICE = RetryPolicy(max_retries=1, initial_delay=0.001, max_delay=0.001)


@pytest.fixture(autouse=True)
def fresh() -> None:
    CALLS.seen.clear()


@activity(retry_policy=TWICE, heartbeat_timeout=0.05)
async def hangs_once() -> str:
    if CALLS("hangs") == 1:
        await asyncio.sleep(3_600)
    return "done"


@activity(retry_policy=ONCE, heartbeat_timeout=0.6)
async def beats() -> str:
    for _ in range(15):
        await asyncio.sleep(0.05)
        heartbeat()
    return "done"


@activity(retry_policy=ONCE, timeout=0.05, heartbeat_timeout=5)
async def beats_for_ever() -> None:
    while True:
        await asyncio.sleep(0.005)
        heartbeat()


@activity(retry_policy=ONCE, heartbeat_timeout=0.6)
def beats_in_a_thread() -> str:
    for _ in range(15):
        time.sleep(0.05)
        heartbeat()
    return "done"


async def run(work: Any) -> Any:
    return (await ActivityExecutor().run(work, {}, "key"))[0]


async def test_an_attempt_without_a_heartbeat_is_given_up_and_tried_again() -> None:
    assert await run(hangs_once) == "done"
    assert CALLS.seen == ["hangs", "hangs"]


@pytest.mark.parametrize("work", [beats, beats_in_a_thread])
async def test_an_attempt_that_beats_may_take_longer_than_its_heartbeat_timeout(work: Any) -> None:
    assert await run(work) == "done"


async def test_heartbeats_do_not_prolong_the_attempt_as_a_whole() -> None:
    with pytest.raises(ActivityTimeout, match=r"took over 0\.05 seconds"):
        await run(beats_for_ever)


async def test_a_silent_attempt_says_how_long_it_was_silent() -> None:
    @activity(retry_policy=ONCE, heartbeat_timeout=0.01)
    async def silent() -> None:
        await asyncio.sleep(3_600)

    with pytest.raises(ActivityTimeout, match=r"no heartbeat for 0\.01 seconds"):
        await run(silent)


async def test_a_plain_function_whose_attempt_was_given_up_ends_at_its_next_heartbeat() -> None:
    ended = threading.Event()
    given_up = threading.Event()

    @activity(retry_policy=ONCE, timeout=0.02)
    def works_on() -> None:
        given_up.wait(5)
        try:
            heartbeat()
        except ActivityTimeout:
            ended.set()

    with pytest.raises(ActivityTimeout):
        await run(works_on)
    given_up.set()
    assert await asyncio.to_thread(ended.wait, 5)


async def test_a_time_limit_of_the_activitys_own_stays_its_own_failure() -> None:
    @activity(retry_policy=ONCE, timeout=60, heartbeat_timeout=60)
    async def limits_itself() -> None:
        async with asyncio.timeout(0.001):
            await asyncio.sleep(3_600)

    with pytest.raises(TimeoutError) as raised:
        await run(limits_itself)
    assert not isinstance(raised.value, ActivityTimeout)


def test_a_heartbeat_outside_of_an_activity_does_nothing() -> None:
    heartbeat()


async def test_a_handler_sees_that_its_activity_ran_out_of_time() -> None:
    @activity(retry_policy=ONCE, heartbeat_timeout=0.01)
    async def silent() -> None:
        await asyncio.sleep(3_600)

    class Patient(Actor):
        @handler
        async def work(self, payload: dict[str, Any]) -> None:
            try:
                await self.call_activity(silent)
            except ActivityFailed as error:
                self.update_state(caught=error.error_type)

    world = World()
    await world.send("Patient/1", "work")
    async with world.serve(Patient):
        await world.settled()
    assert await world.state("Patient/1") == {"caught": "ActivityTimeout"}
