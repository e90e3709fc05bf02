"""The ASGI application: opens Loom when the server starts, closes it when the server stops."""

from __future__ import annotations

import logging
import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "loomweb.settings")

from django.core.asgi import get_asgi_application

_django = get_asgi_application()

from django.conf import settings

from loomweb import wiring
from loomweb.config import ConfigError
from storage import StorageError

logger = logging.getLogger(__name__)


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Handle the lifespan here and leave the rest to Django."""
    if scope["type"] != "lifespan":
        await _django(scope, receive, send)
        return
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            try:
                await wiring.open_loom(settings.CONFIG)
            except (StorageError, ConfigError) as error:
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            await send({"type": "lifespan.startup.complete"})
        else:
            await wiring.close_loom()
            await send({"type": "lifespan.shutdown.complete"})
            return
