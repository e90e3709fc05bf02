"""Writes that go together: one transaction on one embedded file, in order anywhere else."""

from __future__ import annotations

import asyncio
import sqlite3
import warnings
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from storage import (
    Conflict,
    Container,
    ContainerSpec,
    Document,
    NotFound,
    StorageError,
    at_once,
    forgiving,
    in_turn,
    joined,
    mapped,
)
from storage.memory import MemoryStore
from storage.sqlite import Database, SqliteStore, SqliteWork

THINGS, OTHERS = ContainerSpec("things", "k"), ContainerSpec("others", "k")
FIRST, SECOND = {"id": "1", "k": "a"}, {"id": "2", "k": "a"}


@pytest.fixture(params=["one file", "two files", "memory"])
async def two(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[tuple[Container, Container]]:
    async with AsyncExitStack() as closing:

        def opened(name: str) -> SqliteStore:
            store = SqliteStore(Database(tmp_path / name))
            closing.push_async_callback(store.close)
            return store

        if request.param == "memory":
            memory = MemoryStore()
            yield await memory.container(THINGS), await memory.container(OTHERS)
            return
        first = opened("one.db")
        second = opened("two.db") if request.param == "two files" else first
        yield await first.container(THINGS), await second.container(OTHERS)


async def there(container: Container, id: str = "1") -> bool:
    try:
        await container.read(id, "a")
    except NotFound:
        return False
    return True


async def test_all_are_done_and_their_results_are_in_order(
    two: tuple[Container, Container],
) -> None:
    things, others = two
    for number, together in enumerate((in_turn, at_once)):
        body = {"id": f"{number}", "k": "a"}
        made = await together(things.create({**body, "x": 1}), others.create({**body, "x": 2}))
        assert [document.body["x"] for document in made] == [1, 2]
        assert await there(things, body["id"])
        assert await there(others, body["id"])


async def test_what_comes_after_a_failure_is_not_done_and_nobody_complains(
    two: tuple[Container, Container],
) -> None:
    things, others = two
    await things.create(FIRST)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(Conflict):
            await in_turn(
                things.create(FIRST),
                at_once(others.create(FIRST), others.create(SECOND)),
                mapped(forgiving(others.create(SECOND), Conflict), bool),
            )
    assert not await there(others)
    assert not await there(others, "2")


async def test_what_was_done_before_a_failure_is_undone_in_one_file_alone(
    two: tuple[Container, Container], request: pytest.FixtureRequest
) -> None:
    things, others = two
    await others.create(FIRST)
    with pytest.raises(Conflict):
        await in_turn(things.create(FIRST), others.create(FIRST))
    assert await there(things) is ("one file" not in request.node.name)


async def test_a_failure_undoes_nothing_of_others_in_the_same_transaction(
    two: tuple[Container, Container],
) -> None:
    things, others = two
    await others.create(FIRST)
    numbers = range(10, 40)
    done = await asyncio.gather(
        *(things.create({"id": f"{n}", "k": "a"}) for n in numbers),
        in_turn(things.create(SECOND), others.create(FIRST)),
        *(in_turn(others.create({"id": f"{n}", "k": "a"}), mapped_id(others, n)) for n in numbers),
        return_exceptions=True,
    )
    assert [isinstance(each, StorageError) for each in done].count(True) == 1
    for n in numbers:
        assert await there(things, f"{n}")
        assert await there(others, f"{n}")
        assert await there(others, f"more-{n}")
    for container in two:
        changes = (await container.changes()).documents
        assert len({document.etag for document in changes}) == len(changes)


def mapped_id(container: Container, number: int) -> Any:
    made = container.create({"id": f"more-{number}", "k": "a"})
    return mapped(made, lambda document: document.body["id"])


async def test_an_error_that_is_forgiven_is_a_result_of_none(
    two: tuple[Container, Container],
) -> None:
    things, others = two
    await things.create(FIRST)
    done = await in_turn(forgiving(things.create(FIRST), Conflict), others.create(FIRST))
    assert done[0] is None
    assert await there(others)
    assert isinstance(await forgiving(things.create(SECOND), Conflict), Document)


async def test_a_result_is_mapped_when_it_is_durable(two: tuple[Container, Container]) -> None:
    things, others = two
    named = mapped(mapped(things.create(FIRST), lambda made: made.body), lambda body: body["id"])
    assert await in_turn(named, mapped(others.create(FIRST), lambda made: made.body["k"])) == [
        "1",
        "a",
    ]


async def test_a_result_that_cannot_be_mapped_is_its_callers_error_alone(
    two: tuple[Container, Container],
) -> None:
    things, others = two
    done = await asyncio.gather(
        mapped(things.create(FIRST), lambda made: 1 // 0),
        others.create(FIRST),
        things.create(SECOND),
        return_exceptions=True,
    )
    assert [type(each).__name__ for each in done] == ["ZeroDivisionError", "Document", "Document"]


async def test_only_writes_to_one_file_are_joined(
    two: tuple[Container, Container], request: pytest.FixtureRequest
) -> None:
    things, others = two
    first = things.create(FIRST)
    together = joined(first, others.create(FIRST), at_once(others.create(SECOND)))
    if "one file" in request.node.name:
        assert together is not None
        await together
        assert await there(others, "2")
    else:
        assert together is None
        await first
        assert not await there(others)
    assert await there(things)


async def test_one_write_alone_is_not_joined(two: tuple[Container, Container]) -> None:
    things, _ = two
    first = things.create(FIRST)
    assert joined(first) is None
    await first


async def test_joined_writes_are_one_commit_however_many(
    tmp_path: Path, commits: list[int]
) -> None:
    store = SqliteStore(Database(tmp_path / "one.db"))
    things = await store.container(THINGS)
    commits.clear()
    await in_turn(*(things.create({"id": f"{n}", "k": "a"}) for n in range(20)))
    assert commits == [1]
    await store.close()


async def test_a_transaction_that_the_engine_gives_up_leaves_nothing_of_what_was_joined(
    tmp_path: Path,
) -> None:
    database = Database(tmp_path / "one.db")
    store = SqliteStore(database)
    things = await store.container(THINGS)

    def give_up(connection: sqlite3.Connection) -> None:
        # As the engine does by itself when the disk is full.
        connection.execute("ROLLBACK")
        raise sqlite3.OperationalError("database or disk is full")

    broken: SqliteWork[None] = SqliteWork(database, give_up)
    done = await asyncio.gather(
        in_turn(things.create(FIRST), broken, things.create(SECOND)),
        things.create({"id": "3", "k": "a"}),
        return_exceptions=True,
    )
    assert [type(each).__name__ for each in done] == ["Unavailable", "Unavailable"]
    for id in "123":
        assert not await there(things, id)
    await things.create(FIRST)
    await store.close()
