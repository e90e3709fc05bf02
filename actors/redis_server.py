"""`RedisServer`: connections to Redis for the queue and the locks; scripts, errors, one repeat."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from redis import exceptions as refused
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from actors.queues.port import QueueUnavailable
from storage import StorageError

T = TypeVar("T")

CONNECTIONS = 32
REPEAT_AFTER = 0.05
"""Seconds until a call whose answer was lost is repeated, once."""
_NOT_NOW = (
    refused.ConnectionError,
    refused.TimeoutError,
    refused.ReadOnlyError,
    refused.ClusterDownError,
    refused.TryAgainError,
    refused.OutOfMemoryError,
    OSError,
)
_NOT_NOW_CODES = ("BUSY", "LOADING", "MASTERDOWN", "MISCONF", "NOREPLICAS", "OOM", "READONLY")
"""Answers of a server that starts or fails over, or whose disk or memory is full."""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a Redis server says of itself that durability hangs on.

    Attributes:
        append_only: it writes every change to a file.
        eviction: what it does when its memory is full, such as "noeviction".
        replica: it follows another server, and takes no writes.
    """

    version: str
    append_only: bool
    eviction: str
    replica: bool


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script, run as one atomic step.

    KEYS[1] is the server's `name`. ARGV[1] is the time in microseconds, or empty for the server's
    own; ARGV[2] is 1 when this very call may have run before; the call's arguments follow.
    """

    source: str


class RedisServer:
    """One Redis server, reached through a pool of connections.

    Every key begins with `name`, in braces: a hash tag, so that all keys are in one slot where
    the server is a cluster behind one address. `clock` (seconds since the epoch) replaces the
    server's own clock, which all machines share.

    Raises:
        ValueError: `url` is not the address of a Redis server.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str = "loom",
        timeout: float = 5.0,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.name = f"{{{name}}}"
        self._clock = clock
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=timeout,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            # A script is repeated here, where it can be told that it may have run before.
            retry=Retry(NoBackoff(), 0),
        )
        try:
            pool.make_connection()  # type: ignore[no-untyped-call]
        except TypeError:
            raise ValueError("an option behind the question mark is unknown") from None
        self._redis = Redis(connection_pool=pool)
        self._scripts: dict[str, Any] = {}

    async def run(self, script: Script, *arguments: Any, repeated: bool = False) -> Any:
        """Run a script; `repeated` says that this call may have run before.

        A call whose answer was lost is repeated once: scripts answer the same again.

        Raises:
            QueueUnavailable: the server did not answer, or cannot serve now.
            storage.StorageError: it refused the call.
        """
        run = self._scripts.get(script.source)
        if run is None:
            run = self._scripts[script.source] = self._redis.register_script(script.source)
        now = "" if self._clock is None else int(self._clock() * 1e6)

        def once(again: bool) -> Awaitable[Any]:
            called: Awaitable[Any] = run(keys=[self.name], args=[now, int(again), *arguments])
            return called

        try:
            return await _translated(once(repeated))
        except QueueUnavailable:
            await self._start_afresh()
            return await _translated(once(True))

    async def command(self, *parts: Any) -> Any:
        """Run one command that may be repeated. Raises as `run` does."""
        try:
            return await _translated(self._redis.execute_command(*parts))  # type: ignore[no-untyped-call]
        except QueueUnavailable:
            await self._start_afresh()
            return await _translated(self._redis.execute_command(*parts))  # type: ignore[no-untyped-call]

    async def _start_afresh(self) -> None:
        """Drop the connections that nobody uses: of a server that was restarted, all are dead."""
        await self._redis.connection_pool.disconnect(inuse_connections=False)
        await asyncio.sleep(REPEAT_AFTER)

    async def facts(self) -> ServerFacts:
        """Ask the server what it is. Raises as `run` does."""
        sections = ("server", "memory", "persistence", "replication")
        info = await _translated(self._redis.info(*sections))
        return ServerFacts(
            str(info["redis_version"]),
            bool(info.get("aof_enabled")),
            str(info.get("maxmemory_policy", "unknown")),
            info.get("role") == "slave",
        )

    @asynccontextmanager
    async def listening(self, channel: str) -> AsyncIterator[Callable[[float], Awaitable[bool]]]:
        """Subscribe; yields a function that waits up to so many seconds for a notice.

        Raises as `run` does, from within the block too.
        """
        pubsub = self._redis.pubsub(ignore_subscribe_messages=True)

        async def notice(seconds: float) -> bool:
            return await _translated(pubsub.get_message(timeout=seconds)) is not None

        try:
            await _translated(pubsub.subscribe(channel))
            yield notice
        finally:
            await pubsub.aclose()  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        """Close all connections."""
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()


async def _translated(asked: Awaitable[T]) -> T:
    try:
        return await asked
    except refused.AuthenticationError as error:
        raise StorageError(f"Redis refused: {_brief(error)}") from error
    except _NOT_NOW as error:
        raise QueueUnavailable(f"Redis does not answer: {_brief(error)}") from error
    except refused.RedisError as error:
        if str(error).startswith(_NOT_NOW_CODES):
            raise QueueUnavailable(f"Redis cannot serve now: {_brief(error)}") from error
        raise StorageError(f"Redis refused: {_brief(error)}") from error


def _brief(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200]
