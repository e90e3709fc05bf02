"""`manage.py export_history Type/key`: an actor's journal and messages, for `replay_history`."""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from actors.errors import ActorError
from actors.history import Closed, Gap, Opened, read_history
from actors.message import address
from loomweb import wiring
from storage import StorageError


class Command(BaseCommand):
    help = (
        "Write the history of an actor to standard output, as lines of JSON: its journal and its"
        " messages with their payloads. What has expired is told on standard error."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("actor", help="the actor's id, Type/key")

    def handle(self, *args: Any, **options: Any) -> None:
        actor_type, _, key = options["actor"].partition("/")
        try:
            asyncio.run(self._export(address(actor_type, key)))
        except ActorError as error:
            raise CommandError(str(error)) from None
        except StorageError as error:
            raise CommandError(f"Loom cannot go on: {error}") from None

    async def _export(self, actor_id: str) -> None:
        loom = await wiring.open_loom(replace(settings.CONFIG, run_workers=False))
        edges = []
        try:
            async for line in loom.histories.export(actor_id):
                self.stdout.write(line, ending="")
                if line.startswith(('{"history"', '{"gap"', '{"end"')):
                    edges.append(line)
        finally:
            await wiring.close_loom()
        for part in read_history(edges):
            if isinstance(part, Opened) and not part.version:
                raise CommandError(f"nothing is journaled of {actor_id}")
            if isinstance(part, Gap):
                known = "" if part.state is not None else ", and the state after them is unknown"
                self.stderr.write(f"Records before index {part.until} have expired{known}.")
            elif isinstance(part, Closed) and part.lost:
                self.stderr.write(
                    f"Messages that have expired, whose turns cannot be replayed: {part.lost}."
                )
