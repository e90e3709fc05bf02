"""`manage.py check --deploy`: do the store and the Redis server look as this version needs them?"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core import checks

from actors.queues import SqliteQueue
from loomweb.config import Config, ConfigError, RedisConfig
from loomweb.mail import open_redis
from loomweb.stores import open_stores
from loomweb.wiring import SPECS
from storage import StorageError
from storage.sqlite import Database

if TYPE_CHECKING:
    from actors.redis_server import ServerFacts


@checks.register("loom", deploy=True)
def storage_is_as_declared(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """Compare every container with its spec. Reads only."""
    try:
        found = asyncio.run(_differences(settings.CONFIG))
    except (StorageError, ConfigError) as error:
        return [checks.Error(f"The store cannot be compared: {error}", id="loom.E001")]
    hint = "manage.py setup_storage brings TTLs and indexes up to date."
    return [checks.Warning(difference, hint=hint, id="loom.W001") for difference in found]


@checks.register("loom")
def redis_can_be_asked(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """Look whether the package and the address can be used. Asks no server."""
    config: Config = settings.CONFIG
    try:
        if config.redis is not None:
            open_redis(config.redis)
    except ConfigError as error:
        return [checks.Error(str(error), id="loom.E002")]
    return []


@checks.register("loom", deploy=True)
def redis_keeps_what_it_is_given(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """Ask the Redis server how it is set up, and look at how it is reached."""
    config: RedisConfig | None = settings.CONFIG.redis
    if config is None:
        return []
    found: list[checks.CheckMessage] = []
    if not config.local and not config.encrypted:
        found.append(
            checks.Warning(
                f"Everybody between here and {config.address} can read along: messages are whole.",
                "Use rediss:// (TLS).",
                id="loom.W002",
            )
        )
    if not config.local and not config.password:
        found.append(
            checks.Warning(
                f"No password is sent to {config.address}: whoever reaches it can read and change"
                " the queue.",
                "Set one there (ACL or requirepass) and put it into LOOM_REDIS_URL.",
                id="loom.W003",
            )
        )
    try:
        left = asyncio.run(_left_behind(settings.CONFIG))
    except (StorageError, OSError) as error:
        left = 0
        found.append(
            checks.Warning(
                f"Whether messages are left in the embedded queue cannot be seen: {error}",
                "Nobody handles them while LOOM_REDIS_URL is set.",
                id="loom.W006",
            )
        )
    if left:
        found.append(
            checks.Warning(
                f"Messages are left in the embedded queue: {left}. Nobody handles them while"
                " LOOM_REDIS_URL is set.",
                "Unset it until they are handled; manage.py runworker does that.",
                id="loom.W005",
            )
        )
    try:
        facts = asyncio.run(_facts(config))
    except (StorageError, ConfigError) as error:
        message = f"The Redis server of the queue cannot be asked: {error}"
        return [*found, checks.Error(message, id="loom.E003")]
    if facts.eviction != "noeviction":
        found.append(
            checks.Error(
                f"When its memory is full, Redis drops keys ({facts.eviction}): messages would"
                " vanish unseen.",
                "CONFIG SET maxmemory-policy noeviction, and in redis.conf.",
                id="loom.E004",
            )
        )
    if facts.replica:
        found.append(
            checks.Error(
                f"{config.address} is a replica, which takes no messages.",
                "Name the primary in LOOM_REDIS_URL.",
                id="loom.E005",
            )
        )
    if not facts.append_only:
        found.append(
            checks.Warning(
                "Redis keeps no append-only file: what waits in the queue is lost when it ends.",
                "CONFIG SET appendonly yes, and in redis.conf.",
                id="loom.W004",
            )
        )
    return found


async def _left_behind(config: Config) -> int:
    # A look at the store makes none.
    if not config.database_file.exists():
        return 0
    database = Database(config.database_file)
    try:
        queue = SqliteQueue(database)
        if not await queue.exists():
            return 0
        depth = await queue.depth()
    finally:
        await database.close()
    return depth.ready + depth.delayed + depth.leased + depth.paused


async def _facts(config: RedisConfig) -> ServerFacts:
    server = open_redis(config)
    try:
        return await server.facts()
    finally:
        await server.close()


async def _differences(config: Config) -> list[str]:
    stores = open_stores(config)
    try:
        return [line for spec in SPECS for line in await stores.of(spec).differences(spec)]
    finally:
        await stores.close()
