"""The one place that builds stores, queue, tracer and runtime, and hands them to the apps."""

from __future__ import annotations

import asyncio
import contextlib
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version

from actors import services as actor_services
from actors.activity import ActivityExecutor
from actors.actor import Actor
from actors.archive import MESSAGE_ARCHIVE, MessageArchive
from actors.changes import PathHistory
from actors.deadletters import DEAD_LETTERS, UNRESOLVED, DeadLetters, LetterCount, LetterFilter
from actors.finder import MessageFinder
from actors.history import HistoryExporter
from actors.inbox import ACTOR_EVENTS, Inbox
from actors.inspect import ActorInspector
from actors.journal import ACTOR_JOURNALS, Journal
from actors.pages.resolutions import LetterResolutions
from actors.presence import WORKERS, Attendance, Presence
from actors.queues import Depth
from actors.redrive import Redrive
from actors.resolvers import ActorDataLoaders
from actors.retry import MESSAGE_RETRIES
from actors.runtime import ActorRuntime
from actors.stores import ACTOR_STATES, CosmosStateStore
from actors.watch import ActorWatch
from actors.worker import ActorWorker, WorkerStats
from loomweb.config import Config
from loomweb.mail import Mail, open_mail
from loomweb.plugins import Served, load_actors
from loomweb.recording import Recording, record_elsewhere, record_here, recording_config
from loomweb.stores import Stores, open_stores
from storage import Container, StorageError
from storage.sqlite import Database
from tracing import (
    RefKind,
    Resolvers,
    Source,
    TraceAnalytics,
    TraceReader,
    TraceReconstructor,
    TraceWriter,
    WriterStats,
)
from tracing import services as tracing_services
from tracing.containers import TRACE_EVENTS
from tracing.otlp.export import ExportStats

SPECS = (
    TRACE_EVENTS,
    MESSAGE_ARCHIVE,
    ACTOR_STATES,
    ACTOR_JOURNALS,
    ACTOR_EVENTS,
    DEAD_LETTERS,
    WORKERS,
)


@dataclass(frozen=True, slots=True)
class ContainerUsage:
    """Operations and request units of one container since this process started."""

    name: str
    operations: Mapping[str, int]
    request_units: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class SystemReport:
    """What the System page shows of this process.

    Attributes:
        queue: None when it does not answer.
        unresolved: dead letters that are neither retried nor discarded.
    """

    engine: str
    tracing_on: bool
    writer: WriterStats | None
    recorder_pid: int | None
    exporter: ExportStats | None
    queue_engine: str
    queue: Depth | None
    queue_facts: Mapping[str, str]
    unresolved: LetterCount
    containers: list[ContainerUsage]
    worker: WorkerStats | None
    attendance: Attendance
    versions: dict[str, str]


class Loom:
    """One process's stores, queue, tracer, runtime and, when asked for, worker."""

    def __init__(
        self,
        config: Config,
        stores: Stores,
        recording: Recording | None,
        containers: Mapping[str, Container],
        mail: Mail,
        served: Served,
    ) -> None:
        self.served = served
        self.config = config
        self._stores = stores
        self.store = store = stores.documents
        self._recording = recording
        self.containers = containers
        self.mail = mail
        self.queue = queue = mail.queue
        self._worker_task: asyncio.Task[None] | None = None
        self._presence_task: asyncio.Task[None] | None = None
        self.worker: ActorWorker | None = None
        events = containers[TRACE_EVENTS.name]
        self.writer = (
            None
            if recording is None
            else TraceWriter(recording.recorder, sampler=config.trace_sampling)
        )
        self.archive = MessageArchive(containers[MESSAGE_ARCHIVE.name]) if config.archive else None
        self.state_store = CosmosStateStore(
            containers[ACTOR_STATES.name],
            containers[ACTOR_JOURNALS.name],
            engine=store.engine,
        )
        inbox = Inbox(containers[ACTOR_EVENTS.name])
        self.runtime = ActorRuntime(
            *(self.state_store, queue, mail.locks, self.writer),
            message_archive=self.archive,
            inbox=inbox,
        )
        journal = Journal(containers[ACTOR_JOURNALS.name])
        self.inspector = ActorInspector(self.state_store, queue, inbox)
        self.watch = ActorWatch(queue, journal)
        self.histories = HistoryExporter(
            self.state_store, containers[MESSAGE_ARCHIVE.name], containers[DEAD_LETTERS.name]
        )
        self.dead_letters = DeadLetters(containers[DEAD_LETTERS.name])
        self.redrive = Redrive(self.runtime, self.dead_letters, served.actor_types)
        loaders = ActorDataLoaders(containers, self.state_store)
        self.reader = TraceReader(events)
        self.analytics = TraceAnalytics(events)
        self.reconstructor = TraceReconstructor(
            self.reader,
            Resolvers(
                {
                    RefKind.MESSAGE: Source(loaders.messages, MESSAGE_ARCHIVE.default_ttl),
                    RefKind.JOURNAL_ENTRY: Source(loaders.journal_entries),
                    RefKind.ACTOR_STATE: Source(loaders.states),
                    RefKind.DOCUMENT: Source(loaders.documents, loaders.document_ttl),
                }
            ),
        )
        archive = containers[MESSAGE_ARCHIVE.name]
        self.paths = PathHistory(journal, self.state_store, archive)
        self.messages = MessageFinder(archive, journal, self.dead_letters)
        self.executor = ActivityExecutor()
        self.presence = Presence(containers[WORKERS.name])

    def start_worker(self, *actor_types: type[Actor]) -> ActorWorker:
        """Start handling messages of `actor_types` (all that are served, when none are given)."""
        self.worker = ActorWorker(
            self.runtime,
            self.queue,
            actor_types or self.served.actor_types,
            self.executor,
            tracer=self.writer,
            message_archive=self.archive,
            dead_letters=self.dead_letters,
            concurrency=self.config.concurrency,
            lease_seconds=self.config.lease_seconds,
            grace_seconds=self.config.grace_seconds,
        )
        self._worker_task = asyncio.create_task(self.worker.run(), name="worker")
        self._presence_task = asyncio.create_task(
            self.presence.keep(self.worker), name="worker's presence"
        )
        return self.worker

    async def ready(self) -> list[str]:
        """Return what does not answer; empty when the process can serve."""
        problems = []
        for name, check in (("store", self.store.ping), ("queue", self.queue.depth)):
            try:
                await check()
            except StorageError as error:
                problems.append(f"the {name} does not answer: {error}")
        if self._worker_task is not None and self._worker_task.done():
            problems.append("the worker of this process has ended")
        return problems

    async def system(self) -> SystemReport:
        """Return what the System page shows."""
        usages = []
        usages_of = {name: container.usage for name, container in self.containers.items()}
        if self._recording is not None:
            usages_of[f"{TRACE_EVENTS.name} (recorder)"] = self._recording.usage
        for name, usage_of in usages_of.items():
            usage = usage_of()
            usages.append(ContainerUsage(name, usage.operations, usage.request_units))
        try:
            depth, facts = await asyncio.gather(self.queue.depth(), self.mail.facts())
        except StorageError:
            # `ready` tells why.
            depth, facts = None, {"Server": self.mail.address} if self.mail.address else {}
        return SystemReport(
            engine=self.store.engine,
            tracing_on=self.writer is not None,
            writer=None if self.writer is None else self.writer.stats(),
            recorder_pid=None if self._recording is None else self._recording.pid(),
            exporter=None if self._recording is None else self._recording.exported(),
            queue_engine=self.mail.engine,
            queue=depth,
            queue_facts=facts,
            unresolved=await self.dead_letters.count(LetterFilter(UNRESOLVED)),
            containers=usages,
            worker=None if self.worker is None else self.worker.stats(),
            attendance=await self.presence.seen(),
            versions={
                "Python": platform.python_version(),
                **{name: version(name) for name in ("Django", "azure-cosmos", "msgspec")},
            },
        )

    async def close(self) -> None:
        """Drain the worker, flush the trace writer, close the stores; in that order."""
        if self.worker is not None and self._worker_task is not None:
            self.worker.stop()
            with contextlib.suppress(asyncio.CancelledError):
                await self._worker_task
        if self._presence_task is not None:
            self._presence_task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._presence_task
        self.executor.close()
        if self.writer is not None:
            await self.writer.close()
        if self._recording is not None:
            await self._recording.close()
        await self.mail.close()
        await self._stores.close()


_current: Loom | None = None


def current() -> Loom:
    """Return this process's Loom.

    Raises:
        RuntimeError: it is not open.
    """
    if _current is None:
        raise RuntimeError("Loom is not open: start it through loomweb.asgi or a manage.py command")
    return _current


async def open_loom(config: Config) -> Loom:
    """Build everything from the settings and install it for the pages of this process.

    Raises:
        ConfigError: the settings name something that is not installed or cannot be imported.
        storage.StorageError: the store or the queue does not answer.
    """
    global _current
    served = load_actors(config.actors)
    stores = open_stores(config)
    recording = None
    try:
        containers = await stores.containers(SPECS)
        recording = await _open_recording(config, stores.trace_database)
        mail = await open_mail(config, stores.database)
    except BaseException:
        if recording is not None:
            await recording.close()
        await stores.close()
        raise
    loom = Loom(config, stores, recording, containers, mail, served)
    if loom.writer is not None:
        loom.writer.start()
    tracing_services.install(
        tracing_services.TracingServices(
            loom.reader,
            loom.analytics,
            loom.reconstructor,
            loom.writer,
            tracing_services.OtlpAccess(config.otlp_token, open=not config.require_login),
            loom.paths.last_change,
            MESSAGE_RETRIES.max_attempts,
            LetterResolutions(),
        )
    )
    actor_services.install(
        actor_services.ActorServices(
            loom.runtime,
            served.workflows,
            loom.inspector,
            loom.histories,
            loom.redrive,
            loom.watch,
            loom.messages,
        )
    )
    if config.run_workers:
        loom.start_worker()
    _current = loom
    return loom


async def _open_recording(config: Config, database: Database) -> Recording | None:
    if not config.tracing:
        return None
    settings = recording_config(config)
    if config.trace_process:
        return record_elsewhere(settings)
    return await record_here(settings, database)


async def close_loom() -> None:
    """Close this process's Loom, if it is open."""
    global _current
    loom, _current = _current, None
    if loom is None:
        return
    actor_services.install(None)
    tracing_services.install(None)
    await loom.close()
