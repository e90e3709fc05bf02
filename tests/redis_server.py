"""A Redis server process for tests, on loopback, that keeps nothing."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

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
