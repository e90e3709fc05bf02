"""Durable actors: what a user of Loom imports."""

from actors.activity import Activity, ActivityExecutor, activity
from actors.actor import Actor
from actors.archive import MessageArchive
from actors.deadletters import DeadLetters
from actors.errors import (
    ActivityFailed,
    ActivityTimeout,
    ActorError,
    CallFailed,
    Cancelled,
    EventTimeout,
    InvalidMessage,
    InvalidPayload,
    JournalConflict,
    NonDeterministic,
    NonRetryable,
    ReadOnly,
    SagaCompensated,
    SagaFailed,
    TooLarge,
    TurnTooLarge,
    UnknownLabel,
    UnknownMessageType,
)
from actors.handlers import handler
from actors.heartbeat import heartbeat
from actors.inbox import Inbox
from actors.journal import EntryType, Journal, JournalEntry, JournalRecord
from actors.limits import TurnLimits
from actors.locks import LockManager, MemoryLocks, SqliteLocks
from actors.message import Message, address
from actors.queues import Depth, Lease, MemoryQueue, MessageQueue, SqliteQueue
from actors.retry import RetryPolicy
from actors.runtime import ActorRuntime, Started
from actors.saga import Saga
from actors.state import ActorState
from actors.stores import CosmosStateStore, InMemoryStateStore, StateStore
from actors.worker import ActorWorker, WorkerStats
from actors.workflow import EventOffer, Workflow
from tracing.context import TraceContext, trace_headers

__all__ = [
    "Activity",
    "ActivityExecutor",
    "ActivityFailed",
    "ActivityTimeout",
    "Actor",
    "ActorError",
    "ActorRuntime",
    "ActorState",
    "ActorWorker",
    "CallFailed",
    "Cancelled",
    "CosmosStateStore",
    "DeadLetters",
    "Depth",
    "EntryType",
    "EventOffer",
    "EventTimeout",
    "InMemoryStateStore",
    "Inbox",
    "InvalidMessage",
    "InvalidPayload",
    "Journal",
    "JournalConflict",
    "JournalEntry",
    "JournalRecord",
    "Lease",
    "LockManager",
    "MemoryLocks",
    "MemoryQueue",
    "Message",
    "MessageArchive",
    "MessageQueue",
    "NonDeterministic",
    "NonRetryable",
    "ReadOnly",
    "RetryPolicy",
    "Saga",
    "SagaCompensated",
    "SagaFailed",
    "SqliteLocks",
    "SqliteQueue",
    "Started",
    "StateStore",
    "TooLarge",
    "TraceContext",
    "TurnLimits",
    "TurnTooLarge",
    "UnknownLabel",
    "UnknownMessageType",
    "WorkerStats",
    "Workflow",
    "activity",
    "address",
    "handler",
    "heartbeat",
    "trace_headers",
]
