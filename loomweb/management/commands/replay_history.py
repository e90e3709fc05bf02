"""`manage.py replay_history FILE…`: today's code against recorded histories, for CI."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from actors.history import BadHistory
from actors.testing import replay
from loomweb.config import ConfigError
from loomweb.plugins import load_actors


class Command(BaseCommand):
    help = (
        "Run every turn of recorded histories again in memory, with the actors that LOOM_ACTORS"
        " names and the samples. Ends with 1 when a turn leaves its recorded path; no store is"
        " read and no activity runs."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("files", nargs="+", type=Path, metavar="FILE")

    def handle(self, *args: Any, **options: Any) -> None:
        mismatches = 0
        try:
            types = load_actors(settings.CONFIG.actors).actor_types
            for file in options["files"]:
                found = replay(file, *types)
                mismatches += len(found.mismatches)
                self.stdout.write(f"{file}: {found}")
                for told in found.unchecked:
                    self.stdout.write(f"  not replayed: {told}")
                for changed in found.changed:
                    self.stdout.write(f"  fails no more, or otherwise: {changed}")
        except (BadHistory, OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{file}: {error}") from None
        except ConfigError as error:
            raise CommandError(str(error)) from None
        if mismatches:
            raise CommandError(
                f"Turns that leave their recorded path: {mismatches}. Put the change behind"
                ' self.patched("name"), or let such turns end before it is deployed.'
            )
