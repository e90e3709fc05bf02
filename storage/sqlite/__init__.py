"""The embedded engine: SQLite with group commit."""

from storage.sqlite.container import SqliteContainer, SqliteStore
from storage.sqlite.database import Database

__all__ = ["Database", "SqliteContainer", "SqliteStore"]
