"""The ASGI application: opens Loom when the server starts, closes it when the server stops."""

from __future__ import annotations

import logging
import os
import signal
from types import FrameType
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "loomweb.settings")

from django.core.asgi import get_asgi_application

_django = get_asgi_application()

from django.conf import settings

from loomweb import collector, wiring
from loomweb.config import ConfigError
from loomweb.static_serving import StaticFiles
from storage import StorageError
from tracing.live import streams

logger = logging.getLogger(__name__)
_http = StaticFiles(_django)


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Handle the lifespan here and leave the rest to Django, but for static files."""
    if scope["type"] != "lifespan":
        await _http(scope, receive, send)
        return
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            try:
                await wiring.open_loom(settings.CONFIG)
            except (StorageError, ConfigError) as error:
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            collector.settle()
            streams.resume()
            _end_streams_on_signals()
            await send({"type": "lifespan.startup.complete"})
        else:
            streams.stop()
            await wiring.close_loom()
            await send({"type": "lifespan.shutdown.complete"})
            return


def _end_streams_on_signals() -> None:
    """Servers let open responses finish before they stop; these would not finish by themselves."""
    for number in (signal.SIGINT, signal.SIGTERM):
        before = signal.getsignal(number)
        if not callable(before):
            continue

        def end(number: int, frame: FrameType | None, before: Any = before) -> None:
            streams.stop()
            before(number, frame)

        try:
            signal.signal(number, end)
        except ValueError:
            # Signals are for the main thread alone; whoever runs this in another has none.
            return
