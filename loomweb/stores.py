"""Opens the document stores that the settings name."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from azure.core.credentials_async import AsyncTokenCredential

from loomweb.config import Config, ConfigError, CosmosConfig
from storage import Container, ContainerSpec, Store
from storage.cosmos import CosmosStore
from storage.sqlite import Database, SqliteStore
from tracing.containers import TRACE_EVENTS


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores of one process.

    Embedded, traces have a file of their own: SQLite lets one process write a file at a time, and
    nothing that is traced should wait for its trace.

    Attributes:
        database: the embedded file of everything but traces; the queue and the locks may be there.
        trace_database: the embedded file of traces; the same as `database` where they are in that
            one, or in Cosmos DB.
    """

    documents: Store
    traces: Store
    database: Database
    trace_database: Database

    def of(self, spec: ContainerSpec) -> Store:
        """Return the store of a container."""
        return self.traces if spec is TRACE_EVENTS else self.documents

    async def containers(self, specs: Iterable[ContainerSpec]) -> dict[str, Container]:
        """Return containers by name; those that are missing are made.

        Raises:
            storage.StorageError: a store does not answer.
        """
        return {spec.name: await self.of(spec).container(spec) for spec in specs}

    async def close(self) -> None:
        await self.documents.close()
        if self.traces is not self.documents:
            await self.traces.close()
        await self.database.close()
        # Closing one file twice does nothing.
        await self.trace_database.close()


def open_stores(config: Config) -> Stores:
    """Return the stores that the settings name.

    Raises:
        ConfigError: a package that they need is not installed.
        storage.Unavailable: an embedded file cannot be opened.
    """
    database = Database(config.database_file, synchronous=config.synchronous)
    file = trace_file(config)
    trace_database = (
        database if file == config.database_file else Database(file, synchronous=config.synchronous)
    )
    documents = open_store(config.cosmos, database)
    traces = documents if config.cosmos is not None else SqliteStore(trace_database)
    return Stores(documents, traces, database, trace_database)


def trace_file(config: Config) -> Path:
    """Return the embedded file of traces.

    A store from before they had one of their own keeps them where they are.
    """
    own = config.data_dir / "traces.db"
    old = config.database_file
    if config.cosmos is not None or (not own.exists() and _has_traces(old)):
        return old
    return own


def _has_traces(file: Path) -> bool:
    if not file.exists():
        return False
    with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
        found = connection.execute(
            "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (TRACE_EVENTS.name,)
        ).fetchone()
    return found is not None


def open_store(cosmos: CosmosConfig | None, database: Database, *, retries: int = 9) -> Store:
    """Return the store in Cosmos DB or, without that, the embedded one in `database`.

    `retries` is how often a throttled request to Cosmos DB is repeated.

    Raises:
        ConfigError: a package that it needs is not installed.
    """
    if cosmos is None:
        return SqliteStore(database)
    return CosmosStore(
        cosmos.endpoint,
        cosmos.key or _managed_identity(),
        cosmos.database,
        retries=retries,
        timeout=cosmos.timeout_seconds,
        consistency=cosmos.consistency,
        regions=cosmos.regions,
    )


def _managed_identity() -> AsyncTokenCredential:
    try:
        # Optional, because few machines have a managed identity and the package is large.
        from azure.identity.aio import DefaultAzureCredential
    except ImportError:
        raise ConfigError(
            "without COSMOS_KEY the machine's managed identity is used, which needs the package"
            " azure-identity: install it, or set COSMOS_KEY"
        ) from None
    return DefaultAzureCredential()
