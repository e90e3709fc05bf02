"""Three durable steps and a state in a Restate object: `python -m bench.peers.restate_runs`.

Starts the server that RESTATE_SERVER names, with 2 partitions, and the service under hypercorn, in
processes of their own; calls it over HTTP, with connections that stay open.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import restate
from restate import ObjectContext, VirtualObject

from bench.peers.load import drive

ACTORS = 200
steps = VirtualObject("Steps")


@steps.handler()
async def run(ctx: ObjectContext, number: int) -> int:
    total = number
    for step in range(3):
        found = await ctx.run_typed("add", add, number=total, to=step)
        total = found["sum"]
    ctx.set("total", total)
    return total


def add(number: int, to: int) -> dict[str, int]:
    return {"sum": number + to}


app = restate.app(services=[steps])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], port: int, **environ: str) -> Iterator[None]:
    """Run a process until the block ends, which begins when it answers on its port."""
    process = subprocess.Popen(
        command,
        env={**os.environ, **environ},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        for _ in range(300):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if process.poll() is not None:
                    raise RuntimeError(f"{command[0]} ended at once") from None
                time.sleep(0.1)
        yield
    finally:
        # With what it started. Nothing is kept, and hypercorn waits for connections that the server
        # keeps open.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Connection:
    """One HTTP/1.1 connection, kept open."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: bytes) -> bytes:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(answer.split(b"content-length:")[1].split(b"\r\n")[0])
        content = await reader.readexactly(length)
        if b" 200 " not in answer.split(b"\r\n")[0]:
            raise RuntimeError(content.decode())
        return content


async def measure(runs: int, concurrency: int, port: int) -> dict[str, float]:
    free = [Connection(port) for _ in range(concurrency)]

    async def one(number: int) -> None:
        connection = free.pop()
        answer = await connection.post(f"/Steps/{number % ACTORS}/run", str(number).encode())
        assert int(answer) == number + 3
        free.append(connection)

    return await drive(one, runs, concurrency)


def register(admin: int, service: int) -> None:
    """Tell the server of the service, once it is ready."""
    body = json.dumps({"uri": f"http://127.0.0.1:{service}"}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{admin}/deployments", body, {"content-type": "application/json"}
    )
    for _ in range(100):
        try:
            urllib.request.urlopen(request, timeout=10).close()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the Restate server takes no service")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("--concurrency", type=int, required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--process", type=int)
    options = parser.parse_args()
    ingress, admin, node, service = (free_port() for _ in range(4))
    settings = {
        "RESTATE_BASE_DIR": options.folder,
        "RESTATE_DEFAULT_NUM_PARTITIONS": "2",
        "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ingress}",
        "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
        "RESTATE_BIND_ADDRESS": f"127.0.0.1:{node}",
        "RESTATE_ADVERTISED_ADDRESS": f"http://127.0.0.1:{node}",
        "RESTATE_LOG_FILTER": "error",
        "DO_NOT_TRACK": "1",
    }
    # Its default closes a connection after 1,000 requests, in the middle of others' streams.
    served = f"""
import asyncio
from hypercorn.asyncio import serve
from hypercorn.config import Config
from bench.peers.restate_runs import app
config = Config()
config.bind = ["127.0.0.1:{service}"]
config.keep_alive_max_requests = 10**9
config.h2_max_concurrent_streams = 10_000
asyncio.run(serve(app, config))
"""
    with (
        running([os.environ["RESTATE_SERVER"]], ingress, **settings),
        running([sys.executable, "-c", served], service),
    ):
        register(admin, service)
        figures = asyncio.run(measure(options.runs, options.concurrency, ingress))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
