"""`Actor`: what a user of Loom subclasses."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any, ClassVar, NoReturn, Protocol

from actors.activity import Activity
from actors.delivery import Delivery
from actors.errors import UnknownMessageType
from actors.handlers import Bound, Handler, handlers_of
from actors.journal import EntryType
from actors.labels import Labels, check_labels, declared
from actors.message import Message, address
from actors.saga import Saga
from actors.suspension import ContinueAsNew


class TurnContext(Protocol):
    """What executes a turn; `Actor` forwards to it."""

    message: Message
    state: Mapping[str, Any]

    def read_only(self) -> TurnContext: ...

    def update_state(self, patch: Mapping[str, Any]) -> None: ...

    async def call_activity(self, activity: Activity, arguments: Mapping[str, Any]) -> Any: ...

    async def sleep(self, seconds: float) -> None: ...

    async def wait_for_event(self, name: str, timeout: float | None) -> Any: ...

    async def call(
        self, actor_id: str, message_type: str, payload: Mapping[str, Any], timeout: float | None
    ) -> Any: ...

    async def query(
        self, actor_type: type[Actor], key: str, message_type: str, payload: Mapping[str, Any]
    ) -> Any: ...

    async def gather(self, calls: Sequence[Awaitable[Any]]) -> list[Any]: ...

    def new_child(self, actor_type: str) -> str: ...

    def now(self) -> int: ...

    def uuid(self) -> str: ...

    def patched(self, name: str) -> bool: ...

    def annotate(self, labels: Sequence[str]) -> None: ...

    def saga_entry(self, entry_type: EntryType, saga: str, more: Mapping[str, Any]) -> None: ...

    def send(
        self, actor_id: str, message_type: str, payload: Mapping[str, Any], delivery: Delivery
    ) -> None: ...

    def spawn(
        self, actor_type: str, key: str | None, message_type: str, payload: Mapping[str, Any]
    ) -> str: ...


class Actor:
    """One addressable thing with state, handling one message at a time.

    A turn is the handling of one message. All it decides goes through the methods below, becomes
    journal entries, and takes effect when the turn completes: all of it, once, or nothing.
    Handlers must be deterministic: what comes from outside comes through an activity.

    Example:
        class Counter(Actor):
            @handler
            async def add(self, payload: dict[str, int]) -> None:
                self.update_state(total=self.state.get("total", 0) + payload["by"])
    """

    version: ClassVar[int] = 1
    """Version of this type's code. A turn that is under way is pinned to the one it ran under."""
    accepts: ClassVar[Collection[int]] = ()
    """Other versions whose turns this code can go on with, because it asks `patched` where it
    took another path."""

    labels: ClassVar[Labels] = {}
    """What `annotate` may write: names of labels, each with all values that it can have."""

    _handlers: ClassVar[dict[str, Bound]] = {}

    def __init__(self, turn: TurnContext) -> None:
        self._turn = turn

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        check_labels(cls.labels, cls.__name__)
        cls._handlers = {**cls._handlers, **handlers_of(cls)}

    @classmethod
    def type_name(cls) -> str:
        """Return the actor type, which is the class's name."""
        return cls.__name__

    @classmethod
    def address(cls, key: str) -> str:
        """Return the actor id "Type/key" of one actor of this type."""
        return address(cls.type_name(), key)

    @classmethod
    def message_types(cls) -> tuple[str, ...]:
        """Return the message types that have a handler."""
        return tuple(cls._handlers)

    @classmethod
    def handler_of(cls, message_type: str) -> Handler | None:
        """Return the function that handles a message type, or None."""
        bound = cls._handlers.get(message_type)
        return None if bound is None else bound.function

    @classmethod
    def is_read_only(cls, message_type: str) -> bool:
        """Return whether the handler of a message type is declared read-only."""
        bound = cls._handlers.get(message_type)
        return bound is not None and bound.read_only

    @classmethod
    def runs_version(cls, version: int) -> bool:
        """Return whether this code can go on with a turn of that version."""
        return version == cls.version or version in cls.accepts

    @property
    def actor_id(self) -> str:
        """This actor's id, "Type/key"."""
        return self._turn.message.actor_id

    @property
    def key(self) -> str:
        """This actor's key, the part after the type."""
        return self.actor_id.partition("/")[2]

    @property
    def sender(self) -> str | None:
        """The actor whose turn sent the message; None when it came from outside."""
        return self._turn.message.metadata.sender

    @property
    def state(self) -> Mapping[str, Any]:
        """The state as this turn sees it. Change it with `update_state` alone."""
        return self._turn.state

    def update_state(self, patch: Mapping[str, Any] | None = None, /, **changes: Any) -> None:
        """Merge a change into the state; what is journaled is the change, not the state.

        Objects merge by key, None removes a key, anything else replaces (RFC 7396).
        """
        self._turn.update_state({**(patch or {}), **changes})

    async def call_activity(self, activity: Activity, /, **arguments: Any) -> Any:
        """Run an activity, or return its journaled result when the turn is replayed.

        Raises:
            ActivityFailed: it failed for the last time.
        """
        return await self._turn.call_activity(activity, arguments)

    async def sleep(self, seconds: float) -> None:
        """Wait. The actor leaves memory and its later messages wait in order; a restart of every
        process in between changes nothing.

        What the turn sent before takes effect now; its state changes do when it completes.

        Raises:
            Cancelled: somebody cancelled the run meanwhile.
        """
        await self._turn.sleep(seconds)

    async def wait_for_event(self, name: str, *, timeout: float | None = None) -> Any:
        """Wait as `sleep` does, for an event of this name; return its payload.

        An event that was sent before is there at once. Each is received by one wait.

        Raises:
            EventTimeout: none came within `timeout` seconds.
            Cancelled: somebody cancelled the run meanwhile.
        """
        return await self._turn.wait_for_event(name, timeout)

    async def call(
        self,
        actor: str | type[Actor],
        message_type: str,
        payload: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
    ) -> Any:
        """Send a message and wait, as `sleep` does, for what its handler returns.

        Given an actor type, a new child of that type is called.

        Raises:
            CallFailed: it failed for the last time.
            EventTimeout: no answer came within `timeout` seconds. It may still come, to nobody.
            Cancelled: somebody cancelled the run meanwhile.
        """
        actor_id = actor if isinstance(actor, str) else self._turn.new_child(actor.type_name())
        return await self._turn.call(actor_id, message_type, payload or {}, timeout)

    async def query(
        self,
        actor_type: type[Actor],
        key: str,
        message_type: str,
        payload: Mapping[str, Any] | None = None,
    ) -> Any:
        """Ask a read-only handler of another actor, past its mailbox; it sees what is committed.

        The answer is journaled like that of an activity, and the same on every replay.

        Raises:
            InvalidMessage: the handler is not declared read-only.
            ActivityFailed: it failed for the last time.
        """
        return await self._turn.query(actor_type, key, message_type, payload or {})

    async def gather(self, *calls: Awaitable[Any]) -> list[Any]:
        """Run activities, calls, sleeps and waits side by side; return their results in order.

        Each must be a single `call_activity`, `call`, `sleep` or `wait_for_event`: of longer
        coroutines the order of steps would differ from run to run. When some fail, the first of
        them in order is raised once all have ended.
        """
        return await self._turn.gather(calls)

    def now(self) -> datetime:
        """Return the present time in UTC, the same on every replay."""
        return datetime.fromtimestamp(self._turn.now() / 1e6, UTC)

    def random(self) -> Random:
        """Return a source of randomness that gives the same numbers on every replay."""
        return Random(self._turn.uuid())  # noqa: S311 - for choices, not for secrets

    def uuid(self) -> str:
        """Return a new id of 32 hex digits, the same on every replay."""
        return self._turn.uuid()

    def patched(self, name: str) -> bool:
        """Return whether this turn takes the new path of a change of the handler's code.

        A turn that was under way when the code changed gets False and keeps to its old path; every
        other turn gets True, on every replay.
        """
        return self._turn.patched(name)

    def annotate(self, **labels: str) -> None:
        """Write labels into the turn's trace, each one of those that the class declares.

        Traces hold no payloads, and what a class declares cannot be one. Best-effort: after a crash
        it may be written again, or not at all.

        Raises:
            UnknownLabel: a name or value is not declared.
        """
        self._turn.annotate(declared(self.labels, labels, self.type_name()))

    def continue_as_new(self, payload: Mapping[str, Any]) -> NoReturn:
        """Complete the turn here and go on as a new one of the same message type.

        For work without end: each turn's journal stays short.
        """
        raise ContinueAsNew(payload)

    def saga(self, name: str) -> Saga:
        """Return a saga: `async with self.saga("trip") as saga: await saga.step(…, undo=…)`."""
        return Saga(self._turn, name)

    def send(
        self,
        actor_id: str,
        message_type: str,
        payload: Mapping[str, Any] | None = None,
        *,
        priority: int = 0,
        delay: float = 0.0,
        ttl: float | None = None,
    ) -> None:
        """Send a message to another actor (or this one) once the turn has completed.

        Of an actor's messages those of a lower `priority` come first. It is delivered after
        `delay` seconds, and not handled any more after `ttl` seconds, both counted from this call.
        """
        self._turn.send(actor_id, message_type, payload or {}, Delivery(priority, delay, ttl))

    def spawn(
        self,
        actor_type: type[Actor],
        message_type: str,
        payload: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
    ) -> str:
        """Start a child actor with its first message once the turn has completed.

        Returns:
            The child's id; without `key` it gets a new one, the same on every replay.
        """
        return self._turn.spawn(actor_type.type_name(), key, message_type, payload or {})

    async def handle(self, message: Message) -> Any:
        """Call the handler of the message's type, and return what it returns.

        Raises:
            UnknownMessageType: there is none.
            InvalidPayload: the payload does not fit the handler's input type.
            ReadOnly: a read-only handler tried to do more than to look.
        """
        bound = self._bound(message.message_type)
        payload = bound.payload_of(self.type_name(), message.message_type, message.payload)
        actor = type(self)(self._turn.read_only()) if bound.read_only else self
        return await bound.function(actor, payload)

    @classmethod
    def check(cls, message_type: str, payload: Mapping[str, Any]) -> None:
        """Raise what `handle` would of a message of this type and payload before it is handled."""
        cls._bound(message_type).payload_of(cls.type_name(), message_type, payload)

    @classmethod
    def input_type(cls, message_type: str) -> Any:
        """Return the annotated type of the handler's payload; None where it takes any object."""
        bound = cls._handlers.get(message_type)
        return None if bound is None else bound.input_type

    @classmethod
    def _bound(cls, message_type: str) -> Bound:
        bound = cls._handlers.get(message_type)
        if bound is None:
            known = ", ".join(sorted(cls._handlers)) or "none"
            raise UnknownMessageType(
                f"{cls.type_name()} has no handler for {message_type!r}; it has {known}"
            )
        return bound
