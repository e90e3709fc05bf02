"""A Redis server process for tests, on loopback, that keeps nothing."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from tests.cosmos_server import free_port, skip_or_fail


def start_redis(folder: Path, port: int, *options: str) -> subprocess.Popen[bytes]:
    """Start a server that answers; its files, if any, go to `folder`."""
    program = shutil.which("redis-server")
    if program is None:
        skip_or_fail("redis-server is not installed: apt install redis-server")
        raise AssertionError("unreachable")
    process = subprocess.Popen(
        [
            *(program, "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)),
            *("--save", "", *options),
        ],
        stdout=subprocess.DEVNULL,
        stderr=None,
    )
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return process
        except OSError:
            if process.poll() is not None:
                raise RuntimeError("the Redis server ended at once") from None
            time.sleep(0.02)
    process.kill()
    raise RuntimeError("the Redis server does not answer")


@contextmanager
def redis_server() -> Iterator[str]:
    """Run a server; yields its address."""
    port = free_port()
    with TemporaryDirectory(prefix="loom-redis-") as folder:
        process = start_redis(Path(folder), port)
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()
            process.wait(10)


class LossyProxy:
    """Forwards to a Redis server; the next `lose` answers are dropped with their connection."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname, parts.port)
        self._port = free_port()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.lose = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    async def listen(self) -> None:
        """Accept connections."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)

    async def close(self) -> None:
        """Cut everything."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._open):
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, sink = await asyncio.open_connection(*self._target)
        self._open |= {writer, sink}

        async def ask() -> None:
            while data := await reader.read(65_536):
                sink.write(data)
            sink.close()

        asking = asyncio.create_task(ask())
        with suppress(ConnectionError):
            while data := await upstream.read(65_536):
                if self.lose:
                    self.lose -= 1
                    break
                writer.write(data)
        writer.close()
        asking.cancel()
        sink.close()
        self._open -= {writer, sink}


@asynccontextmanager
async def lossy(url: str) -> AsyncIterator[LossyProxy]:
    """Run a proxy in front of a server."""
    proxy = LossyProxy(url)
    await proxy.listen()
    try:
        yield proxy
    finally:
        await proxy.close()
