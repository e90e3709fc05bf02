"""`manage.py serve`: web and workers in one process, made ready on the way; for `make run`."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
from collections.abc import Generator
from typing import Any

import uvicorn
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError

from loomweb.config import Config
from loomweb.seed import seed_when_empty


class Command(BaseCommand):
    help = "Prepare the stores, then serve the dashboard and run workers until Ctrl-C."

    def handle(self, *args: Any, **options: Any) -> None:
        config: Config = settings.CONFIG
        listener = _listen(config)
        try:
            call_command("migrate", interactive=False, verbosity=0)
        except DatabaseError as error:
            raise CommandError(f"{config.django_database_file} cannot be used: {error}") from None
        if not settings.DEBUG:
            call_command("collectstatic", interactive=False, verbosity=0)
        address = f"http://{config.host}:{listener.getsockname()[1]}/"
        server = _Server(
            uvicorn.Config(
                "loomweb.asgi:application",
                lifespan="on",
                log_level="warning",
                timeout_graceful_shutdown=5,
            ),
            self,
            address,
        )
        server.run(sockets=[listener])
        if not server.ready:
            raise CommandError("Loom could not start; the reason is above")
        self.stdout.write("Stopped; running turns were finished or handed back.")


class _Server(uvicorn.Server):
    """Says where it serves, and fills an empty store, once it does."""

    def __init__(self, config: uvicorn.Config, command: BaseCommand, address: str) -> None:
        super().__init__(config)
        self._command = command
        self._address = address
        self.ready = False

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Stop on Ctrl-C and SIGTERM. Unlike uvicorn's own, this does not raise the signal again
        afterwards: a stop that was asked for is a success."""
        before = {
            number: signal.signal(number, self.handle_exit)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.should_exit:
            return
        self.ready = True
        self._command.stdout.write(f"Loom is at {self._address}   (Ctrl-C stops it)")
        self._command.stdout.flush()
        started = await seed_when_empty()
        if started:
            self._command.stdout.write(f"The store was empty: {started} sample runs were started.")
            self._command.stdout.flush()


def _listen(config: Config) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    # asyncio turns Nagle's delay off only where the protocol is named; answers would wait 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if os.name == "posix":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((config.host, config.port))
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise CommandError(
                f"port {config.port} is taken: stop what uses it, or choose another with PORT=8001"
            ) from None
        raise CommandError(
            f"{config.host}:{config.port} cannot be listened on: {error.strerror}"
        ) from None
    return listener
