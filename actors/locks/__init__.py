"""Actor locks: the port, and an engine per file. That in Redis is imported by who asks for it."""

from actors.locks.memory import MemoryLocks
from actors.locks.port import LockManager
from actors.locks.sqlite import SqliteLocks

__all__ = ["LockManager", "MemoryLocks", "SqliteLocks"]
