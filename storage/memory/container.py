"""Containers as dictionaries. Slow, and plain enough to be the model for the other engines."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from storage.container import Body, Changes, Document, Page, Usage, Write
from storage.document import decode, encode, expires_at
from storage.errors import Conflict, InvalidQuery, NotFound, PreconditionFailed, StorageError
from storage.query import Query, Scalar, Where, decode_cursor, encode_cursor
from storage.spec import ContainerSpec
from storage.writes import one_write

Clock = Callable[[], float]


class MemoryStore:
    """A `Store` that forgets everything with its process."""

    engine = "memory"

    def __init__(self, *, clock: Clock = time.time) -> None:
        self._clock = clock
        self._containers: dict[str, MemoryContainer] = {}

    async def container(self, spec: ContainerSpec) -> MemoryContainer:
        return self._containers.setdefault(spec.name, MemoryContainer(spec, clock=self._clock))

    async def differences(self, spec: ContainerSpec) -> list[str]:
        there = spec.name in self._containers
        return [] if there else [f"{spec.name}: there is no such container"]

    async def update(self, spec: ContainerSpec) -> None:
        (await self.container(spec)).spec = spec

    async def ping(self) -> None:
        return

    async def close(self) -> None:
        return


@dataclass(slots=True)
class _Stored:
    lsn: int
    encoded: str
    modified: int
    expires: int | None

    def document(self) -> Document:
        return Document(decode(self.encoded), str(self.lsn), self.modified)


class MemoryContainer:
    """A `Container` in a dictionary."""

    def __init__(self, spec: ContainerSpec, *, clock: Clock = time.time) -> None:
        self.spec = spec
        self._clock = clock
        self._documents: dict[tuple[str, str], _Stored] = {}
        self._lsn = 0
        self._operations: Counter[str] = Counter()

    async def create(self, body: Body) -> Document:
        id, partition, encoded = encode(self.spec, body)
        self._operations["create"] += 1
        if self._live(id, partition) is not None:
            raise Conflict(f"{self.spec.name} has a document {id!r} in {partition!r}")
        return self._put(id, partition, body, encoded)

    async def read(self, id: str, partition: str) -> Document:
        self._operations["read"] += 1
        return self._existing(id, partition).document()

    async def read_many(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Document]:
        self._operations["read"] += 1
        found = {(id, partition): self._live(id, partition) for id, partition in keys}
        return {key: stored.document() for key, stored in found.items() if stored is not None}

    async def replace(self, body: Body, *, if_etag: str) -> Document:
        id, partition, encoded = encode(self.spec, body)
        self._operations["replace"] += 1
        self._check_etag(self._existing(id, partition), if_etag, id)
        return self._put(id, partition, body, encoded)

    async def write_many(self, writes: Sequence[Write]) -> list[Document | StorageError]:
        return [await one_write(self, write) for write in writes]

    async def set_ttl(self, partition: str, *, since: str, until: str, ttl: int) -> int:
        self._operations["set_ttl"] += 1
        count = 0
        for of, id in sorted(self._documents):
            stored = self._live(id, of) if of == partition and since <= id < until else None
            if stored is None:
                continue
            body = decode(stored.encoded)
            if "ttl" not in body:
                body["ttl"] = ttl
                self._put(id, partition, body, encode(self.spec, body)[2])
                count += 1
        return count

    async def upsert(self, body: Body) -> Document:
        id, partition, encoded = encode(self.spec, body)
        self._operations["upsert"] += 1
        return self._put(id, partition, body, encoded)

    async def delete(self, id: str, partition: str, *, if_etag: str | None = None) -> None:
        self._operations["delete"] += 1
        stored = self._existing(id, partition)
        if if_etag is not None:
            self._check_etag(stored, if_etag, id)
        del self._documents[partition, id]

    async def query(self, query: Query) -> Page:
        self._operations["query"] += 1
        rows = []
        of_id = [where for where in query.where if where.path == "id"]
        for (partition, id), stored in list(self._documents.items()):
            if query.partition not in (None, partition):
                continue
            # Before anything is decoded: most queries of long journals end here.
            if not all(_matches({"id": id}, where) for where in of_id):
                continue
            if self._live(id, partition) is None:
                continue
            body = decode(stored.encoded)
            keys = [_at(body, path) for path in query.order_by]
            if None in keys or not all(_matches(body, where) for where in query.where):
                continue
            rows.append(([_rank(key) for key in keys] + [_rank(id)], [*keys, id], stored))
        rows.sort(key=lambda row: row[0], reverse=query.descending)
        if query.cursor is not None:
            after = [_rank(key) for key in decode_cursor(query.cursor, len(query.order_by) + 1)]
            rows = [row for row in rows if (row[0] < after if query.descending else row[0] > after)]
        page = rows[: query.limit]
        cursor = encode_cursor(page[-1][1]) if len(rows) > query.limit else None
        return Page([stored.document() for _, _, stored in page], cursor)

    async def changes(self, since: str | None = None, *, limit: int = 1_000) -> Changes:
        self._operations["changes"] += 1
        if since is not None and not (since.isascii() and since.isdigit()):
            raise InvalidQuery("this token was not made by `changes`")
        start = int(since or 0)
        found = sorted(
            (
                stored
                for (partition, id), stored in list(self._documents.items())
                if stored.lsn > start and self._live(id, partition) is not None
            ),
            key=lambda stored: stored.lsn,
        )[:limit]
        return Changes(
            [stored.document() for stored in found], str(found[-1].lsn if found else start)
        )

    def usage(self) -> Usage:
        return Usage(dict(self._operations), {})

    def _put(self, id: str, partition: str, body: Body, encoded: str) -> Document:
        now = self._clock()
        self._lsn += 1
        stored = _Stored(self._lsn, encoded, int(now), expires_at(self.spec, body, now))
        self._documents[partition, id] = stored
        return Document(dict(body), str(stored.lsn), stored.modified)

    def _live(self, id: str, partition: str) -> _Stored | None:
        stored = self._documents.get((partition, id))
        if stored is None or (stored.expires is not None and stored.expires <= int(self._clock())):
            return None
        return stored

    def _existing(self, id: str, partition: str) -> _Stored:
        stored = self._live(id, partition)
        if stored is None:
            raise NotFound(f"{self.spec.name} has no document {id!r} in {partition!r}")
        return stored

    def _check_etag(self, stored: _Stored, etag: str, id: str) -> None:
        if str(stored.lsn) != etag:
            raise PreconditionFailed(f"{self.spec.name}: {id!r} has changed since it was read")


def _at(body: Any, path: str) -> Any:
    for part in path.split("."):
        body = body.get(part) if isinstance(body, dict) else None
    return body


def _rank(value: Scalar) -> tuple[int, Scalar]:
    """Order numbers before strings, so that mixed values compare at all."""
    return (1, value) if isinstance(value, str) else (0, value)


def _matches(body: dict[str, Any], where: Where) -> bool:
    found, wanted = _at(body, where.path), where.value
    if where.op == "contains":
        return isinstance(found, list) and wanted in found
    if where.op == "in":
        return isinstance(wanted, tuple) and found in wanted
    if isinstance(wanted, tuple) or found is None or isinstance(found, dict | list):
        return False
    if isinstance(found, str) != isinstance(wanted, str):
        return False
    if where.op == "prefix":
        return str(found).startswith(str(wanted))
    left, right = _rank(found), _rank(wanted)
    return {
        "=": left == right,
        "<": left < right,
        "<=": left <= right,
        ">": left > right,
        ">=": left >= right,
    }[where.op]
