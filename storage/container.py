"""The `Container` port: JSON documents shaped like Cosmos DB, whatever engine keeps them."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from storage.errors import StorageError
from storage.query import Query
from storage.spec import ContainerSpec

Body = Mapping[str, Any]
"""A JSON object. Values may be whatever msgspec encodes as JSON, structs included; what is read is
of JSON's own types.
"""

MAX_DOCUMENT_BYTES = 2_000_000
"""Cosmos DB refuses an item above 2 MB; the other engines keep to it, so that moving is safe."""


class Document(msgspec.Struct, frozen=True):
    """A stored document.

    Attributes:
        body: the JSON object as it was written (`id`, partition key and `ttl` included), without
            the engine's own fields.
        etag: opaque; changes with every write.
        modified: time of the last write, whole seconds since the epoch.
    """

    body: dict[str, Any]
    etag: str
    modified: int


@dataclass(frozen=True, slots=True)
class Page:
    """Documents of one query page; `cursor` asks for the next, None says there is none."""

    documents: list[Document]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Changes:
    """Documents written since a token, oldest write first, and the token to go on from."""

    documents: list[Document]
    token: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What a container's operations cost this process since it started, by operation name."""

    operations: Mapping[str, int]
    request_units: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Write:
    """One of several writes: a new document, or with `if_etag` the next version of one."""

    body: Body
    if_etag: str | None = None


class Container(Protocol):
    """One container of documents, addressed by id and partition key.

    Each call is atomic for its one document; nothing spans two. An acknowledged write is durable.
    Expired documents are invisible to every call. Any call may raise `Unavailable`, after which a
    write may have happened or not: `create` is then repeated and `Conflict` read as "it did",
    provided that the body tells who wrote it.

    Example:
        document = await container.create({"id": "1", "actorId": "Order/42", "total": 3})
        await container.replace({**document.body, "total": 4}, if_etag=document.etag)
    """

    spec: ContainerSpec

    def create(self, body: Body) -> Awaitable[Document]:
        """Store a new document; see `storage.together` for several writes.

        Raises:
            Conflict: the partition has a document with this id.
            InvalidDocument, DocumentTooLarge: nothing was written.
        """

    async def read(self, id: str, partition: str) -> Document:
        """Return one document, or raise `NotFound`."""

    async def read_many(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Document]:
        """Return those of the (id, partition) pairs that exist, keyed by pair."""

    async def replace(self, body: Body, *, if_etag: str) -> Document:
        """Overwrite the document that still has this etag.

        Raises:
            NotFound: there is none.
            PreconditionFailed: it has another etag by now.
        """

    async def write_many(self, writes: Sequence[Write]) -> list[Document | StorageError]:
        """Do each of the writes, and return for each what `create` or `replace` would.

        They are independent, each atomic by itself: some may succeed and others fail. An error is
        returned in its place, not raised. It saves what many calls cost, nothing else.
        """

    async def set_ttl(self, partition: str, *, since: str, until: str, ttl: int) -> int:
        """Let documents of a partition expire in `ttl` seconds; return how many.

        Those with ids from `since` to before `until` whose body has no `ttl`, which it gets, each
        by itself. One that somebody else writes meanwhile may be left as that made it. Whether the
        others get another etag, and a place in `changes`, is up to the engine. The container's spec
        must have a `default_ttl`.

        Raises:
            Unavailable: some of them will expire; calling it again sees to the others.
        """

    async def upsert(self, body: Body) -> Document:
        """Create or overwrite, whichever applies."""

    async def delete(self, id: str, partition: str, *, if_etag: str | None = None) -> None:
        """Remove one document.

        Raises:
            NotFound: there is none.
            PreconditionFailed: `if_etag` was given and is not its etag.
        """

    async def query(self, query: Query) -> Page:
        """Return one page of what matches.

        Raises:
            InvalidQuery: the cursor is not one of this query.
        """

    async def changes(self, since: str | None = None, *, limit: int = 1_000) -> Changes:
        """Return what was written since `since` (None: from the beginning), in order of writing.

        A document that was written several times appears once, with its latest body. Deletions
        do not appear. When nothing is new, `documents` is empty and the token is still good.
        """

    def usage(self) -> Usage:
        """Return this process's operations and request units so far (units are 0 off Cosmos)."""


class Store(Protocol):
    """An engine: opens containers and owns what they share (connections, threads)."""

    engine: str
    """"sqlite", "cosmos" or "memory"."""

    async def container(self, spec: ContainerSpec) -> Container:
        """Return the container of this spec, created in the engine when it is missing."""

    async def differences(self, spec: ContainerSpec) -> list[str]:
        """Return how the engine's container differs from its spec, in sentences; often none."""

    async def update(self, spec: ContainerSpec) -> None:
        """Make the container's TTL and indexes what its spec says, creating it when missing.

        The partition key of a container that holds documents cannot change.
        """

    async def ping(self) -> None:
        """Return when the engine answers; raise `Unavailable` when it does not."""

    async def close(self) -> None:
        """Finish what is under way and release connections and threads."""
