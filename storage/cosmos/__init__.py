"""Azure Cosmos DB, through the official SDK."""

from storage.cosmos.container import CosmosContainer
from storage.cosmos.store import CosmosStore

__all__ = ["CosmosContainer", "CosmosStore"]
