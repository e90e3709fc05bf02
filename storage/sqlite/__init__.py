"""The embedded engine: SQLite with group commit."""

from storage.sqlite.container import SqliteContainer, SqliteStore
from storage.sqlite.database import Database
from storage.sqlite.work import SqliteWork

__all__ = ["Database", "SqliteContainer", "SqliteStore", "SqliteWork"]
