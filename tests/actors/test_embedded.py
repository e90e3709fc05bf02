"""One embedded file for everything: a turn begins with one transaction, and ends with one."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from actors import ActivityExecutor, Actor, ActorWorker, Message, SqliteQueue, handler
from actors.journal import EntryType, JournalEntry
from storage import Unavailable
from storage.sqlite import Database
from tests.conftest import ManualClock
from tests.mortal import Shared
from tests.queue_engines import sqlite_engine

meanwhile: list[Any] = []
"""What happens while the next handler runs."""


class Clerk(Actor):
    @handler
    async def file(self, payload: dict[str, str]) -> None:
        self.update_state(filed=payload["paper"])
        self.send("Archivist/1", "keep", {"paper": payload["paper"]})
        while meanwhile:
            await meanwhile.pop()()


class Archivist(Actor):
    @handler
    async def keep(self, payload: dict[str, str]) -> None:
        self.update_state(kept=[*self.state.get("kept", []), payload["paper"]])


@pytest.fixture
async def shared(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Shared]:
    meanwhile.clear()
    async with sqlite_engine(tmp_path, clock) as (queue, locks):
        yield await Shared.over(queue, locks, clock)


def worker_of(shared: Shared, **options: float) -> ActorWorker:
    return ActorWorker(
        *(shared.runtime, shared.queue, (Clerk, Archivist), ActivityExecutor()),
        message_archive=shared.runtime.archive,
        **options,  # type: ignore[arg-type]
    )


async def work_off(shared: Shared) -> ActorWorker:
    """Let a worker handle what is there. The clock stands still: nothing runs out meanwhile."""
    worker = worker_of(shared)
    task = asyncio.create_task(worker.run())
    async with asyncio.timeout(10):
        while True:
            depth = await shared.queue.depth()
            if not depth.ready + depth.delayed + depth.leased:
                break
            await asyncio.sleep(0.01)
    worker.stop()
    await task
    return worker


async def state(shared: Shared, actor: str) -> dict[str, Any]:
    return dict((await shared.store.load(actor)).data)


async def test_a_turn_without_activities_is_three_commits(
    shared: Shared, commits: list[int]
) -> None:
    commits.clear()
    await shared.runtime.send("Archivist/1", "keep", {"paper": "a"})
    assert commits == [1]
    await work_off(shared)
    # The lease with its lock; the record with the acknowledgement and the lock's end.
    assert commits == [1, 1, 1]
    assert await state(shared, "Archivist/1") == {"kept": ["a"]}


async def test_what_a_turn_sends_is_there_when_its_record_is(
    shared: Shared, commits: list[int]
) -> None:
    commits.clear()
    await shared.runtime.send("Clerk/1", "file", {"paper": "a"})
    await work_off(shared)
    # What it sends is leased in the transaction that sends it.
    assert len(commits) == 4
    assert await state(shared, "Archivist/1") == {"kept": ["a"]}


async def until_it_waits(shared: Shared) -> None:
    assert isinstance(shared.queue, SqliteQueue)
    async with asyncio.timeout(10):
        while not shared.queue._waiting:
            await asyncio.sleep(0.001)


async def test_a_worker_that_waits_is_given_a_message_in_the_transaction_that_sends_it(
    shared: Shared, commits: list[int]
) -> None:
    worker = worker_of(shared)
    task = asyncio.create_task(worker.run())
    await until_it_waits(shared)
    commits.clear()
    await shared.runtime.send("Archivist/1", "keep", {"paper": "a"})
    async with asyncio.timeout(10):
        while not worker.stats().handled:
            await asyncio.sleep(0)
    # What was sent with its lease; the record with the acknowledgement.
    assert len(commits) == 2
    worker.stop()
    await task


async def test_messages_of_other_types_wake_no_worker(shared: Shared, commits: list[int]) -> None:
    waiting = asyncio.create_task(shared.queue.wait(30, ("Clerk",), limit=1, seconds=30))
    assert await waiting == []  # nobody has leased yet: something may be there
    assert await shared.queue.lease(("Clerk",), limit=1, seconds=30) == []
    waiting = asyncio.create_task(shared.queue.wait(30, ("Clerk",), limit=1, seconds=30))
    await until_it_waits(shared)
    await shared.runtime.send("Archivist/1", "keep", {"paper": "a"})
    assert not waiting.done()
    await shared.runtime.send("Clerk/1", "file", {"paper": "a"})
    (lease,) = await waiting
    assert lease.message.actor_id == "Clerk/1"


async def test_all_who_wait_share_what_is_sent(shared: Shared) -> None:
    assert await shared.queue.lease(("Clerk",), limit=1, seconds=30) == []
    waiting = [
        asyncio.create_task(shared.queue.wait(30, ("Clerk",), limit=1, seconds=30))
        for _ in range(2)
    ]
    assert isinstance(shared.queue, SqliteQueue)
    while len(shared.queue._waiting) < 2:
        await asyncio.sleep(0)
    messages = [Message.new(f"Clerk/{number}", "file", {"paper": "a"}) for number in range(3)]
    await shared.runtime.dispatch(messages)
    leases = [lease for task in waiting for lease in await task]
    assert {lease.message.actor_id for lease in leases} == {"Clerk/0", "Clerk/1"}
    # One is left: nobody who comes now is kept waiting for another.
    assert await shared.queue.wait(30, ("Clerk",), limit=1, seconds=30) == []
    (lease,) = await shared.queue.lease(("Clerk",), limit=2, seconds=30)
    assert lease.message.actor_id == "Clerk/2"


async def test_what_a_stopped_worker_is_given_it_gives_back_uncounted(shared: Shared) -> None:
    worker = worker_of(shared)
    task = asyncio.create_task(worker.run())
    await until_it_waits(shared)
    worker.stop()
    await shared.runtime.send("Archivist/1", "keep", {"paper": "a"})
    await task
    assert worker.stats().handled == 0
    (lease,) = await shared.queue.lease(("Archivist",), limit=9, seconds=30)
    assert lease.attempt == 1


async def test_a_wait_that_is_cancelled_leaves_no_lease(shared: Shared) -> None:
    async def cancelled(*, sent: bool) -> None:
        worker = worker_of(shared)
        task = asyncio.create_task(worker.run())
        await until_it_waits(shared)
        sending = asyncio.create_task(shared.runtime.send("Archivist/1", "keep", {"paper": "a"}))
        if sent:
            await sending
        else:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await sending

    for sent in (True, False):
        await cancelled(sent=sent)
        # The clock stands still: a lease would last for ever, and so would the actor's lock.
        worker = await work_off(shared)
        assert worker.stats().handled == 1
    assert await state(shared, "Archivist/1") == {"kept": ["a", "a"]}


async def test_what_a_worker_is_given_while_it_stops_it_gives_back_though_it_is_cancelled(
    shared: Shared,
) -> None:
    worker = worker_of(shared)
    task = asyncio.create_task(worker.run())
    await until_it_waits(shared)
    worker.stop()
    messages = [Message.new(f"Archivist/{n}", "keep", {"paper": "a"}) for n in range(60)]
    await shared.runtime.dispatch(messages)
    await asyncio.sleep(0.003)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert (await work_off(shared)).stats().handled == 60


async def test_an_actor_whose_messages_follow_each_other_never_loses_a_turn(
    shared: Shared,
) -> None:
    # The next one is leased in the transaction that ends the one before.
    for number in range(30):
        await shared.runtime.send("Archivist/1", "keep", {"paper": str(number)})
    worker = await work_off(shared)
    assert (worker.stats().handled, worker.stats().abandoned) == (30, 0)
    assert await state(shared, "Archivist/1") == {"kept": [str(number) for number in range(30)]}


class _FullDisk:
    """A connection that can commit nothing."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        if statement == "COMMIT":
            raise sqlite3.OperationalError("database or disk is full")
        return self._connection.execute(statement, *values)


async def test_a_message_whose_transaction_fails_is_not_leased_in_it(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await shared.queue.lease(("Archivist",), limit=1, seconds=30) == []
    waiting = asyncio.create_task(shared.queue.wait(30, ("Archivist",), limit=1, seconds=30))
    await until_it_waits(shared)
    commit = Database._commit

    def failing(self: Database, connection: sqlite3.Connection, batch: list[Any]) -> None:
        commit(self, _FullDisk(connection), batch)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Database, "_commit", failing)
        with pytest.raises(Unavailable):
            await shared.runtime.send("Archivist/1", "keep", {"paper": "a"})
        assert await waiting == []
    await shared.runtime.send("Archivist/1", "keep", {"paper": "a"})
    worker = await work_off(shared)
    assert worker.stats().handled == 1


async def test_a_turn_whose_actor_has_moved_on_sends_nothing_and_is_not_acknowledged(
    shared: Shared, clock: ManualClock
) -> None:
    sent = await shared.runtime.send("Clerk/1", "file", {"paper": "a"})
    seen = []

    async def move_on() -> None:
        entries = [JournalEntry(EntryType.TURN_COMPLETED, {"messageId": "x", "outbox": []})]
        await shared.store.append("Clerk/1", 0, entries, message_id="x", turn="another")

    async def look() -> None:
        # The second attempt runs: nothing has come of the first.
        seen.append(await shared.queue.peek("Archivist/1", limit=9))
        seen.append([r.message_id async for r in shared.store.records("Clerk/1")])

    meanwhile.append(move_on)
    worker = worker_of(shared)
    task = asyncio.create_task(worker.run())
    async with asyncio.timeout(10):
        while not worker.stats().abandoned:
            await asyncio.sleep(0.01)
    meanwhile.append(look)
    assert (await shared.queue.depth()).delayed == 1
    while not seen:
        clock.advance(0.6)
        await asyncio.sleep(0.01)
    worker.stop()
    await task
    assert seen == [[], ["x"]]
    await work_off(shared)
    records = [record.message_id async for record in shared.store.records("Clerk/1")]
    assert records == ["x", sent.message_id]
    assert await state(shared, "Archivist/1") == {"kept": ["a"]}


async def test_a_commit_that_fails_leaves_nothing_of_a_turns_end_and_is_tried_again(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = Database._commit
    to_fail = 0

    def flaky(self: Database, connection: sqlite3.Connection, batch: list[Any]) -> None:
        nonlocal to_fail
        if to_fail == 0:
            commit(self, connection, batch)
            return
        to_fail -= 1
        for job in batch:
            job.error = Unavailable("the disk does not answer")

    async def fail_twice() -> None:
        nonlocal to_fail
        to_fail = 2

    monkeypatch.setattr(Database, "_commit", flaky)
    await shared.runtime.send("Clerk/1", "file", {"paper": "a"})
    meanwhile.append(fail_twice)
    worker = await work_off(shared)
    assert to_fail == 0
    assert worker.stats().abandoned == 0
    assert await state(shared, "Clerk/1") == {"filed": "a"}
    assert await state(shared, "Archivist/1") == {"kept": ["a"]}


async def test_a_turn_that_is_cancelled_while_its_end_is_written_has_ended(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, begun, go_on = Database._commit, threading.Event(), threading.Event()
    slow = False

    def held(self: Database, connection: sqlite3.Connection, batch: list[Any]) -> None:
        if slow:
            begun.set()
            go_on.wait(10)
        commit(self, connection, batch)

    async def from_now_on() -> None:
        nonlocal slow
        slow = True

    monkeypatch.setattr(Database, "_commit", held)
    await shared.runtime.send("Clerk/1", "file", {"paper": "a"})
    meanwhile.append(from_now_on)
    worker = worker_of(shared, grace_seconds=0.0)
    task = asyncio.create_task(worker.run())
    await asyncio.to_thread(begun.wait, 10)
    worker.stop()
    # It looks whether it is to stop when it has waited for the queue, and cancels what runs.
    await asyncio.sleep(0.5)
    slow = False
    go_on.set()
    await task
    stats = worker.stats()
    assert (stats.handled, stats.abandoned) == (1, 0)
    assert len(await shared.queue.peek("Archivist/1", limit=9)) == 1
    assert await shared.queue.peek("Clerk/1", limit=9) == []


async def test_a_lease_that_ended_with_its_turn_is_not_said_to_have_run_out(
    shared: Shared, caplog: pytest.LogCaptureFixture
) -> None:
    # Extended again and again by a clock that stands still: none can run out.
    worker = worker_of(shared, lease_seconds=0.003)
    task = asyncio.create_task(worker.run())
    for number in range(300):
        await shared.runtime.send(f"Archivist/{number % 30}", "keep", {"paper": "a"})
    async with asyncio.timeout(20):
        while worker.stats().handled < 300:
            await asyncio.sleep(0.001)
    worker.stop()
    await task
    assert "ran out" not in caplog.text


async def test_a_lease_takes_the_actors_lock_unless_another_has_it(shared: Shared) -> None:
    queue, locks = shared.queue, shared.locks
    await queue.enqueue([Message.new("Clerk/1", "file", {}), Message.new("Clerk/2", "file", {})])
    assert await locks.acquire("Clerk/2", "other", 30)
    leases = await queue.lease(("Clerk",), limit=9, seconds=30, owner="me")
    assert {lease.message.actor_id: lease.locked for lease in leases} == {
        "Clerk/1": True,
        "Clerk/2": False,
    }
    assert not await locks.acquire("Clerk/1", "other", 30)
    assert await locks.acquire("Clerk/1", "me", 30)
    assert not await locks.acquire("Clerk/2", "me", 30)


async def test_a_lease_for_nobody_takes_no_lock(shared: Shared) -> None:
    await shared.queue.enqueue([Message.new("Clerk/1", "file", {})])
    (lease,) = await shared.queue.lease(("Clerk",), limit=9, seconds=30)
    assert not lease.locked
    assert await shared.locks.acquire("Clerk/1", "other", 30)
