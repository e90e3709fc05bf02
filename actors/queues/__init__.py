"""Message queues: the port, and an engine per file."""

from actors.queues.memory import MemoryQueue
from actors.queues.port import (
    Depth,
    Lease,
    Mailbox,
    MailboxState,
    MessageQueue,
    QueueUnavailable,
    Tally,
)
from actors.queues.sqlite import SqliteQueue

__all__ = [
    "Depth",
    "Lease",
    "Mailbox",
    "MailboxState",
    "MemoryQueue",
    "MessageQueue",
    "QueueUnavailable",
    "SqliteQueue",
    "Tally",
]
