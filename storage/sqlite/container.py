"""Containers as tables of one SQLite file."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

from storage.container import Body, Changes, Document, Page, Usage, Write
from storage.document import decode, encode, expires_at
from storage.errors import (
    Conflict,
    InvalidQuery,
    NotFound,
    PreconditionFailed,
    StorageError,
    Unavailable,
)
from storage.query import Query, encode_cursor
from storage.spec import ContainerSpec
from storage.sqlite import schema, translate
from storage.sqlite.database import Database
from storage.sqlite.work import SqliteWork

T = TypeVar("T")
Clock = Callable[[], float]
_Row = tuple[int, str, int]

_EVERY_ROW = ("lsn", "pk", "id", "body", "modified", "expires")

_PURGE_EVERY = 1_000
_PURGE_ROWS = 500
_KEYS_PER_READ = 400


class _NewRow(NamedTuple):
    """What is written of a document; `columns` are those of its spec that are not null."""

    partition: str
    id: str
    body: str
    modified: int
    expires: int | None
    columns: dict[str, translate.Encoded]


class SqliteStore:
    """A `Store` in one SQLite file, which other processes may have open too."""

    engine = "sqlite"

    def __init__(self, database: Database, *, clock: Clock = time.time) -> None:
        self._database = database
        self._clock = clock

    async def container(self, spec: ContainerSpec) -> SqliteContainer:
        await self._database.write(lambda connection: schema.prepare(connection, spec))
        return SqliteContainer(self._database, spec, clock=self._clock)

    async def differences(self, spec: ContainerSpec) -> list[str]:
        return await self._database.read(lambda connection: schema.differences(connection, spec))

    async def update(self, spec: ContainerSpec) -> None:
        await self.container(spec)

    async def ping(self) -> None:
        await self._database.read(lambda connection: connection.execute("SELECT 1").fetchone())

    async def close(self) -> None:
        await self._database.close()


class SqliteContainer:
    """A `Container` as one table.

    A row's key is its log sequence number: it grows with every write, is the etag, and orders
    `changes`. An update therefore moves the row to a new number.
    """

    def __init__(
        self, database: Database, spec: ContainerSpec, *, clock: Clock = time.time
    ) -> None:
        self.spec = spec
        self._database = database
        self._clock = clock
        self._table = translate.table_name(spec)
        self._columns = translate.Columns(spec)
        self._inserts: dict[tuple[str, ...], str] = {}
        changed = ["lsn", "body", "modified", "expires", *self._columns.names]
        self._set = ", ".join(f"{name} = ?" for name in changed)
        self._excluded = ", ".join(f"{name} = excluded.{name}" for name in changed)
        self._operations: Counter[str] = Counter()
        self._writes = 0

    def create(self, body: Body) -> SqliteWork[Document]:
        row = self._row(body)
        create = self._counted("create", lambda connection: self._create(connection, body, row))
        return SqliteWork(self._database, create)

    def _row(self, body: Body) -> _NewRow:
        id, partition, encoded = encode(self.spec, body)
        now = self._clock()
        expires = expires_at(self.spec, body, now)
        return _NewRow(partition, id, encoded, int(now), expires, self._columns.of(body))

    def _insert(self, columns: Iterable[str]) -> str:
        """Return a statement that inserts a row with these columns of its spec.

        To bind a null to each of the others would double what the insert costs.
        """
        key = tuple(columns)
        found = self._inserts.get(key)
        if found is None:
            names = (*_EVERY_ROW, *key)
            marks = ", ".join("?" * len(names))
            found = f"INTO {self._table} ({', '.join(names)}) VALUES ({marks})"
            self._inserts[key] = found
        return found

    def _create(self, connection: sqlite3.Connection, body: Body, row: _NewRow) -> Document:
        partition, id, encoded, now, expires, columns = row
        lsn = self._database.next_number()
        statement = f"INSERT OR IGNORE {self._insert(columns)}"
        values = (lsn, partition, id, encoded, now, expires, *columns.values())
        if connection.execute(statement, values).rowcount == 1:
            return Document(dict(body), str(lsn), now)
        # What stands in the way may have expired.
        if (
            connection.execute(
                f"DELETE FROM {self._table} WHERE pk = ? AND id = ? AND expires <= ?",  # noqa: S608
                (partition, id, now),
            ).rowcount
            == 1
        ):
            connection.execute(statement, values)
            return Document(dict(body), str(lsn), now)
        raise Conflict(f"{self.spec.name} has a document {id!r} in {partition!r}")

    async def read(self, id: str, partition: str) -> Document:
        found = await self.read_many([(id, partition)])
        if (id, partition) not in found:
            raise NotFound(f"{self.spec.name} has no document {id!r} in {partition!r}")
        return found[id, partition]

    async def read_many(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Document]:
        self._operations["read"] += 1
        now = int(self._clock())

        def select(connection: sqlite3.Connection) -> list[tuple[str, str, int, str, int]]:
            rows: list[tuple[str, str, int, str, int]] = []
            for start in range(0, len(keys), _KEYS_PER_READ):
                part = keys[start : start + _KEYS_PER_READ]
                marks = ", ".join("(?, ?)" for _ in part)
                values = [text for id, partition in part for text in (partition, id)]
                rows += connection.execute(
                    f"SELECT id, pk, lsn, body, modified FROM {self._table}"  # noqa: S608
                    f" WHERE (pk, id) IN (VALUES {marks}) AND (expires IS NULL OR expires > ?)",
                    [*values, now],
                ).fetchall()
            return rows

        return {
            (id, partition): _document((lsn, body, modified))
            for id, partition, lsn, body, modified in await self._database.read(select)
        }

    async def replace(self, body: Body, *, if_etag: str) -> Document:
        row = self._row(body)
        return await self._write(
            "replace", lambda connection: self._replace(connection, body, row, if_etag)
        )

    def _replace(
        self, connection: sqlite3.Connection, body: Body, row: _NewRow, if_etag: str
    ) -> Document:
        partition, id, encoded, now, expires, columns = row
        lsn = self._database.next_number()
        values = (lsn, encoded, now, expires, *map(columns.get, self._columns.names))
        changed = connection.execute(
            f"UPDATE {self._table} SET {self._set}"  # noqa: S608
            " WHERE pk = ? AND id = ? AND lsn = ? AND (expires IS NULL OR expires > ?)",
            (*values, partition, id, _lsn(if_etag), now),
        ).rowcount
        if not changed:
            self._refuse(connection, id, partition, now)
        return Document(dict(body), str(lsn), now)

    async def write_many(self, writes: Sequence[Write]) -> list[Document | StorageError]:
        """As the port says, with one wait for the writer thread."""
        rows: list[_NewRow | StorageError] = []
        for write in writes:
            try:
                rows.append(self._row(write.body))
            except StorageError as error:
                rows.append(error)

        def do_all(connection: sqlite3.Connection) -> list[Document | StorageError]:
            return [
                row if isinstance(row, StorageError) else self._do(connection, write, row)
                for write, row in zip(writes, rows, strict=True)
            ]

        for write in writes:
            self._operations["create" if write.if_etag is None else "replace"] += 1
        self._writes += len(writes)
        try:
            return await self._write("write_many", do_all)
        except Unavailable as error:
            return [Unavailable(str(error)) for _ in writes]

    def _do(
        self, connection: sqlite3.Connection, write: Write, row: _NewRow
    ) -> Document | StorageError:
        try:
            if write.if_etag is None:
                return self._create(connection, write.body, row)
            return self._replace(connection, write.body, row, write.if_etag)
        except StorageError as error:
            return error

    async def set_ttl(self, partition: str, *, since: str, until: str, ttl: int) -> int:
        """As the port says, by a statement that SQLite runs while Python goes on.

        The rows stay where they are: to move each to a new number costs three times as much.
        """
        now = int(self._clock())
        values = (ttl, now, expires_at(self.spec, {"ttl": ttl}, now), partition, since, until)
        return await self._write(
            "set_ttl",
            lambda connection: (
                connection.execute(
                    f"UPDATE {self._table} SET body = json_set(body, '$.ttl', ?1),"  # noqa: S608
                    " modified = ?2, expires = ?3 WHERE pk = ?4 AND id >= ?5 AND id < ?6"
                    " AND (expires IS NULL OR expires > ?2) AND json_type(body, '$.ttl') IS NULL",
                    values,
                ).rowcount
            ),
        )

    async def upsert(self, body: Body) -> Document:
        row = self._row(body)

        def put(connection: sqlite3.Connection) -> Document:
            lsn = self._database.next_number()
            *values, columns = row
            connection.execute(
                f"INSERT {self._insert(columns)}"
                f" ON CONFLICT (pk, id) DO UPDATE SET {self._excluded}",
                (lsn, *values, *columns.values()),
            )
            return Document(dict(body), str(lsn), row.modified)

        return await self._write("upsert", put)

    async def delete(self, id: str, partition: str, *, if_etag: str | None = None) -> None:
        now = self._clock()

        def remove(connection: sqlite3.Connection) -> None:
            text = (
                f"DELETE FROM {self._table} WHERE pk = ? AND id = ?"  # noqa: S608
                " AND (expires IS NULL OR expires > ?)"
            )
            values: list[str | int] = [partition, id, int(now)]
            if if_etag is not None:
                text += " AND lsn = ?"
                values.append(_lsn(if_etag))
            if connection.execute(text, values).rowcount == 0:
                self._refuse(connection, id, partition, now)

        await self._write("delete", remove)

    async def query(self, query: Query) -> Page:
        self._operations["query"] += 1
        text, parameters = translate.select(self.spec, query, int(self._clock()))
        rows = await self._database.read(
            lambda connection: connection.execute(text, parameters).fetchall()
        )
        documents = [_document(row) for row in rows[: query.limit]]
        if len(rows) <= query.limit:
            return Page(documents, None)
        return Page(documents, encode_cursor(translate.cursor_keys(query, documents[-1])))

    async def changes(self, since: str | None = None, *, limit: int = 1_000) -> Changes:
        self._operations["changes"] += 1
        if since is not None and not (since.isascii() and since.isdigit()):
            raise InvalidQuery("this token was not made by `changes`")
        start = int(since or 0)
        now = int(self._clock())

        def select(connection: sqlite3.Connection) -> list[_Row]:
            return connection.execute(
                f"SELECT lsn, body, modified FROM {self._table} WHERE lsn > ?"  # noqa: S608
                " AND (expires IS NULL OR expires > ?) ORDER BY lsn LIMIT ?",
                (start, now, limit),
            ).fetchall()

        rows = await self._database.read(select)
        return Changes([_document(row) for row in rows], str(rows[-1][0] if rows else start))

    def usage(self) -> Usage:
        return Usage(dict(self._operations), {})

    async def _write(self, name: str, function: Callable[[sqlite3.Connection], T]) -> T:
        return await self._database.write(self._counted(name, function))

    def _counted(
        self, name: str, function: Callable[[sqlite3.Connection], T]
    ) -> Callable[[sqlite3.Connection], T]:
        """Return what does the write, and every now and then removes what has expired before."""
        self._operations[name] += 1
        self._writes += 1
        if self.spec.default_ttl is None or self._writes < _PURGE_EVERY:
            return function
        self._writes = 0

        def purging(connection: sqlite3.Connection) -> T:
            self._purge(connection)
            return function(connection)

        return purging

    def _purge(self, connection: sqlite3.Connection) -> None:
        """Remove some of what has expired; it is invisible already."""
        connection.execute(
            f"DELETE FROM {self._table} WHERE lsn IN (SELECT lsn FROM {self._table}"  # noqa: S608
            " WHERE expires <= ? LIMIT ?)",
            (int(self._clock()), _PURGE_ROWS),
        )

    def _refuse(self, connection: sqlite3.Connection, id: str, partition: str, now: float) -> None:
        """Say why a conditional write found no row."""
        row = connection.execute(
            f"SELECT 1 FROM {self._table} WHERE pk = ? AND id = ?"  # noqa: S608
            " AND (expires IS NULL OR expires > ?)",
            (partition, id, int(now)),
        ).fetchone()
        if row is None:
            raise NotFound(f"{self.spec.name} has no document {id!r} in {partition!r}")
        raise PreconditionFailed(f"{self.spec.name}: {id!r} has changed since it was read")


def _document(row: _Row) -> Document:
    lsn, body, modified = row
    return Document(decode(body), str(lsn), modified)


def _lsn(etag: str) -> int:
    # An etag of another engine cannot be current here; 0 is no row's number.
    return int(etag) if etag.isascii() and etag.isdigit() else 0
