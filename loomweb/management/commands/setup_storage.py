"""`manage.py setup_storage`: create what is missing in the stores; safe to repeat."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from loomweb import wiring
from loomweb.config import ConfigError
from storage import StorageError


class Command(BaseCommand):
    help = "Create the containers, their indexes and Django's tables where they are missing."

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", interactive=False, verbosity=0)
        try:
            ready = asyncio.run(_set_up())
        except (StorageError, ConfigError) as error:
            raise CommandError(f"Nothing more was set up: {error}") from None
        for line in ready:
            self.stdout.write(line)


async def _set_up() -> list[str]:
    # Preparing is not working: no message is handled on the way.
    loom = await wiring.open_loom(replace(settings.CONFIG, run_workers=False))
    try:
        for container in loom.containers.values():
            # What an earlier version created may lack what this one queries by.
            await loom.store.update(container.spec)
        mail = loom.mail
        facts = ", ".join(f"{name.lower()} {fact}" for name, fact in (await mail.facts()).items())
        return [
            f"Ready: {', '.join(loom.containers)} ({loom.store.engine})",
            f"Ready: queue and locks ({mail.engine}{f'; {facts}' if facts else ''})",
        ]
    finally:
        await wiring.close_loom()
