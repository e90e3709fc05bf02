"""The embedded engine: group commit, query plans, several processes, several lives."""

from __future__ import annotations

import asyncio
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from actors.deadletters import DEAD_LETTERS
from actors.journal import ACTOR_JOURNALS
from storage import ContainerSpec, Index, NotFound, Query, Unavailable, Where
from storage.sqlite import Database, SqliteStore, translate
from tracing.containers import TRACE_EVENTS

SPEC = ContainerSpec("things", "k")
ROOT = Path(__file__).resolve().parents[2]


async def test_writes_that_arrive_together_share_a_commit(
    tmp_path: Path, commits: list[int]
) -> None:
    database = Database(tmp_path / "group.db")
    things = await SqliteStore(database).container(SPEC)
    commits.clear()
    await asyncio.gather(*(things.create({"id": str(n), "k": "a"}) for n in range(1_000)))
    assert sum(commits) == 1_000
    assert len(commits) <= 100
    await database.close()


async def test_one_failing_write_does_not_undo_its_neighbours(tmp_path: Path) -> None:
    database = Database(tmp_path / "neighbours.db")

    def fails(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE half (x)")
        raise RuntimeError("in the middle")

    def works(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE whole (x)")

    results = await asyncio.gather(
        database.write(fails, atomic=True), database.write(works), return_exceptions=True
    )
    assert isinstance(results[0], RuntimeError)
    tables = await database.read(
        lambda c: [name for (name,) in c.execute("SELECT name FROM sqlite_master")]
    )
    assert "whole" in tables
    assert "half" not in tables
    await database.close()


async def test_a_closed_store_is_unavailable(tmp_path: Path) -> None:
    store = SqliteStore(Database(tmp_path / "closed.db"))
    things = await store.container(SPEC)
    await store.close()
    with pytest.raises(Unavailable):
        await things.create({"id": "1", "k": "a"})


async def test_a_folder_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be opened"):
        Database(tmp_path / "missing" / "x.db")


LISTS = [
    (TRACE_EVENTS, Query((), None, ("startedAt",), True)),
    (TRACE_EVENTS, Query((Where("startedAt", ">=", 5),), None, ("startedAt",), True)),
    (TRACE_EVENTS, Query((Where("status", "=", "failed"),), None, ("startedAt",), True)),
    (TRACE_EVENTS, Query((Where("rootActor", "=", "A/1"),), None, ("startedAt",), True)),
    (TRACE_EVENTS, Query((Where("correlation", "=", "c"),), None, ("startedAt",), True)),
    (TRACE_EVENTS, Query((Where("messageTypes", "contains", "m"),), None, ("startedAt",), True)),
    (
        TRACE_EVENTS,
        Query(
            (
                Where("status", "=", "failed"),
                Where("actorTypes", "contains", "A"),
                Where("errorTypes", "contains", "E"),
                Where("duration", ">=", 5),
                Where("startedAt", ">=", 5),
            ),
            None,
            ("startedAt",),
            True,
        ),
    ),
    (TRACE_EVENTS, Query((Where("fingerprint", "=", "f"),), None, ("failedAt",))),
    (TRACE_EVENTS, Query((Where("promotedAt", ">=", 5),), None, ("promotedAt",))),
    (TRACE_EVENTS, Query((Where("intentAt", "<", 5),), None, ("intentAt",))),
    (
        TRACE_EVENTS,
        Query((Where("resolution", "=", "hour"), Where("bucket", ">=", 5)), order_by=("bucket",)),
    ),
    (TRACE_EVENTS, Query((), None, ("failedAt",), True)),
    (TRACE_EVENTS, Query((Where("errorType", "=", "E"),), None, ("failedAt",), True)),
    (TRACE_EVENTS, Query((Where("actorType", "=", "A"),), None, ("failedAt",), True)),
    (TRACE_EVENTS, Query((), "trace")),
    (ACTOR_JOURNALS, Query((Where("id", ">=", "000000000005"),), "A/1")),
    (ACTOR_JOURNALS, Query((Where("messageId", "=", "m"),), "A/1")),
    *(
        (DEAD_LETTERS, Query(where, None, ("at",), descending))
        for descending in (True, False)
        for where in (
            (),
            (Where("state", "in", ("open", "sending")), Where("at", "<=", 5)),
            (Where("errorType", "=", "E"), Where("actorType", "=", "A")),
            (Where("fingerprint", "=", "f"), Where("state", "in", ("open",))),
            (Where("batch", "=", "b"),),
        )
    ),
]


@pytest.mark.parametrize(("spec", "query"), LISTS)
async def test_the_lists_of_the_product_are_read_from_an_index_without_sorting(
    tmp_path: Path, spec: ContainerSpec, query: Query
) -> None:
    database = Database(tmp_path / "plan.db")
    await SqliteStore(database).container(spec)
    text, parameters = translate.select(spec, query, now=1_800_000_000)
    plan = await database.read(
        lambda c: [row[3] for row in c.execute(f"EXPLAIN QUERY PLAN {text}", parameters)]
    )
    assert len(plan) == 1, plan
    # SEARCH, not SCAN: it begins where the range, the key or the cursor says.
    assert plan[0].startswith("SEARCH")
    assert "USING INDEX" in plan[0]
    await database.close()


BEGINNINGS = [
    (TRACE_EVENTS, Query((Where("trace_id", "prefix", "0a1b"), Where("id", "prefix", "0a1b")))),
    (TRACE_EVENTS, Query((Where("correlation", "prefix", "0a1b"), Where("startedAt", ">", 0)))),
    (ACTOR_JOURNALS, Query((Where("messageId", "prefix", "0a1b"),))),
]


@pytest.mark.parametrize(("spec", "query"), BEGINNINGS)
async def test_what_begins_so_is_read_from_an_index_from_where_it_begins_to_where_it_ends(
    tmp_path: Path, spec: ContainerSpec, query: Query
) -> None:
    database = Database(tmp_path / "plan.db")
    await SqliteStore(database).container(spec)
    text, parameters = translate.select(spec, query, now=1_800_000_000)
    plan = await database.read(
        lambda c: [row[3] for row in c.execute(f"EXPLAIN QUERY PLAN {text}", parameters)]
    )
    assert re.match(r"SEARCH .* USING INDEX \S+ \((\S+)>\? AND \1<\?\)", plan[0]), plan
    await database.close()


async def test_a_table_of_an_older_spec_is_brought_up_to_date_and_keeps_its_documents(
    tmp_path: Path,
) -> None:
    database = Database(tmp_path / "older.db")
    store = SqliteStore(database)
    older = ContainerSpec("things", "k", indexes=(Index(order=("at",)),))
    things = await store.container(older)
    for number in range(1_200):
        await things.create({"id": f"{number:04d}", "k": "a", "at": number, "tags": ["x", number]})
    newer = ContainerSpec("things", "k", indexes=(Index(order=("at",), covers=("tags",)),))
    assert len(await store.differences(newer)) == 2
    things = await store.container(newer)
    assert await store.differences(newer) == []
    page = await things.query(Query((Where("tags", "contains", 777),), order_by=("at",)))
    assert [document.body["id"] for document in page.documents] == ["0777"]
    await database.close()


WRITER = """
import asyncio, sys
from storage import ContainerSpec
from storage.sqlite import Database, SqliteStore

async def main():
    things = await SqliteStore(Database(sys.argv[1])).container(ContainerSpec("things", "k"))
    async def write(lane):
        number = 0
        while True:
            await things.create({"id": f"{lane}-{number}", "k": "a"})
            sys.stdout.write(f"{lane}-{number}\\n")
            sys.stdout.flush()
            number += 1
    await asyncio.gather(*(write(lane) for lane in range(20)))

asyncio.run(main())
"""


@pytest.mark.parametrize("acknowledged", [40, 400])
async def test_an_acknowledged_write_survives_kill_9(tmp_path: Path, acknowledged: int) -> None:
    file = tmp_path / "killed.db"
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(file)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    seen = [process.stdout.readline().strip() for _ in range(acknowledged)]
    process.send_signal(signal.SIGKILL)
    rest, _ = process.communicate()
    # The last line may have been cut short by the kill.
    seen += [line for line in rest.split("\n")[:-1] if line]
    database = Database(file)
    things = await SqliteStore(database).container(SPEC)
    found = await things.read_many([(id, "a") for id in seen])
    assert len(found) == len(seen) >= acknowledged
    await database.close()


COUNTER = """
import asyncio, sys
from storage import ContainerSpec, PreconditionFailed
from storage.sqlite import Database, SqliteStore

async def main():
    database = Database(sys.argv[1])
    things = await SqliteStore(database).container(ContainerSpec("things", "k"))
    for _ in range(100):
        while True:
            found = await things.read("n", "a")
            try:
                await things.replace({**found.body, "n": found.body["n"] + 1}, if_etag=found.etag)
                break
            except PreconditionFailed:
                pass
    await database.close()

asyncio.run(main())
"""


async def test_several_processes_may_write_the_same_file(tmp_path: Path) -> None:
    file = tmp_path / "shared.db"
    database = Database(file)
    things = await SqliteStore(database).container(SPEC)
    await things.create({"id": "n", "k": "a", "n": 0})
    children = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", COUNTER, str(file), cwd=ROOT)
        for _ in range(3)
    ]
    codes = [await child.wait() for child in children]
    assert codes == [0, 0, 0]
    assert (await things.read("n", "a")).body["n"] == 300
    with pytest.raises(NotFound):
        await things.read("m", "a")
    await database.close()


OPENER = """
import sys, time
from storage.sqlite import Database

while time.time() < float(sys.argv[2]):
    pass
Database(sys.argv[1])
"""


async def test_several_processes_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    for attempt in range(3):
        file, begin = tmp_path / f"new-{attempt}.db", time.time() + 1
        openers = [
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", OPENER, str(file), str(begin)), cwd=ROOT
            )
            for _ in range(6)
        ]
        assert [await opener.wait() for opener in openers] == [0] * 6
