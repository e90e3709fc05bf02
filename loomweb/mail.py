"""The queue and the locks that the settings name: embedded, or in a Redis server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.locks import LockManager, SqliteLocks
from actors.queues import MessageQueue, QueueUnavailable, SqliteQueue
from loomweb.config import Config, ConfigError, RedisConfig
from storage import StorageError
from storage.sqlite import Database

if TYPE_CHECKING:
    from actors.redis_server import RedisServer


@dataclass(frozen=True, slots=True)
class Mail:
    """The queue and the locks: of this machine, or of all that share a Redis server."""

    queue: MessageQueue
    locks: LockManager
    server: RedisServer | None = None
    address: str = ""
    closes: tuple[Callable[[], Awaitable[None]], ...] = ()

    @property
    def engine(self) -> str:
        return "sqlite" if self.server is None else "redis"

    async def facts(self) -> dict[str, str]:
        """Return what the System page says of the engine.

        Raises:
            storage.StorageError: it does not answer.
        """
        if self.server is None:
            return {}
        found = await self.server.facts()
        return {
            "Server": self.address,
            "Version": found.version,
            "Append-only file": "on" if found.append_only else "off: a restart loses messages",
            "When its memory is full": found.eviction,
        }

    async def close(self) -> None:
        """Close the connections; what is embedded is closed with its database."""
        for close in self.closes:
            await close()


async def open_mail(config: Config, database: Database) -> Mail:
    """Return the queue and the locks that the settings name; the embedded ones are in `database`.

    Raises:
        ConfigError: a package that they need is not installed.
        storage.StorageError: the Redis server does not answer, or refuses.
    """
    if config.redis is None:
        locks = SqliteLocks(database)
        queue = SqliteQueue(database, locks=locks)
        await queue.open()
        await locks.open()
        return Mail(queue, locks)
    server = open_redis(config.redis)
    # Optional, because one machine needs no Redis.
    from actors.locks.redis import RedisLocks
    from actors.queues.redis import RedisQueue

    try:
        await server.facts()
    except StorageError as error:
        await server.close()
        raise QueueUnavailable(
            f"{str(error).rstrip('.')}. LOOM_REDIS_URL names {config.redis.address}: see to that"
            " server, or unset it to have the queue in the embedded store"
        ) from error
    shared = RedisQueue(server)
    closes = (shared.close, server.close)
    return Mail(shared, RedisLocks(server), server, config.redis.address, closes)


def open_redis(config: RedisConfig) -> RedisServer:
    """Return the Redis server that the settings name; nothing is sent to it yet.

    Raises:
        ConfigError: the package redis is not installed, or the URL has an option it does not know.
    """
    try:
        from actors.redis_server import RedisServer
    except ModuleNotFoundError as error:
        if error.name != "redis":
            raise
        raise ConfigError(
            "LOOM_REDIS_URL is set, which needs the package redis: pip install 'redis>=8,<9',"
            " or unset it"
        ) from None
    try:
        return RedisServer(config.url)
    except ValueError as error:
        raise ConfigError(f"LOOM_REDIS_URL cannot be used: {error}") from None
