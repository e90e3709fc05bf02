"""Whatever is done to them, the embedded engine and the in-memory model give the same answers."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from storage import Container, ContainerSpec, Index, Query, StorageError, Where
from storage.memory import MemoryStore
from storage.sqlite import Database, SqliteStore
from tests.conftest import ManualClock

SPEC = ContainerSpec(
    "things", "k", default_ttl=50, indexed=("tag",), indexes=(Index(order=("n",)),)
)
IDS = st.sampled_from(["a", "b", "ü", "d'--"])
PARTITIONS = st.sampled_from(["p", "Q", "%"])
NUMBERS = st.integers(-3, 3) | st.floats(-2, 2, width=16)
TEXT = st.text(max_size=3)
EXTRA = st.fixed_dictionaries(
    {},
    optional={
        "n": st.none() | NUMBERS,
        "tag": st.none() | TEXT,
        "list": st.lists(TEXT, max_size=3),
        "free": st.recursive(NUMBERS | TEXT | st.booleans(), st.lists, max_leaves=4),
    },
)
FILTERS = st.one_of(
    st.builds(Where, st.just("n"), st.sampled_from(["=", "<", "<=", ">", ">="]), NUMBERS),
    st.builds(Where, st.just("n"), st.just("in"), st.tuples(NUMBERS, NUMBERS)),
    st.builds(Where, st.just("tag"), st.sampled_from(["=", "<", ">", "prefix"]), TEXT),
    st.builds(Where, st.just("list"), st.just("contains"), TEXT),
)


class Engines(RuleBasedStateMachine):
    @initialize()
    def open(self) -> None:
        self.clock = ManualClock()
        self.folder = tempfile.TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        self.database = Database(Path(self.folder.name) / "agree.db", synchronous="NORMAL")
        stores = (MemoryStore(clock=self.clock), SqliteStore(self.database, clock=self.clock))
        self.memory: Container
        self.sqlite: Container
        self.memory, self.sqlite = (
            self.loop.run_until_complete(store.container(SPEC)) for store in stores
        )

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.loop.run_until_complete(self.database.close())
            self.loop.close()
            self.folder.cleanup()

    def answer(self, call: Awaitable[Any]) -> Any:
        try:
            return self.loop.run_until_complete(call)  # type: ignore[arg-type]
        except StorageError as error:
            return type(error)

    def both(self, name: str, *args: Any, **options: Any) -> None:
        ours = self.answer(getattr(self.memory, name)(*args, **options))
        theirs = self.answer(getattr(self.sqlite, name)(*args, **options))
        assert getattr(ours, "body", ours) == getattr(theirs, "body", theirs)

    @rule(id=IDS, k=PARTITIONS, extra=EXTRA)
    def create(self, id: str, k: str, extra: dict[str, Any]) -> None:
        self.both("create", {"id": id, "k": k, **extra})

    @rule(id=IDS, k=PARTITIONS, extra=EXTRA)
    def upsert(self, id: str, k: str, extra: dict[str, Any]) -> None:
        self.both("upsert", {"id": id, "k": k, **extra})

    @rule(id=IDS, k=PARTITIONS)
    def delete(self, id: str, k: str) -> None:
        self.both("delete", id, k)

    @rule(id=IDS, k=PARTITIONS, extra=EXTRA)
    def replace(self, id: str, k: str, extra: dict[str, Any]) -> None:
        found = [self.answer(engine.read(id, k)) for engine in (self.memory, self.sqlite)]
        if isinstance(found[0], type):
            return
        body = {"id": id, "k": k, **extra}
        ours = self.answer(self.memory.replace(body, if_etag=found[0].etag))
        theirs = self.answer(self.sqlite.replace(body, if_etag=found[1].etag))
        assert ours.body == theirs.body

    @rule(seconds=st.integers(1, 40))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule(
        where=st.lists(FILTERS, max_size=2),
        partition=st.none() | PARTITIONS,
        ordered=st.booleans(),
        descending=st.booleans(),
    )
    def query(
        self, where: list[Where], partition: str | None, ordered: bool, descending: bool
    ) -> None:
        query = Query(tuple(where), partition, ("n",) if ordered else (), descending, 100)
        ours = self.answer(self.memory.query(query))
        theirs = self.answer(self.sqlite.query(query))
        # Across partitions ids repeat, and only the order keys decide.
        assert sorted(str(d.body) for d in ours.documents) == sorted(
            str(d.body) for d in theirs.documents
        )

    @invariant()
    def changes_agree(self) -> None:
        if not hasattr(self, "loop"):
            return
        ours = self.answer(self.memory.changes()).documents
        theirs = self.answer(self.sqlite.changes()).documents
        assert [d.body for d in ours] == [d.body for d in theirs]


TestEngines = Engines.TestCase
TestEngines.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
