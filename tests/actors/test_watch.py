"""Watching all actors: whose turns fail, what suspended ones wait for, whose worker is gone."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from actors import Actor, handler
from actors.holdup import Hold, Holdup, Usual, holdup_of
from actors.journal import ACTOR_JOURNALS, Journal
from actors.parking import ParkedFor
from actors.queues import Mailbox, MailboxState
from actors.retry import RetryPolicy
from actors.stores import ACTOR_STATES, CosmosStateStore
from actors.watch import Account, ActorWatch
from storage import Query, Unavailable
from storage.memory import MemoryContainer
from tests.actors.test_parking import changed
from tests.actors.test_waiting import until_parked
from tests.actors.world import World
from tests.builders import message

SLOW = RetryPolicy(max_retries=3, initial_delay=100, max_delay=100, jitter=0)


class Flaky(Exception):
    pass


class Till(Actor):
    @handler
    async def fail(self, payload: dict[str, Any]) -> None:
        raise Flaky("the drawer is stuck")

    @handler
    async def wait(self, payload: dict[str, Any]) -> None:
        for _ in range(payload.get("steps", 0)):
            self.update_state(steps=self.state.get("steps", 0) + 1)
            await self.sleep(0)
        await self.gather(
            self.wait_for_event("word", timeout=payload.get("timeout")), self.sleep(500)
        )

    @handler
    async def wait_and_fail(self, payload: dict[str, Any]) -> None:
        await self.wait_for_event("word")
        raise Flaky("the drawer is stuck")

    @handler
    async def ask(self, payload: dict[str, Any]) -> None:
        await self.call("Till/other", "wait", {})

    @handler
    async def run(self, payload: dict[str, Any]) -> None:
        await asyncio.sleep(3_600)


class Watched:
    """A world whose journal is at hand, and a watch over it."""

    def __init__(self) -> None:
        self.world = World()
        self.journals = MemoryContainer(ACTOR_JOURNALS)
        self.world.store = CosmosStateStore(
            MemoryContainer(ACTOR_STATES), self.journals, engine="memory"
        )
        self.world.runtime = self.world.new_runtime()
        self.watch = ActorWatch(self.world.queue, Journal(self.journals), SLOW)

    async def until(self, state: MailboxState, count: int = 1) -> None:
        async with asyncio.timeout(20):
            while len(await self.world.queue.oldest(state, limit=100)) < count:
                await asyncio.sleep(0.002)


async def test_a_turn_that_fails_tells_of_its_last_attempt() -> None:
    watched = Watched()
    await watched.world.send("Till/1", "fail")
    await watched.world.send("Till/1", "wait")
    before = time.time_ns() // 1000
    async with watched.world.serve(Till, retry_policy=SLOW):
        await watched.until(MailboxState.RETRYING)
        (account,) = await watched.watch.failing(limit=10)
    assert account.failed is not None
    assert (account.failed.error_type, account.failed.text) == ("Flaky", "the drawer is stuck")
    assert (account.failed.attempt, account.mailbox.attempts) == (1, 1)
    assert account.failed.at_us >= before
    assert account.mailbox.behind == 1
    assert account.mailbox.next_at_us is not None
    assert 90e6 < account.mailbox.next_at_us - account.failed.at_us < 110e6
    assert watched.watch.max_attempts == 4


async def test_an_attempt_that_runs_again_is_still_among_the_failing() -> None:
    watched = Watched()
    queue = watched.world.queue
    await queue.enqueue([message("Till/1"), message("Till/2")])
    one, two = await queue.lease(["Till"], limit=2, seconds=30)
    assert await watched.watch.failing(limit=10) == []
    await queue.nack(one)
    (again,) = await queue.lease(["Till"], limit=2, seconds=30)
    (account,) = await watched.watch.failing(limit=10)
    assert (account.mailbox.state, account.mailbox.attempts) == (MailboxState.RUNNING, 2)
    # Its worker was killed: the journal has no word of the first attempt.
    assert account.failed is None
    await queue.nack(again, delay=60)
    await queue.nack(two, delay=60)
    assert [a.mailbox.actor_id for a in await watched.watch.failing(limit=1)] == ["Till/1"]


async def test_attempts_before_a_turn_was_suspended_are_not_held_against_it() -> None:
    watched = Watched()
    queue = watched.world.queue
    await watched.world.send("Till/1", "wait_and_fail")
    await queue.lease(["Till"], limit=1, seconds=0.001)
    await asyncio.sleep(0.005)
    async with watched.world.serve(Till):
        await until_parked(watched.world, "Till/1")
    await queue.wake("Till/1")
    (lease,) = await queue.lease(["Till"], limit=1, seconds=30)
    (mailbox,) = await queue.oldest(MailboxState.RUNNING, limit=10)
    assert mailbox.attempts == 2
    assert await watched.watch.failing(limit=10) == []
    await queue.nack(lease, count=False)
    await watched.world.runtime.send_event("Till/1", "word")
    async with watched.world.serve(Till, retry_policy=SLOW):
        await watched.until(MailboxState.RETRYING)
    (account,) = await watched.watch.failing(limit=10)
    assert (account.mailbox.attempts, account.attempts) == (2, 1)


@pytest.mark.parametrize("steps", [0, 15])
async def test_a_suspended_turn_tells_all_that_it_waits_for(steps: int) -> None:
    watched = Watched()
    await watched.world.send("Till/1", "wait", {"timeout": 100, "steps": steps})
    before = time.time_ns() // 1000
    async with watched.world.serve(Till):
        await until_waits(watched, 2)
        (account,) = await watched.watch.held_up([MailboxState.SUSPENDED], limit=10)
    event, timer = account.waits
    assert (event.event, timer.event) == ("word", None)
    assert event.since_us is not None
    assert event.since_us >= before
    assert event.due_us is not None
    assert timer.due_us is not None
    assert 380e6 < timer.due_us - event.due_us < 420e6
    assert not event.is_call


async def until_waits(watched: Watched, count: int) -> None:
    """Wait until one actor's turn is suspended at so many waits."""
    async with asyncio.timeout(20):
        while True:
            found = await watched.watch.held_up([MailboxState.SUSPENDED], limit=10)
            if found and len(found[0].waits) == count:
                return
            await asyncio.sleep(0.002)


async def test_a_wait_that_lies_further_back_is_told_by_the_end_of_the_journal() -> None:
    watched = Watched()
    await watched.world.send("Till/1", "wait", {"timeout": 100})
    async with watched.world.serve(Till):
        await until_parked(watched.world)
    (full,) = await watched.watch.held_up([MailboxState.SUSPENDED], limit=10)
    (document,) = (await watched.journals.query(Query(partition="Till/1"))).documents
    record = document.body
    only_end = {**record, "entries": record["entries"][-1:]}
    await watched.journals.upsert(only_end)
    (account,) = await watched.watch.held_up([MailboxState.SUSPENDED], limit=10)
    (wait,) = account.waits
    assert (wait.event, wait.due_us) == ("word", full.waits[0].due_us)
    assert wait.since_us == record["at"]


async def test_a_call_names_whose_answer_is_waited_for() -> None:
    watched = Watched()
    await watched.world.send("Till/1", "ask")
    async with watched.world.serve(Till):
        await watched.until(MailboxState.SUSPENDED, 2)
        asking, asked = await watched.watch.held_up([MailboxState.SUSPENDED], limit=10)
    assert [wait.called for wait in asking.waits] == ["Till/other"]
    assert asking.waits[0].is_call
    assert asked.mailbox.actor_id == "Till/other"
    assert holdup_of(asking, Usual(), time.time_ns() // 1000).by is Hold.CALL
    assert holdup_of(asked, Usual(), time.time_ns() // 1000).by is Hold.EVENT


async def test_a_turn_that_waits_for_other_code_is_told_as_stuck() -> None:
    watched = Watched()
    await watched.world.send("Till/1", "wait", {"timeout": 100})
    async with watched.world.serve(Till):
        await watched.until(MailboxState.SUSPENDED)

    async def wait(self: Actor, payload: dict[str, Any]) -> None:
        self.update_state(otherwise=True)

    await watched.world.queue.wake("Till/1")
    async with watched.world.serve(changed("Till", Till, wait=wait)), asyncio.timeout(20):
        account = None
        while account is None or account.parked is None:
            await asyncio.sleep(0.002)
            account = await watched.watch.of_actor("Till/1")
    assert account.parked is ParkedFor.CODE_THAT_MATCHES
    assert account.waits == ()
    found = holdup_of(account, Usual(), time.time_ns() // 1000)
    assert (found.by, found.longer, found.since_us) == (Hold.CODE, True, account.last_us)


async def test_an_actor_is_found_by_its_whole_id_alone() -> None:
    watched = Watched()
    await watched.world.queue.enqueue([message("Till/10"), message("Till/1"), message("Till/12")])
    found = await watched.watch.of_actor("Till/1")
    assert found is not None
    assert found.mailbox.actor_id == "Till/1"
    assert await watched.watch.of_actor("Till/11") is None
    assert await watched.watch.of_actor("Till/2") is None


async def test_a_journal_that_cannot_be_read_is_said_and_the_rest_still_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watched = Watched()
    queue = watched.world.queue
    await queue.enqueue([message("Till/1")])
    (lease,) = await queue.lease(["Till"], limit=1, seconds=30)
    await queue.nack(lease, delay=60)

    async def down(*args: Any) -> None:
        raise Unavailable("no")

    monkeypatch.setattr(watched.journals, "query", down)
    (account,) = await watched.watch.failing(limit=10)
    assert account.unread
    assert account.mailbox.attempts == 1


SECOND = 1_000_000
NOW = 2_000_000_000 * SECOND


def held(
    state: MailboxState,
    next_s: float | None = None,
    since_s: float = -100,
    usual: Usual | None = None,
    last_s: float | None = None,
) -> Holdup:
    """Return what holds up a mailbox whose times are so many seconds from now."""
    box = Mailbox(
        "Till/1",
        state,
        message("Till/1"),
        1,
        None if next_s is None else NOW + int(next_s * SECOND),
        NOW + int(since_s * SECOND),
        0,
    )
    last = None if last_s is None else NOW + int(last_s * SECOND)
    return holdup_of(Account(box, last_us=last), usual or Usual(), NOW)


def test_a_ready_message_is_late_when_it_waits_longer_than_most() -> None:
    usual = Usual(waiting=20 * 10**9)
    assert held(MailboxState.WAITING, -19, usual=usual).longer is False
    late = held(MailboxState.WAITING, -21, usual=usual)
    assert (late.by, late.longer, late.usual_ns) == (Hold.WORKER, True, 20 * 10**9)
    assert late.since_us == NOW - 21 * SECOND
    # Where milliseconds are usual, a worker that looks around every second is not late yet.
    quick = Usual(waiting=10**6)
    assert held(MailboxState.WAITING, -4, usual=quick).longer is False
    assert held(MailboxState.WAITING, -6, usual=quick).longer is True
    assert held(MailboxState.WAITING, -6).longer is True


def test_a_retry_that_is_due_waits_for_a_worker_and_before_that_for_its_time() -> None:
    backoff = held(MailboxState.RETRYING, 8)
    assert (backoff.by, backoff.due_us, backoff.longer) == (
        *(Hold.BACKOFF, NOW + 8 * SECOND, False),
    )
    assert held(MailboxState.RETRYING, -8).by is Hold.WORKER


def test_a_lease_that_ran_out_tells_of_a_lost_worker() -> None:
    lost = held(MailboxState.RUNNING, -1)
    assert (lost.by, lost.longer) == (Hold.LEASE, True)


def test_a_handler_is_late_when_it_runs_longer_than_nearly_all() -> None:
    usual = Usual(handling=60 * 10**9)
    assert held(MailboxState.RUNNING, 20, since_s=-59, usual=usual).longer is False
    late = held(MailboxState.RUNNING, 20, since_s=-61, usual=usual)
    assert (late.by, late.longer) == (Hold.RUN, True)
    # The message is old, but something was journaled just now: it gets on.
    assert held(MailboxState.RUNNING, 20, since_s=-900, usual=usual, last_s=-3).longer is False


def test_what_is_paused_is_stuck_and_what_is_suspended_is_not_until_it_is_due() -> None:
    paused = held(MailboxState.PAUSED, 20)
    # When its message came says nothing of when it was paused.
    assert (paused.longer, paused.since_us) == (True, None)
    assert held(MailboxState.SUSPENDED, 20).longer is False
    due = held(MailboxState.SUSPENDED, -20)
    assert (due.by, due.longer) == (Hold.WORKER, True)
