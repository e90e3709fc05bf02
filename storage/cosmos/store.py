"""The Cosmos DB account: one client, its database and containers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError
from azure.cosmos import PartitionKey
from azure.cosmos.aio import ContainerProxy, CosmosClient, DatabaseProxy
from azure.cosmos.exceptions import CosmosResourceNotFoundError

from storage.cosmos import translate
from storage.cosmos.container import CosmosContainer
from storage.errors import Unavailable
from storage.spec import ContainerSpec

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class CosmosStore:
    """A `Store` in one database of a Cosmos DB account.

    Args:
        credential: an account key, or a token credential of `azure-identity`.
        retries: how often the SDK repeats a throttled request, honouring retry-after.
        timeout: seconds until a connection or an answer counts as missing.
        consistency: a level no stronger than the account's; None takes the account's.
        regions: preferred ones, nearest first; empty takes the account's write region.
    """

    engine = "cosmos"

    def __init__(
        self,
        endpoint: str,
        credential: str | AsyncTokenCredential,
        database: str,
        *,
        retries: int = 9,
        timeout: float = 20.0,
        consistency: str | None = None,
        regions: Sequence[str] = (),
    ) -> None:
        # A server on this machine names no other region, and its certificate is its own.
        local = urlsplit(endpoint).hostname in _LOOPBACK
        self._client = CosmosClient(
            endpoint,
            credential,
            enable_endpoint_discovery=not local,
            connection_verify=not local,
            retry_total=retries,
            # Throttled requests are counted apart; of 0 the SDK would make its default, nine.
            retry_throttle_total=retries or -1,
            connection_timeout=timeout,
            read_timeout=timeout,
            consistency_level=consistency,
            preferred_locations=list(regions),
        )
        self._credential = credential
        self._local = local
        self._name = database
        self._database: DatabaseProxy | None = None

    async def container(self, spec: ContainerSpec) -> CosmosContainer:
        try:
            proxy = await self._open(spec)
        except (AzureError, OSError) as error:
            raise _unavailable(spec, error) from error
        return CosmosContainer(proxy, spec, local_server=self._local)

    async def differences(self, spec: ContainerSpec) -> list[str]:
        try:
            database = self._client.get_database_client(self._name)
            found = await database.get_container_client(spec.name).read()
        except CosmosResourceNotFoundError:
            return [f"{spec.name}: there is no such container in the database {self._name}"]
        except (AzureError, OSError) as error:
            raise _unavailable(spec, error) from error
        return translate.differences(spec, found)

    async def update(self, spec: ContainerSpec) -> None:
        try:
            proxy = await self._open(spec)
            if translate.differences(spec, await proxy.read()):
                database = self._client.get_database_client(self._name)
                await database.replace_container(
                    proxy,
                    PartitionKey(path=f"/{spec.partition_key}"),
                    indexing_policy=translate.indexing_policy(spec),
                    **_ttl(spec),
                )
        except (AzureError, OSError) as error:
            raise _unavailable(spec, error) from error

    async def _open(self, spec: ContainerSpec) -> ContainerProxy:
        if self._database is None:
            self._database = await self._client.create_database_if_not_exists(self._name)
        proxy: ContainerProxy = await self._database.create_container_if_not_exists(
            spec.name,
            PartitionKey(path=f"/{spec.partition_key}"),
            indexing_policy=translate.indexing_policy(spec),
            **_ttl(spec),
        )
        return proxy

    async def ping(self) -> None:
        try:
            await self._client.get_database_client(self._name).read()
        except (AzureError, OSError) as error:
            raise Unavailable(f"Cosmos DB did not answer: {type(error).__name__}") from error

    async def close(self) -> None:
        await self._client.close()
        if not isinstance(self._credential, str):
            await self._credential.close()


def _ttl(spec: ContainerSpec) -> dict[str, Any]:
    return {} if spec.default_ttl is None else {"default_ttl": spec.default_ttl}


def _unavailable(spec: ContainerSpec, error: Exception) -> Unavailable:
    return Unavailable(
        f"Cosmos DB: container {spec.name} cannot be opened ({type(error).__name__})"
    )
