"""`manage.py replay_log FILE`: real input through the runtime, and what it cost."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from loomweb import collector, wiring
from loomweb.config import Config
from loomweb.measure import Left, what_is_left
from loomweb.progress import ProgressBar
from loomweb.replay import BadLog, Row, Sent, read_log, send_log
from storage import StorageError


class Command(BaseCommand):
    help = (
        "Send every row of a log of loan offers (CSV, may be gzipped) to the actor of its"
        " application, and wait until all are handled. The last line of output is one JSON object."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--limit", type=_positive, help="replay only the first N rows")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            rows = read_log(options["file"], options["limit"])
        except BadLog as error:
            raise CommandError(str(error)) from None
        try:
            asyncio.run(self._replay(settings.CONFIG, rows))
        except StorageError as error:
            raise CommandError(f"Loom cannot go on: {error}") from None
        except KeyboardInterrupt:
            raise CommandError(
                "stopped; rows that were sent wait in the queue, and the next worker handles them"
            ) from None

    async def _replay(self, config: Config, rows: list[Row]) -> None:
        loom = await wiring.open_loom(config)
        try:
            if loom.worker is None:
                loom.start_worker()
            collector.settle()
            bar = ProgressBar(len(rows), "messages", sys.stderr)
            started = time.monotonic()
            try:
                sent = await send_log(loom, rows, bar.update)
            finally:
                bar.close()
            seconds = time.monotonic() - started
            if loom.writer is not None:
                await loom.writer.flush()
            left = await what_is_left(loom, sent.actors, sent.traces)
        finally:
            await wiring.close_loom()
        self.stdout.write(json.dumps(_figures(left, sent, seconds)))


def _figures(left: Left, sent: Sent, seconds: float) -> dict[str, float | None]:
    handled, economy = left.handled, left.economy
    traced = economy.events > 0
    return {
        "messages": handled.messages,
        "actors": len(sent.actors),
        "traces": economy.traces,
        "failed": handled.failed,
        "dead_lettered": handled.dead_lettered,
        "seconds": round(seconds, 2),
        "messages_per_s": round(handled.messages / seconds, 1) if seconds else None,
        "events": economy.events,
        "bytes_per_event": round(economy.bytes / economy.events, 1) if traced else None,
        "bytes_per_trace": round(economy.bytes / economy.traces, 1) if traced else None,
        "bytes_if_copied": left.bytes_if_copied,
    }


def _positive(value: str) -> int:
    number = int(value)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{value} is not a number of rows")
    return number
