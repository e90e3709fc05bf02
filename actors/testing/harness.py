"""`ActorHarness`: actors in a plain test function, in memory, on a virtual clock."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec

from actors.activity import Activity
from actors.actor import Actor
from actors.archive import MESSAGE_ARCHIVE, MessageArchive
from actors.deadletters import DEAD_LETTERS, DeadLetters
from actors.errors import CallFailed
from actors.history import HistoryExporter
from actors.inbox import ACTOR_EVENTS, Inbox, reply_name
from actors.inspect import ActorInspector, ActorLook
from actors.journal import JournalRecord
from actors.locks import MemoryLocks
from actors.message import Message
from actors.retry import MESSAGE_RETRIES, RetryPolicy
from actors.runtime import ActorRuntime
from actors.stores import InMemoryStateStore
from actors.testing.actor import DeadLetter, TestedActor
from actors.testing.clock import END_OF_TIME, START, VirtualClock, VirtualTimeLoop
from actors.testing.executor import ActivityCall, Answer, Broken, HarnessExecutor
from actors.testing.queue import HarnessQueue
from actors.testing.stub import stub
from actors.worker import ActorWorker
from actors.workflow import Workflow
from storage import Query
from storage.memory import MemoryContainer

Payload = Any
"""A mapping, or a dataclass like the handler's input type."""
_T = TypeVar("_T")

TEST = "Test/harness"
"""The actor in whose name the test calls others."""
FOR_EVER = 2.0 * END_OF_TIME


class ActorHarness:
    """Runs actors as the runtime does, with what is around them in the hands of a test.

    Each method that sends something returns when nothing more happens by itself: retries have
    been made, and turns that are left wait for an event or for their time. Time stands still
    otherwise; `advance` lets it pass, at once however long.

    Use it in plain test functions: it has an event loop of its own.

    Example:
        harness = ActorHarness(Wallet)
        harness.replace(charge, lambda account, cents: "receipt")
        wallet = harness.actor(Wallet, "ada")
        wallet.send("pay", {"account": "ada", "cents": 700})
        assert wallet.state["spent"] == 700
    """

    def __init__(
        self, *actor_types: type[Actor], retry_policy: RetryPolicy = MESSAGE_RETRIES
    ) -> None:
        self._types = {kind.type_name(): kind for kind in actor_types}
        self._answers: dict[str, dict[str, Answer]] = {}
        self._policy = replace(retry_policy, jitter=0.0)
        self._broken = Broken()
        self._started = 0
        self._clock = clock = VirtualClock()
        self._loop = VirtualTimeLoop(clock)
        weakref.finalize(self, self._loop.close)
        self._executor = HarnessExecutor(self._broken)
        self._queue = HarnessQueue(clock)
        self._store = InMemoryStateStore(clock_ns=clock.time_ns)
        # A test may ask for what was sent, or given up, a year ago.
        self._archived = MemoryContainer(replace(MESSAGE_ARCHIVE, default_ttl=-1))
        self._letters = MemoryContainer(replace(DEAD_LETTERS, default_ttl=-1))
        self._inbox = Inbox(MemoryContainer(ACTOR_EVENTS, clock=clock.time), clock_ns=clock.time_ns)
        self._runtime = ActorRuntime(
            self._store,
            self._queue,
            MemoryLocks(clock=clock.time),
            message_archive=MessageArchive(self._archived),
            inbox=self._inbox,
            clock_ns=clock.time_ns,
        )
        self._exporter = HistoryExporter(
            self._store, self._archived, self._letters, clock_ns=clock.time_ns
        )
        self._inspector = ActorInspector(self._store, self._queue, self._inbox)

    def replace(self, activity: Activity | str, function: Answer) -> None:
        """Call `function`, plain or async, instead of an activity, given or named.

        It gets the activity's arguments by name, and `idempotency_key` if it has that parameter.
        A failed assertion in it fails the test.
        """
        self._executor.replace(_name(activity), function)

    def fail(
        self,
        activity: Activity | str,
        *,
        times: int | None = None,
        error: BaseException | None = None,
    ) -> None:
        """Let the next attempts of an activity fail; all of them when `times` is not given."""
        why = error or RuntimeError(f"{_name(activity)} was made to fail")
        self._executor.fail(_name(activity), float("inf") if times is None else times, why)

    def answer(self, actor_type: type[Actor] | str, message_type: str, function: Answer) -> None:
        """Let `function` handle messages of this type, instead of all actors of `actor_type`.

        It gets the payload; what it returns answers a call, and what it raises fails it.
        """
        name = actor_type if isinstance(actor_type, str) else actor_type.type_name()
        answers = self._answers.setdefault(name, {})
        answers[message_type] = function
        self._types[name] = stub(name, answers, self._broken)

    def actor(self, actor_type: type[Actor] | str, key: str | None = None) -> TestedActor:
        """Return one actor, by type and key or by its id "Type/key". It need not exist yet."""
        name = actor_type if isinstance(actor_type, str) else actor_type.type_name()
        return TestedActor(self, name if key is None else f"{name}/{key}")

    def start(
        self, workflow: Workflow, payload: Payload = None, *, key: str | None = None
    ) -> TestedActor:
        """Start a run of a workflow; return its first actor."""
        self._started += 1
        key = key or f"{workflow.name}-{self._started}"
        self.send(workflow.new_actor(key), workflow.message_type, payload, workflow=workflow.name)
        return self.actor(workflow.new_actor(key))

    def send(self, actor_id: str, message_type: str, payload: Payload = None, **more: Any) -> None:
        """Send a message to an actor, and do what follows from it.

        `more` goes to `Message.new`: `priority`, `sender`, `message_id` and the like.
        """
        self.send_all([(actor_id, message_type, payload)], **more)

    def send_all(self, messages: list[tuple[str, str, Payload]], **more: Any) -> None:
        """Send messages, each an actor's id, a type and a payload, before any is handled."""
        made = [self._message(*message, **more) for message in messages]
        self._wait(self._runtime.dispatch(made))
        self._run(0.0)

    def call(self, actor_id: str, message_type: str, payload: Payload = None) -> Any:
        """Send a message and return what its handler returned.

        Raises:
            CallFailed: it failed for the last time.
            AssertionError: it has not answered: it waits.
        """
        message = self._message(actor_id, message_type, payload, sender=TEST, reply=True)
        self._wait(self._runtime.dispatch([message]))
        self._run(0.0)
        for event in self._wait(self._inbox.waiting(TEST)):
            if event.name == reply_name(message.message_id):
                self._wait(self._inbox.remove(TEST, event.id))
                error = event.payload.get("error")
                if error is not None:
                    raise CallFailed(actor_id, message_type, error["type"], error["message"])
                return event.payload["result"]
        waits = ", ".join(self.actor(actor_id).waits_for) or "nothing that the harness knows of"
        raise AssertionError(f"{actor_id} has not answered {message_type}; it waits for: {waits}")

    def send_event(
        self, actor_id: str, name: str, payload: Payload = None, *, event_id: str | None = None
    ) -> bool:
        """Send an event; False when one of this id was sent before."""
        self._started += 1
        event_id = event_id or f"event-{self._started}"
        new = self._wait(
            self._runtime.send_event(actor_id, name, _plain(payload), event_id=event_id)
        )
        self._run(0.0)
        return new

    def cancel(self, actor_id: str, reason: str = "") -> bool:
        """Cancel the actor's turn that waits; False when there is none."""
        new = self._wait(self._runtime.cancel(actor_id, reason))
        self._run(0.0)
        return new

    def advance(self, seconds: float = 0.0, **units: float) -> None:
        """Let time pass: seconds, or `days=3, hours=1` as `timedelta` takes them.

        What is due on the way happens at its time.
        """
        until = self._clock.time() + seconds + timedelta(**units).total_seconds()
        self._run(until)
        self._clock.advance(max(0.0, until - self._clock.time()))

    def finish(self) -> None:
        """Let time pass until nothing is left that time alone moves."""
        self._run(START.timestamp() + END_OF_TIME)

    @property
    def now(self) -> datetime:
        """The virtual time, in UTC. Every harness begins at 2030-01-01."""
        return datetime.fromtimestamp(self._clock.time(), UTC)

    @property
    def sent(self) -> list[Message]:
        """Every message so far, in order, also those to actors that are not here."""
        return list(self._queue.sent)

    def calls(self, activity: Activity | str) -> list[ActivityCall]:
        """Return the attempts of an activity, in the order in which they ended."""
        return [call for call in self._executor.calls if call.name == _name(activity)]

    @property
    def dead_letters(self) -> list[DeadLetter]:
        """The messages that were given up, in the order in which they were sent."""
        page = self._wait(self._letters.query(Query(limit=1_000)))
        found = {document.body["id"]: document.body for document in page.documents}
        return [
            self._dead_letter(message, found[message.message_id])
            for message in self._queue.sent
            if message.message_id in found
        ]

    def history(self, *actor_ids: str) -> str:
        """Return the histories of actors (all, when none is named) as `replay` reads them."""
        ids = actor_ids or tuple(dict.fromkeys(message.actor_id for message in self._queue.sent))

        async def lines() -> str:
            return "".join(
                [line for actor_id in ids async for line in self._exporter.export(actor_id)]
            )

        return self._wait(lines())

    def look(self, actor_id: str) -> ActorLook:
        """Return the actor as its page shows it."""
        return self._wait(self._inspector.look(actor_id))

    def records(self, actor_id: str) -> list[JournalRecord]:
        """Return the actor's journal records, oldest first."""

        async def read() -> list[JournalRecord]:
            return [record async for record in self._store.records(actor_id)]

        return self._wait(read())

    def _message(self, actor_id: str, message_type: str, payload: Payload, **more: Any) -> Message:
        self._started += 1
        more.setdefault("message_id", f"message-{self._started}")
        return Message.new(
            actor_id, message_type, _plain(payload), sent_ns=self._clock.time_ns(), **more
        )

    def _dead_letter(self, message: Message, letter: Mapping[str, Any]) -> DeadLetter:
        index = letter["journalIndex"]
        records = [r for r in self.records(message.actor_id) if r.index == index]
        text = records[0].entries[-1].data["error"]["message"] if records else ""
        return DeadLetter(message, letter["errorType"], text, letter["attempts"])

    def _run(self, until: float) -> None:
        """Do what there is to do, and what is due until then, on a worker of its own."""
        worker = ActorWorker(
            self._runtime,
            self._queue,
            list(self._types.values()),
            self._executor,
            self._policy,
            message_archive=self._runtime.archive,
            dead_letters=DeadLetters(self._letters, clock_ns=self._clock.time_ns),
            lease_seconds=FOR_EVER,
            longest_park=FOR_EVER,
        )
        self._queue.serve(worker, until)
        self._wait(worker.run())
        broken, self._broken.error = self._broken.error, None
        if broken is not None:
            raise broken
        if worker.stats().abandoned:
            raise RuntimeError("a turn ended in a fault that is not its handler's; see the log")

    def _wait(self, work: Coroutine[Any, Any, _T]) -> _T:
        with suppress(RuntimeError):
            asyncio.get_running_loop()
            work.close()
            raise AssertionError("ActorHarness is for plain test functions, not for async ones")
        task = self._loop.create_task(work)
        try:
            return self._loop.run_until_complete(task)
        except BaseException:
            if not task.done():
                task.cancel()
                with suppress(asyncio.CancelledError):
                    self._loop.run_until_complete(task)
            raise


def _name(activity: Activity | str) -> str:
    return activity if isinstance(activity, str) else activity.name


def _plain(payload: Payload) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins({} if payload is None else payload)
    return plain
