"""The queue in Redis where it differs from the others: a server that may be gone, or elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from actors import Actor, Depth, Lease, Message, handler
from actors.locks.redis import RedisLocks
from actors.queues.redis import RedisQueue
from actors.redis_server import RedisServer
from actors.state import REMEMBERED_MESSAGES
from storage import StorageError, Unavailable
from tests.actors.world import World
from tests.builders import message
from tests.conftest import ManualClock
from tests.cosmos_server import free_port
from tests.redis_server import lossy, start_redis

TYPES = ("Order",)


@asynccontextmanager
async def reached(
    url: str, name: str | None = None, clock: Callable[[], float] | None = None
) -> AsyncIterator[RedisServer]:
    """Connect as a process of its own would."""
    server = RedisServer(url, name=name or uuid4().hex, clock=clock, timeout=2)
    try:
        yield server
    finally:
        await server.close()


@asynccontextmanager
async def opened(
    url: str, name: str | None = None, clock: Callable[[], float] | None = None
) -> AsyncIterator[RedisQueue]:
    """Open a queue as a process of its own would."""
    async with reached(url, name, clock) as server:
        queue = RedisQueue(server)
        yield queue
        await queue.close()


async def lease_one(queue: RedisQueue) -> Lease:
    (lease,) = await queue.lease(TYPES, limit=1, seconds=30)
    return lease


async def test_a_call_whose_answer_was_lost_is_repeated_and_answers_the_same(
    redis_url: str,
) -> None:
    async with lossy(redis_url) as proxy, opened(proxy.url) as queue:

        async def handled_with_losses() -> None:
            sent = [message("Order/1", "first"), message("Order/1", "second")]
            proxy.lose = 1
            assert await queue.enqueue(sent) == [True, True]
            proxy.lose = 1
            assert await queue.enqueue(sent) == [False, False]
            proxy.lose = 1
            lease = await lease_one(queue)
            assert (lease.message, lease.attempt) == (sent[0], 1)
            proxy.lose = 1
            assert await queue.extend([lease], seconds=30) == [True]
            proxy.lose = 1
            assert await queue.nack(lease)
            assert not await queue.ack(lease)
            lease = await lease_one(queue)
            assert lease.attempt == 2
            proxy.lose = 1
            assert await queue.park(lease, seconds=60)
            proxy.lose = 1
            await queue.wake("Order/1")
            lease = await lease_one(queue)
            assert lease.attempt == 2
            proxy.lose = 1
            assert await queue.ack(lease)
            assert not await queue.nack(lease)
            lease = await lease_one(queue)
            proxy.lose = 1
            assert await queue.dead_letter(lease)
            assert not await queue.ack(lease)
            assert proxy.lose == 0

        # The first time some answers are those of a server that is told a script.
        await handled_with_losses()
        await handled_with_losses()
        assert await queue.depth() == Depth(0, 0, 0, 2, None)


async def test_leases_that_were_given_and_never_heard_of_are_found_by_the_next_call(
    redis_url: str,
) -> None:
    async with lossy(redis_url) as proxy, opened(proxy.url) as queue:
        sent = [message(f"Order/{n}") for n in range(3)]
        await queue.enqueue(sent)
        assert await queue.lease(TYPES, limit=10, seconds=0.001)
        await asyncio.sleep(0.01)
        proxy.lose = 2
        with pytest.raises(Unavailable):
            await queue.lease(TYPES, limit=2, seconds=30)
        found = await queue.lease(TYPES, limit=2, seconds=30)
        assert [lease.attempt for lease in found] == [2, 2]
        assert (await queue.depth()).leased == 2
        assert all([await queue.ack(lease) for lease in found])
        assert (await lease_one(queue)).attempt == 2


async def test_a_server_that_is_gone_is_unavailable_and_used_again_when_it_is_back(
    tmp_path: Path,
) -> None:
    port = free_port()
    url = f"redis://127.0.0.1:{port}"
    async with opened(url) as queue, reached(url) as server:
        locks = RedisLocks(server)
        with pytest.raises(Unavailable, match="does not answer"):
            await queue.enqueue([message()])
        durable = ("--appendonly", "yes", "--appendfsync", "always")
        process = start_redis(tmp_path, port, *durable)
        try:
            sent = [message(f"Order/{n}") for n in range(20)]
            await queue.enqueue(sent)
            lease = await lease_one(queue)
            assert await locks.acquire("Order/1", "me", 30)
            process.kill()
            process.wait()
            for call in (
                queue.depth(),
                queue.ack(lease),
                queue.waiting("Order/1"),
                queue.lease(TYPES, limit=1, seconds=30),
                locks.renew(["Order/1"], "me", 30),
            ):
                with pytest.raises(Unavailable):
                    await call
            process = start_redis(tmp_path, port, *durable)
            # Everything that was acknowledged before the kill is there.
            assert await queue.ack(lease)
            assert (await queue.depth()).ready == 19
            assert await locks.renew(["Order/1"], "me", 30) == [True]
        finally:
            process.kill()
            process.wait()


async def depth_if_any(queue: RedisQueue) -> Depth | None:
    try:
        return await queue.depth()
    except Unavailable:
        return None


async def test_the_first_call_after_a_restart_is_answered(tmp_path: Path) -> None:
    port = free_port()
    process = start_redis(tmp_path, port)
    try:
        async with opened(f"redis://127.0.0.1:{port}") as queue:
            # As many connections as there are calls at once.
            await asyncio.gather(*(queue.enqueue([message()]) for _ in range(8)))
            process.kill()
            process.wait()
            process = start_redis(tmp_path, port)
            assert (await queue.depth()).ready == 0
            assert await queue.enqueue([message()]) == [True]
    finally:
        process.kill()
        process.wait()


class Counter(Actor):
    @handler
    async def add(self, payload: dict[str, Any]) -> None:
        self.update_state(total=self.state.get("total", 0) + 1)
        self.send("Total/all", "add", {})


class Total(Actor):
    @handler
    async def add(self, payload: dict[str, Any]) -> None:
        self.update_state(total=self.state.get("total", 0) + 1)


async def test_a_server_that_comes_back_with_an_old_copy_has_nothing_done_twice(
    tmp_path: Path,
) -> None:
    port = free_port()
    process = start_redis(tmp_path, port)
    url = f"redis://127.0.0.1:{port}"
    # More than an actor in memory knows by heart.
    sent = 1 + REMEMBERED_MESSAGES
    try:
        async with opened(url) as queue, Redis.from_url(url) as admin:
            world = World(traced=False)
            world.queue = queue  # type: ignore[assignment]
            world.runtime = world.new_runtime()
            for _ in range(sent):
                await world.send("Counter/1", "add")
            # Before any was leased, so that all are offered as if for the first time.
            await queue.pause("Counter/1")
            await admin.save()
            copy = (tmp_path / "dump.rdb").read_bytes()
            await queue.resume("Counter/1")
            async with world.serve(Counter, Total):
                await world.settled()
                process.kill()
                process.wait()
                (tmp_path / "dump.rdb").write_bytes(copy)
                process = start_redis(tmp_path, port)
                async with asyncio.timeout(20):
                    while await depth_if_any(queue) != Depth(0, 0, 0, 0, None, sent):
                        await asyncio.sleep(0.01)
                await queue.resume("Counter/1")
                await world.settled()
            for actor in ("Counter/1", "Total/all"):
                assert (await world.state(actor))["total"] == sent
            # Sent again by somebody in doubt, to a server that has forgotten all of it.
            await admin.connection_pool.disconnect()
            await admin.flushall()
            async with world.serve(Counter, Total):
                page = await world.archived.changes(limit=10 * sent)
                found = [Message.from_document(document.body) for document in page.documents]
                assert await queue.enqueue(found) == [True] * 2 * sent
                await world.settled()
            for actor in ("Counter/1", "Total/all"):
                assert (await world.state(actor))["total"] == sent
    finally:
        process.kill()
        process.wait()


async def test_a_server_that_cannot_write_is_unavailable_and_nothing_is_half_done(
    tmp_path: Path,
) -> None:
    port = free_port()
    process = start_redis(tmp_path, port)
    url = f"redis://127.0.0.1:{port}"
    try:
        async with opened(url) as queue, Redis.from_url(url) as admin:
            first, second = message("Order/1"), message("Order/2")
            await queue.enqueue([first])
            await admin.execute_command("REPLICAOF", "127.0.0.1", free_port())
            with pytest.raises(Unavailable):
                await queue.enqueue([second])
            await admin.execute_command("REPLICAOF", "NO", "ONE")
            await admin.config_set("maxmemory", 1)
            with pytest.raises(Unavailable):
                await queue.enqueue([second])
            await admin.config_set("maxmemory", 0)
            assert await queue.depth() == Depth(1, 0, 0, 0, (await queue.depth()).oldest_ready_ns)
            assert await queue.enqueue([second]) == [True]
            await admin.set("{odd}:box:Order/1", "not a mailbox")
        async with opened(url, "odd") as queue:
            with pytest.raises(StorageError, match="WRONGTYPE"):
                await queue.enqueue([message("Order/1")])
    finally:
        process.kill()
        process.wait()


async def test_whoever_waits_elsewhere_is_told(redis_url: str) -> None:
    name = uuid4().hex
    async with opened(redis_url, name) as here, opened(redis_url, name) as there:

        async def handle(number: int) -> None:
            leases: list[Lease] = []
            while not leases:
                leases = await there.lease(TYPES, limit=1, seconds=30)
                if not leases:
                    # Within a worker it is a second; here nothing but a notice ends it in time.
                    await there.wait(60, TYPES, limit=1, seconds=30)
            assert leases[0].message.message_type == f"m{number}"
            await there.ack(leases[0])

        async with asyncio.timeout(20):
            for number in range(5):
                handling = asyncio.create_task(handle(number))
                await asyncio.sleep(0.02)
                await here.enqueue([message(message_type=f"m{number}")], delay=0.05 * (number % 2))
                await handling


async def test_a_listener_comes_back_after_its_connection_broke(redis_url: str) -> None:
    name = uuid4().hex
    async with (
        lossy(redis_url) as proxy,
        opened(redis_url, name) as here,
        opened(proxy.url, name) as there,
    ):
        await there.wait(0.2, TYPES, limit=1, seconds=30)
        await proxy.close()
        await proxy.listen()
        # Whatever was told meanwhile is not: it looks once when it listens again.
        await here.enqueue([message()])
        async with asyncio.timeout(20):
            while not await there.lease(TYPES, limit=1, seconds=30):
                await there.wait(60, TYPES, limit=1, seconds=30)


async def test_nothing_is_left_of_what_was_handled_but_its_ids_for_a_day(
    redis_url: str, clock: ManualClock
) -> None:
    name = uuid4().hex
    async with opened(redis_url, name, clock) as queue, Redis.from_url(redis_url) as admin:
        sent = [message(f"Order/{n % 3}", f"m{n}") for n in range(9)]
        await queue.enqueue(sent, delay=5)
        await queue.pause("Order/1")
        await queue.pause("Order/idle")
        await queue.resume("Order/idle")
        clock.advance(6)
        await queue.resume("Order/1")
        handled = 0
        while leases := await queue.lease(TYPES, limit=2, seconds=30):
            for turn, lease in enumerate(leases):
                if lease.attempt == 1 and turn:
                    await queue.nack(lease)
                elif lease.wakes == 0 and handled % 4 == 0:
                    await queue.park(lease, seconds=100)
                    await queue.wake(lease.message.actor_id)
                    handled += 1
                else:
                    handled += await queue.ack(lease)
        left = {key.decode() async for key in admin.scan_iter(f"{{{name}}}*")}
        ids = {f"{{{name}}}:id:{one.message_id}" for one in sent}
        assert left == {*ids, f"{{{name}}}:seq", f"{{{name}}}:count"}
        assert await admin.get(f"{{{name}}}:count") == b"0"
        assert all([0 < await admin.ttl(key) <= 24 * 3600 for key in ids])


async def test_old_dead_letters_go(redis_url: str, clock: ManualClock) -> None:
    async with opened(redis_url, clock=clock) as queue:
        old = message("Order/1")
        await queue.enqueue([old])
        await queue.dead_letter(await lease_one(queue))
        clock.advance(29 * 24 * 3600)
        assert await queue.enqueue([old]) == [False]
        await queue.enqueue([message("Order/2")])
        clock.advance(2 * 24 * 3600)
        await queue.dead_letter(await lease_one(queue))
        assert (await queue.depth()).dead == 1
        assert await queue.enqueue([old]) == [True]


async def test_all_of_a_queue_is_in_one_slot_of_a_cluster(tmp_path: Path) -> None:
    port = free_port()
    # The bus would be at the port and 10,000 more, which need not be a port.
    bus = ("--cluster-port", str(free_port()))
    process = start_redis(tmp_path, port, "--cluster-enabled", "yes", *bus)
    url = f"redis://127.0.0.1:{port}"
    try:
        async with Redis.from_url(url) as admin, opened(url) as queue, reached(url) as server:
            await admin.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16_383)
            async with asyncio.timeout(20):
                while b"cluster_state:ok" not in await admin.execute_command("CLUSTER", "INFO"):
                    await asyncio.sleep(0.05)
            await queue.enqueue([message(f"Order/{n % 2}", f"m{n}") for n in range(4)], delay=0.001)
            await asyncio.sleep(0.002)
            leases = await queue.lease(TYPES, limit=2, seconds=30)
            assert len(leases) == 2
            await queue.park(leases[0], seconds=60)
            await queue.pause("Order/0")
            await queue.dead_letter(leases[1])
            assert (await queue.depth()).dead == 1
            assert await RedisLocks(server).acquire("Order/1", "me", 30)
    finally:
        process.kill()
        process.wait()
