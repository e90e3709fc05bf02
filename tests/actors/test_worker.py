"""Handling messages: order, retries, dead letters, duplicates, children, drains."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from actors import (
    ActivityFailed,
    Actor,
    EntryType,
    Message,
    NonRetryable,
    RetryPolicy,
    activity,
    handler,
)
from storage import Unavailable
from tests.actors.world import Calls, World

calls = Calls()


@pytest.fixture(autouse=True)
def fresh() -> None:
    calls.seen.clear()


@dataclass(frozen=True)
class Amount:
    amount: int


class Boom(Exception):
    pass


class Hopeless(NonRetryable):
    pass


@activity
async def charge(amount: int, idempotency_key: str) -> dict[str, Any]:
    calls(f"charge {idempotency_key}")
    return {"charged": amount}


@activity(retry_policy=RetryPolicy(max_retries=2, initial_delay=0.001, max_delay=0.001))
def flaky_in_a_thread(fail: int) -> int:
    if calls("flaky") <= fail:
        raise Boom("not yet")
    return 7


class Account(Actor):
    @handler
    async def deposit(self, row: Amount) -> None:
        self.update_state(balance=self.state.get("balance", 0) + row.amount)

    @handler
    async def slow_deposit(self, row: Amount) -> None:
        before = self.state.get("balance", 0)
        calls("slow")
        await asyncio.sleep(0.01)
        self.update_state(balance=before + row.amount)

    @handler
    async def fails(self, payload: dict[str, int]) -> None:
        self.update_state(half=True)
        if calls("fails") <= payload["times"]:
            raise Boom(f"attempt {len(calls.seen)}")
        self.update_state(done=True)

    @handler
    async def hopeless(self, payload: dict[str, Any]) -> None:
        self.update_state(half=True)
        raise Hopeless("no use")

    @handler
    async def pay_then_fail(self, row: Amount) -> None:
        result = await self.call_activity(charge, amount=row.amount)
        if calls("turn") == 1:
            raise Boom("after the activity")
        self.update_state(**result)

    @handler
    async def flaky(self, payload: dict[str, int]) -> None:
        self.update_state(result=await self.call_activity(flaky_in_a_thread, fail=payload["fail"]))

    @handler
    async def catches(self, payload: dict[str, Any]) -> None:
        try:
            await self.call_activity(flaky_in_a_thread, fail=99)
        except ActivityFailed as error:
            self.update_state(caught=error.error_type)

    @handler
    async def mutates(self, payload: dict[str, Any]) -> None:
        self.state.setdefault("balance", 0)  # type: ignore[attr-defined]

    @handler
    async def forwards(self, payload: dict[str, Any]) -> None:
        self.send("Account/other", "deposit", {"amount": 5})
        self.update_state(child=self.spawn(Child, "start", {"from": self.key}))

    @handler(message_type="renamed.type")
    async def renamed(self, payload: dict[str, Any]) -> None:
        self.update_state(renamed=True)


class Child(Actor):
    @handler
    async def start(self, payload: dict[str, Any]) -> None:
        self.update_state(parent=self.sender, **payload)


async def test_messages_of_an_actor_are_handled_one_at_a_time_in_order() -> None:
    world = World()
    for _ in range(20):
        await world.send("Account/1", "slow_deposit", {"amount": 1})
        await world.send("Account/2", "slow_deposit", {"amount": 2})
    async with world.serve(Account), world.serve(Account, runtime=world.new_runtime()):
        await world.settled()
    assert (await world.state("Account/1"))["balance"] == 20
    assert (await world.state("Account/2"))["balance"] == 40


async def test_different_actors_are_handled_at_the_same_time() -> None:
    world = World()
    inside, most = 0, 0

    class Busy(Actor):
        @handler
        async def work(self, payload: dict[str, Any]) -> None:
            nonlocal inside, most
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.02)
            inside -= 1

    for n in range(10):
        await world.send(f"Busy/{n}", "work")
    async with world.serve(Busy, concurrency=8):
        await world.settled()
    assert most == 8


async def test_a_failed_attempt_leaves_no_state_and_the_message_recovers() -> None:
    world = World()
    sent = await world.send("Account/1", "fails", {"times": 2})
    await world.send("Account/1", "deposit", {"amount": 1})
    async with world.serve(Account):
        await world.settled()
    assert await world.state("Account/1") == {"half": True, "done": True, "balance": 1}
    types = await world.types(sent)
    assert types.count("message:failed") == types.count("message:retried") == 2
    assert types[-2:] == ["message:completed", "lock:released"]


async def test_a_message_that_keeps_failing_becomes_a_dead_letter_and_frees_its_actor() -> None:
    world = World()
    sent = await world.send("Account/1", "fails", {"times": 99})
    await world.send("Account/1", "deposit", {"amount": 1})
    async with world.serve(Account):
        await world.settled()
    assert await world.state("Account/1") == {"balance": 1}
    letter = (await world.dead_letters.read(sent.message_id, "Account/1")).body
    assert (letter["errorType"], letter["attempts"]) == ("Boom", 3)
    assert letter["traceId"] == (sent.trace.trace_id if sent.trace else None)
    assert (await world.queue.depth()).dead == 1
    assert "message:dead_lettered" in await world.types(sent)


async def test_a_non_retryable_failure_is_not_tried_again() -> None:
    world = World()
    sent = await world.send("Account/1", "hopeless")
    async with world.serve(Account):
        await world.settled()
    assert (await world.types(sent)).count("message:started") == 1
    records = await world.store.of_message("Account/1", sent.message_id)
    (entry,) = records[-1].entries
    assert (entry.type, entry.data["final"]) == (EntryType.TURN_FAILED, True)
    assert entry.data["error"]["message"] == "no use"


@pytest.mark.parametrize(
    ("message_type", "payload", "error"),
    [
        ("nothing", {}, "UnknownMessageType"),
        ("deposit", {"amount": "many"}, "InvalidPayload"),
        ("deposit", {}, "InvalidPayload"),
        ("mutates", {}, "StateMutated"),
    ],
)
async def test_a_message_that_can_never_be_handled_is_given_up_at_once(
    message_type: str, payload: dict[str, Any], error: str
) -> None:
    world = World()
    sent = await world.send("Account/1", message_type, payload)
    async with world.serve(Account):
        await world.settled()
    letter = (await world.dead_letters.read(sent.message_id, "Account/1")).body
    assert (letter["errorType"], letter["attempts"]) == (error, 1)
    assert await world.state("Account/1") == {}


async def test_an_activity_of_a_failed_attempt_is_answered_from_the_journal() -> None:
    world = World()
    await world.send("Account/1", "pay_then_fail", {"amount": 5})
    async with world.serve(Account):
        await world.settled()
    assert await world.state("Account/1") == {"charged": 5}
    assert len([name for name in calls.seen if name.startswith("charge")]) == 1


async def test_an_activity_is_retried_within_its_turn() -> None:
    world = World()
    sent = await world.send("Account/1", "flaky", {"fail": 2})
    async with world.serve(Account):
        await world.settled()
    assert await world.state("Account/1") == {"result": 7}
    types = await world.types()
    assert types.count("activity:started") == 3
    assert types.count("activity:retried") == 2
    assert types.count("activity:completed") == 1
    assert (await world.types(sent)).count("message:started") == 1


async def test_a_handler_may_catch_an_activity_that_failed_for_good() -> None:
    world = World()
    await world.send("Account/1", "catches")
    async with world.serve(Account):
        await world.settled()
    assert await world.state("Account/1") == {"caught": "Boom"}
    assert "activity:failed" in await world.types()


async def test_sends_and_children_go_out_when_the_turn_has_completed() -> None:
    world = World()
    await world.send("Account/1", "forwards")
    async with world.serve(Account, Child):
        await world.settled()
    child = (await world.state("Account/1"))["child"]
    assert await world.state(child) == {"parent": "Account/1", "from": "1"}
    assert await world.state("Account/other") == {"balance": 5}
    events = await world.events()
    spawned = next(e for e in events if e.type == "child:spawned")
    started = next(e for e in events if e.type == "message:started" and e.actor == child)
    assert started.parent_span_id == spawned.span_id
    assert {e.trace_id for e in events} == {spawned.trace_id}


async def test_a_handler_may_have_another_message_type_than_its_name() -> None:
    world = World()
    await world.send("Account/1", "renamed.type")
    async with world.serve(Account):
        await world.settled()
    assert await world.state("Account/1") == {"renamed": True}


async def test_a_message_that_was_handled_before_is_not_handled_again() -> None:
    world = World()
    sent = await world.send("Account/1", "forwards")
    async with world.serve(Account, Child):
        await world.settled()
    before = (await world.state("Account/1"), await world.state("Account/other"))
    # As after a lost ack: the queue forgot that it was handled, the journal did not.
    world.queue = type(world.queue)()
    world.runtime = world.new_runtime()
    await world.queue.enqueue([sent])
    async with world.serve(Account, Child):
        await world.settled()
    assert (await world.state("Account/1"), await world.state("Account/other")) == before
    assert "message:duplicate" in await world.types(sent)


async def test_a_stale_owner_cannot_commit() -> None:
    world = World()
    stale = world.new_runtime()
    await stale.activate("Account/1")
    await world.send("Account/1", "deposit", {"amount": 1})
    async with world.serve(Account):
        await world.settled()
    # The other process still believes that the actor is new.
    sent = await world.send("Account/1", "deposit", {"amount": 10})
    async with world.serve(Account, runtime=stale) as worker:
        await world.settled()
        assert worker.stats().abandoned == 1
    assert await world.state("Account/1") == {"balance": 11}
    types = await world.types(sent)
    assert types.count("lock:lost") == 1
    assert types.count("message:completed") == 1
    lost = [e for e in await world.events() if e.type == "lock:lost"]
    assert not any(
        ref.kind.value in ("journal_entry", "actor_state") for e in lost for ref in e.refs
    )


async def test_a_message_whose_actor_another_worker_locks_is_handed_back_uncounted() -> None:
    world = World()
    await world.locks.acquire("Account/1", "someone", 0.3)
    sent = await world.send("Account/1", "deposit", {"amount": 1})
    async with world.serve(Account):
        await world.settled()
    types = await world.types(sent)
    assert "lock:blocked" in types
    completed = next(e for e in await world.events() if e.type == "message:completed")
    assert completed.attempt == 1


async def test_a_message_that_kills_every_worker_becomes_a_dead_letter_unrun() -> None:
    world = World()
    sent = await world.send("Account/1", "deposit", {"amount": 1})
    for _ in range(3):
        await world.queue.lease(("Account",), limit=1, seconds=0.001)
        await asyncio.sleep(0.005)
    async with world.serve(Account):
        await world.settled()
    letter = (await world.dead_letters.read(sent.message_id, "Account/1")).body
    assert letter["errorType"] == "WorkerLost"
    assert letter["fingerprint"]
    assert await world.state("Account/1") == {}
    (record,) = await world.store.of_message("Account/1", sent.message_id)
    assert record.index == letter["journalIndex"]
    assert record.entries[-1].data["error"]["type"] == "WorkerLost"


async def test_a_message_that_kills_its_workers_leaves_no_open_turn_and_snapshots_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("actors.runtime.SNAPSHOT_EVERY", 5)
    world = World()

    class Deadly(Actor):
        @handler
        async def die(self, payload: dict[str, Any]) -> None:
            await self.call_activity(charge, amount=1)
            raise asyncio.CancelledError

        @handler
        async def live(self, payload: dict[str, Any]) -> None:
            self.update_state(n=self.state.get("n", 0) + 1)

    sent = await world.send("Deadly/1", "die")
    async with world.serve(Deadly):
        async with asyncio.timeout(5):
            while not (await world.store.load("Deadly/1")).open_turns:
                await asyncio.sleep(0.001)
    for _ in range(3):
        await world.queue.lease(("Deadly",), limit=1, seconds=0.001)
        await asyncio.sleep(0.005)
    for _ in range(10):
        await world.send("Deadly/1", "live")
    async with world.serve(Deadly, runtime=world.new_runtime()):
        await world.settled()
    fold = await world.store.load("Deadly/1")
    assert fold.open_turns == {}
    assert fold.data == {"n": 10}
    assert fold.snapshot_version > 0
    (letter,) = (await world.dead_letters.changes()).documents
    assert letter.body["id"] == sent.message_id


async def test_a_worker_that_is_stopped_leases_nothing_more() -> None:
    world = World()
    for _ in range(3):
        await world.send("Account/1", "slow_deposit", {"amount": 1})
    async with world.serve(Account):
        async with asyncio.timeout(5):
            while not calls.seen:
                await asyncio.sleep(0.001)
    assert await world.state("Account/1") == {"balance": 1}
    assert (await world.queue.depth()).ready == 2


async def test_stopping_lets_running_turns_finish() -> None:
    world = World()
    await world.send("Account/1", "slow_deposit", {"amount": 1})
    async with world.serve(Account):
        async with asyncio.timeout(5):
            while not calls.seen:
                await asyncio.sleep(0.001)
    assert await world.state("Account/1") == {"balance": 1}


async def test_a_turn_that_outlasts_the_grace_time_is_handed_back_uncounted() -> None:
    world = World()
    started = asyncio.Event()

    class Endless(Actor):
        @handler
        async def work(self, payload: dict[str, Any]) -> None:
            started.set()
            await asyncio.sleep(3_600)

    await world.send("Endless/1", "work")
    async with world.serve(Endless, grace_seconds=0.02):
        await started.wait()
    (lease,) = await world.queue.lease(("Endless",), limit=1, seconds=5)
    assert lease.attempt == 1
    assert await world.state("Endless/1") == {}


async def test_a_turn_whose_lease_is_lost_is_cancelled() -> None:
    world = World()
    cancelled = asyncio.Event()

    class Endless(Actor):
        @handler
        async def work(self, payload: dict[str, Any]) -> None:
            try:
                await asyncio.sleep(3_600)
            except asyncio.CancelledError:
                cancelled.set()
                raise

    async def refuse(leases: Any, *, seconds: float) -> list[bool]:
        return [False for _ in leases]

    await world.send("Endless/1", "work")
    world.queue.extend = refuse  # type: ignore[method-assign]
    async with world.serve(Endless, lease_seconds=0.06, grace_seconds=0):
        async with asyncio.timeout(5):
            await cancelled.wait()


async def test_a_turn_whose_lease_is_lost_is_cancelled_whether_or_not_locks_can_be_renewed() -> (
    None
):
    world = World()
    cancelled = asyncio.Event()

    class Endless(Actor):
        @handler
        async def work(self, payload: dict[str, Any]) -> None:
            try:
                await asyncio.sleep(3_600)
            except asyncio.CancelledError:
                cancelled.set()
                raise

    async def refuse(leases: Any, *, seconds: float) -> list[bool]:
        return [False for _ in leases]

    async def no_answer(actor_ids: Any, owner: str, seconds: float) -> list[bool]:
        raise Unavailable("no answer")

    await world.send("Endless/1", "work")
    world.queue.extend = refuse  # type: ignore[method-assign]
    world.locks.renew = no_answer  # type: ignore[method-assign]
    async with world.serve(Endless, lease_seconds=0.06, grace_seconds=0):
        async with asyncio.timeout(5):
            await cancelled.wait()


async def test_locks_are_renewed_while_the_queue_does_not_answer() -> None:
    world = World()
    renewed = asyncio.Event()

    class Endless(Actor):
        @handler
        async def work(self, payload: dict[str, Any]) -> None:
            await renewed.wait()

    async def no_answer(leases: Any, *, seconds: float) -> list[bool]:
        raise Unavailable("no answer")

    async def renew(actor_ids: Any, owner: str, seconds: float) -> list[bool]:
        renewed.set()
        return [True for _ in actor_ids]

    await world.send("Endless/1", "work")
    world.queue.extend = no_answer  # type: ignore[method-assign]
    world.locks.renew = renew  # type: ignore[method-assign]
    async with world.serve(Endless, lease_seconds=0.06, grace_seconds=0):
        async with asyncio.timeout(5):
            await renewed.wait()
            await world.settled()


@pytest.mark.parametrize("message_type", ["fail", "work", "nap"])
async def test_a_lease_that_is_given_up_is_not_lost_however_late_the_answer_comes(
    message_type: str,
) -> None:
    world = World()

    class Slow(Actor):
        @handler
        async def fail(self, payload: dict[str, Any]) -> None:
            raise NonRetryable("it cannot be done")

        @handler
        async def work(self, payload: dict[str, Any]) -> None:
            self.update_state(done=True)

        @handler
        async def nap(self, payload: dict[str, Any]) -> None:
            await self.sleep(0.01)

    release = world.locks.release

    async def late(actor_id: str, owner: str) -> None:
        await release(actor_id, owner)
        await asyncio.sleep(0.1)

    world.locks.release = late  # type: ignore[method-assign]
    message = await world.send("Slow/1", message_type)
    # The lease is to be extended several times meanwhile.
    async with world.serve(Slow, lease_seconds=0.06) as worker:
        await world.settled()
        assert worker.stats().abandoned == 0
    types = await world.types(message)
    assert "lock:lost" not in types
    assert ("message:dead_lettered" in types) == (message_type == "fail")
    assert types[-1] == "lock:released"


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("archived", [False, True])
async def test_tracing_and_the_archive_are_optional(traced: bool, archived: bool) -> None:
    world = World(traced=traced, archived=archived)
    sent = await world.send("Account/1", "forwards")
    await world.send("Account/1", "fails", {"times": 99})
    async with world.serve(Account, Child):
        await world.settled()
    assert await world.state("Account/other") == {"balance": 5}
    assert (sent.trace is not None) == traced
    kept = (await world.archived.changes()).documents
    assert bool(kept) == archived
    assert (
        bool((await world.traces.changes()).documents if world.writer is None else traced) == traced
    )


async def test_without_tracing_no_trace_object_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    import actors.telemetry
    import tracing.context
    import tracing.event

    def forbidden(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("built while tracing is off")

    for built in (
        tracing.context.TraceContext,
        tracing.event.Event,
        tracing.event.Ref,
        actors.telemetry.SpanEmitter,
    ):
        monkeypatch.setattr(built, "__init__", forbidden)
    world = World(traced=False)
    await world.send("Account/1", "forwards")
    await world.send("Account/1", "flaky", {"fail": 1})
    await world.send("Account/1", "fails", {"times": 99})
    async with world.serve(Account, Child):
        await world.settled()
    assert (await world.state("Account/1"))["result"] == 7


async def test_archived_messages_are_whole_and_referred_to() -> None:
    world = World()
    sent = await world.send("Account/1", "deposit", {"amount": 3})
    async with world.serve(Account):
        await world.settled()
    kept = await world.archived.read(sent.message_id, sent.correlation_id)
    assert Message.from_document(kept.body) == sent


async def test_a_crash_of_the_tracer_does_not_stop_the_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    assert world.writer is not None

    async def broken(body: Any) -> None:
        raise ValueError("the trace store is broken")

    monkeypatch.setattr(world.traces, "create", broken)
    world.writer.start()
    await world.send("Account/1", "deposit", {"amount": 1})
    async with world.serve(Account):
        await world.settled()
    await world.writer.close()
    assert (await world.state("Account/1"))["balance"] == 1
    assert world.writer.stats().dropped["rejected"] > 0
