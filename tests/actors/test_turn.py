"""The turn against its journal: replay, determinism, commit, fencing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from actors import (
    ActivityExecutor,
    Actor,
    EntryType,
    InMemoryStateStore,
    InvalidMessage,
    JournalConflict,
    JournalRecord,
    NonDeterministic,
    TooLarge,
    activity,
    handler,
)
from actors.state import Fold
from actors.turn import Turn
from storage import Unavailable
from tests.actors.world import Calls
from tests.builders import message

calls = Calls()


@pytest.fixture(autouse=True)
def fresh() -> None:
    calls.seen.clear()


@activity
async def step(name: str, idempotency_key: str) -> list[str]:
    calls(name)
    return [name, idempotency_key]


class Dies(Exception):
    pass


class Worker(Actor):
    """Its handler is put in by each test."""

    script: Any = None

    @handler
    async def place(self, payload: dict[str, Any]) -> None:
        await type(self).script(self)


async def run(
    store: InMemoryStateStore, script: Any, sent: Any, *, attempt: int = 1
) -> tuple[Turn, JournalRecord]:
    """Run one turn of a freshly loaded actor, as another process would."""
    fold = await store.load(sent.actor_id)
    turn = Turn(fold, sent, attempt, store, ActivityExecutor(), None)
    kind = type("Worker", (Worker,), {"script": script})
    return turn, await turn.run(kind)


async def journal(store: InMemoryStateStore, actor_id: str = "Order/1") -> list[str]:
    return [
        entry.type.value async for record in store.records(actor_id) for entry in record.entries
    ]


async def test_a_turn_commits_everything_in_one_record() -> None:
    store, sent = InMemoryStateStore(), message()

    async def script(self: Actor) -> None:
        self.update_state(a=1)
        self.send("Order/2", "hello")
        self.update_state(b={"c": 2})

    turn, record = await run(store, script, sent)
    assert [entry.type for entry in record.entries] == [
        EntryType.STATE_PATCHED,
        EntryType.MESSAGE_SENT,
        EntryType.STATE_PATCHED,
        EntryType.TURN_COMPLETED,
    ]
    assert record.entries[0].data["patch"] == {"a": 1}
    assert (await store.load("Order/1")).data == {"a": 1, "b": {"c": 2}}
    assert record.entries[-1].data["outbox"][0]["messageId"] == turn.outbox[0].message_id


async def test_a_turn_that_was_cut_short_goes_on_from_its_journal() -> None:
    store, sent = InMemoryStateStore(), message()
    keys: list[str] = []

    async def script(self: Actor) -> None:
        self.update_state(begun=True)
        first = await self.call_activity(step, name="first")
        keys.append(first[1])
        self.send("Order/2", "between", {"key": first[1]})
        if calls("run") == 1:
            raise Dies
        second = await self.call_activity(step, name="second")
        self.update_state(results=[first[0], second[0]])

    with pytest.raises(Dies):
        await run(store, script, sent)
    assert (await store.load("Order/1")).data == {}
    turn, _ = await run(store, script, sent, attempt=2)
    assert calls.seen == ["first", "run", "run", "second"]
    assert keys[0] == keys[1]
    assert (await store.load("Order/1")).data == {"begun": True, "results": ["first", "second"]}
    assert len(turn.outbox) == 1
    assert await journal(store) == [
        "state_patched",
        "activity_scheduled",
        "activity_completed",
        "message_sent",
        "activity_scheduled",
        "activity_completed",
        "state_patched",
        "turn_completed",
    ]


async def test_ids_of_what_a_turn_sends_are_the_same_on_every_run() -> None:
    sent = message()

    async def script(self: Actor) -> None:
        self.send("Order/2", "hello")
        self.spawn(Worker, "place", {})

    first, _ = await run(InMemoryStateStore(), script, sent)
    second, _ = await run(InMemoryStateStore(), script, sent)
    assert [m.message_id for m in first.outbox] == [m.message_id for m in second.outbox]
    assert [m.actor_id for m in first.outbox] == [m.actor_id for m in second.outbox]


async def other_activity(self: Actor) -> None:
    await self.call_activity(step, name="another")


async def other_command(self: Actor) -> None:
    self.update_state(x=1)


async def nothing(self: Actor) -> None:
    return


@pytest.mark.parametrize("changed", [other_activity, other_command, nothing])
async def test_code_that_takes_another_path_than_its_journal_is_caught(changed: Any) -> None:
    store, sent = InMemoryStateStore(), message()

    async def script(self: Actor) -> None:
        await self.call_activity(step, name="first")
        raise Dies

    with pytest.raises(Dies):
        await run(store, script, sent)
    with pytest.raises(NonDeterministic, match="activity_scheduled"):
        await run(store, changed, sent, attempt=2)


async def test_of_two_owners_one_commits_and_the_other_is_abandoned_without_effect() -> None:
    store, sent = InMemoryStateStore(), message()
    both_inside = asyncio.Barrier(2)

    async def script(self: Actor) -> None:
        self.update_state(n=self.state.get("n", 0) + 1)
        self.send("Order/2", "hello")
        await both_inside.wait()

    results = await asyncio.gather(
        run(store, script, sent), run(store, script, message()), return_exceptions=True
    )
    assert sum(isinstance(result, JournalConflict) for result in results) == 1
    assert (await store.load("Order/1")).data == {"n": 1}
    assert (await journal(store)).count("turn_completed") == 1


class LosesAnswers(InMemoryStateStore):
    """Writes the record and then says that it may not have."""

    lost = 0

    async def append(self, *args: Any, **options: Any) -> JournalRecord:
        record = await super().append(*args, **options)
        if self.lost < 1:
            self.lost += 1
            raise Unavailable("the answer was lost")
        return record


async def test_a_lost_answer_of_the_store_does_not_commit_twice() -> None:
    store = LosesAnswers()

    async def script(self: Actor) -> None:
        self.update_state(n=self.state.get("n", 0) + 1)

    await run(store, script, message())
    assert store.lost == 1
    assert (await store.load("Order/1")).data == {"n": 1}
    assert await journal(store) == ["state_patched", "turn_completed"]


async def test_state_seen_within_a_turn_is_a_copy() -> None:
    store = InMemoryStateStore()

    async def script(self: Actor) -> None:
        given = {"list": [1]}
        self.update_state(given)
        given["list"].append(2)
        assert self.state == {"list": [1]}

    await run(store, script, message())
    assert (await store.load("Order/1")).data == {"list": [1]}


@pytest.mark.parametrize(
    ("patch", "error"),
    [({"big": "x" * (1 << 20)}, TooLarge), ({"set": {1}.__iter__}, InvalidMessage)],
)
async def test_what_cannot_be_journaled_is_refused_where_it_is_given(
    patch: Mapping[str, Any], error: type[Exception]
) -> None:
    async def script(self: Actor) -> None:
        self.update_state(patch)

    store = InMemoryStateStore()
    with pytest.raises(error):
        await run(store, script, message())
    assert await journal(store) == []


async def test_a_state_that_grows_above_the_limit_is_refused_with_its_size() -> None:
    store = InMemoryStateStore()

    async def script(self: Actor) -> None:
        self.update_state({f"k{len(self.state)}": "x" * 600_000})

    await run(store, script, message())
    with pytest.raises(TooLarge, match="1,048,576"):
        await run(store, script, message())


async def test_a_failed_activity_runs_again_on_the_next_attempt_and_not_what_came_before() -> None:
    store, sent = InMemoryStateStore(), message()

    @activity
    async def breaks() -> str:
        if calls("breaks") == 1:
            raise ValueError("once")
        return "fine"

    async def script(self: Actor) -> None:
        await self.call_activity(step, name="first")
        self.update_state(result=await self.call_activity(breaks))

    class Once(ActivityExecutor):
        async def run(self, *args: Any, **options: Any) -> Any:
            return await args[0](
                **args[1], **({"idempotency_key": args[2]} if args[0].takes_key else {})
            ), 1

    fold = await store.load(sent.actor_id)
    turn = Turn(fold, sent, 1, store, Once(), None)
    kind = type("Worker", (Worker,), {"script": script})
    with pytest.raises(Exception, match="once") as raised:
        await turn.run(kind)
    await turn.fail(raised.value, retryable=True, final=False)  # type: ignore[arg-type]
    await run(store, script, sent, attempt=2)
    assert calls.seen == ["first", "breaks", "breaks"]
    assert (await store.load("Order/1")).data == {"result": "fine"}


async def test_a_final_failure_leaves_nothing_to_go_on_from() -> None:
    store, sent = InMemoryStateStore(), message()

    async def script(self: Actor) -> None:
        self.update_state(half=True)
        await self.call_activity(step, name="first")
        raise Dies("for good")

    fold: Fold = await store.load(sent.actor_id)
    turn = Turn(fold, sent, 1, store, ActivityExecutor(), None)
    kind = type("Worker", (Worker,), {"script": script})
    with pytest.raises(Dies) as raised:
        await turn.run(kind)
    await turn.fail(raised.value, retryable=False, final=True)
    assert fold.open_turns == {}
    loaded = await store.load(sent.actor_id)
    assert (loaded.data, loaded.open_turns, loaded.version) == ({}, {}, fold.version)
