"""One Cosmos DB container behind the port."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec
from azure.core import MatchConditions
from azure.core.exceptions import AzureError, ServiceRequestError, ServiceResponseError
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import CosmosHttpResponseError

from storage.container import Body, Changes, Document, Page, Usage, Write
from storage.cosmos import translate
from storage.document import encode, without_system_fields
from storage.errors import (
    Conflict,
    DocumentTooLarge,
    InvalidQuery,
    NotFound,
    PreconditionFailed,
    StorageError,
    Throttled,
    Unavailable,
)
from storage.query import Query, Scalar, encode_cursor
from storage.spec import ContainerSpec
from storage.writes import one_write

T = TypeVar("T")
U = TypeVar("U")

_IDS_PER_QUERY = 100
_PATCHES_PER_QUERY = 500
_REQUESTS_AT_A_TIME = 64
_CHARGE = "x-ms-request-charge"
_RETRY_AFTER = "x-ms-retry-after-ms"


class CosmosContainer:
    """A `Container` in Cosmos DB. Counts the request units of every operation.

    With `local_server`, a point read that is answered with status 500 is asked again as a query:
    the server that tests run against answers so when the document is missing.
    """

    def __init__(
        self,
        proxy: ContainerProxy,
        spec: ContainerSpec,
        *,
        local_server: bool = False,
    ) -> None:
        self.spec = spec
        self._local_server = local_server
        self._proxy = proxy
        self._operations: Counter[str] = Counter()
        self._units: dict[str, float] = {}

    async def create(self, body: Body) -> Document:
        id, _, _ = encode(self.spec, body)
        with self._counted("create", id) as hook:
            item = await self._proxy.create_item(_item(body), response_hook=hook)
        return _document(item)

    async def read(self, id: str, partition: str) -> Document:
        try:
            with self._counted("read", id) as hook:
                item = await self._proxy.read_item(id, partition, response_hook=hook)
            return _document(item)
        except Unavailable:
            if not self._local_server:
                raise
        found = await self._by_ids([id], partition)
        if not found:
            raise NotFound(f"{self.spec.name} has no document {id!r} in that partition")
        return found[0]

    async def read_many(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Document]:
        """As the port says; a partition's documents come with one query, not one read each."""
        found: dict[tuple[str, str], Document] = {}
        by_partition: dict[str, list[str]] = {}
        for id, partition in dict.fromkeys(keys):
            by_partition.setdefault(partition, []).append(id)
        for partition, ids in by_partition.items():
            if len(ids) == 1:
                with contextlib.suppress(NotFound):
                    found[ids[0], partition] = await self.read(ids[0], partition)
                continue
            for start in range(0, len(ids), _IDS_PER_QUERY):
                for document in await self._by_ids(ids[start : start + _IDS_PER_QUERY], partition):
                    found[document.body["id"], partition] = document
        return found

    async def _by_ids(self, ids: Sequence[str], partition: str) -> list[Document]:
        marks = ", ".join(f"@id{number}" for number in range(len(ids)))
        key = translate.field(self.spec.partition_key)
        text = f"SELECT * FROM c WHERE {key} = @partition AND c.id IN ({marks})"  # noqa: S608
        parameters = [{"name": "@partition", "value": partition}]
        parameters += [{"name": f"@id{number}", "value": id} for number, id in enumerate(ids)]
        return [_document(item) for item in await self._items("read", text, parameters, partition)]

    async def replace(self, body: Body, *, if_etag: str) -> Document:
        id, _, _ = encode(self.spec, body)
        with self._counted("replace", id) as hook:
            item = await self._proxy.replace_item(
                id,
                _item(body),
                etag=if_etag,
                match_condition=MatchConditions.IfNotModified,
                response_hook=hook,
            )
        return _document(item)

    async def write_many(self, writes: Sequence[Write]) -> list[Document | StorageError]:
        """As the port says; documents of many partitions, so they go as requests side by side.

        Once one is refused as `Unavailable`, those that were not sent yet are refused with it.
        """
        return await _side_by_side(writes, partial(one_write, self))

    async def set_ttl(self, partition: str, *, since: str, until: str, ttl: int) -> int:
        """As the port says, by partial updates: no body comes or goes."""
        count = 0
        while True:
            text, parameters = translate.without_ttl(
                self.spec, partition, since, until, _PATCHES_PER_QUERY
            )
            items = await self._items("query", text, parameters, partition, _PATCHES_PER_QUERY)
            for done in await _side_by_side(items, partial(self._add_ttl, partition, ttl)):
                if done is None:
                    count += 1
                elif isinstance(done, Unavailable):
                    raise done
            if len(items) < _PATCHES_PER_QUERY:
                return count
            # The least id that can come next: what somebody else writes is not looked for again.
            since = items[-1]["id"] + " "

    async def _add_ttl(
        self, partition: str, ttl: int, found: Mapping[str, Any]
    ) -> StorageError | None:
        try:
            with self._counted("set_ttl", found["id"]) as hook:
                await self._proxy.patch_item(
                    found["id"],
                    partition,
                    [{"op": "add", "path": "/ttl", "value": ttl}],
                    etag=found["_etag"],
                    match_condition=MatchConditions.IfNotModified,
                    no_response=True,
                    response_hook=hook,
                )
        except StorageError as error:
            return error
        return None

    async def upsert(self, body: Body) -> Document:
        id, _, _ = encode(self.spec, body)
        with self._counted("upsert", id) as hook:
            item = await self._proxy.upsert_item(_item(body), response_hook=hook)
        return _document(item)

    async def delete(self, id: str, partition: str, *, if_etag: str | None = None) -> None:
        condition: dict[str, Any] = {}
        if if_etag is not None:
            condition = {"etag": if_etag, "match_condition": MatchConditions.IfNotModified}
        with self._counted("delete", id) as hook:
            await self._proxy.delete_item(id, partition, response_hook=hook, **condition)

    async def query(self, query: Query) -> Page:
        text, parameters = translate.select(self.spec, query)
        items = await self._items("query", text, parameters, query.partition, query.limit + 1)
        documents = [_document(item) for item in items[: query.limit]]
        if len(items) <= query.limit:
            return Page(documents, None)
        last = documents[-1].body
        keys = [_value_at(last, path) for path in (*query.order_by, "id")]
        return Page(documents, encode_cursor(keys))

    async def changes(self, since: str | None = None, *, limit: int = 1_000) -> Changes:
        """As the port says, from the change feed (latest-version mode, SDK continuation)."""
        start: dict[str, Any] = (
            {"start_time": "Beginning"} if since is None else {"continuation": since}
        )
        with self._counted("changes", "the change feed") as hook:
            feed = self._proxy.query_items_change_feed(
                max_item_count=limit, response_hook=hook, **start
            )
            pages = feed.by_page()
            documents: list[Document] = []
            async for page in pages:
                documents = [_document(item) async for item in page]
                break
        token = self._proxy.client_connection.last_response_headers.get("etag")
        return Changes(documents, token or since or "")

    def usage(self) -> Usage:
        return Usage(dict(self._operations), dict(self._units))

    async def _items(
        self,
        name: str,
        text: str,
        parameters: translate.Parameters,
        partition: str | None,
        page: int | None = None,
    ) -> list[Mapping[str, Any]]:
        scope: dict[str, Any] = {}
        if partition is not None:
            scope["partition_key"] = partition
        with self._counted(name, "a query") as hook:
            found = self._proxy.query_items(
                text,
                parameters=parameters,
                max_item_count=page,
                response_hook=hook,
                **scope,
            )
            return [item async for item in found]

    @contextlib.contextmanager
    def _counted(self, operation: str, what: str) -> Iterator[Any]:
        """Count an operation and its units, and translate what it raises."""
        self._operations[operation] += 1

        def hook(headers: Mapping[str, str], _: object = None) -> None:
            charge = float(headers.get(_CHARGE, 0))
            self._units[operation] = self._units.get(operation, 0.0) + charge

        try:
            yield hook
        except CosmosHttpResponseError as error:
            raise _translated(error, self.spec.name, what) from None
        except (ServiceRequestError, ServiceResponseError, AzureError, OSError) as error:
            raise Unavailable(f"Cosmos DB did not answer: {type(error).__name__}") from error


async def _side_by_side(
    each: Sequence[T], do: Callable[[T], Awaitable[U | StorageError]]
) -> list[U | StorageError]:
    """Do it for each, many at a time; once one is `Unavailable`, those to come are, too."""
    slots = asyncio.Semaphore(_REQUESTS_AT_A_TIME)
    refused: Unavailable | None = None

    async def one(what: T) -> U | StorageError:
        nonlocal refused
        async with slots:
            if refused is not None:
                # A service that throttles or is down is not helped by more requests.
                return refused
            result = await do(what)
            if isinstance(result, Unavailable):
                refused = result
            return result

    return list(await asyncio.gather(*map(one, each)))


def _translated(error: CosmosHttpResponseError, container: str, what: str) -> StorageError:
    status = error.status_code
    if status == 409:
        return Conflict(f"{container} has a document {what!r} in that partition")
    if status == 404:
        return NotFound(f"{container} has no document {what!r} in that partition")
    if status == 412:
        return PreconditionFailed(f"{container}: {what!r} has changed since it was read")
    if status == 413:
        return DocumentTooLarge(f"{container}: {what!r} is larger than Cosmos DB accepts")
    if status in (429, 449):
        headers = getattr(error, "headers", None) or {}
        asked = str(headers.get(_RETRY_AFTER, ""))
        wait = int(asked) / 1_000 if asked.isascii() and asked.isdigit() else 1.0
        return Throttled(f"Cosmos DB is throttling {container}", wait)
    if status == 400:
        return InvalidQuery(f"{container}: Cosmos DB refused {what}")
    return Unavailable(f"{container}: Cosmos DB answered with status {status}")


def _document(item: Mapping[str, Any]) -> Document:
    try:
        return Document(without_system_fields(item), str(item["_etag"]), int(item["_ts"]))
    except (KeyError, TypeError, AttributeError) as error:
        # What is between us and the service has answered in its place.
        raise Unavailable("Cosmos DB's answer holds no document") from error


def _item(body: Body) -> dict[str, Any]:
    """Return what the SDK writes: it knows JSON's own types alone."""
    item: dict[str, Any] = msgspec.to_builtins(body)
    return item


def _value_at(body: Any, path: str) -> Scalar:
    for part in path.split("."):
        body = body.get(part) if isinstance(body, dict) else None
    if not isinstance(body, str | int | float | bool):
        raise InvalidQuery(f"{path} is not a string, number or boolean, so it gives no order")
    return body
