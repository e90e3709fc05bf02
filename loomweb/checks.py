"""`manage.py check --deploy`: does the store look as this version needs it?"""

from __future__ import annotations

import asyncio
from typing import Any

from django.conf import settings
from django.core import checks

from loomweb.config import Config, ConfigError
from loomweb.wiring import SPECS, open_store
from storage import StorageError
from storage.sqlite import Database


@checks.register("loom", deploy=True)
def storage_is_as_declared(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """Compare every container with its spec. Reads only."""
    try:
        found = asyncio.run(_differences(settings.CONFIG))
    except (StorageError, ConfigError) as error:
        return [checks.Error(f"The store cannot be compared: {error}", id="loom.E001")]
    hint = "manage.py setup_storage brings TTLs and indexes up to date."
    return [checks.Warning(difference, hint=hint, id="loom.W001") for difference in found]


async def _differences(config: Config) -> list[str]:
    database = Database(config.database_file)
    try:
        store = open_store(config, database)
        try:
            return [line for spec in SPECS for line in await store.differences(spec)]
        finally:
            await store.close()
    finally:
        await database.close()
