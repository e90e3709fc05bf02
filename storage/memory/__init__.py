"""The engine for tests: documents in this process's memory."""

from storage.memory.container import MemoryContainer, MemoryStore

__all__ = ["MemoryContainer", "MemoryStore"]
