"""A Cosmos DB server process (`@vercel/cosmosdb-server`) for tests, on loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = ROOT / "node_modules" / ".bin" / "cosmosdb-server"
KEY = "dGhlIHNlcnZlciBhY2NlcHRzIGFueSBrZXk="


def skip_or_fail(reason: str) -> None:
    """Skip, unless the run forbids it: CI installs everything that a test may ask for."""
    if os.environ.get("LOOM_FORBID_SKIPS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def cosmos_server() -> Iterator[str]:
    """Run the server; yields its endpoint."""
    if not PROGRAM.exists():
        skip_or_fail("the Cosmos server is not installed: run `npm install`")
    port = free_port()
    process = subprocess.Popen(
        [PROGRAM, "--host", "127.0.0.1", "--port", str(port), "--no-ssl"],
        stdout=subprocess.DEVNULL,
        stderr=None,
    )
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if process.poll() is not None:
                    raise RuntimeError("the Cosmos server ended at once") from None
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
