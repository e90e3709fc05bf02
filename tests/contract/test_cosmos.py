"""What is special about the Cosmos engine: how containers are declared, and what calls cost."""

from __future__ import annotations

from uuid import uuid4

import pytest
from azure.cosmos.aio import CosmosClient

from storage import DAY, ContainerSpec, Index, Unavailable, Write
from storage.cosmos import CosmosStore
from storage.cosmos.translate import indexing_policy
from tests.cosmos_server import KEY, free_port

SPEC = ContainerSpec(
    "declared",
    "customer",
    default_ttl=7 * DAY,
    indexed=("tags",),
    indexes=(Index(equal=("state",), order=("at",), descending=True),),
)


async def test_a_container_is_created_with_its_ttl_and_partition_key(cosmos_endpoint: str) -> None:
    database = f"declared-{uuid4().hex[:8]}"
    store = CosmosStore(cosmos_endpoint, KEY, database)
    await store.container(SPEC)
    await store.container(SPEC)
    await store.close()
    async with CosmosClient(cosmos_endpoint, KEY, enable_endpoint_discovery=False) as client:
        found = await client.get_database_client(database).get_container_client("declared").read()
    assert found["defaultTtl"] == 7 * DAY
    assert found["partitionKey"]["paths"] == ["/customer"]
    composite = found["indexingPolicy"]["compositeIndexes"]
    assert [path["path"] for path in composite[0]] == ["/state", "/at", "/id"]
    assert {path["order"] for path in composite[0]} == {"descending"}


def test_the_policy_indexes_what_is_queried_and_nothing_else() -> None:
    policy = indexing_policy(SPEC)
    included = [path["path"] for path in policy["includedPaths"]]
    assert included == ["/at/?", "/state/?", "/tags/?", "/tags/[]/?"]
    assert policy["excludedPaths"] == [{"path": "/*"}]


async def test_request_units_are_counted_per_operation(cosmos_endpoint: str) -> None:
    store = CosmosStore(cosmos_endpoint, KEY, f"units-{uuid4().hex[:8]}")
    container = await store.container(ContainerSpec("units", "k"))
    await container.create({"id": "1", "k": "a"})
    assert set(container.usage().request_units) == {"create"}
    await store.close()


async def test_documents_of_one_partition_are_read_by_one_request(cosmos_endpoint: str) -> None:
    store = CosmosStore(cosmos_endpoint, KEY, f"batched-{uuid4().hex[:8]}")
    container = await store.container(ContainerSpec("batched", "k"))
    keys = [(str(number), partition) for partition in "ab" for number in range(40)]
    await container.write_many([Write({"id": id, "k": partition}) for id, partition in keys])
    before = container.usage().operations.get("read", 0)
    found = await container.read_many([*keys, ("missing", "a")])
    assert set(found) == set(keys)
    assert container.usage().operations["read"] - before == 2
    await store.close()


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    store = CosmosStore(f"http://127.0.0.1:{free_port()}", KEY, "loom", retries=0, timeout=1)
    with pytest.raises(Unavailable):
        await store.container(SPEC)
    with pytest.raises(Unavailable):
        await store.ping()
    await store.close()
