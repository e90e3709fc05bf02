"""Who changed a path last: what the journal says, read backwards and no further than needed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import ActorState, CosmosStateStore, EntryType, Journal, JournalEntry, handler
from actors.actor import Actor
from actors.archive import MESSAGE_ARCHIVE
from actors.changes import PathHistory, written
from actors.journal import ACTOR_JOURNALS, JOURNAL_TTL
from actors.state import Fold
from actors.stores import ACTOR_STATES
from storage import Unavailable
from storage.memory import MemoryContainer
from tests.actors.test_stores import ACTOR, completed, patched
from tests.actors.world import World
from tests.conftest import ManualClock
from tracing.changes import LastChange
from tracing.jsonpath import ABSENT, Path, look_up, parse


class History:
    """An actor's journal, written turn by turn, and the question about it."""

    def __init__(self, clock: ManualClock | None = None, most: int = 2_000) -> None:
        times = {} if clock is None else {"clock": clock}
        self.states = MemoryContainer(ACTOR_STATES, **times)
        self.journals = MemoryContainer(ACTOR_JOURNALS, **times)
        self.archive = MemoryContainer(MESSAGE_ARCHIVE, **times)
        self.store = CosmosStateStore(self.states, self.journals)
        self.paths = PathHistory(
            Journal(self.journals), self.store, self.archive, most_records=most
        )
        self.version = 0
        self.turns = 0

    async def record(self, message_id: str, *entries: JournalEntry) -> None:
        written = await self.store.append(
            ACTOR, self.version, entries, message_id=message_id, turn=f"t{self.version}"
        )
        self.version = written.next_index

    async def turn(self, **patch: Any) -> str:
        """Let one turn change the state, and return the id of its message."""
        self.turns += 1
        message_id = f"m{self.turns}"
        entries = [patched(0, **patch)] if patch else []
        await self.record(message_id, *entries, completed(message_id))
        return message_id

    async def ask(self, path: str, version: int | None = None) -> LastChange:
        asked = self.version if version is None else version
        return await self.paths.last_change(ACTOR, asked, parse(path))

    async def who(self, path: str, version: int | None = None) -> str | None:
        found = await self.ask(path, version)
        assert found.certain
        return found.by.message_id if found.by else None


def failed(attempt: int = 1, *, final: bool = False) -> JournalEntry:
    return JournalEntry(
        EntryType.TURN_FAILED, {"messageId": "m", "attempt": attempt, "final": final, "error": {}}
    )


def activity(seq: int, *, fails: bool = False) -> tuple[JournalEntry, JournalEntry]:
    ended = EntryType.ACTIVITY_FAILED if fails else EntryType.ACTIVITY_COMPLETED
    return (
        JournalEntry(EntryType.ACTIVITY_SCHEDULED, {"seq": seq, "name": "a", "args": ""}),
        JournalEntry(ended, {"seq": seq}),
    )


async def test_the_turn_that_changed_a_path_last_is_found() -> None:
    history = History()
    first = await history.turn(status="new", total=1)
    second = await history.turn(status="paid")
    at_second = history.version
    await history.turn(other=True)
    assert await history.who("$.status") == second
    assert await history.who("$.total") == first
    # Before the turn that one looks at, not up to now.
    assert await history.who("$.status", at_second - 2) == first
    assert await history.who("$.nothing") is None
    assert (await history.ask("$.nothing")).end == "start"


async def test_writing_the_same_value_again_is_no_change() -> None:
    history = History()
    first = await history.turn(status="new", lines=[1, 2], at={"x": 1})
    await history.turn(status="new", lines=[1, 2], at={"x": 1})
    assert await history.who("$.status") == first
    assert await history.who("$.lines[1]") == first
    assert await history.who("$.at") == first
    changed = await history.turn(lines=[1, 3])
    assert await history.who("$.lines[1]") == changed
    assert await history.who("$.lines[0]") == first
    # What Python takes for equal, JSON does not.
    typed = await history.turn(lines=[1.0, 3])
    assert await history.who("$.lines[0]") == typed


async def test_removing_and_replacing_what_holds_a_path_changes_it() -> None:
    history = History()
    await history.turn(a={"b": {"c": 1}})
    gone = await history.turn(a={"b": None})
    assert await history.who("$.a.b.c") == gone
    back = await history.turn(a={"b": {"c": 1}})
    assert await history.who("$.a.b.c") == back
    replaced = await history.turn(a=[{"b": 1}])
    assert await history.who("$.a.b.c") == replaced
    assert await history.who("$.a[0].b") == replaced
    merged = await history.turn(a={"x": 1})
    assert await history.who("$.a[0].b") == merged
    assert await history.who("$") == merged


async def test_what_a_failed_turn_wrote_counts_for_nothing() -> None:
    history = History()
    first = await history.turn(status="new")
    await history.record("bad", patched(0, status="half"), *activity(1))
    await history.record("bad", failed(final=True))
    assert await history.who("$.status") == first


async def test_a_turn_of_several_attempts_and_records_is_one_turn() -> None:
    history = History()
    await history.turn(status="new", tries=0)
    await history.record("m", patched(0, status="half"), *activity(1, fails=True))
    await history.record("m", failed())
    await history.record("m", *activity(1))
    before = history.version
    await history.record("m", patched(2, tries=1), completed("m"))
    found = await history.ask("$.status")
    assert found.by is not None
    assert (found.by.message_id, found.by.version) == ("m", history.version)
    assert await history.who("$.status", before) == "m1"


async def test_it_reads_no_further_back_than_the_answer() -> None:
    history = History()
    for number in range(600):
        await history.turn(count=number)
    found = await history.ask("$.count")
    assert found.records == 200
    assert found.by is not None
    assert found.by.message_id == "m600"


async def test_it_stops_after_as_many_records_as_it_may_read_and_says_so() -> None:
    history = History(most=50)
    await history.turn(status="new")
    for number in range(80):
        await history.turn(count=number)
    found = await history.ask("$.status")
    assert (found.by, found.end, found.records) == (None, "bound", 50)
    assert found.back_to == history.version - 100
    again = await history.turn(status="new")
    # The state where it stopped tells that this turn wrote the same value again.
    assert (await history.ask("$.status")).by is None
    changed = await history.turn(status="old")
    assert await history.who("$.status") == changed != again


async def test_what_has_expired_is_said_and_what_is_left_is_exact(clock: ManualClock) -> None:
    history = History(clock)
    first = await history.turn(status="new")
    for number in range(499):
        await history.turn(count=number)
    fold = await history.store.load(ACTOR)
    await history.store.compact(fold)
    await history.turn(status="new")
    clock.advance(JOURNAL_TTL - 10)
    assert await history.who("$.status") == first
    clock.advance(20)
    found = await history.ask("$.status")
    assert (found.by, found.end, found.back_to) == (None, "expired", 1_000)
    later = await history.turn(status="old")
    assert await history.who("$.status") == later
    # Nothing is left from before the version that is asked about.
    assert (await history.ask("$.status", 1_000)).end == "expired"


async def test_without_the_state_where_it_stopped_the_answer_is_doubtful(
    clock: ManualClock,
) -> None:
    history = History(clock)
    await history.turn(status="new")
    await history.turn(status="new")
    await history.turn(other=1)
    await history.journals.delete(f"{0:012d}", ACTOR)
    found = await history.ask("$.status")
    assert found.by is not None
    assert (found.by.message_id, found.certain) == ("m2", False)


async def test_a_store_that_does_not_answer_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    history = History()
    await history.turn(status="new")

    async def broken(*_: Any) -> None:
        raise Unavailable("no answer")

    monkeypatch.setattr(history.journals, "query", broken)
    with pytest.raises(Unavailable):
        await history.ask("$.status")


class Account(Actor):
    @handler
    async def open(self, payload: dict[str, Any]) -> None:
        self.send("Account/shared", "put", {"total": payload["total"]})

    @handler
    async def put(self, payload: dict[str, Any]) -> None:
        self.update_state(total=payload["total"])


async def test_the_message_is_found_across_runs_with_its_type_sender_and_span() -> None:
    world = World()
    paths = PathHistory(Journal(world.store._journal._container), world.store, world.archived)
    async with world.serve(Account):
        await world.send("Account/a", "open", {"total": 1})
        await world.settled()
        await world.send("Account/b", "open", {"total": 2})
        await world.settled()
        await world.send("Account/shared", "put", {"total": 2})
        await world.settled()
    version = (await world.store.load("Account/shared")).version
    found = await paths.last_change("Account/shared", version, ("total",))
    assert found.by is not None
    assert (found.by.message_type, found.by.sender) == ("put", "Account/b")
    spans = {event.span_id for event in await world.events() if event.type == "message:started"}
    assert found.by.span_id in spans
    assert found.by.at_ns > 1_700_000_000_000_000_000
    # The archive forgets after a week, the journal does not.
    for document in (await world.archived.changes()).documents:
        await world.archived.delete(document.body["id"], document.body["correlationId"])
    found = await paths.last_change("Account/shared", version, ("total",))
    assert found.by is not None
    assert (found.by.message_type, found.by.trace_id) == (None, None)


@pytest.mark.parametrize(
    ("patch", "path", "value"),
    [
        ({"a": 1}, "$.a", 1),
        ({"a": None}, "$.a", ABSENT),
        ({"a": {"b": None}}, "$.a.b", ABSENT),
        ({"a": [5, 6]}, "$.a[1]", 6),
        ({"a": [5, 6]}, "$.a[2]", ABSENT),
        ({"a": "text"}, "$.a.b", ABSENT),
        ({"a": {"b": 1}}, "$.a[0]", ABSENT),
    ],
)
def test_what_a_patch_writes_to_a_path(patch: dict[str, Any], path: str, value: Any) -> None:
    found = written(patch, parse(path))
    assert found is not None
    assert (found.value, found.merges) == (value, False)


def test_a_patch_of_something_else_leaves_a_path_alone() -> None:
    assert written({"b": 1}, parse("$.a")) is None
    assert written({"a": {"c": 1}}, parse("$.a.b")) is None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=4,
)
TURNS = st.lists(
    st.tuples(
        st.sampled_from(["completes", "completes", "completes", "fails", "retried"]),
        st.lists(st.dictionaries(st.sampled_from("abc"), VALUES, max_size=2), max_size=2),
    ),
    max_size=8,
)
PATHS: Sequence[Path] = ((), ("a",), ("a", "b"), ("b", 0), ("b", "a", 0), ("c", "a", "b"))


@given(TURNS, st.sampled_from(PATHS), st.integers(1, 4))
@settings(deadline=None)
def test_it_is_the_turn_after_which_the_state_was_another(
    turns: list[tuple[str, list[dict[str, Any]]]], path: Path, page: int
) -> None:
    async def check() -> None:
        history = History()
        for number, (how, patches) in enumerate(turns):
            message = f"m{number}"
            entries = [patched(seq, **patch) for seq, patch in enumerate(patches)]
            if how == "fails":
                await history.record(message, *entries, *activity(len(entries)))
                await history.record(message, failed(final=True))
                continue
            if how == "retried":
                await history.record(message, *entries, *activity(len(entries)))
                await history.record(message, failed())
                entries = []
            await history.record(message, *entries, completed(message))
        expected = await by_hand(history, path)
        latest = history.paths._journal.latest

        def small(actor_id: str, *, until: int, page: int = page) -> Any:
            return latest(actor_id, until=until, page=pages)

        pages = page
        history.paths._journal.latest = small  # type: ignore[method-assign]
        found = await history.paths.last_change(ACTOR, history.version, path)
        assert found.certain
        assert (found.by.message_id if found.by else None) == expected

    asyncio.run(check())


async def by_hand(history: History, path: Path) -> str | None:
    fold = Fold(ActorState(ACTOR, 0, {}))
    found, before = None, canonical(look_up({}, path))
    async for record in history.store.records(ACTOR):
        fold.apply(record)
        after = canonical(look_up(fold.data, path))
        if after != before:
            found, before = record.message_id, after
    return found


def canonical(value: Any) -> str | None:
    return None if value is ABSENT else json.dumps(value, sort_keys=True)
