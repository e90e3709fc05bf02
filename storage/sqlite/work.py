"""`SqliteWork`: a write to the embedded file that can be joined with others."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from storage.errors import StorageError
from storage.sqlite.database import Database
from storage.together import Joinable

T = TypeVar("T")
U = TypeVar("U")


class SqliteWork(Joinable[T]):
    """What `function` does in a transaction, and what `finish` makes of its result afterwards.

    `function` runs in the writer thread, `finish` where the work is awaited, when it is durable.
    One whose function may raise between two writes is `atomic`.
    """

    __slots__ = ("_atomic", "_database", "_finish", "_function")

    def __init__(
        self,
        database: Database,
        function: Callable[[sqlite3.Connection], Any],
        finish: Callable[[Any], T] | None = None,
        *,
        atomic: bool = False,
    ) -> None:
        self._database = database
        self._function = function
        self._finish = finish
        self._atomic = atomic

    def start(self) -> asyncio.Future[T]:
        return self._database.submit(self._function, finish=self._finish, atomic=self._atomic)

    def join(self, others: Sequence[Awaitable[Any]]) -> SqliteWork[list[Any]] | None:
        works: list[SqliteWork[Any]] = [self]
        for other in others:
            if not isinstance(other, SqliteWork) or other._database is not self._database:
                return None
            works.append(other)
        return SqliteWork(
            self._database,
            lambda connection: [work._function(connection) for work in works],
            lambda done: [
                each if work._finish is None else work._finish(each)
                for work, each in zip(works, done, strict=True)
            ],
            atomic=True,
        )

    def forgiving(self, *errors: type[StorageError]) -> SqliteWork[T | None]:
        finish = self._finish

        def function(connection: sqlite3.Connection) -> Any:
            try:
                return self._function(connection)
            except errors:
                return _FORGIVEN

        return SqliteWork(
            self._database,
            function,
            lambda done: None if done is _FORGIVEN else done if finish is None else finish(done),
            atomic=self._atomic,
        )

    def map(self, function: Callable[[T], U]) -> SqliteWork[U]:
        first = self._finish
        return SqliteWork(
            self._database,
            self._function,
            function if first is None else lambda done: function(first(done)),
            atomic=self._atomic,
        )


_FORGIVEN = object()
