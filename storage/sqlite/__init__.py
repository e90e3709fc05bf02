"""The embedded engine: SQLite with group commit."""

from storage.sqlite.container import SqliteContainer, SqliteStore
from storage.sqlite.database import Database, Job
from storage.sqlite.work import SqliteWork

__all__ = ["Database", "Job", "SqliteContainer", "SqliteStore", "SqliteWork"]
