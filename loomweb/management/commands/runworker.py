"""`manage.py runworker`: a worker without web, as many processes as there is work."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from loomweb import collector, wiring
from loomweb.config import ConfigError
from storage import StorageError


class Command(BaseCommand):
    help = "Handle messages until Ctrl-C or SIGTERM, then drain and exit."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            asyncio.run(self._run())
        except (StorageError, ConfigError) as error:
            raise CommandError(f"Loom cannot start: {error}") from None

    async def _run(self) -> None:
        loom = await wiring.open_loom(settings.CONFIG)
        try:
            worker = loom.worker or loom.start_worker()
            collector.settle()
            stop = asyncio.Event()
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, stop.set)
            self.stdout.write(f"{worker.worker_id} handles {', '.join(worker.stats().actor_types)}")
            self.stdout.flush()
            await stop.wait()
            self.stdout.write("Draining…")
            self.stdout.flush()
        finally:
            await wiring.close_loom()
