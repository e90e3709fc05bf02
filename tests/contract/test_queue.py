"""What every engine promises of a `MessageQueue`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from actors import Depth, Lease, MemoryQueue, Message, MessageQueue, SqliteQueue
from actors.queues import Mailbox, MailboxState, Tally
from actors.queues.redis import RedisQueue
from actors.redis_server import RedisServer
from storage.sqlite import Database
from tests.builders import message
from tests.conftest import ManualClock

TYPES = ("Order", "Shipment")


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def queue(
    request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock
) -> AsyncIterator[MessageQueue]:
    if request.param == "memory":
        yield MemoryQueue(clock=clock)
        return
    if request.param == "redis":
        url = request.getfixturevalue("redis_url")
        server = RedisServer(url, name=f"queue-{uuid4().hex}", clock=clock)
        shared = RedisQueue(server)
        yield shared
        await shared.close()
        await server.close()
        return
    database = Database(tmp_path / "queue.db")
    opened = SqliteQueue(database, clock=clock)
    await opened.open()
    yield opened
    await database.close()


async def lease_all(queue: MessageQueue, limit: int = 100) -> list[Lease]:
    return await queue.lease(TYPES, limit=limit, seconds=30)


async def lease_one(queue: MessageQueue) -> Lease:
    (lease,) = await lease_all(queue, 1)
    return lease


def names(leases: list[Lease]) -> set[str]:
    return {lease.message.message_type for lease in leases}


async def test_a_message_comes_out_as_it_went_in(queue: MessageQueue) -> None:
    sent = message(note="zażółć 🧶", lines=[1, 2.5, None])
    assert await queue.enqueue([sent]) == [True]
    lease = await lease_one(queue)
    assert (lease.message, lease.attempt) == (sent, 1)
    assert await queue.ack(lease)
    assert await lease_all(queue) == []


async def test_an_actor_has_one_message_leased_at_a_time_in_order(queue: MessageQueue) -> None:
    await queue.enqueue([message(message_type=f"m{n}") for n in range(5)])
    await queue.enqueue([message("Order/2", "other")])
    first = await lease_all(queue)
    assert names(first) == {"m0", "other"}
    assert await lease_all(queue) == []
    order = []
    while first:
        for lease in first:
            order.append(lease.message.message_type)
            await queue.ack(lease)
        first = await lease_all(queue)
    assert [name for name in order if name != "other"] == ["m0", "m1", "m2", "m3", "m4"]


async def test_a_lower_priority_number_goes_first(queue: MessageQueue) -> None:
    plain = message(message_type="plain")
    urgent = Message.new("Order/1", "urgent", {}, priority=-1)
    late = Message.new("Order/1", "late", {}, priority=5)
    await queue.enqueue([late, plain, urgent])
    order = []
    for _ in range(3):
        lease = await lease_one(queue)
        order.append(lease.message.message_type)
        await queue.ack(lease)
    assert order == ["urgent", "plain", "late"]


async def test_only_asked_for_actor_types_are_leased(queue: MessageQueue) -> None:
    await queue.enqueue([message("Other/1"), message("Shipment/1", "ship")])
    assert names(await lease_all(queue)) == {"ship"}


async def test_a_message_id_is_enqueued_once(queue: MessageQueue, clock: ManualClock) -> None:
    sent = message()
    assert await queue.enqueue([sent, sent]) == [True, False]
    lease = await lease_one(queue)
    assert await queue.enqueue([sent]) == [False]
    await queue.ack(lease)
    assert await queue.enqueue([sent]) == [False]
    clock.advance(3_600)
    assert await queue.enqueue([sent]) == [False]
    assert await lease_all(queue) == []


async def test_an_acknowledged_id_is_known_for_a_day(
    queue: MessageQueue, clock: ManualClock
) -> None:
    first, again = message(message_type="first"), message(message_type="between")
    await queue.enqueue([first])
    await queue.ack(await lease_one(queue))
    clock.advance(24 * 3_600 - 1)
    assert await queue.enqueue([first, again]) == [False, True]
    clock.advance(1)
    assert await queue.enqueue([first, first]) == [True, False]
    await queue.ack(await lease_one(queue))
    assert (await lease_one(queue)).message == first


async def test_a_nack_delays_and_counts_and_holds_later_messages_back(
    queue: MessageQueue, clock: ManualClock
) -> None:
    await queue.enqueue([message(message_type="first"), message(message_type="second")])
    assert await queue.nack(await lease_one(queue), delay=10)
    assert await lease_all(queue) == []
    clock.advance(10)
    again = await lease_one(queue)
    assert (again.message.message_type, again.attempt) == ("first", 2)
    assert await queue.nack(again, count=False)
    assert (await lease_one(queue)).attempt == 2


async def test_a_lease_that_runs_out_is_given_to_another_and_counts(
    queue: MessageQueue, clock: ManualClock
) -> None:
    await queue.enqueue([message()])
    lost = await lease_one(queue)
    clock.advance(31)
    found = await lease_one(queue)
    assert (found.attempt, found.message) == (2, lost.message)
    assert not await queue.ack(lost)
    assert not await queue.nack(lost)
    assert not await queue.dead_letter(lost)
    assert await queue.extend([lost, found], seconds=30) == [False, True]
    assert await queue.ack(found)


async def test_a_lease_that_ran_out_cannot_be_settled_even_when_nobody_took_over(
    queue: MessageQueue, clock: ManualClock
) -> None:
    await queue.enqueue([message()])
    lost = await lease_one(queue)
    clock.advance(31)
    assert await queue.extend([lost], seconds=30) == [False]
    assert not await queue.ack(lost)
    assert (await lease_one(queue)).attempt == 2


async def test_a_lease_is_settled_once(queue: MessageQueue) -> None:
    for settle in (queue.ack, queue.nack, queue.dead_letter, partial(queue.park, seconds=0)):
        await queue.enqueue([message(), message()])
        lease = await lease_one(queue)
        assert await settle(lease)
        assert not await settle(lease)
        while leases := await lease_all(queue):
            await queue.ack(leases[0])


async def test_a_clock_that_is_set_back_changes_no_order(
    queue: MessageQueue, clock: ManualClock
) -> None:
    await queue.enqueue([message(message_type="first")])
    clock.advance(-3_600)
    await queue.enqueue([message(message_type="second")])
    clock.advance(1_800)
    # Some engines lease it now, some when the clock is there again.
    assert names(await lease_all(queue)) <= {"first"}
    clock.advance(1_801)
    order = []
    while leases := await lease_all(queue):
        order += names(leases)
        await queue.ack(leases[0])
    assert order == ["first", "second"]


async def test_a_clock_that_is_set_back_lets_nothing_pass_a_suspended_turn(
    queue: MessageQueue, clock: ManualClock
) -> None:
    await queue.enqueue([message(message_type="first")], delay=10)
    clock.advance(11)
    await queue.park(await lease_one(queue), seconds=1_000)
    clock.advance(-11)
    await queue.enqueue([Message.new("Order/1", "urgent", {}, priority=-1)])
    await queue.wake("Order/1")
    assert (await lease_one(queue)).message.message_type == "first"


async def test_an_extended_lease_lasts(queue: MessageQueue, clock: ManualClock) -> None:
    await queue.enqueue([message()])
    lease = await lease_one(queue)
    for _ in range(3):
        clock.advance(20)
        assert await queue.extend([lease], seconds=30) == [True]
    assert await lease_all(queue) == []
    assert await queue.ack(lease)


async def test_a_lease_says_whether_there_was_one_before_counted_or_not(
    queue: MessageQueue, clock: ManualClock
) -> None:
    await queue.enqueue([message()])
    first = await lease_one(queue)
    assert (first.attempt, first.again) == (1, False)
    await queue.nack(first, count=False)
    second = await lease_one(queue)
    assert (second.attempt, second.again) == (1, True)
    await queue.park(second, seconds=0)
    third = await lease_one(queue)
    assert (third.attempt, third.again) == (1, True)
    clock.advance(31)
    fourth = await lease_one(queue)
    assert (fourth.attempt, fourth.again) == (2, True)


async def test_a_parked_message_waits_uncounted_and_holds_later_messages_back(
    queue: MessageQueue, clock: ManualClock
) -> None:
    await queue.enqueue([message(message_type="first")])
    assert await queue.park(await lease_one(queue), seconds=1_000)
    await queue.enqueue([message(message_type="urgent", priority=-1), message(message_type="next")])
    urgent = Message.new("Order/1", "urgent", {}, priority=-5)
    await queue.enqueue([urgent])
    assert await lease_all(queue) == []
    clock.advance(1_001)
    again = await lease_one(queue)
    assert (again.message.message_type, again.attempt) == ("first", 1)
    assert await queue.nack(again)
    retried = await lease_one(queue)
    assert (retried.message.message_type, retried.attempt) == ("first", 2)
    assert await queue.ack(retried)
    assert (await lease_one(queue)).message == urgent


async def test_a_wake_up_makes_a_parked_message_ready(queue: MessageQueue) -> None:
    await queue.enqueue([message(message_type="first")])
    await queue.park(await lease_one(queue), seconds=1_000)
    await queue.wake("Order/other")
    assert await lease_all(queue) == []
    await queue.wake("Order/1")
    assert (await lease_one(queue)).message.message_type == "first"


async def test_a_wake_up_between_the_lease_and_the_parking_is_not_lost(
    queue: MessageQueue,
) -> None:
    await queue.enqueue([message(message_type="first")])
    lease = await lease_one(queue)
    await queue.wake("Order/1")
    await queue.park(lease, seconds=1_000)
    again = await lease_one(queue)
    await queue.park(again, seconds=1_000)
    assert await lease_all(queue) == []


async def test_a_wake_up_does_not_shorten_the_wait_for_a_retry(queue: MessageQueue) -> None:
    await queue.enqueue([message(message_type="first")])
    await queue.nack(await lease_one(queue), delay=60)
    await queue.wake("Order/1")
    assert await lease_all(queue) == []


async def test_a_lease_that_ran_out_cannot_be_parked(
    queue: MessageQueue, clock: ManualClock
) -> None:
    await queue.enqueue([message()])
    lease = await lease_one(queue)
    clock.advance(31)
    assert not await queue.park(lease, seconds=1_000)
    assert (await lease_one(queue)).attempt == 2


async def test_a_delayed_message_waits_and_does_not_hold_others_back(
    queue: MessageQueue, clock: ManualClock
) -> None:
    await queue.enqueue([message(message_type="later")], delay=60)
    assert await lease_all(queue) == []
    await queue.enqueue([message(message_type="now")])
    lease = await lease_one(queue)
    assert lease.message.message_type == "now"
    await queue.ack(lease)
    assert await lease_all(queue) == []
    clock.advance(60)
    assert (await lease_one(queue)).message.message_type == "later"


async def test_a_dead_letter_frees_its_mailbox(queue: MessageQueue) -> None:
    await queue.enqueue([message(message_type="bad"), message(message_type="good")])
    assert await queue.dead_letter(await lease_one(queue))
    assert (await lease_one(queue)).message.message_type == "good"
    assert (await queue.depth()).dead == 1


async def test_a_dead_letter_is_kept_whole_and_nothing_else_is_found_as_one(
    queue: MessageQueue, clock: ManualClock
) -> None:
    bad, handled, waiting = (message(f"Order/{n}", note="zażółć 🧶") for n in range(3))
    await queue.enqueue([bad, handled, waiting])
    leases = {lease.message.message_id: lease for lease in await lease_all(queue)}
    await queue.dead_letter(leases[bad.message_id])
    await queue.ack(leases[handled.message_id])
    # For as long as it takes somebody to look.
    clock.advance(20 * 86_400)
    assert await queue.dead(bad.message_id) == bad
    for other in (handled.message_id, waiting.message_id, "never was"):
        assert await queue.dead(other) is None
    assert await queue.enqueue([bad]) == [False]


async def test_depth_tells_ready_delayed_leased_and_dead(
    queue: MessageQueue, clock: ManualClock
) -> None:
    assert await queue.depth() == Depth(0, 0, 0, 0, None)
    enqueued_ns = int(clock.now * 1e6) * 1_000
    await queue.enqueue([message("Order/1"), message("Order/1"), message("Order/2")])
    await queue.enqueue([message("Order/3")], delay=100)
    assert await queue.depth() == Depth(3, 1, 0, 0, enqueued_ns)
    leases = await lease_all(queue)
    depth = await queue.depth()
    assert (depth.ready, depth.delayed, depth.leased) == (1, 1, 2)
    by_actor = {lease.message.actor_id: lease for lease in leases}
    await queue.nack(by_actor["Order/1"], delay=50)
    await queue.dead_letter(by_actor["Order/2"])
    depth = await queue.depth()
    assert (depth.delayed, depth.leased, depth.dead) == (2, 0, 1)
    clock.advance(100)
    assert (await queue.depth()).ready == 3


async def test_concurrent_consumers_never_share_an_actor(queue: MessageQueue) -> None:
    await queue.enqueue([message(f"Order/{n % 10}", f"m{n}") for n in range(200)])
    busy: set[str] = set()
    handled: dict[str, list[int]] = {}

    async def consume() -> None:
        while leases := await lease_all(queue, 3):
            for lease in leases:
                actor = lease.message.actor_id
                assert actor not in busy
                busy.add(actor)
                await asyncio.sleep(0)
                handled.setdefault(actor, []).append(int(lease.message.message_type[1:]))
                busy.remove(actor)
                assert await queue.ack(lease)

    await asyncio.gather(*(consume() for _ in range(8)))
    while (await queue.depth()).ready:
        await consume()
    assert sum(len(numbers) for numbers in handled.values()) == 200
    assert all(numbers == sorted(numbers) for numbers in handled.values())


async def test_waiting_ends_when_something_arrives(queue: MessageQueue) -> None:
    assert await lease_all(queue) == []
    waiting = asyncio.create_task(queue.wait(30, TYPES, limit=100, seconds=30))
    await asyncio.sleep(0)
    await queue.enqueue([message()])
    async with asyncio.timeout(5):
        leases = await waiting
    assert len(leases or await lease_all(queue)) == 1


async def test_what_waits_is_counted_without_what_is_under_way(queue: MessageQueue) -> None:
    assert await queue.waiting("Order/1") == 0
    await queue.enqueue([message(message_type=f"m{n}") for n in range(4)])
    await queue.enqueue([message("Order/2")])
    assert await queue.waiting("Order/1") == 4
    lease = await lease_one(queue)
    assert await queue.waiting("Order/1") == 3
    await queue.nack(lease, delay=60)
    assert await queue.waiting("Order/1") == 3
    assert await queue.waiting("Order/2") == 1


async def test_suspended_turns_are_found_by_actor_type(
    queue: MessageQueue, clock: ManualClock
) -> None:
    await queue.enqueue([message(f"Order/{n}") for n in range(3)])
    await queue.enqueue([message("Shipment/1"), message("Shipment/1")])
    assert await queue.parked("Order", limit=10) == []
    for lease in await lease_all(queue):
        if lease.message.actor_id != "Order/1":
            await queue.park(lease, seconds=60)
    assert await queue.parked("Order", limit=10) == ["Order/0", "Order/2"]
    assert await queue.parked("Order", limit=1) == ["Order/0"]
    assert await queue.waiting("Shipment/1") == 1
    clock.advance(61)
    leases = {lease.message.actor_id: lease for lease in await lease_all(queue)}
    # Under way again, and still the head of its mailbox.
    assert await queue.waiting("Shipment/1") == 1
    await queue.ack(leases["Shipment/1"])
    assert await queue.parked("Shipment", limit=10) == []
    assert await queue.waiting("Shipment/1") == 1


async def test_a_message_is_not_delivered_before_its_time_and_holds_no_other_back(
    queue: MessageQueue, clock: ManualClock
) -> None:
    due_ns = int((clock.now + 60) * 1e9)
    later = Message.new("Order/1", "later", {}, not_before_ns=due_ns)
    await queue.enqueue([later, message(message_type="now")])
    await queue.enqueue([Message.new("Order/2", "later", {}, not_before_ns=due_ns)], delay=90)
    lease = await lease_one(queue)
    assert lease.message.message_type == "now"
    await queue.ack(lease)
    assert await lease_all(queue) == []
    assert (await queue.depth()).delayed == 2
    clock.advance(60)
    assert (await lease_one(queue)).message == later
    clock.advance(29)
    assert [lease.message.actor_id for lease in await lease_all(queue)] == []
    clock.advance(1)
    assert "Order/2" in {lease.message.actor_id for lease in await lease_all(queue)}


async def test_a_paused_actor_is_not_leased_and_its_messages_keep_their_order(
    queue: MessageQueue,
) -> None:
    await queue.enqueue([message(message_type="m0"), message("Order/2", "other")])
    await queue.pause("Order/1")
    await queue.enqueue([message(message_type="m1"), message(message_type="m2")])
    assert await queue.paused("Order/1")
    assert not await queue.paused("Order/2")
    assert names(await lease_all(queue)) == {"other"}
    assert (await queue.waiting("Order/1"), (await queue.depth()).paused) == (3, 3)
    await queue.resume("Order/1")
    assert not await queue.paused("Order/1")
    order = []
    for _ in range(3):
        lease = await lease_one(queue)
        order.append(lease.message.message_type)
        await queue.ack(lease)
    assert order == ["m0", "m1", "m2"]


async def test_an_actor_without_messages_can_be_paused_and_resumed(queue: MessageQueue) -> None:
    await queue.resume("Order/1")
    await queue.pause("Order/1")
    await queue.pause("Order/1")
    assert await queue.paused("Order/1")
    assert await queue.depth() == Depth(0, 0, 0, 0, None)
    await queue.resume("Order/1")
    assert not await queue.paused("Order/1")
    await queue.pause("Order/1")
    await queue.enqueue([message()])
    assert await lease_all(queue) == []
    await queue.resume("Order/1")
    assert await queue.ack(await lease_one(queue))


async def test_a_leased_message_of_a_paused_actor_can_be_settled_and_it_stays_paused(
    queue: MessageQueue, clock: ManualClock
) -> None:
    await queue.enqueue([message(message_type=f"m{n}") for n in range(3)])
    lease = await lease_one(queue)
    await queue.pause("Order/1")
    depth = await queue.depth()
    assert (depth.leased, depth.paused, depth.ready, depth.delayed) == (1, 2, 0, 0)
    assert await queue.extend([lease], seconds=30) == [True]
    assert await queue.ack(lease)
    assert await lease_all(queue) == []
    await queue.resume("Order/1")
    second = await lease_one(queue)
    await queue.pause("Order/1")
    assert await queue.park(second, seconds=10)
    await queue.wake("Order/1")
    clock.advance(3_600)
    assert await lease_all(queue) == []
    await queue.resume("Order/1")
    again = await lease_one(queue)
    assert again.message == second.message
    await queue.ack(again)
    last = await lease_one(queue)
    await queue.pause("Order/1")
    await queue.ack(last)
    assert await queue.paused("Order/1")


async def test_a_lease_that_runs_out_while_its_actor_is_paused_waits_for_it(
    queue: MessageQueue, clock: ManualClock
) -> None:
    await queue.enqueue([message()])
    lost = await lease_one(queue)
    await queue.pause("Order/1")
    clock.advance(31)
    assert not await queue.ack(lost)
    assert await lease_all(queue) == []
    await queue.resume("Order/1")
    assert (await lease_one(queue)).attempt == 2


async def states(queue: MessageQueue, actor_type: str = "Order") -> dict[str, MailboxState]:
    return {box.actor_id: box.state for box in await queue.mailboxes(actor_type, limit=100)}


async def one_of_each(queue: MessageQueue, clock: ManualClock) -> None:
    """Leave a mailbox in every state, named after it, and one whose only message is delayed."""
    await queue.enqueue([message("Order/later")], delay=1_000)
    for state in MailboxState:
        if state is MailboxState.WAITING:
            continue
        clock.advance(1)
        await queue.enqueue([message(f"Order/{state}")])
        lease = await lease_one(queue)
        if state is MailboxState.RETRYING:
            await queue.nack(lease, delay=500)
        elif state is not MailboxState.RUNNING:
            await queue.park(lease, seconds=400)
    await queue.pause("Order/paused")
    clock.advance(1)
    await queue.enqueue([message("Order/waiting", "first"), message("Order/waiting")])


async def test_a_mailbox_tells_what_it_waits_for(queue: MessageQueue, clock: ManualClock) -> None:
    begin = int(clock.now * 1e6)
    await one_of_each(queue, clock)
    found = {box.actor_id: box for box in await queue.mailboxes("Order", limit=100)}
    heads = {id: box.head.message_type for id, box in found.items() if box.head is not None}
    assert heads.pop("Order/waiting") == "first"
    assert set(heads) == {f"Order/{state}" for state in MailboxState} - {"Order/waiting"}

    def second(n: float) -> int:
        return begin + int(n * 1e6)

    assert {
        id.removeprefix("Order/"): (
            *(box.state, box.attempts, box.next_at_us, box.since_us, box.behind),
        )
        for id, box in found.items()
    } == {
        "later": (MailboxState.WAITING, 0, None, None, 1),
        "running": (MailboxState.RUNNING, 1, second(31), second(1), 0),
        "retrying": (MailboxState.RETRYING, 1, second(502), second(2), 0),
        "suspended": (MailboxState.SUSPENDED, 0, second(403), second(3), 0),
        "paused": (MailboxState.PAUSED, 0, second(404), second(4), 0),
        "waiting": (MailboxState.WAITING, 0, second(5), second(5), 1),
    }


async def test_a_mailbox_is_in_the_state_that_it_was_brought_into(
    queue: MessageQueue, clock: ManualClock
) -> None:
    async def state() -> MailboxState | None:
        return (await states(queue)).get("Order/1")

    await queue.enqueue([message(), message(message_type="next")])
    assert await state() is MailboxState.WAITING
    lease = await lease_one(queue)
    assert await state() is MailboxState.RUNNING
    # Handed back without fault, as by a worker that is stopped.
    await queue.nack(lease, count=False)
    assert await state() is MailboxState.WAITING
    await queue.park(await lease_one(queue), seconds=60)
    assert await state() is MailboxState.SUSPENDED
    await queue.wake("Order/1")
    await queue.nack(await lease_one(queue), delay=10, count=False)
    assert await state() is MailboxState.SUSPENDED
    clock.advance(10)
    await queue.nack(await lease_one(queue), delay=10)
    assert await state() is MailboxState.RETRYING
    clock.advance(10)
    # Due, and nobody takes it.
    assert await state() is MailboxState.RETRYING
    lease = await lease_one(queue)
    clock.advance(31)
    # Its worker is gone, and no other has taken it over.
    assert await state() is MailboxState.RUNNING
    lease = await lease_one(queue)
    await queue.park(lease, seconds=60)
    assert await state() is MailboxState.SUSPENDED
    await queue.pause("Order/1")
    assert await state() is MailboxState.PAUSED
    await queue.resume("Order/1")
    await queue.wake("Order/1")
    await queue.ack(await lease_one(queue))
    assert await state() is MailboxState.WAITING
    await queue.dead_letter(await lease_one(queue))
    assert await state() is None
    await queue.pause("Order/1")
    assert await queue.mailboxes("Order", limit=1) == [
        Mailbox("Order/1", MailboxState.PAUSED, None, 0, None, None, 0)
    ]


async def test_mailboxes_are_listed_by_actor_id_page_by_page(
    queue: MessageQueue, clock: ManualClock
) -> None:
    await queue.enqueue([message(f"Order/{key}") for key in ("b2", "b1", "a", "b3", "c%", "B")])
    await queue.enqueue([message("Order2/b9"), message("Ord/b9"), message("Shipment/b1")])

    async def ids(**narrowed: Any) -> list[str]:
        found = await queue.mailboxes("Order", **{"limit": 100, **narrowed})
        return [box.actor_id.removeprefix("Order/") for box in found]

    assert await ids() == ["B", "a", "b1", "b2", "b3", "c%"]
    assert await ids(limit=2) == ["B", "a"]
    assert await ids(limit=2, after="Order/a") == ["b1", "b2"]
    assert await ids(prefix="b") == ["b1", "b2", "b3"]
    assert await ids(prefix="b", after="Order/b1", limit=1) == ["b2"]
    assert await ids(prefix="b", after="Order/a") == ["b1", "b2", "b3"]
    assert await ids(prefix="%") == await ids(prefix="_") == []
    for lease in await lease_all(queue):
        if lease.message.actor_id in ("Order/b1", "Order/b3", "Order/B"):
            await queue.park(lease, seconds=60)
    suspended = MailboxState.SUSPENDED
    assert await ids(state=suspended) == ["B", "b1", "b3"]
    assert await ids(state=suspended, prefix="b", limit=1) == ["b1"]
    assert await ids(state=suspended, prefix="b", after="Order/b1") == ["b3"]
    assert await ids(state=MailboxState.RETRYING) == []


async def test_the_oldest_of_a_state_are_found_across_types(
    queue: MessageQueue, clock: ManualClock
) -> None:
    leases = []
    for actor in ("Order/z", "Shipment/y", "Order/x"):
        await queue.enqueue([message(actor)])
        leases.append(await lease_one(queue))
        clock.advance(1)

    async def ids(state: MailboxState, limit: int = 100) -> list[str]:
        return [box.actor_id for box in await queue.oldest(state, limit=limit)]

    assert await ids(MailboxState.RUNNING) == ["Order/z", "Shipment/y", "Order/x"]
    for lease in reversed(leases):
        await queue.nack(lease, delay=5)
        clock.advance(1)
    assert await ids(MailboxState.RUNNING) == []
    # What counts is the age of the message, not of its last attempt.
    assert await ids(MailboxState.RETRYING) == ["Order/z", "Shipment/y", "Order/x"]
    assert await ids(MailboxState.RETRYING, 2) == ["Order/z", "Shipment/y"]
    await queue.enqueue([message("Order/z", "next")])
    clock.advance(5)
    for lease in await lease_all(queue):
        await queue.ack(lease)
    assert await ids(MailboxState.RETRYING) == []
    assert await ids(MailboxState.WAITING) == ["Order/z"]


async def test_mailboxes_and_messages_are_counted_by_type(
    queue: MessageQueue, clock: ManualClock
) -> None:
    assert await queue.tally() == []
    await one_of_each(queue, clock)
    await queue.enqueue([message("Other/1"), message("Other/1"), message("Other/2")])
    counts = dict.fromkeys(MailboxState, 1)
    assert await queue.tally() == [
        Tally("Order", {**counts, MailboxState.WAITING: 2}, 7),
        Tally("Other", {MailboxState.WAITING: 2}, 3),
    ]


async def test_waiting_messages_are_seen_in_the_order_of_their_turns(
    queue: MessageQueue, clock: ManualClock
) -> None:
    assert await queue.peek("Order/1", limit=10) == []
    await queue.enqueue([message(message_type=f"m{n}") for n in range(3)])
    await queue.enqueue([message(message_type="later")], delay=60)
    await queue.park(await lease_one(queue), seconds=60)
    await queue.enqueue([Message.new("Order/1", "urgent", {}, priority=-1), message("Order/2")])

    async def types(limit: int = 10) -> list[str]:
        return [found.message_type for found in await queue.peek("Order/1", limit=limit)]

    assert await types() == ["m0", "urgent", "m1", "m2"]
    assert await types(2) == ["m0", "urgent"]
    assert await types(1) == ["m0"]
    clock.advance(61)
    assert await types() == ["m0", "urgent", "m1", "m2", "later"]
