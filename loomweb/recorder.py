"""The process that records the traces of another one: `python -m loomweb.recorder`.

Started by `loomweb.recording`, with a socket as its standard input. It ends with whoever started
it, once it has stored what it was told.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections import deque
from pathlib import Path

import msgspec

from loomweb.collector import settle
from loomweb.config import ConfigError, RecordingConfig
from loomweb.recording import record_here
from storage import StorageError
from storage.sqlite import Database
from tracing.recorder_process import first_settings, serve


async def record(connection: socket.socket, config: RecordingConfig) -> None:
    """Record what comes over the connection, until it ends."""
    database = Database(Path(config.database_file), synchronous=config.synchronous)
    try:
        promoted: deque[str] = deque()
        recording = await record_here(config, database, promoted.append)
        try:
            settle()
            await serve(
                connection, recording.recorder, promoted, recording.usage, recording.exported
            )
        finally:
            await recording.close()
    finally:
        await database.close()


def main() -> None:
    # What ends this process is the end of the connection: until then there is something to store.
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    logging.basicConfig(format="trace recorder: %(message)s", level=logging.WARNING)
    connection = socket.socket(fileno=sys.stdin.fileno())
    try:
        config = msgspec.json.decode(first_settings(connection), type=RecordingConfig)
    except EOFError:
        return
    try:
        asyncio.run(record(connection, config))
    except (StorageError, ConfigError) as error:
        # Whoever started this process starts another one after a while.
        sys.exit(f"trace recorder: {error}")


if __name__ == "__main__":
    main()
