"""`manage.py event_types`: the registry of events as Markdown; the source of `docs/events.md`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from tracing.event_docs import markdown


class Command(BaseCommand):
    help = "Print every event type, with its references and attributes, as Markdown."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(markdown(), ending="")
